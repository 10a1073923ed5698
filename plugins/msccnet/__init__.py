"""MSCCNet: the multi-spectral class centre network.

Miao et al., "Multi-spectral Class Center Network for Face Manipulation Detection and Localization",
2023. Written from the paper; the released code (MIT) settled points that the paper leaves open;
none of it is copied.

A dilated ResNet-50 at stride 8, multi-level features aggregation (MFA), class centres computed
under several DCT bases and attended to by the pixels (MSCC), one cross-entropy for the image and
two for the pixels.

Where paper and released code differ, and further choices:

- ``dct_bases``: the paper has 4 bases, one for each group of 128 channels (``paper4``); the
  released code, because a parameter is not passed on, has 64, one for every 8 channels, 16 in a
  group (``code64``). Which of the two made the published tables is unknown.
- A basis multiplies the features; nothing is summed to a spectrum (the paper's Eq. 6 has a sum, the
  text and the code do not). The bases are computed for the given feature map, so that any input
  size works; the released code accepts only 512 x 512.
- The class centres are computed from logits, without softmax or division by the number of pixels,
  as in the code. Their unnormalised sums and the unscaled softmax after them are always float32.
- MFA has no downsampling: at output stride 8 all three levels have one size, as in the code.
- BatchNorm replaces the code's SyncBatchNorm, which cannot train in a single process.
- Hard maps are the paper's; ``map_mode=soft`` uses [1 - m, m] as class probabilities. No pixel is
  ignored: maps cover the whole crop.
- The augmentation is the training command's: flips alone are the paper's; the released random scale
  and crop can cut the forged region out of an image that stays labelled fake.
- The predicted map is on the native grid, an eighth of the input; the published metrics enlarge the
  logits instead of the probabilities.
- The backbone's ImageNet weights are timm's ``resnet50c.gluon_in1k``, with the same deep stem and
  size as the authors'.
- 67,350 steps are the authors' 30 epochs of their 143,724 images in batches of 64, the last
  incomplete one dropped. The released settings' floor of the rate, 0.01, is kept; unlike them, the
  loop keeps the weights of the best validation, not of the last step.
"""

from plugins.msccnet.model import MSCCNet, MSCCNetConfig

__all__ = ["MSCCNet", "MSCCNetConfig"]
