"""MVSS-Net: multi-view multi-scale supervision of edges, pixels and the image.

Chen et al., "Image Manipulation Detection by Multi-View Multi-Scale Supervision", ICCV 2021; Dong
et al., "MVSS-Net", IEEE TPAMI 2022. Written from the papers and a description of the network;
nothing is copied: the authors' code has no licence and holds no training. The network and its loss
are the paper's.

Two ResNet-50 with a last stage of dilations 1, 2 and 4 at stride 16: one sees the image, the other
the prediction errors of a constrained convolution (:mod:`plugins.bayar`) on its grey values. Their
deepest features, joined, pass an attention over positions and one over channels to the map of a
32 x 32 grid at 512. A branch of gated Sobel edges on the four levels of the first predicts the edge
of the manipulation at a quarter of the size. The score of the image is the maximum of its map.

142.8 M parameters (146.9 M with the ImageNet classifiers of both trunks, which the authors count
and do not use), 166 GMACs at 512.

Deviations and choices:

- L = 0.16 dice(map) + 0.04 BCE(score) + 0.80 dice(edge), as in the paper. Both dice terms are means
  over the fakes alone, as the authors say; the BCE covers all images. A public re-implementation
  applies dice to real images too, where an almost empty map has a large cost.
- The BCE takes the maximum of the logits; a public re-implementation takes the sigmoid as a logit,
  so that the loss cannot fall below 0.69 on real images.
- The score is the conference version's maximum. The journal version learns a smoother pooling.
- The square root in the Sobel gate has a floor, as its gradient at 0 is infinite. Image borders are
  replicated, so that they are not edges. The last edge block has no ReLU: it gives logits.
- Edge targets are dilation minus erosion of the hard map by a square of 7 pixels at 512, in
  proportion at other sizes, then the maximum of each cell of a quarter of the size. The authors
  draw contours of an unpublished width.
- Grey is BT.601's of RGB; the released weights assume BGR.
- The key projection of the position attention has no bias: it would change nothing.
- The predicted map is the sigmoid of the native grid, a 16th of the input, and the score its
  maximum; the losses enlarge the logits to the input.
- Adam at 1e-4 with a cosine to a thousandth, batches of 16 and 45,000 steps (20 epochs of 36,000
  faces): the paper does not give its schedule completely.
- ``map_mode=soft`` uses soft maps in the dice of the map; edges need hard ones.
"""

from plugins.mvss.model import Mvss, MvssConfig

__all__ = ["Mvss", "MvssConfig"]
