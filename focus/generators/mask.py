"""The truth masks as maps: the reference supervision."""

from __future__ import annotations

from torch import Tensor

from focus.generators.comparison import Comparison
from focus.types import Prediction


class Mask(Comparison):
    """The masks of the index, 0 or 1; zero on real faces. No parts."""

    companion = "mask"

    def compare(self, images: Tensor, companions: Tensor) -> Prediction:
        """Return maps (B, 1, H, W) of masks 0 or 255 (B, 1, H, W); images are ignored."""
        return Prediction(self.no_scores(images), companions.float() / 255)
