"""A training run on disk: ``config.json`` and safetensors, and detectors built from them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from focus.backbones import read_tensors
from focus.config import from_json, to_json
from focus.detectors import DETECTORS, Trainable, config_type
from focus.errors import InputError
from focus.files import replace_file

RUN_FORMAT = "focus-run"


@dataclass(frozen=True)
class Run:
    """A run folder that was read: what was trained, from what, and where its weights are."""

    kind: str
    config: Mapping[str, Any]
    weights: Path

    @property
    def network(self) -> Mapping[str, Any]:
        """The network's configuration as JSON."""
        return self.config["network"]


def read_run(path: Path) -> Run:
    """Read a run folder, or one weights file beside its ``config.json``.

    Raises:
        InputError: no run there, an unfinished one without weights, or a broken configuration.
    """
    folder = path if path.is_dir() else path.parent
    if not path.exists():
        raise InputError(f"{path}: no such run folder or weights file")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except OSError:
        raise InputError(
            f"{folder}: no config.json; give a folder that focus train wrote"
        ) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{folder / 'config.json'}: not JSON ({error})") from None
    if not isinstance(config, dict) or config.get("format") != RUN_FORMAT:
        raise InputError(f"{folder / 'config.json'}: not written by focus train")
    if not isinstance(config.get("kind"), str) or not isinstance(config.get("network"), dict):
        raise InputError(f"{folder / 'config.json'}: names no detector and its settings")
    weights = folder / "best.safetensors" if path.is_dir() else path
    if not weights.is_file():
        raise InputError(f"{folder}: no best.safetensors yet; has the run validated once?")
    return Run(config["kind"], config, weights)


def newest_run(folder: Path, kind: str) -> Path:
    """Return the newest finished run of a kind under ``folder``.

    Raises:
        InputError: there is none.
    """
    found = [
        (mark.stat().st_mtime, mark.parent)
        for mark in folder.glob("*/finished")
        if read_run(mark.parent).kind == kind
    ]
    if not found:
        raise InputError(
            f"no finished {kind} run under {folder}/; give --weights, or train one first"
        )
    return max(found)[1]


def load_network(run: Run, changes: Mapping[str, Any] | None = None) -> Trainable:
    """Build a run's detector with its trained weights, some of its configuration changed.

    Raises:
        InputError: a detector that is not installed, a configuration that is none of it, or weights
            that do not fit the configuration.
    """
    source = run.weights.parent / "config.json"
    try:
        detector = DETECTORS.get(run.kind)
        config = from_json(config_type(detector), {**run.network, **(changes or {})})
        if hasattr(config, "encoder_weights"):  # what training began with is overwritten anyway
            config = dataclasses.replace(config, encoder_weights="none")
        network = build_detector(run.kind, config)
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
    try:
        network.load_state_dict(read_tensors(run.weights))
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()[:160]
        raise InputError(f"{run.weights}: does not fit its config.json ({reason})") from None
    return network


def build_detector(name: str, config: Any) -> Trainable:
    """Build a detector by its name in the registry."""
    detector: Any = DETECTORS.get(name)
    return detector(config)


def save_weights(network: nn.Module, path: Path) -> None:
    """Write a network's state as safetensors; the file appears whole, in one rename.

    Raises:
        InputError: see :func:`~focus.files.replace_file`.
    """
    state = network.state_dict()
    write_tensors({name: value.detach().cpu().contiguous() for name, value in state.items()}, path)


def write_tensors(
    tensors: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """Write tensors and texts as safetensors; the file appears whole, in one rename.

    Raises:
        InputError: see :func:`~focus.files.replace_file`.
    """
    with replace_file(path) as temporary:
        try:
            save_file(tensors, temporary, metadata)
        except SafetensorError as error:  # the system's number is in its text alone
            number = re.search(r"(?:os error|code:) (\d+)", str(error))
            if number is None:
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1]))) from None


def describe_run(kind: str, network: Any, **more: Any) -> dict[str, Any]:
    """Return the content of ``config.json``."""
    return {"format": RUN_FORMAT, "kind": kind, "network": to_json(network), **more}


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
