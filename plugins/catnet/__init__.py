"""CAT-Net: compression artifacts of an image, beside its colours.

Kwon et al., "Learning JPEG Compression Artifacts for Image Manipulation Detection and
Localization", IJCV 2022. Written from the paper and a description of the network; nothing is
copied. The authors' code is Apache-2.0, their weights CC-BY 4.0; the weights are not read.

An HRNet-W48 sees the colours. A second stream sees 21 binary planes of the luma's 8 x 8 cosine
transform, one for each magnitude 0 to 19 and one for the rest; after a convolution of dilation 8,
which joins the same frequency of neighbouring blocks, each block becomes one cell, and two HRNet
stages follow. Both are joined at strides 8, 16 and 32 in a last HRNet module; its four levels at a
quarter of the size give the map.

114.3 M parameters, 133 GMACs at 512; ``encoder=hrnet_w18`` is a light one.

The planes are computed from the pixels, for JPEG and PNG crops alike: the luma is rounded,
transformed and rounded again, as a JPEG file of quality 100 has it. The authors do so for images
that are not JPEG; of JPEG files they read the stored coefficients and the quantisation table. A
face crop has neither: it is cut and resized from a decoded frame, so the coefficients of its file
(if it is a JPEG at all) tell how the crop was saved, not how the frame was. What remains of an
earlier compression is in the pixels, provided that the crop was not resized and its corner lies on
the 8-pixel grid of the frame. Augmentation that resizes or crops removes it too: train with
``--smallest-crop 1``.

Deviations and choices:

- The table is one of ones. The stream's second half, its features times the table, therefore
  equals the first; it stays, so that the network has the paper's size.
- The DCT stream starts from random weights: the authors' pretraining on double JPEG is not
  published. The colour stream starts from ImageNet.
- The class is ours, as the authors predict maps alone: the fused features, averaged, and a linear
  layer, with a cross-entropy of weight 1.
- The cross-entropy of the pixels weighs real 0.5 and fake 2.5 (the code's) and is divided by the
  sum of the weights.
- 65,454 steps are 20 epochs of 36,000 faces in batches of 11, the code's for one GPU; the authors
  train 200 epochs of photographs.
- Hard maps are the paper's; ``map_mode=soft`` uses [1 - m, m] as class probabilities.
"""

from plugins.catnet.model import CatNet, CatNetConfig

__all__ = ["CatNet", "CatNetConfig"]
