"""The folder of a trained model: create, claim, read, mark as finished, and build its detector."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn

from focus.backbones import read_tensors, write_tensors
from focus.config import from_json, to_json
from focus.data.subject import Subject
from focus.detectors import DETECTORS, Trainable, config_type
from focus.errors import InputError
from focus.files import replace_file
from focus.folders import hold, is_ours, read_record
from focus.hub import fetch_run, is_hub_name
from focus.released.catalogue import DEFAULT_MODEL, find_model, local_models, model_names
from focus.released.format import is_released, read_released
from focus.released.record import read_record as read_released_record

RUN_FORMAT = "focus-run"


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run. A run counts as begun once a state of it is saved.

    Args:
        path: the folder.
        config: content of its ``config.json``, with a ``fingerprint``; needed only for writing.
    """

    path: Path
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> Path:
        """The configuration, JSON."""
        return self.path / "config.json"

    @property
    def best(self) -> Path:
        """Weights of the best validation."""
        return self.path / "best.safetensors"

    @property
    def last(self) -> Path:
        """Weights of the last validation."""
        return self.path / "last.safetensors"

    @property
    def resume(self) -> Path:
        """State to resume from; removed when the run is finished."""
        return self.path / "resume.safetensors"

    @property
    def finished_mark(self) -> Path:
        """An empty file, the last one that a run writes."""
        return self.path / "finished"

    def is_finished(self) -> bool:
        """Return whether the run is complete."""
        return self.finished_mark.exists()

    def is_begun(self) -> bool:
        """Return whether weights, a state or the finished mark of a run exist."""
        return any(
            path.exists() for path in (self.best, self.last, self.resume, self.finished_mark)
        )

    @contextmanager
    def claim(
        self, accelerator: Accelerator, resume: bool, finished: bool = False
    ) -> Iterator[bool]:
        """Lock the folder and yield whether the run is finished; refuse other content.

        Args:
            accelerator: only the main process looks at the files, and broadcasts the answer: other
                machines may see the same files a minute later.
            resume: accept a run that was begun with this configuration.
            finished: accept a finished run, too.

        Raises:
            InputError: it contains another run, another process is using it, or it cannot be
                written.
        """
        with hold(self.path) if accelerator.is_main_process else nullcontext():
            if accelerator.is_main_process:
                self._check(resume, finished)
            yield broadcast_object_list([self.is_finished()])[0]

    def create(self) -> None:
        """Write the configuration unless it exists; call before a state is saved.

        Raises:
            InputError: see :func:`~focus.files.replace_file`.
        """
        if not self.settings.exists():
            with replace_file(self.settings) as temporary:
                text = json.dumps(self.config, indent=2) + "\n"
                temporary.write_text(text, encoding="utf-8")

    def mark_finished(self) -> None:
        """Mark the run as complete, then remove its resume state."""
        with replace_file(self.finished_mark) as temporary:
            temporary.touch()
        self.resume.unlink(missing_ok=True)

    def _check(self, resume: bool, finished: bool) -> None:
        """Refuse a folder with other content; remove settings of a start that saved nothing."""
        if self.is_finished():
            self.resume.unlink(missing_ok=True)  # the run was killed at its very end
            if not finished:
                raise InputError(f"{self.path}: holds a finished run; choose another --out")
        elif self.is_begun() and not resume:
            raise InputError(
                f"{self.path}: holds an unfinished run; add --resume, or choose another --out"
            )
        held = read_record(self.settings) if self.settings.exists() else {}
        if held is None or (held and held.get("format") != RUN_FORMAT):
            raise InputError(f"{self.settings}: not written by focus train; choose another --out")
        if not self.is_begun():
            self.settings.unlink(missing_ok=True)
            if resume and not finished and not all(map(is_ours, self.path.iterdir())):
                raise InputError(f"{self.path}: no run to resume")
        elif held.get("fingerprint") != self.config["fingerprint"]:
            raise InputError(
                f"{self.path}: started with other settings or data (see {self.settings}); use the "
                "same ones, or choose another --out"
            )


@dataclass(frozen=True)
class Run:
    """Content of a run folder, or of a released model: detector, configuration and weights."""

    kind: str
    config: Mapping[str, Any]
    weights: Path

    @property
    def network(self) -> Mapping[str, Any]:
        """The network's configuration as JSON."""
        return self.config["network"]

    @property
    def is_released(self) -> bool:
        """Whether the weights are a released model's file, which has its own configuration."""
        return is_released(self.weights)

    @property
    def trained_on(self) -> str:
        """The training data in words: of a released model, or as given to the training."""
        if self.is_released:
            return read_released_record(self.weights).trained_on
        given = self._source.get("data")
        drawn = " (drawn faces)" if self.images.get("drawn") else ""
        return f"{given}{drawn}" if isinstance(given, str) and given else drawn.strip(" ()")

    @property
    def images(self) -> Mapping[str, bool]:
        """What the training images show, see :class:`focus.data.subject.Subject`; empty: unknown.

        Released models are of photographed face crops.
        """
        if self.is_released:
            return Subject(False, False)._asdict()
        found = self.config.get("images")
        return found if isinstance(found, Mapping) else {}

    @property
    def margin(self) -> float:
        """Side of a training crop divided by the longer side of the face; 0: not recorded."""
        if self.is_released:
            return read_released_record(self.weights).margin
        found = self._source.get("margin")
        return float(found) if isinstance(found, (int, float)) else 0.0

    @property
    def _source(self) -> Mapping[str, Any]:
        found = self.config.get("source")
        return found if isinstance(found, Mapping) else {}

    @property
    def source(self) -> Path:
        """The file with the configuration."""
        return self.weights if self.is_released else RunFolder(self.weights.parent).settings


def read_run(path: Path) -> Run:
    """Read a run folder, a weights file in one, a released model or a run on the hub.

    A released model is given by its file or its name, a run on the Hugging Face Hub by
    ``hf:owner/name``; a local path goes first.

    Raises:
        InputError: not a run folder, a run without weights yet, or a broken configuration.
    """
    if not path.exists() and is_hub_name(path.as_posix()):
        path = fetch_run(path.as_posix())
    if not path.exists() and str(path) in model_names():
        path = find_model(str(path))
    if is_released(path):
        model = read_released_record(path)
        return Run(model.detector, describe_run(model.detector, model.network), path)
    folder = path if path.is_dir() else path.parent
    if not path.exists():
        raise InputError(
            f"{path}: no such run folder or weights file, nor a released model "
            f"({', '.join(model_names())})"
        )
    files = RunFolder(folder)
    source = files.settings
    if path == source:
        raise InputError(
            f"{path}: this is the settings file, not weights; give its folder, {folder}"
        )
    try:
        config = json.loads(source.read_text(encoding="utf-8"))
    except OSError:
        raise InputError(
            f"{folder}: no {source.name}; give a folder that focus train wrote"
        ) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source}: not JSON ({error})") from None
    if not isinstance(config, dict) or config.get("format") != RUN_FORMAT:
        raise InputError(f"{source}: not written by focus train")
    if not isinstance(config.get("kind"), str) or not isinstance(config.get("network"), dict):
        raise InputError(f"{source}: does not name a detector and its settings")
    weights = files.best if path.is_dir() else path
    if not weights.is_file():
        raise InputError(f"{folder}: no {weights.name} yet; it is written at the first validation")
    return Run(config["kind"], config, weights)


def write_run(folder: Path, name: str, network: nn.Module, config: Any) -> None:
    """Write a network as a run folder, as training does; it is not marked as finished.

    Args:
        folder: the run folder.
        name: name of the detector.
        network: the network to save.
        config: its configuration, a dataclass.
    """
    run = RunFolder(folder, describe_run(name, config))
    run.create()
    save_weights(network, run.best)


def choose_weights(folder: Path, kind: str) -> tuple[Path, str]:
    """Return the weights of a kind to use where none are given, and what they are.

    They are the newest finished run under ``folder``; without one, the released model.

    Raises:
        InputError: no such run, and the released model is of another kind or not here.
    """
    found = [
        (mark.stat().st_mtime, mark.parent)
        for mark in folder.glob(f"*/{RunFolder(folder).finished_mark.name}")
        if read_run(mark.parent).kind == kind
    ]
    if found:
        return max(found)[1], "the newest finished run"
    path = local_models().get(DEFAULT_MODEL)
    if path is None or read_released_record(path).detector != kind:
        raise InputError(
            f"no finished {kind} run under {folder}/; give --weights, or train one first"
        )
    return Path(DEFAULT_MODEL), f"the released model, since {folder}/ has no finished {kind} run"


def load_network(run: Run, changes: Mapping[str, Any] | None = None) -> Trainable:
    """Build a run's detector with its trained weights, and ``changes`` to its configuration.

    Raises:
        InputError: the detector is not installed, the configuration is invalid for it, or the
            weights do not fit.
    """
    source = run.source
    try:
        detector = DETECTORS.get(run.kind)
        config = from_json(config_type(detector), {**run.network, **(changes or {})})
        if hasattr(config, "encoder_weights"):  # the initial weights are overwritten anyway
            config = dataclasses.replace(config, encoder_weights="none")
        network = build_detector(run.kind, config)
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
    try:
        network.load_state_dict(_read_state(run))
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()[:160]
        raise InputError(f"{run.weights}: does not fit {source} ({reason})") from None
    return network


def _read_state(run: Run) -> dict[str, Tensor]:
    return read_released(run.weights).network if run.is_released else read_tensors(run.weights)


def build_detector(name: str, config: Any) -> Trainable:
    """Build a detector by its name in the registry."""
    detector: Any = DETECTORS.get(name)
    return detector(config)


def save_weights(network: nn.Module, path: Path) -> None:
    """Write a network's state as safetensors; the file appears whole, in one rename.

    A tensor that the network holds under two names is stored twice.

    Raises:
        InputError: see :func:`~focus.files.replace_file`.
    """
    state = network.state_dict()
    copies = {name: value.detach().cpu().clone().contiguous() for name, value in state.items()}
    write_tensors(copies, path)


def describe_run(kind: str, network: Any, **more: Any) -> dict[str, Any]:
    """Return the configuration of a run, as stored in its folder."""
    values = network if isinstance(network, Mapping) else to_json(network)
    return {"format": RUN_FORMAT, "kind": kind, "network": dict(values), **more}
