"""The state that a run resumes from: one file, written atomically."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from focus.backbones import write_tensors
from focus.errors import InputError


def save_state(
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: nn.Module | None,
    facts: dict[str, Any],
) -> None:
    """Write networks, optimiser moments and facts (JSON) as safetensors, atomically.

    Raises:
        InputError: see :func:`~focus.files.replace_file`.
    """
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    if average is not None:
        tensors |= {f"average.{name}": value for name, value in average.state_dict().items()}
    for number, moments in optimizer.state_dict()["state"].items():
        for name, value in moments.items():
            if value is not None:
                tensors[f"optimizer.{number}.{name}"] = torch.as_tensor(value)
    copies = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    write_tensors(copies, path, {"facts": json.dumps(facts)})


def load_state(
    path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, average: nn.Module | None
) -> dict[str, Any]:
    """Restore the saved state and return the facts.

    Raises:
        InputError: the file is broken or belongs to another configuration.
    """
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads(file.metadata()["facts"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        network.load_state_dict(_under(tensors, "network."))
        if average is not None:
            average.load_state_dict(_under(tensors, "average."))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in _under(tensors, "optimizer.").items():
            number, moment = name.split(".", 1)
            moments.setdefault(int(number), {})[moment] = value
        state = optimizer.state_dict()
        optimizer.load_state_dict({"state": moments, "param_groups": state["param_groups"]})
    except (SafetensorError, OSError, LookupError, TypeError, ValueError, RuntimeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0][:160]
        raise InputError(f"{path}: cannot resume from this checkpoint ({reason})") from None
    return facts


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
