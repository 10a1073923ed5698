"""MoNFAP: mixture-of-noises enhanced forgery-aware unified predictor.

Miao et al., "Mixture-of-Noises Enhanced Forgery-Aware Predictor for Multi-Face Manipulation
Detection and Localization". Written from the paper's equations; the authors' code carries no
licence, and nothing of it is copied.

A backbone of four levels; on each, a gated mixture of four noise extractors (MoNE); an auxiliary
localiser; a real and a fake token that exchange with the picture on four scales (FUP), each looking
only where the auxiliary localiser sees its class. The tokens give the class of the picture, and
their product with the pixels gives the mask.

Pictures of several faces need nothing special: a row of the index is the whole picture, its map
covers every manipulated face in it, and its label is fake if there is one. A crop of one face goes
through the same network; the paper publishes no numbers for such.

Where paper and released code differ, and further choices:

- MoNFAP-R: no ResNet variant is published. ``backbone=resnet50`` projects the stages to 64, 128,
  256 and 512 channels (1 x 1 convolution and layer norm), takes the same settings (``drop_path``
  too) and must be reported as "MoNFAP-R (ours)".
- BayarConv: the code divides the stored taps by their sum before every forward pass, behind the
  gradient's back; where a sum passes 0 they run away (to infinity within 200 steps at a rate of
  1e-2). Here the division is part of the forward pass, in float32, and no sum counts as less than
  0.001. A plugin cannot project after the optimiser's step. The taps start as the code's do after
  its first division.
- SRMConv: every channel starts from all three kernels; in the code each third of the channels has
  one of them thrice (``srm_layout=code``).
- The gate is a dense softmax over all four experts, as k = 4 makes it. With ``top_k`` below 4 the
  others weigh 0 but are still computed, so that no batch norm sees a part of a batch.
- The offset 0.01 in the gate's softplus, w_im = 0.1, the schedule's floor and the batch of 256 are
  the code's; the paper gives none.
- A batch is attended to at once; the code takes picture by picture. A token whose class is nowhere
  attends to all places alike, as in the code; the paper's minus infinity would give NaN.
- The importance loss is that of the faces of one process and one forward pass.
- BatchNorm stands where the code has SyncBatchNorm, in the auxiliary localiser.
- Hard maps are the paper's; ``map_mode=soft`` uses [1 - m, m] as class probabilities. The weight of
  10 goes by the label, so a fake with an empty map is weighed as a fake. No pixel is ignored.
- Without maps the auxiliary localiser learns nothing, so where the tokens look stays arbitrary.
- Training and test pictures are squares of ``image_size``. The authors test with the longer side at
  512 and the ratio kept; the network takes such sizes too, and any that 32 does not divide.
- The augmentation is the training command's: flips alone are the paper's; the released random scale
  and crop can cut the forged region out of a picture that stays labelled fake.
- The predicted map is the softmax on the native grid, a quarter of the input; the published metrics
  enlarge the logits instead.
- 13,200 steps are 40 epochs of FFIW's 84,612 images, the last incomplete batch dropped.
"""

from plugins.monfap.model import MoNFAP, MoNFAPConfig

__all__ = ["MoNFAP", "MoNFAPConfig"]
