"""An Xception with a map between two of its blocks."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from plugins import create_backbone

XCEPTION = "legacy_xception"
BLOCKS = 12
WIDTH = 728  # channels behind each of the blocks 3 to 11


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
        body: Any = create_backbone(XCEPTION, weights, num_classes=2)
        blocks = [getattr(body, f"block{number}") for number in range(1, BLOCKS + 1)]
        self.before = nn.Sequential(
            body.conv1, body.bn1, body.act1, body.conv2, body.bn2, body.act2, *blocks[:after]
        )
        self.attention = nn.Sequential(
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH, bias=False),
            nn.Conv2d(WIDTH, 1, 1, bias=False),
        )
        self.behind = nn.Sequential(
            *blocks[after:], body.conv3, body.bn3, body.act3, body.conv4, body.bn4, body.act4
        )
        self.classifier: nn.Linear = body.fc

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, 2) of real and fake, and of the map (B, 1, h, w), float32."""
        features = self.before(images)
        map_logits = self.attention(features).float()
        return self.classify(features, map_logits.sigmoid()), map_logits

    def classify(self, features: Tensor, maps: Tensor) -> Tensor:
        """Return logits (B, 2) of features (B, 728, h, w) under maps (B, 1, h, w) in [0, 1]."""
        attended = self.behind(features * maps.to(features.dtype))
        return self.classifier(attended.mean(dim=(2, 3))).float()
