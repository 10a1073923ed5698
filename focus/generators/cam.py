"""Class activation maps of a plain classifier."""

from __future__ import annotations

import torch
from torch import Tensor

from focus.generators.focus import TrainedGenerator
from focus.network.maps import minmax
from focus.types import Prediction


class GradCam(TrainedGenerator):
    """Grad-CAM of the fake logit at the encoder's token grid (Selvaraju et al., ICCV 2017).

    Tokens are weighted by the mean gradient of the fake logit over the grid and rectified. The
    gradient is taken down to the tokens only. Each map is scaled to [0, 1] and multiplied by
    P(fake), so that a face taken for real stays calm and magnitudes can be compared.
    """

    kind = "classifier"
    normalisation = "class_minmax"

    def predict(self, images: Tensor) -> Prediction:
        """Return scores (B,) and maps (B, 1, h, w) of images (B, 3, H, W) in [0, 1]."""
        tokens = self.network.tokens(images).detach().float()  # (B, N, D)
        with torch.enable_grad():
            tokens.requires_grad_(True)
            with torch.autocast(images.device.type, enabled=False):
                logits = self.network.classify(tokens)
            (gradient,) = torch.autograd.grad(logits[:, 1].sum(), tokens)
        weights = gradient.mean(dim=1, keepdim=True)  # (B, 1, D)
        cam = (weights * tokens.detach()).sum(dim=-1).clamp_min(0)  # (B, N)
        scores = logits.detach().softmax(dim=1)[:, 1]
        maps = minmax(cam.view(-1, 1, *self.network.encoder.grid)) * scores[:, None, None, None]
        return Prediction(scores, maps)
