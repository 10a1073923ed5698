"""``focus train``: recipes, the data it needs, and one run from start to finish."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from focus.config import fingerprint, parse_options, split_options, to_json
from focus.data.faces import FaceDataset
from focus.data.index import FaceIndex
from focus.data.loading import build_loader
from focus.data.sources import Source, open_source
from focus.data.splits import split_index
from focus.data.transforms import Augmentation
from focus.detectors import DETECTORS, config_type
from focus.errors import CheckFailedError, InputError
from focus.files import replace_file
from focus.folders import hold, is_ours
from focus.network.model import FoCus, FoCusConfig, fuse_parts
from focus.optim import OptimizerConfig
from focus.runs import (
    build_detector,
    describe_run,
    load_network,
    read_run,
    save_weights,
)
from focus.runtime import Runtime, note, seed_everything
from focus.training.checkpoint import RESUME
from focus.training.loop import Fit, FitConfig, Report
from focus.types import FAKE

FINISHED = "finished"
CALIBRATION_FACES = 256
SCALE_FACES = 1024
SCALE_QUANTILE = 0.999


@dataclass(frozen=True)
class TrainCommand:
    """Train a FoCus network, or a plain classifier for class activation maps."""

    source: Source = field(default_factory=Source)
    """Labelled faces with train and val splits."""
    out: str = "runs/focus"
    """Folder of the run."""
    kind: str = "focus"
    """focus; classifier, which Grad-CAM and its kin explain; or any detector of evaluator models,
    from labels alone."""
    options: tuple[str, ...] = ()
    """NAME=VALUE settings of another detector than these two."""
    hold_out: float = 0.0
    """Without a val split: hold out this share of the videos (or files) as val."""
    stills: bool = False
    """Every face is a still picture: a detector of clips sees it in small motion."""
    resume: bool = False
    """Go on with the unfinished run in --out."""
    network: FoCusConfig = field(default_factory=FoCusConfig)
    """The network."""
    fit: FitConfig = field(default_factory=FitConfig)
    """The training."""
    runtime: Runtime = field(default_factory=Runtime)
    """Device, precision, seed."""

    def __post_init__(self) -> None:
        if not 0 <= self.hold_out < 1:
            raise InputError(f"--hold-out {self.hold_out}: a share of at least 0, below 1")


_ADAMW = OptimizerConfig("adamw", lr=1e-3, weight_decay=0.05, warmup=0.2)
RECIPES: dict[str, tuple[str, FoCusConfig, FitConfig]] = {
    "paper": ("two DeiT-S, batch 128, 30,000 steps (one large GPU)", FoCusConfig(), FitConfig()),
    "small": (
        "two MobileNetV2, batch 32, 1,000 steps (about half an hour on two CPU cores)",
        # The stage before the last: a cell of the deepest one sees the whole face, and its map is
        # less local.
        FoCusConfig(encoder="mobilenetv2_100", stage=3, loss_weight=0.5),
        FitConfig(
            steps=1000,
            batch=32,
            validate_every=250,
            optimizer=_ADAMW,
            augmentation=Augmentation(smallest_crop=0.85),
        ),
    ),
    "demo": (
        "two small ResNets from scratch on 112 px faces (some two minutes on two CPU cores)",
        FoCusConfig(
            encoder="resnet10t",
            encoder_weights="none",
            image_size=112,
            stage=2,
            output_stride=8,
            loss_weight=0.5,
        ),
        FitConfig(steps=300, batch=32, validate_every=100, optimizer=_ADAMW),
    ),
}


def train_command(command: TrainCommand) -> None:
    """Run ``focus train``.

    Raises:
        InputError: data that cannot be trained on, an --out that holds another run, no finite
            loss, too little memory.
        CheckFailedError: some faces could not be read; the run is complete without them.
    """
    folder = Path(command.out)
    index = open_source(command.source)
    train, val = split_index(index, command.hold_out, command.runtime.seed)
    network_config = _network_config(command)
    fit = command.fit.adopt(DETECTORS.get(command.kind))
    config = describe_run(
        command.kind,
        network_config,
        train=to_json(fit),
        runtime=to_json(command.runtime),
        source=to_json(command.source),
        hold_out=command.hold_out,
        index_fingerprint=index.fingerprint(),
        fingerprint=fingerprint(
            [to_json(network_config), _lasting(command, fit), index.fingerprint()]
        ),
        versions=package_versions(),
    )
    with claim_folder(command.runtime.accelerator(), folder, config, command.resume):
        try:
            report = _train(command, fit, network_config, (train, val), folder)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"{folder}: stopped; add --resume to go on") from None
    if report.failures:
        first = report.failures[0]
        raise CheckFailedError(
            f"{len(report.failures)} faces could not be read and were left out, such as "
            f"{first.key}: {first.reason}"
        )


def _train(
    command: TrainCommand,
    fit: FitConfig,
    network_config: Any,
    split: tuple[FaceIndex, FaceIndex],
    folder: Path,
) -> Report:
    """Train in a folder that is claimed, and mark it when all is done."""
    train, val = split
    seed_everything(command.runtime.seed)
    network = build_detector(command.kind, network_config)
    spec, kept = network.input_spec, network.companion
    faces = FaceDataset(
        train,
        spec.image_size,
        augmentation=fit.augmentation,
        seed=command.runtime.seed,
        frames=spec.frames,
        stills=command.stills,
        companion=kept,
    )
    judged = FaceDataset(val, spec.image_size, frames=spec.frames, stills=command.stills)
    if isinstance(network, FoCus):
        _calibrate(network, faces)
    note(
        f"training {command.kind} on {len(train)} faces, selecting on {len(val)}, into {folder}",
        command.runtime.quiet,
    )
    run = Fit(network, faces, judged, fit, command.runtime, folder)
    report = run.run(command.resume)
    if run.accelerator.is_main_process:
        _finish(command, fit, folder, faces, report)
    return report


def _network_config(command: TrainCommand) -> Any:
    """Return the detector's settings: the flags of FoCus and the classifier, or ``--options``."""
    kind, options = config_type(DETECTORS.get(command.kind)), split_options(command.options)
    if issubclass(FoCusConfig, kind):
        names = [field.name for field in dataclasses.fields(kind)]
        return parse_options(kind, {n: getattr(command.network, n) for n in names} | options)
    if command.network != FoCusConfig():
        raise InputError(
            f"--kind {command.kind} has settings of its own; give them as --options NAME=VALUE"
        )
    return parse_options(kind, options)


def _lasting(command: TrainCommand, config: FitConfig) -> dict[str, object]:
    """Return what a resumed run must share with its beginning."""
    fit = to_json(config)
    for name in ("stop_after", "workers", "validate_every", "on_error"):
        fit.pop(name)
    runtime = {"precision": command.runtime.precision, "seed": command.runtime.seed}
    kept = {"hold_out": command.hold_out, **({"stills": True} if command.stills else {})}
    return {"fit": fit, "runtime": runtime, **kept}


def package_versions() -> dict[str, str]:
    """Return what a run's results depend on."""
    return {name: version(name) for name in ("focus-forgery", "torch", "timm", "accelerate")}


@contextmanager
def claim_folder(
    accelerator: Accelerator,
    folder: Path,
    config: Mapping[str, Any],
    resume: bool,
    finished: bool = False,
) -> Iterator[None]:
    """Hold the run folder, or refuse one that holds something else; all processes wait for it.

    Args:
        accelerator: the main process looks; another would find what that one has just written.
        folder: of the run.
        config: what its ``config.json`` says, with a ``fingerprint``.
        resume: take one that was begun with this configuration.
        finished: take one that is finished, too.

    Raises:
        InputError: it holds another run, another process is at work in it, or it cannot be
            written.
    """
    with hold(folder) if accelerator.is_main_process else nullcontext():
        if accelerator.is_main_process:
            _claim(folder, config, resume, finished)
        accelerator.wait_for_everyone()
        yield


def mark_finished(folder: Path) -> None:
    """Say that a run is complete, then drop what it would have gone on from."""
    with replace_file(folder / FINISHED) as temporary:
        temporary.touch()
    (folder / RESUME).unlink(missing_ok=True)


def _claim(folder: Path, config: Mapping[str, Any], resume: bool, finished: bool) -> None:
    path = folder / "config.json"
    if path.exists():
        if (folder / FINISHED).exists():
            (folder / RESUME).unlink(missing_ok=True)  # of one that was killed at its very end
            if not finished:
                raise InputError(f"{folder}: holds a finished run; choose another --out")
        if not resume:
            raise InputError(
                f"{folder}: holds an unfinished run; add --resume, or choose another --out"
            )
        try:
            held = dict(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError, RecursionError):
            raise InputError(f"{path}: not JSON; choose another --out") from None
        if held.get("fingerprint") != config["fingerprint"]:
            raise InputError(
                f"{folder}: was begun with other settings or data (see {path}); repeat them, or "
                "choose another --out"
            )
        return
    if resume and not all(map(is_ours, folder.iterdir())):
        raise InputError(f"{folder}: holds no run to resume")
    with replace_file(path) as temporary:
        temporary.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _calibrate(network: FoCus, faces: FaceDataset) -> None:
    """Standardise the second modality by evenly spaced training faces."""
    count = min(CALIBRATION_FACES, len(faces))
    rows = np.linspace(0, len(faces) - 1, count).astype(int).tolist()
    batch = next(iter(build_loader(faces, [rows], 0)))
    if not batch.keys:
        first = batch.failures[0]
        raise InputError(f"no training face can be read; the first: {first.key}: {first.reason}")
    network.calibrate(batch.standardised(network.input_spec).images)


def _finish(
    command: TrainCommand, fit: FitConfig, folder: Path, faces: FaceDataset, report: Report
) -> None:
    """Mark a finished run and say what came of it."""
    if report.step < fit.steps:
        note(f"stopped after step {report.step}; add --resume to go on", command.runtime.quiet)
        return
    if command.kind == "focus":
        _scale(folder, faces, command)
    mark_finished(folder)
    print(
        f"{folder}: best val AUC {report.best_auc:.4f} at step {report.best_step} of "
        f"{report.step}, {report.seconds:.0f} s"
    )


@torch.no_grad()
def _scale(folder: Path, faces: FaceDataset, command: TrainCommand) -> None:
    """Store the constant of the ``global`` normalisation beside the best weights."""
    network = load_network(read_run(folder)).eval()
    assert isinstance(network, FoCus)
    device = command.runtime.accelerator().device
    network.to(device)
    rows = np.flatnonzero(faces.index.labels == FAKE)
    rows = rows[np.linspace(0, len(rows) - 1, min(SCALE_FACES, len(rows))).astype(int)]
    size = max(command.fit.batch // command.fit.accumulation, 1)
    batches = [rows[k : k + size].tolist() for k in range(0, len(rows), size)]
    values = []
    for batch in build_loader(faces, batches, command.fit.workers):
        if batch.keys:
            moved = batch._replace(images=batch.images.to(device))
            parts = network.predict(moved.standardised(network.input_spec).images).parts
            fused = fuse_parts(parts or {}, "global", network.config.swap)
            values.append(fused.flatten().cpu())
    scale = np.quantile(torch.cat(values).numpy(), SCALE_QUANTILE)
    network.map_scale.fill_(max(float(scale), 1e-6))
    save_weights(network, folder / "best.safetensors")
