"""MaDD: several attention maps over an EfficientNet, each pooling the texture of its region.

H. Zhao et al., "Multi-attentional Deepfake Detection", CVPR 2021. Written from a
description of the method; no code of its authors is used. 18.8 M parameters at the defaults
(18,822,482).

Deviations, and choices where the description is incomplete:

* one training stage: the paper trains the EfficientNet alone for 20 epochs first; weights of such
  a stage can be given as ``encoder_weights``;
* an epoch is taken as 72,000 faces (720 videos of five kinds, 20 frames each) for ``steps`` and
  ``decay_steps``; the paper gives epochs only;
* strided convolutions always pad as TensorFlow does for an even side: the paper's
  23 x 23 attention of a 380 pixel face needs that (exact padding gives 24 x 24);
* texture: the level minus its local mean, times tanh of the detached attention, then three
  densely connected 3 x 3 convolutions after a first 5 x 5 one, grouped by attention;
* the centres move once a step. In the released code the dropped images move them a second time,
  a side effect of a term that is computed and left out of the loss. With several processes they
  follow the faces of the first process;
* one attention is chosen per face for the drop, and a threshold and a slope per face; the release
  has one threshold and slope per batch;
* match: the distance of the regional features with and without the drop, over the attentions that
  were not dropped;
* both features are projected to 256 channels with hard-swish, joined, and classified by two
  layers: these widths match the known parameter count. The released dropout (of whole attentions,
  0.25, and of the final features, 0.5) is left out: the drop of attended areas and drop-connect in
  the encoder regularise already.
"""

from plugins.madd.model import MultiAttention, MultiAttentionConfig

__all__ = ["MultiAttention", "MultiAttentionConfig"]
