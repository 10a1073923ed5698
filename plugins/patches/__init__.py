"""Patches: local scores of a truncated network, averaged, from labels alone.

Chai et al., "What Makes Fake Images Detectable? Understanding Properties that Generalize", ECCV
2020; as the weakly supervised localiser of Tantaru et al., "Weakly-Supervised Deepfake
Localization in Diffusion-Generated Images", WACV 2024. Written from the papers and a description of
the recipe; nothing is copied: the second's code is CC BY-NC-SA, the first's has no licence.

An Xception cut after its second block, and a 1 x 1 convolution to the logits of real and fake in
each cell. A cell of the 37 x 37 at 299 pixels sees 43 x 43 pixels, so it can only judge the texture
there. All cells of an image learn its label. The score is the mean of the cells' P(fake), the map
the cells' P(fake) on the native grid.

========= ============= ======================== ========== =====
``block`` cells at 299  pixels seen by a cell    parameters GMACs
========= ============= ======================== ========== =====
1         74 x 74       19                       0.06 M     1.03
2         37 x 37       43                       0.19 M     1.63
3         19 x 19       91                       1.1 M      2.69
4         19 x 19       187                      2.7 M      3.27
========= ============= ======================== ========== =====

Deviations and choices:

- Class balance decides the map: a cell without evidence learns the share of fakes, which at 4 fakes
  to a real face is 0.8 and marks every cell. So ``predict`` subtracts log(fakes / reals) from the
  margin of the logits, counted in the batches of training. With half real and half fake batches,
  the loop's default, it is 0.
- ``reduction=mean`` is the cross-entropy of the mean over the cells of their probabilities.
  ``reduction=max`` trains only the cell whose logit of fake most exceeds that of real. The score is
  the mean of the cells under all three, as released: after ``max`` it ranks faces, but 0.5 is not
  its threshold.
- With maps, every cell learns the share of its area that is forged, in place of the label, and the
  prior is not subtracted. The released code samples one point per cell, with batches of 16 over
  25,000 steps. The score is then the forged share of the image: it ranks faces, but 0.5 is not its
  threshold.
- ``encoder_weights=timm`` starts from timm's ImageNet weights. The authors start from scratch:
  ``encoder_weights=none`` initialises the cut Xception as they do, Xavier with gain 0.02.
- ``encoder`` takes any other timm model with a grid of tokens, to compare generators on one
  encoder; its input is standardised as its weights require. With attention, or beyond the first
  stages, a cell sees most of the image, and the argument from the receptive field no longer
  holds. A position table is trained like other weights.
- 50,000 steps are the authors' 100 epochs of 500. The loop selects the weights by its criterion,
  theirs by the lowest validation loss. They flip, resize by Lanczos and crop the centre; here the
  training command and the index determine both.
- Real and fake faces must have the same resizing and compression, or the cells learn that:
  ``focus doctor`` checks it.
"""

from plugins.patches.model import Patches, PatchesConfig

__all__ = ["Patches", "PatchesConfig"]
