"""Optimisers and learning-rate schedules as functions of the step."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from focus.errors import InputError


@dataclass(frozen=True)
class OptimizerConfig:
    """The defaults are the FoCus paper's."""

    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    """Which optimiser."""
    lr: float = 1e-4
    """Peak learning rate."""
    weight_decay: float = 0.0
    """L2 penalty (adam, sgd) or decoupled decay (adamw)."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Moments of Adam; the first is SGD's momentum."""
    schedule: Literal["cosine", "constant", "linear", "poly", "steps"] = "cosine"
    """How the rate falls after the warm-up."""
    power: float = 0.9
    """Exponent of the schedule 'poly'."""
    floor: float = 0.0
    """Lowest rate of a falling schedule, as a share of the peak."""
    factors: tuple[tuple[float, float], ...] = ()
    """Schedule 'steps': (share of the steps, what the peak is multiplied by from there on)."""
    warmup: float = 0.0
    """Share of the steps over which the rate rises from 0."""
    clip: float = 0.0
    """Largest norm of the gradient; 0 does not clip."""
    clip_value: float = 0.0
    """Largest absolute value in the gradient; 0 does not clip."""

    def __post_init__(self) -> None:
        if self.lr <= 0:
            raise InputError(f"--lr {self.lr}: must be above 0")
        if not 0 <= self.warmup < 1:
            raise InputError(f"--warmup {self.warmup}: a share of the steps, at least 0, below 1")


def build_optimizer(
    parameters: Iterable[nn.Parameter], config: OptimizerConfig
) -> torch.optim.Optimizer:
    """Return the optimiser over the parameters that learn."""
    learning = [parameter for parameter in parameters if parameter.requires_grad]
    if config.optimizer == "sgd":
        momentum, decay = config.betas[0], config.weight_decay
        return torch.optim.SGD(learning, config.lr, momentum=momentum, weight_decay=decay)
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return kind(learning, config.lr, betas=config.betas, weight_decay=config.weight_decay)


def learning_rate(step: int, steps: int, config: OptimizerConfig) -> float:
    """Return the rate of a step (0-based): linear warm-up, then the schedule.

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
