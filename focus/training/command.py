"""``focus train``: recipes, the data it needs, and one run from start to finish."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from focus.config import fingerprint, given_values, parse_options, split_options, to_json
from focus.data.sources import Source, open_source
from focus.data.splits import split_index
from focus.data.transforms import Augmentation
from focus.detectors import DETECTORS, config_type
from focus.errors import CheckFailedError, InputError, count_of
from focus.network.model import FoCusConfig
from focus.optim import OptimizerOptions
from focus.runtime import Runtime, note
from focus.training.loop import Report
from focus.training.options import FitConfig, FitOptions, NetworkOptions
from focus.training.trainer import Training, train_run

NOT_RESUME_RELEVANT = ("stop_after", "workers", "validate_every", "on_error")


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
    network: NetworkOptions = field(default_factory=NetworkOptions)
    """The network."""
    fit: FitOptions = field(default_factory=FitOptions)
    """The training."""
    runtime: Runtime = field(default_factory=Runtime)
    """Device, precision, seed."""

    def __post_init__(self) -> None:
        if not 0 <= self.hold_out < 1:
            raise InputError(f"--hold-out {self.hold_out}: a share of at least 0, below 1")


_ADAMW = OptimizerOptions("adamw", lr=1e-3, weight_decay=0.05, warmup=0.2)
RECIPES: dict[str, tuple[str, NetworkOptions, FitOptions]] = {
    "paper": (
        "two DeiT-S, batch 128, 30,000 steps (one large GPU)",
        NetworkOptions(),
        FitOptions(),
    ),
    "small": (
        "two MobileNetV2, batch 32, 1,000 steps (about half an hour on two CPU cores)",
        # The stage before the last: a cell of the deepest one sees the whole face, and its map is
        # less local.
        NetworkOptions(encoder="mobilenetv2_100", stage=3, loss_weight=0.5),
        FitOptions(
            steps=1000,
            batch=32,
            validate_every=250,
            optimizer=_ADAMW,
            augmentation=Augmentation(smallest_crop=0.85),
        ),
    ),
    "demo": (
        "two small ResNets from scratch on 112 px faces (some two minutes on two CPU cores)",
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
    config = _network_config(command)
    fit = command.fit.complete(DETECTORS.get(command.kind))
    training = Training(
        command.kind, config, train, val, fit, command.runtime, stills=command.stills
    )
    facts = {
        "source": to_json(command.source),
        "hold_out": command.hold_out,
        "index_fingerprint": index.fingerprint(),
        "fingerprint": fingerprint(
            [to_json(config), _resume_signature(command, fit), index.fingerprint()]
        ),
    }
    try:
        report = train_run(training, folder, facts, resume=command.resume)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{folder}: stopped; add --resume to resume") from None
    assert report is not None  # a finished run was refused
    _report(folder, report, fit, command.runtime)


def _report(folder: Path, report: Report, fit: FitConfig, runtime: Runtime) -> None:
    """Say what came of a training."""
    if report.step < fit.steps:
        note(f"stopped after step {report.step}; add --resume to resume", runtime.quiet)
    elif runtime.accelerator().is_main_process:
        print(
            f"{folder}: best val AUC {report.best_auc:.4f} at step {report.best_step} of "
            f"{report.step}, {report.seconds:.0f} s"
        )
    if report.failures:
        first = report.failures[0]
        raise CheckFailedError(
            f"{count_of(len(report.failures), 'face')} could not be read and had to be "
            "left out, such as "
            f"{first.key}: {first.reason}"
        )


def _network_config(command: TrainCommand) -> Any:
    """Return the detector's settings: the flags of FoCus and the classifier, or ``--options``."""
    kind, options = config_type(DETECTORS.get(command.kind)), split_options(command.options)
    flags = given_values(command.network)
    if issubclass(FoCusConfig, kind):
        known = {field.name for field in dataclasses.fields(kind)}
        flags = {name: value for name, value in flags.items() if name in known}
        return parse_options(kind, {**flags, **options})
    if flags:
        name = next(iter(flags))
        raise InputError(
            f"--{name.replace('_', '-')}: not a setting of {command.kind} (or not as a flag); give "
            "its settings as --options NAME=VALUE, and leave recipes out"
        )
    return parse_options(kind, options)


def _resume_signature(command: TrainCommand, config: FitConfig) -> dict[str, object]:
    """Return the settings that must match to resume."""
    fit = {k: v for k, v in to_json(config).items() if k not in NOT_RESUME_RELEVANT}
    runtime = {"precision": command.runtime.precision, "seed": command.runtime.seed}
    kept = {"hold_out": command.hold_out, **({"stills": True} if command.stills else {})}
    return {"fit": fit, "runtime": runtime, **kept}
