"""Train one network in its run folder: build, calibrate, fit, finish."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from focus.config import to_json
from focus.data.faces import Draw, FaceDataset, Maps
from focus.data.index import FaceIndex
from focus.data.loading import build_loader
from focus.data.subject import describe_subject
from focus.data.transforms import Augmentation
from focus.detectors import Trainable
from focus.errors import InputError, count_of
from focus.processes import process_rank
from focus.runs import (
    Run,
    RunFolder,
    build_detector,
    describe_run,
    load_network,
    read_run,
    save_weights,
)
from focus.runtime import Runtime, note, seed_everything
from focus.training.cautions import list_cautions
from focus.training.loop import Fit, Report
from focus.training.options import FitConfig, describe_fit
from focus.types import FAKE, REAL, Batch

CALIBRATION_FACES = 256
FINISH_FACES = 1024


@dataclass(frozen=True)
class Training:
    """Everything that a trained network depends on.

    Args:
        model: name of the detector.
        config: its configuration, a dataclass.
        train, val: labelled faces for training, and for model selection.
        fit: how to train.
        runtime: device, precision and seed.
        maps: map supervision, or None.
        stills: treat every face as a still image; detectors of clips get it with small motion.
        init: the trained network to start from, with all that it measured on its own faces.
    """

    model: str
    config: Any
    train: FaceIndex
    val: FaceIndex
    fit: FitConfig
    runtime: Runtime
    maps: Maps | None = None
    stills: bool = False
    init: Run | None = None


def train_run(
    training: Training,
    folder: Path,
    facts: Mapping[str, Any],
    *,
    resume: bool,
    finished: bool = False,
) -> Report | None:
    """Train a network to the end (or to ``stop_after``) and mark its folder as finished.

    Args:
        training: the network, its data and settings.
        folder: folder of the run.
        facts: more content for ``config.json``: at least a ``fingerprint``, equal for runs that
            may resume each other.
        resume: resume a run with this fingerprint, or start one.
        finished: accept a finished run.

    Returns:
        The report of the training; None if the run was finished already.

    Raises:
        InputError: a folder with other content, unusable settings or faces, a loss that is not
            finite, too little memory.
        KeyboardInterrupt: after Ctrl-C or SIGTERM, with the work saved.
    """
    content = describe_run(
        training.model,
        training.config,
        train=to_json(training.fit),
        runtime=to_json(training.runtime),
        versions=package_versions(),
        images=describe_subject(training.train)._asdict(),
        **facts,
    )
    run = RunFolder(folder, content)
    with run.claim(training.runtime.accelerator(), resume, finished) as done:
        return None if done else _train(training, run, resume)


def _train(training: Training, run: RunFolder, resume: bool) -> Report:
    """Train in a claimed folder."""
    runtime, fit = training.runtime, training.fit
    seed_everything(runtime.seed)
    if training.init is None:
        network = build_detector(training.model, training.config)
    else:
        network = load_network(training.init, to_json(training.config))
    faces, val = _datasets(training, network)
    if training.init is None and _overrides(network, "calibrate"):
        network.calibrate(_calibration_images(faces, network))
    counts = f"{count_of(len(faces), 'face')}, selecting on {len(val)}"
    note(f"training {training.model} on {counts}, into {run.path}", runtime.quiet)
    note(f"{describe_fit(fit)}, seed {runtime.seed}, {runtime.precision}", runtime.quiet)
    if not runtime.quiet and process_rank() == 0:
        for line in list_cautions(training.train, fit):
            note(f"note: {line}")
    loop = Fit(network, faces, val, fit, runtime, run)
    report = loop.run(resume)
    if report.step == fit.steps and loop.accelerator.is_main_process:
        _finish(run, faces, fit, loop.accelerator.device)
        run.mark_finished()
    loop.accelerator.wait_for_everyone()
    return report


def _datasets(training: Training, network: Trainable) -> tuple[FaceDataset, FaceDataset]:
    """Return the training and validation faces in the format of the network."""
    spec, stills = network.input_spec, training.stills
    faces = FaceDataset(
        training.train,
        spec.image_size,
        training.maps,
        training.fit.augmentation,
        training.runtime.seed,
        frames=spec.frames,
        stills=stills,
        companion=network.companion,
    )
    val = FaceDataset(
        training.val,
        spec.image_size,
        augmentation=Augmentation(edits=training.fit.augmentation.edits),
        frames=spec.frames,
        stills=stills,
        twins=not (training.val.labels == FAKE).any(),
    )
    return faces, val


def _overrides(network: Trainable, hook: str) -> bool:
    """Return whether a detector overrides a hook (faces are decoded only then)."""
    return getattr(type(network), hook) is not getattr(Trainable, hook)


def _calibration_images(faces: FaceDataset, network: Trainable) -> torch.Tensor:
    """Return evenly spaced training faces, standardised (N, 3, [T,] H, W)."""
    count = min(CALIBRATION_FACES, len(faces))
    rows = np.linspace(0, len(faces) - 1, count).astype(int).tolist()
    batch = next(iter(build_loader(faces, [rows], 0)))
    if not batch.keys:
        first = batch.failures[0]
        raise InputError(f"no training face can be read; the first: {first.key}: {first.reason}")
    return batch.standardised(network.input_spec).images


def _finish(run: RunFolder, faces: FaceDataset, fit: FitConfig, device: torch.device) -> None:
    """Call the detector's ``finish`` on the best weights and save the result."""
    network = load_network(read_run(run.path)).eval().to(device)
    if _overrides(network, "finish"):
        network.finish(_fakes(faces, fit, network, device))
        save_weights(network, run.best)


def _fakes(
    faces: FaceDataset, fit: FitConfig, network: Trainable, device: torch.device
) -> Iterator[Batch]:
    """Yield evenly spaced training fakes, standardised, on the device.

    Without any, the faces are self-blends, as in the training.
    """
    labels = faces.index.labels
    forged = not (labels == FAKE).any()
    rows = np.flatnonzero(labels == (REAL if forged else FAKE))
    rows = rows[np.linspace(0, len(rows) - 1, min(FINISH_FACES, len(rows))).astype(int)]
    items: list[Any] = [Draw(row, 0, forged=True) if forged else row for row in rows.tolist()]
    size = max(fit.batch // fit.accumulation, 1)
    batches = [items[k : k + size] for k in range(0, len(items), size)]
    for batch in build_loader(faces, batches, fit.workers):
        if batch.keys:
            moved = batch._replace(images=batch.images.to(device), maps=None)
            yield moved.standardised(network.input_spec)


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that affect results."""
    return {name: version(name) for name in ("focus-forgery", "torch", "timm", "accelerate")}
