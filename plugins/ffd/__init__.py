"""FFD: an Xception whose features are multiplied by a predicted map of the manipulation.

Dang et al., "On the Detection of Digital Face Manipulation", CVPR 2020. Written from a description
of the method and of the authors' code, which has no licence; nothing is copied. 20.8 M parameters,
8.4 GMACs at 299 pixels.

A separable 3 x 3 convolution (7,280 weights) and a sigmoid give the map, 19 x 19 at 299 pixels; the
features are multiplied by it, and the rest of the Xception classifies them.

With maps the predicted one is taught their area averages by the mean absolute error. Without maps
its largest cell is taught the label by a binary cross-entropy, so it locates from labels alone.

Where paper and code differ, and further choices:

- ``after=7``: the attention follows block 7 in the code, which is followed here, and block 4 in the
  paper (``after=4``).
- A map from labels alone is the form of the code of Tantaru et al. (WACV 2024), with weight 1. The
  original pulls the maximum of a fake's map to 0.75.
- Maps are averaged over each cell; the code samples points. Hard maps are an option
  (``map_mode=hard``).
- The variant whose map is a sum of ten fixed templates needs the authors' image files and is left
  out; in the code it is the default, and its map is unbounded.
- The authors' code never loads pretrained weights (it would fail if asked to) and starts from
  N(0, 0.01); here the default is ImageNet's, and ``encoder_weights=none`` starts as timm does.
- A real face's features are multiplied by a map that learns to be 0: its class then comes from
  the batch norms and biases behind, and stays finite.
- 100,000 steps of 30 faces, half of them real, are the code's.
"""

from plugins.ffd.model import FFD, FFDConfig

__all__ = ["FFD", "FFDConfig"]
