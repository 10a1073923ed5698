"""Settings of a training: as given to a command, and completed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from focus.config import given_values, to_json
from focus.data.transforms import Augmentation
from focus.errors import InputError
from focus.normalisation import Normalisation
from focus.optim import OptimizerConfig, OptimizerOptions
from focus.training.trackers import Tracker, check_trackers
from focus.types import Balance

if TYPE_CHECKING:
    from focus.detectors import Trainable

OPERATIONAL = ("workers", "on_error", "stop_after", "track")
"""Fields of :class:`FitConfig` that do not affect the saved weights."""


@dataclass(frozen=True)
class FitOptions:
    """How to train; None: the detector's own setting."""

    steps: int | None = None
    """Optimizer steps. Default: the detector's own (FoCus: 30,000)."""
    batch: int | None = None
    """Faces per optimizer step, over all processes and micro-batches. Default: the detector's own
    (FoCus: 128)."""
    accumulation: int = 1
    """Micro-batches per step; more need less memory for the same result."""
    balance: Balance = "label"
    """label: half real, half fake; method: also equal shares per method; source: as many real as
    fake faces of every source (column corpus, else the first folder that differs); pair: so too,
    each fake beside its own original; none: no balancing."""
    ema: float = 0.0
    """Decay of an exponential moving average of the weights, which is then validated and saved."""
    validate_every: int = 1000
    """Steps between validations; the last step is always validated."""
    workers: int = -1
    """Data-loader processes; -1: this process's share of the cores minus one, at most 16."""
    on_error: Literal["skip", "stop"] = "skip"
    """skip: skip and report unreadable faces; stop: fail at the first."""
    stop_after: int = 0
    """Stop after this step, to resume later (for queues with a time limit); 0: train to the end."""
    track: tuple[Tracker, ...] = ("tensorboard",)
    """Trackers that receive the numbers of journal.csv. TensorBoard writes into the run's folder;
    others, such as wandb and mlflow, are separate packages with their own settings."""
    optimizer: OptimizerOptions = field(default_factory=OptimizerOptions)
    """Optimizer and schedule."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    """Augmentation of training faces."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "accumulation", "validate_every"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"--{name.replace('_', '-')} {value}: must be at least 1")
        check_trackers(self.track)
        if not 0 <= self.ema < 1:
            raise InputError(f"--ema {self.ema}: must be a decay in [0, 1)")
        if self.balance == "none" and self.augmentation.forged_share:
            raise InputError("--balance none: --augment self-blend needs a balanced batch")

    def complete(self, detector: type[Trainable]) -> FitConfig:
        """Return the settings with missing ones filled in from the detector."""
        own = {name: getattr(detector, name) for name in ("steps", "batch")}
        optimizer = dataclasses.replace(detector.optimizer, **given_values(self.optimizer))
        return FitConfig(**{**own, **given_values(self), "optimizer": optimizer})


@dataclass(frozen=True)
class FitConfig(FitOptions):
    """How to train, all set; the defaults are those of the FoCus paper."""

    steps: int = 30_000
    batch: int = 128
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)


@dataclass(frozen=True)
class NetworkOptions:
    """Settings of FoCus and of the classifier; None: the network's default."""

    encoder: str | None = None
    """Any timm model with a token grid: ViT, DeiT, DINO, Swin, or a convolutional one. Default:
    deit_small_patch16_224."""
    encoder_weights: str | None = None
    """A file (safetensors or a tensors-only .pth), 'timm' to download (the default), or 'none'."""
    image_size: int | None = None
    """Side of the square input in pixels. Default: 224."""
    output_stride: int | None = None
    """Convolutional encoders: input pixels per cell of the token grid. Default: 16."""
    stage: int | None = None
    """Convolutional encoders: feature level to use. Default: -1, the deepest."""
    positions: Literal["sincos", "pretrained"] | None = None
    """Fixed position embedding of a transformer: sincos (the default) or pretrained."""
    trainable_blocks: int | None = None
    """Transformers: number of last blocks to train. Default: -1, all of the network."""
    second: Literal["sobel", "rgb", "dct", "srm"] | None = None
    """Input of the second branch (Table V). Default: sobel."""
    proposal: Literal["carp", "attention"] | None = None
    """Source of a modality's map: carp (the default), or 'attention', the ablation without it."""
    swap: Literal["gumbel", "maximum"] | None = None
    """Fusion of the modalities: gumbel (the default), or 'maximum', the ablation."""
    map_source: Literal["modalities", "fused"] | None = None
    """Origin of the map: both modalities' maps joined by the choice (Eq. 5, the default), or a
    region proposal on the fused tokens."""
    car: Literal["class_mean", "channel_weighted"] | None = None
    """Reading of Eq. 4: p times the mean map (the default), or the classical CAM weighting."""
    maps_per_class: int | None = None
    """K, maps per class in CARP (Fig. 10). Default: 32."""
    temperature: float | None = None
    """tau of the Gumbel-softmax. Default: 1."""
    loss_weight: float | None = None
    """lambda of Eq. 8 (Fig. 11). Default: 0.1."""
    weight_on: Literal["loc", "cls"] | None = None
    """Loss that lambda multiplies: loc (the default) or cls."""
    normalise: Normalisation | None = None
    """Normalisation of maps to [0, 1]. Default: class_minmax."""
    equation: Literal[4, 9] | None = None
    """Equation behind the maps of labelled fakes: 9 (the default), or 4, as in the paper."""


def list_settings(fit: FitConfig) -> dict[str, Any]:
    """Return every setting as JSON, without those of self-blends in a training without them.

    So a run without augmentations has the settings that it had before there were any.
    """
    values = to_json(fit)
    augmentation = values["augmentation"]
    if not fit.augmentation.forged_share:
        del augmentation["self_blend_share"], augmentation["edits"]
    if not fit.augmentation.augment:
        del augmentation["augment"]
    return values


def describe_fit(fit: FitConfig) -> str:
    """Return every setting that changes the result, on one line."""
    values = list_settings(fit)
    optimizer, augmentation = values.pop("optimizer"), values.pop("augmentation")
    plain = {name: value for name, value in values.items() if name not in OPERATIONAL}
    return ", ".join(
        f"{name} {value}" for name, value in {**plain, **optimizer, **augmentation}.items()
    )
