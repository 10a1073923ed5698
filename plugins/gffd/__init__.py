"""GFFD: an RGB and a noise-residual Xception that guide each other.

Y. Luo et al., "Generalizing Face Forgery Detection with High-frequency Features", CVPR 2021.
Written from a description of the method; no code of its authors is used. 53.3 M parameters at the
defaults (53,255,122).

Deviations, and choices where the description is incomplete:

* the residuals are those of :func:`focus.modalities.srm`: on the 0 to 255 scale, where a clamp at 3
  is meaningful, with replicated borders;
* residuals of the RGB stream's features (each channel separately, then a 1 x 1 convolution, BN,
  ReLU) join the other stream after both convolutions of the entry flow: the multi-scale extraction;
* the keys of each stream come from two 1 x 1 convolutions to an eighth of the channels, without
  sharing (which matches the known parameter count); the streams exchange after blocks 3 and 7, with
  a learnable weight that starts at 0;
* every channel of a feature map has all three residuals. In the released model the kernels are
  repeated in blocks, so that a third of the channels has each kernel, three times: an artefact of
  the weights' order, contrary to the paper's text;
* as in the released model, the attention filters the residuals a second time (the paper shows it
  over the residuals themselves), and the fusion takes both streams before their last activation;
* fusion: 1 x 1 convolution, BN, ReLU, plus itself times a channel attention of ratio 16;
* ``steps`` are 10 epochs of 72,000 faces (720 videos of five kinds, 20 frames each); no dropout.
"""

from plugins.gffd.model import Gffd, GffdConfig

__all__ = ["Gffd", "GffdConfig"]
