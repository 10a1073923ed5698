"""smp: any architecture of segmentation_models_pytorch as a detector.

Iakubovskii, "Segmentation Models PyTorch" (MIT), installed by the extra ``smp``; nothing is copied.
Plain segmentation networks are the control for every special module: an encoder, a decoder, a map
head at the size of the images and a class head on the deepest features. The loss is the
cross-entropy of the class and the binary cross-entropy of the soft map.

================================ ========== ===== ====
``architecture``, ``encoder``    parameters GMACs at
================================ ========== ===== ====
DeepLabV3Plus, resnet50          26.7 M     9.1   256
FPN, efficientnet_b4             19.1 M     3.0   224
UPerNet, convnext_tiny           37.0 M     14.6  224
Segformer, mit_b0                3.7 M      1.3   224
================================ ========== ===== ====

Choices:

- ``encoder`` is a timm model, as in every other detector; the package's own encoders (``mit_b0``,
  ``efficientnet-b4``) are taken where timm has no model of the name.
- ``encoder_weights`` goes through our own loader, never through the package's downloads: ``timm``,
  ``none``, or a file. The package's own encoders start from a file or from ``none``.
- Images are standardised as the encoder's weights require.
- The map and the score are independent heads; a run without maps trains only the class.
- Parameters that no output depends on, such as the last stages of PSPNet's encoder, are frozen.
- Normalisation after a global pooling has one value per channel in a batch of one face; there it
  uses its running statistics, in training too.
"""

from plugins.smp.model import Smp, SmpConfig

__all__ = ["Smp", "SmpConfig"]
