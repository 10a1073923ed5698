"""SLADD's head: an Xception with a coarse map and the additive-margin softmax.

Chen et al., "Self-supervised Learning of Adversarial Example: Towards Good Generalizations for
Deepfake Detection", CVPR 2022. Written from a description of the method; the authors' code is
Apache-2.0; nothing is copied.

This is the detector of the paper without its training: there, a second network of the same size
chooses adversarially which region of a face to forge and how to blend it, and the detector also
predicts both choices (a type of five, weight 0.05, and a magnitude, weight 0.1). Those two heads
need that synthesiser, so they are left out, and the forgeries are those of the index (or of
``--augment self-blend``). Numbers published for SLADD are therefore not comparable: the name says
``sladd-head``.

A map of 16 x 16 cells at 256, taught by its mean squared error of weight 0.1; AM-softmax of the
class with scale 30 and margin 0.45. 20.8 M parameters, 6.0 GMACs at 256.

Deviations and choices:

- The map's batch norm, ReLU and 1 x 1 convolution are on the features after block 11, the last of
  stride 16; they have 2,185 parameters. Their position is ours.
- The target of a cell is the forged share of its area; ``map_mode=hard`` thresholds the map first.
- 22,500 steps are 20 epochs of 36,000 faces in the paper's batches of 32; the rate is constant.
"""

from plugins.sladd_head.model import SladdHead, SladdHeadConfig

__all__ = ["SladdHead", "SladdHeadConfig"]
