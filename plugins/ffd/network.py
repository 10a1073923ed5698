"""An Xception with a map between two of its blocks."""

from __future__ import annotations

from torch import Tensor, nn

from plugins.xception import WIDTH, split_xception


class AttentiveXception(nn.Module):
    """Xception whose features behind a block are multiplied by a map that they predict.

    Args:
        after: number of the block, 3 to 11.
        weights: ``timm``, ``none`` or a file; see :func:`~focus.backbones.create_backbone`.

    Raises:
        InputError: weights that are unavailable or do not fit.
    """

    def __init__(self, after: int, weights: str) -> None:
        super().__init__()
        self.before, self.behind, self.classifier = split_xception(after, weights, classes=2)
        self.attention = nn.Sequential(
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH, bias=False),
            nn.Conv2d(WIDTH, 1, 1, bias=False),
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, 2) of real and fake, and of the map (B, 1, h, w), float32."""
        features = self.before(images)
        map_logits = self.attention(features).float()
        return self.classify(features, map_logits.sigmoid()), map_logits

    def classify(self, features: Tensor, maps: Tensor) -> Tensor:
        """Return logits (B, 2) of features (B, 728, h, w) under maps (B, 1, h, w) in [0, 1]."""
        attended = self.behind(features * maps.to(features.dtype))
        return self.classifier(attended.mean(dim=(2, 3))).float()
