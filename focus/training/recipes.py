"""``focus train``: its options and recipes, in a module that does not import torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from focus.data.sources import Source
from focus.data.transforms import Augmentation
from focus.errors import InputError
from focus.optim import OptimizerOptions
from focus.runtime import Runtime
from focus.training.options import FitOptions, NetworkOptions


@dataclass(frozen=True)
class TrainCommand:
    """Train a FoCus network, or a plain classifier for class activation maps."""

    source: Source = field(default_factory=Source)
    """Labelled faces with train and val splits."""
    out: Path = Path("runs/focus")
    """Folder of the run."""
    model: str = "focus"
    """What to train, from labels alone: focus, classifier (the Grad-CAM baseline), or any detector
    listed by `evaluator models`."""
    options: tuple[str, ...] = ()
    """NAME=VALUE settings of any other detector."""
    hold_out: float = 0.0
    """Without a val split: hold out this share of the videos (or files) as val."""
    stills: bool = False
    """Every face is a still image: a detector of clips sees it in small motion."""
    init: Path | None = None
    """Start from a trained network: a run folder, a weights file in one, or a released model."""
    resume: bool = False
    """Resume the unfinished run in --out."""
    network: NetworkOptions = field(default_factory=NetworkOptions)
    """The network."""
    fit: FitOptions = field(default_factory=FitOptions)
    """The training."""
    runtime: Runtime = field(default_factory=Runtime)
    """Device, precision, seed."""

    def __post_init__(self) -> None:
        if not 0 <= self.hold_out < 1:
            raise InputError(f"--hold-out {self.hold_out}: must be a share in [0, 1)")


_ADAMW = OptimizerOptions("adamw", lr=1e-3, weight_decay=0.05, warmup=0.2)

RECIPES: dict[str, tuple[str, NetworkOptions, FitOptions]] = {
    "paper": (
        "two DeiT-S, batch 128, 30,000 steps (one large GPU)",
        NetworkOptions(),
        FitOptions(),
    ),
    "small": (
        "two MobileNetV2, batch 32, 1,000 steps (about half an hour on two CPU cores)",
        # The stage before the last: cells of the deepest stage cover the whole face, so its maps
        # are less local.
        NetworkOptions(
            encoder="mobilenetv2_100",
            stage=3,
            loss_weight=1.0,
            map_source="fused",
            normalise="fused_minmax",
        ),
        FitOptions(
            steps=1000,
            batch=32,
            validate_every=250,
            optimizer=_ADAMW,
            augmentation=Augmentation(smallest_crop=0.85),
        ),
    ),
    "demo": (
        "two small ResNets from scratch on 112 px faces (about two minutes on two CPU cores)",
        NetworkOptions(
            encoder="resnet10t",
            encoder_weights="none",
            image_size=112,
            stage=2,
            output_stride=8,
            loss_weight=0.5,
        ),
        FitOptions(steps=300, batch=32, validate_every=100, optimizer=_ADAMW),
    ),
}
