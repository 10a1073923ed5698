r"""Telltales: semantic and noise-level telltale clues of a forgery, to detect and to locate it.

Kong et al., "Detect and Locate: Exposing Face Manipulation by Semantic- and Noise-level Telltales",
IEEE TIFS 2022. Written from the paper and a description of its network; the authors' code has
no licence; nothing is copied. They release no weights.

The entry and middle flow of an Xception; at three depths a semantic and a noise map, each from a
separate chain of convolutions (MapPrediction); the deepest features of both kinds, multiplied by
the deepest semantic map, give the class (Classification). The noise maps learn the noise that a
wavelet filter finds in the image (:mod:`~plugins.telltales.noise`), so this term needs no maps.

Training has two steps, each a run. The first has no noise: its features are zeros, their module is
not trained. The second starts from the weights of the first, with a tenth of the rate::

    evaluator run --model telltales --maps focus.h5 --options step=1 --out results/first
    evaluator run --model telltales --maps focus.h5 --out results/second \
        --options encoder_weights=results/first/seed-0/best.safetensors \
        --lr 2e-5 --weight-decay 1e-5 --schedule constant

Without these options the whole model is trained in one run, from ImageNet weights and at 2e-4.

Where paper and released code differ, and further choices:

- The rate is 2e-4 in the paper, and 2e-5 or 2e-4 in the released scripts; 2e-4 in the first step
  and 2e-5 in the second reconciles them. The paper does not say whether the first step learns the
  class; here it does.
- Weights 0.1 and 1 of the noise and the semantic loss are the code's within FaceForensics++; the
  paper gives none, and the code has 1 and 1 across data sets (``noise_weight=1``).
- Attention: the paper multiplies by the semantic map, the code by its logit, which is negative on
  pristine areas. ``attention=logit`` is the code's.
- Map predictions: the paper names depthwise separable convolutions; the code has plain 3 x 3 ones,
  each before a 1 x 1 one, and no activation anywhere (``separable=True`` for the paper's wording).
- The authors publish neither the noise filter nor the storage of its negative values. Here it is
  the usual filter for sensor noise, without its removal of row, column and spectral patterns, and
  absolute values are used: signed ones average out at the coarse levels. Labels are not rounded
  to 8 bits.
- The noise is that of the network's input: decoded, cropped, resized, mirrored. The
  filter does not commute with mirroring, and need not; the authors filter the stored crop.
  The semantic map is mirrored with the image; one of their scripts mirrors the image alone.
- ``sigma`` 5 is for compression c23; the paper takes 10 for c40.
- Soft maps are native: the authors' masks are resized without being thresholded again. For
  ``map_mode=hard`` a map is thresholded at the input's size, then resized in the same way.
- Sizes other than 299: the maps are trained at their resulting sizes, and the attended features are
  resized to 19 x 19 for the last layers.
- The predicted map is at the input's size, the weighted sum (0.1, 0.2, 0.7) of the three enlarged.
- ``encoder_weights=timm`` are those of timm's ``legacy_xception``; the URL in the released code
  is dead.
- 484,920 steps are 10 epochs of the authors' 1,551,744 faces, half of them real; here the loop
  does the balancing and the selection of the best weights, every 1,000 steps (theirs: 3,000).
"""

from plugins.telltales.model import Telltales, TelltalesConfig

__all__ = ["Telltales", "TelltalesConfig"]
