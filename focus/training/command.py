"""``focus train``: settings, data, and one run from start to finish."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from focus.config import (
    fingerprint,
    from_json,
    given_values,
    parse_options,
    split_options,
    to_json,
)
from focus.data.overlap import FileTable, check_val
from focus.data.sources import open_source
from focus.data.splits import split_index
from focus.detectors import DETECTORS, config_type
from focus.errors import CheckFailedError, InputError, count_of
from focus.files import sha256
from focus.runs import Run, read_run
from focus.runtime import Runtime, note
from focus.training.loop import Report
from focus.training.options import OPERATIONAL, FitConfig, NetworkOptions, list_settings
from focus.training.recipes import TrainCommand
from focus.training.trainer import Training, train_run

NOT_RESUME_RELEVANT = (*OPERATIONAL, "validate_every")


def train_command(command: TrainCommand) -> None:
    """Run ``focus train``.

    Raises:
        InputError: unusable training data, val faces that overlap with train, an --out with another
            run, a loss that is not finite, too little memory.
        CheckFailedError: some faces were unreadable; the run is complete without them.
    """
    folder = command.out
    index = open_source(command.source)
    self_blend = bool(command.fit.augmentation.forged_share)
    train, val = split_index(index, command.hold_out, command.runtime.seed, self_blend)
    check_val(FileTable(train), FileTable(val))
    init = _read_init(command)
    config = _network_config(command, init)
    fit = command.fit.complete(DETECTORS.get(command.model))
    training = Training(
        command.model, config, train, val, fit, command.runtime, stills=command.stills, init=init
    )
    facts = {
        **({"init": sha256(init.weights)} if init else {}),
        "source": to_json(command.source),
        "hold_out": command.hold_out,
        "index_fingerprint": index.fingerprint(),
        "fingerprint": fingerprint(
            [to_json(config), _resume_signature(command, fit, init), index.fingerprint()]
        ),
    }
    try:
        report = train_run(training, folder, facts, resume=command.resume)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{folder}: stopped; add --resume to resume") from None
    assert report is not None  # a finished run was refused
    _report(folder, report, fit, command.runtime)


def _report(folder: Path, report: Report, fit: FitConfig, runtime: Runtime) -> None:
    """Print the result of a training."""
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
            f"{count_of(len(report.failures), 'face')} could not be read and were skipped, "
            f"such as {first.key}: {first.reason}"
        )


def _read_init(command: TrainCommand) -> Run | None:
    """Return the trained network of ``--init``, if given."""
    if command.init is None:
        return None
    run = read_run(command.init)
    if run.kind != command.model:
        raise InputError(f"--init {command.init}: is a {run.kind}; --model is {command.model}")
    return run


def _network_config(command: TrainCommand, init: Run | None) -> Any:
    """Return the detector's settings: ``--options``, and flags if all of its settings are flags.

    With ``init`` they are its own.
    """
    kind, options = config_type(DETECTORS.get(command.model)), split_options(command.options)
    flags = given_values(command.network)
    if init is not None:
        if flags or options:
            raise InputError(
                "--init: the network keeps its own settings; leave recipes and the network's flags "
                "out"
            )
        return from_json(kind, dict(init.network))
    known = {field.name for field in dataclasses.fields(kind)}
    if "encoder" in known and known <= {field.name for field in dataclasses.fields(NetworkOptions)}:
        flags = {name: value for name, value in flags.items() if name in known}
        return parse_options(kind, {**flags, **options})
    if flags:
        name = next(iter(flags))
        raise InputError(
            f"--{name.replace('_', '-')}: not a setting of {command.model} (or not as a flag); "
            "give its settings as --options NAME=VALUE, and leave recipes out"
        )
    return parse_options(kind, options)


def _resume_signature(
    command: TrainCommand, config: FitConfig, init: Run | None
) -> dict[str, object]:
    """Return the settings that must match to resume."""
    fit = {k: v for k, v in list_settings(config).items() if k not in NOT_RESUME_RELEVANT}
    runtime = {"precision": command.runtime.precision, "seed": command.runtime.seed}
    kept: dict[str, object] = {"hold_out": command.hold_out}
    if command.stills:
        kept["stills"] = True
    if init is not None:
        kept["init"] = sha256(init.weights)
    return {"fit": fit, "runtime": runtime, **kept}
