"""HPFCN: a residual network on learnable high-pass filters that labels every pixel.

Li and Huang, "Localization of Deep Inpainting Using High-Pass Fully Convolutional Network", ICCV
2019. Written from a description of the method and of the authors' code (MIT, TensorFlow 1), which
is followed; nothing is copied and no weights are read.

Three differences of neighbouring pixels per colour channel, learnable; four blocks of two
pre-activation bottlenecks, each block halving the size in its second; two steps of four-fold
upsampling to the logits of real and fake at every pixel. A class head on the mean of the 1,024
features is ours: the paper only locates, and Miao et al. (MSCCNet) add a head of their own, which
they do not describe.

============== ========== ============= ====================
``upsampling`` parameters GMACs at 256  parameters of it
============== ========== ============= ====================
``mixed``      3.56 M     7.58          0.07 M
``code``       7.70 M     8.70          4.21 M
============== ========== ============= ====================

Deviations and choices:

- ``upsampling=code`` has the code's transposed convolutions, all of whose channels start with the
  same bilinear weights. Nothing breaks the tie in the first: its 64 channels stay identical and do
  the work of one. The default, ``mixed``, has 1 x 1 convolutions before bilinear enlargements.
- Images are in [0, 1] without standardisation, so that the filters see grey levels. The differences
  are float32 under autocast: bfloat16 cannot hold a grey level.
- The order of the nine residuals, kernels outermost in the code, does not matter to the convolution
  behind it and is channels outermost here.
- The loss is the code's focal loss (gamma 2, no class weights) on every pixel, plus the
  cross-entropy of the image.
- Hard maps are the paper's; ``map_mode=soft`` uses [1 - m, m] as class probabilities.
- 15,000 steps of 24 faces are 10 epochs of FoCus's 36,000 training faces of FaceForensics++, the
  rate halved after each, as in the code, whose batch has one image.
"""

from plugins.hpfcn.model import HPFCN, HPFCNConfig

__all__ = ["HPFCN", "HPFCNConfig"]
