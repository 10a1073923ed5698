"""M2TR: multi-modal multi-scale transformers over patches, frequencies and their exchange.

Wang et al., "M2TR: Multi-modal Multi-scale Transformers for Deepfake Detection", ICMR 2022. Written
from the paper and a description of its network; the authors' code (MIT) settled points that the
paper leaves open; none of it is copied.

An EfficientNet-B4 is cut at stride 4. Four blocks process its 32 x 80 x 80 features (at 320): every
block has an attention between patches of four sizes, a learnt filter of all frequencies, and an
attention in which the first asks the second. The rest of the EfficientNet gives the class, a few
convolutions on the features after the last block give the map at the size of the image.

18.6 M parameters, 15.0 GMACs at 320, and another 0.6 GMACs for the map.

Deviations and choices:

- The released code trains neither the map nor the contrastive term and has a focal loss of the
  class. Here the loss is the paper's cross-entropy of the class and of the map, of weight 1; its
  contrastive term, of weight 0.001, is left out.
- The released decoder cannot be built, and one of its convolutions has no padding; here all have.
- The frequency filter is stored for ``image_size`` and interpolated for other sizes. The released
  one is fixed to 320.
- Scores and maps are probabilities in training and evaluation alike; the released network returns
  logits in one and probabilities in the other.
- The key projections have no bias: it would change nothing.
- The attention over all positions never stores its 6,400 x 6,400 weights where torch has a fused
  kernel.
- ``map_mode=soft`` is the default: the paper does not say that masks are binarised.
- 11,250 steps of 64 are the code's 20 epochs over 36,000 faces. Its random crops of an enlarged
  face and its augmentation are left to the training command. It clips the gradient's norm after the
  step, without effect; here it is not clipped.
"""

from plugins.m2tr.model import M2tr, M2trConfig

__all__ = ["M2tr", "M2trConfig"]
