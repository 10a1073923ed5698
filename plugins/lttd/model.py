"""LTTD: patch sequences, processed separately, then compared and aggregated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from plugins import (
    Batch,
    Detector,
    InputSpec,
    OptimizerConfig,
    Prediction,
    Summary,
    check_choices,
    check_options,
)
from plugins.lttd.cross_patch import CrossPatchAggregation, inconsistency_loss, similarity
from plugins.lttd.local_sequence import PATCH, LocalSequenceTransformer
from plugins.lttd.targets import (
    IntegrityMode,
    TimePooling,
    pairwise_agreement,
    sequence_integrity,
)
from plugins.pcl.consistency import inconsistency_with_border


@dataclass(frozen=True)
class LttdConfig:
    """The defaults are the paper's network, completed by our choices."""

    image_size: int = 224
    """Side of the square frames in pixels, a multiple of 16; a cell of the map has 16 pixels."""
    frames: int = 16
    """Frames in a clip."""
    width: int = 384
    """Channels of a token."""
    heads: int = 6
    """Heads of every attention; must divide the width."""
    depth: int = 3
    """Transformer blocks in each of the three stages, and in the aggregation."""
    channels: int = 64
    """Channels of the 3-D stem and of the low-level path."""
    position_embedding: bool = False
    """Add learned position embeddings to the aggregation."""
    integrity_head: bool = False
    """Learn the integrity of each sequence by a separate head instead of by similarities."""
    integrity_weight: float = 0.1
    """Weight of the map loss relative to the classification."""
    tolerance: float = 0.1
    """Deviation of a similarity without cost."""
    map_mode: IntegrityMode = "soft"
    """Integrity from soft maps, from hard (thresholded) ones, or relative to the clip's maximum."""
    time_pooling: TimePooling = "mean"
    """A sequence's integrity over time: mean, or max (its worst frame)."""
    map_threshold: float = 0.1
    """Threshold of hard maps."""
    least_share: float = 0.05
    """Hard: share of a sequence that must be manipulated for it to count."""
    peak_share: float = 0.5
    """Relative: share of the clip's maximum integrity above which a sequence counts."""
    checkpointing: bool = True
    """Recompute activations in the backward pass: slower, with far less memory."""

    def __post_init__(self) -> None:
        check_options(self, "image_size", least=3 * PATCH, multiple=PATCH)
        check_options(self, "frames", least=2)
        check_options(self, "heads", "depth", "channels", "width", least=1)
        check_options(self, "width", multiple=self.heads)
        check_options(self, "integrity_weight", least=0)
        check_options(self, "tolerance", "least_share", "peak_share", least=0, below=1)
        check_options(self, "map_threshold", above=0, most=1)
        check_choices(self)

    @property
    def side(self) -> int:
        """Side of the grid of patch sequences."""
        return self.image_size // PATCH


class Lttd(Detector[LttdConfig]):
    """Classifies a clip and finds inconsistent patch sequences.

    Clips are (B, 3, T, H, W), standardised as ImageNet, H and W multiples of 16; T, and with a
    position embedding H and W, are set by the configuration.
    """

    gmacs = 201.0
    summary = Summary(
        "Guan et al., NeurIPS 2022", "score, map of each frame", "clips, maps", "random weights"
    )
    optimizer: ClassVar[OptimizerConfig] = OptimizerConfig(
        optimizer="adamw", lr=1e-4, weight_decay=0.05
    )
    steps: ClassVar[int] = 22_500  # 20 passes over 36,000 faces
    batch: ClassVar[int] = 32

    def __init__(self, config: LttdConfig = LttdConfig()) -> None:
        super().__init__()
        self.config = config
        self.input_spec = InputSpec.imagenet(config.image_size, config.frames)
        width, heads, depth = config.width, config.heads, config.depth
        self.sequences = LocalSequenceTransformer(
            config.frames, width, heads, depth, config.channels, config.checkpointing
        )
        positions = config.side**2 if config.position_embedding else 0
        self.aggregation = CrossPatchAggregation(width, heads, depth, positions)
        self.integrity = nn.Linear(width, 1) if config.integrity_head else None

    def forward(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, 2) of real and fake, and the sequences' embeddings (B, N, D)."""
        tokens, embeddings = self.sequences(clips)
        return self.aggregation(tokens), embeddings

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return L = CE + w L_CPI, or CE + w BCE of the integrity head."""
        logits, embeddings = self(batch.images)
        terms = {"classification": F.cross_entropy(logits, batch.labels)}
        if batch.maps is None:
            return terms
        integrity, config = self._read_maps(batch.maps, _grid_of(batch.images)), self.config
        if self.integrity is not None:
            found = self.integrity(embeddings)[..., 0].float()
            cost = F.binary_cross_entropy_with_logits(found, integrity)
            return terms | {"integrity": config.integrity_weight * cost}
        agreement = pairwise_agreement(integrity)
        cost = inconsistency_loss(similarity(embeddings), agreement, config.tolerance)
        return terms | {"inconsistency": config.integrity_weight * cost}

    def _read_maps(self, maps: Tensor, grid: tuple[int, int]) -> Tensor:
        """Return the integrity (B, N) of the sequences of a grid under maps (B, 1, T, H, W)."""
        config = self.config
        return sequence_integrity(
            maps,
            grid,
            config.map_mode,
            config.time_pooling,
            threshold=config.map_threshold,
            least_share=config.least_share,
            peak_share=config.peak_share,
        )

    def predict(self, images: Tensor) -> Prediction:
        """Return P(fake) of each clip, and one map (B, 1, H / 16, W / 16) for all its frames."""
        logits, embeddings = self(images)
        scores = logits.softmax(dim=1)[:, 1]
        grid = _grid_of(images)
        if self.integrity is not None:
            probabilities = self.integrity(embeddings).float().sigmoid()
            return Prediction(scores, probabilities.mT.unflatten(2, grid))
        volume = similarity(embeddings).unflatten(2, grid).unflatten(1, grid)
        maps = inconsistency_with_border(volume)
        return Prediction(scores, scores[:, None, None, None] * maps)


def _grid_of(clips: Tensor) -> tuple[int, int]:
    """Return the grid (rows, columns) of patch sequences in clips."""
    height, width = clips.shape[-2:]
    return height // PATCH, width // PATCH
