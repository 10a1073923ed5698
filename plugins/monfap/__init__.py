"""MoNFAP: mixture-of-noises enhanced forgery-aware unified predictor.

Miao et al., "Mixture-of-Noises Enhanced Forgery-Aware Predictor for Multi-Face Manipulation
Detection and Localization". Written from the paper's equations; the authors' code has no
licence; nothing is copied.

A backbone of four levels; on each, a gated mixture of four noise extractors (MoNE); an auxiliary
localiser; a real and a fake token that exchange with the image on four scales (FUP), each attending
only where the auxiliary localiser finds its class. The tokens give the class of the image, and
their product with the pixels gives the mask.

Images of several faces need no special handling: a row of the index is the whole image, its map
covers every manipulated face in it, and its label is fake if there is one. Crops of one face use
the same network; the paper publishes no numbers for them.

Where paper and released code differ, and further choices:

- MoNFAP-R: no ResNet variant is published. ``backbone=resnet50`` projects the stages to 64, 128,
  256 and 512 channels (1 x 1 convolution and layer norm), takes the same settings (``drop_path``
  too) and must be reported as "MoNFAP-R (ours)".
- BayarConv: the code divides the stored taps by their sum before every forward pass, outside the
  gradient; where a sum crosses 0 they diverge (to infinity within 200 steps at a rate of 1e-2).
  Here the division is part of the forward pass, in float32, and the magnitude of a sum is at least
  0.001. A plugin cannot project after the optimiser's step. The taps start as in the code after its
  first division.
- SRMConv: every channel starts from all three kernels; in the code each third of the channels has
  one of them three times (``srm_layout=code``).
- The gate is a dense softmax over all four experts, as with k = 4. With ``top_k`` below 4 the
  others have weight 0 but are still computed, so that batch norms see whole batches.
- The offset 0.01 in the gate's softplus, w_im = 0.1, the schedule's floor and the batch of 256 are
  the code's; the paper gives none.
- Attention is batched; the code processes image by image. A token whose class is nowhere attends to
  all positions equally, as in the code; the paper's minus infinity would give NaN.
- The importance loss is computed per process and forward pass.
- BatchNorm replaces the code's SyncBatchNorm in the auxiliary localiser.
- Hard maps are the paper's; ``map_mode=soft`` uses [1 - m, m] as class probabilities. The weight of
  10 depends on the label, so a fake with an empty map is weighted as a fake. No pixel is ignored.
- Without maps the auxiliary localiser is not trained, so the tokens attend to arbitrary areas.
- Training and test images are squares of ``image_size``. The authors test with the longer side at
  512 and the ratio kept; the network accepts such sizes too, also if not divisible by 32.
- The augmentation is the training command's: flips alone are the paper's; the released random scale
  and crop can cut the forged region out of an image that stays labelled fake.
- The predicted map is the softmax on the native grid, a quarter of the input; the published metrics
  enlarge the logits instead.
- 13,200 steps are 40 epochs of FFIW's 84,612 images, the last incomplete batch dropped.
"""

from plugins.monfap.model import MoNFAP, MoNFAPConfig

__all__ = ["MoNFAP", "MoNFAPConfig"]
