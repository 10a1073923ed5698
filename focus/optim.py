"""Optimisers and learning-rate schedules as functions of the step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from focus.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class OptimizerOptions:
    """Optimizer settings of a command; None: the detector's own."""

    optimizer: Literal["adam", "adamw", "sgd"] | None = None
    """Optimizer. Default: the detector's own, as for the settings below."""
    lr: float | None = None
    """Peak learning rate."""
    backbone_rate: float | None = None
    """Learning rate of pretrained backbones, relative to that of the rest."""
    weight_decay: float | None = None
    """L2 penalty (adam, sgd) or decoupled decay (adamw)."""
    betas: tuple[float, float] | None = None
    """Moments of Adam; the first is SGD's momentum."""
    schedule: Literal["cosine", "constant", "linear", "poly", "steps"] | None = None
    """Learning-rate schedule after the warm-up."""
    power: float | None = None
    """Exponent of the schedule 'poly'."""
    floor: float | None = None
    """Final learning rate of a falling schedule, as a share of the peak."""
    factors: tuple[tuple[float, float], ...] | None = None
    """Schedule 'steps': pairs (share of the steps, factor on the peak rate from then on)."""
    warmup: float | None = None
    """Share of the steps over which the learning rate rises from 0."""
    clip: float | None = None
    """Maximum gradient norm; 0: no clipping."""
    clip_value: float | None = None
    """Maximum absolute gradient value; 0: no clipping."""

    def __post_init__(self) -> None:
        if self.lr is not None and self.lr <= 0:
            raise InputError(f"--lr {self.lr}: must be above 0")
        if self.warmup is not None and not 0 <= self.warmup < 1:
            raise InputError(f"--warmup {self.warmup}: must be a share of the steps in [0, 1)")
        if self.backbone_rate is not None and self.backbone_rate <= 0:
            raise InputError(f"--backbone-rate {self.backbone_rate}: must be above 0")


@dataclass(frozen=True)
class OptimizerConfig(OptimizerOptions):
    """Complete optimizer settings; the defaults are the FoCus paper's."""

    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    lr: float = 1e-4
    backbone_rate: float = 1.0
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: Literal["cosine", "constant", "linear", "poly", "steps"] = "cosine"
    power: float = 0.9
    floor: float = 0.0
    factors: tuple[tuple[float, float], ...] = ()
    warmup: float = 0.0
    clip: float = 0.0
    clip_value: float = 0.0


def build_optimizer(network: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """Return the optimiser over the trainable parameters.

    Its groups have a ``scale``, the factor on the learning rate of a step.
    """
    import torch  # here, so that a command is parsed without it

    learning = _group_parameters(network, config.backbone_rate)
    if config.optimizer == "sgd":
        momentum, decay = config.betas[0], config.weight_decay
        return torch.optim.SGD(learning, config.lr, momentum=momentum, weight_decay=decay)
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return kind(learning, config.lr, betas=config.betas, weight_decay=config.weight_decay)


def _group_parameters(network: nn.Module, backbone_rate: float) -> list[dict[str, Any]]:
    """Return trainable parameters in groups, with the factor on each group's learning rate."""
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    pretrained = {
        parameter
        for module in network.modules()
        if getattr(module, "is_pretrained", False)
        for parameter in module.parameters()
    }
    if backbone_rate == 1 or not pretrained:
        return [{"params": learning, "scale": 1.0}]
    return [
        {"params": [p for p in learning if p not in pretrained], "scale": 1.0},
        {"params": [p for p in learning if p in pretrained], "scale": backbone_rate},
    ]


def learning_rate(step: int, steps: int, config: OptimizerConfig) -> float:
    """Return the learning rate of a step (0-based): linear warm-up, then the schedule.

    A function of the step alone, so that a resumed run needs no schedule state.
    """
    rising = config.warmup * steps
    if step < rising:
        return config.lr * (step + 1) / math.ceil(rising)
    if config.schedule == "steps":
        reached = [factor for share, factor in config.factors if step >= share * steps]
        return config.lr * (reached[-1] if reached else 1.0)
    done = (step - rising) / (steps - rising)
    left = {
        "constant": 1.0,
        "linear": 1 - done,
        "poly": (1 - done) ** config.power,
        "cosine": (1 + math.cos(math.pi * done)) / 2,
    }[config.schedule]
    return config.lr * (config.floor + (1 - config.floor) * left)
