"""``evaluator run``: train a detector with maps, select on val, evaluate on test sets."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from evaluator.trial.data import EvaluationSet, TrainingData, check_apart, open_tests, open_training
from evaluator.trial.judging import Trial, judge_trial
from evaluator.trial.options import RunCommand
from evaluator.trial.results import RESULT
from focus.config import fingerprint, parse_options, split_options, to_json
from focus.data.index import FaceIndex
from focus.data.sources import open_source, reopen
from focus.detectors import DETECTORS, config_type
from focus.errors import InputError
from focus.files import sha256
from focus.folders import hold, read_record
from focus.generation import GenerationConfig, generate
from focus.generators.trained import TrainedGenerator
from focus.mapstore import MapReader
from focus.runtime import Runtime, note
from focus.training.options import OPERATIONAL, FitConfig, list_settings
from focus.training.trainer import Training, train_run


class OpenTrial(NamedTuple):
    """A trial whose names, settings and data are known; nothing is trained yet."""

    command: RunCommand
    config: Any
    """Configuration of the detector."""
    fit: FitConfig
    data: TrainingData
    tests: list[EvaluationSet]
    facts: dict[str, Any]
    """All inputs of the result except the seed."""


def run_command(command: RunCommand) -> None:
    """Run ``evaluator run``.

    Raises:
        InputError: invalid faces, maps or settings; a test set that overlaps with training data; an
            --out that contains another trial.
        CheckFailedError: some faces could not be read; the result covers the others.
    """
    run_trial(open_trial(command))


def open_trial(command: RunCommand) -> OpenTrial:
    """Check the names and settings of a trial, and open its data.

    Raises:
        InputError: an unknown name or setting, or invalid faces or maps.
    """
    # Check names and settings before reading any data.
    config = parse_settings(command)
    index = _open_faces(command)
    tests = open_tests(command.test, index, command.hold_out)
    hard = config.map_threshold if getattr(config, "map_mode", "") == "hard" else 0.0
    self_blend = bool(command.fit.augmentation.forged_share)
    data = open_training(
        index, command.maps, command.hold_out, command.runtime.seed, hard, self_blend
    )
    fit = command.fit.complete(DETECTORS.get(command.model))
    return OpenTrial(command, config, fit, data, tests, _facts(command, data, tests, config, fit))


def parse_settings(command: RunCommand) -> Any:
    """Return the configuration of the detector.

    Raises:
        InputError: an unknown detector or setting.
    """
    return parse_options(config_type(DETECTORS.get(command.model)), split_options(command.options))


def is_finished(trial: OpenTrial) -> bool:
    """Return whether the folder of a trial holds its result, from the same inputs."""
    command, result = trial.command, read_record(trial.command.out / RESULT) or {}
    given = {**trial.facts, "seeds": _seeds(command)}
    del given["notes"]
    judged = result.get("tests", {})
    if [*judged] != [*given.pop("tests")]:
        return False
    same = all(
        judged[test.name]["fingerprint"] == test.faces.fingerprint()
        and judged[test.name]["intervals"]["draws"] == command.draws
        for test in trial.tests
    )
    return same and all(result.get(name) == value for name, value in given.items())


def run_trial(trial: OpenTrial) -> None:
    """Train and judge a trial.

    Raises:
        InputError: a test set overlaps with training data, or the folder contains another trial.
        CheckFailedError: some faces could not be read; the result covers the others.
    """
    command = trial.command
    is_main = command.runtime.accelerator().is_main_process
    with hold(command.out) if is_main else nullcontext():
        trained = _train(trial)
        if is_main:
            judge_trial(trained, trial.tests, command.out, command.draws, command.runtime)


def _open_faces(command: RunCommand) -> FaceIndex:
    """Return the given faces, or those recorded in the map file."""
    if command.source.data or not Path(command.maps).is_file():
        return open_source(command.source, command.runtime.quiet)
    with MapReader(command.maps) as reader:
        return reopen(reader.attributes, command.source, command.maps, all_splits=True)


def _train(trial: OpenTrial) -> Trial:
    """Train and predict with every seed."""
    command, config, fit, data, tests, facts = trial
    check_apart(data, tests)
    if any(test.selected for test in tests):
        data.notes.append(
            "the data have no test split: evaluated on val, where weights are selected, which is "
            "optimistic; use --hold-out 0.1 to select on a part of train, or --test"
        )
    for line in data.notes:
        note(f"note: {line}", command.runtime.quiet)
    folder = command.out
    files: dict[str, list[Path]] = {test.name: [] for test in tests}
    failed, judged_maps = list[str](), data.maps is not None
    for seed in _seeds(command):
        runtime = dataclasses.replace(command.runtime, seed=seed)
        here = folder / f"seed-{seed}"
        failed += _fit_seed(command, data, config, fit, runtime, here, facts)
        generator = TrainedGenerator.load(here, {})
        judged_maps |= generator.network.maps_without_supervision
        for test in tests:
            out = here / f"{test.name}.h5"
            _predict(command, fit, generator, test, out, runtime)
            files[test.name].append(out)
    return Trial(files, facts, judged_maps, failed=failed)


def _seeds(command: RunCommand) -> list[int]:
    return list(range(command.runtime.seed, command.runtime.seed + command.seeds))


def _facts(
    command: RunCommand,
    data: TrainingData,
    tests: Sequence[EvaluationSet],
    config: Any,
    fit: FitConfig,
) -> dict[str, Any]:
    """Return all inputs of the result except the seed."""
    plain = list_settings(fit)
    for name in OPERATIONAL:
        plain.pop(name)
    map_file = Path(command.maps)
    return {
        "model": command.model,
        "settings": to_json(config),
        "fit": plain,
        "precision": command.runtime.precision,
        "maps": {"source": command.maps, "sha256": sha256(map_file) if map_file.is_file() else ""},
        "train": {"faces": len(data.train), "fingerprint": data.train.fingerprint()},
        "val": {"faces": len(data.val), "fingerprint": data.val.fingerprint()},
        "tests": {test.name: {"fingerprint": test.faces.fingerprint()} for test in tests},
        "stills": command.stills,
        "notes": data.notes,
    }


def _fit_seed(
    command: RunCommand,
    data: TrainingData,
    config: Any,
    fit: FitConfig,
    runtime: Runtime,
    folder: Path,
    facts: dict[str, Any],
) -> list[str]:
    """Train one seed, or resume it; return the faces that could not be read."""
    apart = ("tests", "notes")
    inputs = {name: value for name, value in facts.items() if name not in apart}
    about = {
        "source": to_json(command.source),
        "maps": command.maps,
        "fingerprint": fingerprint({**inputs, "seed": runtime.seed}),
    }
    training = Training(
        command.model, config, data.train, data.val, fit, runtime, data.maps, command.stills
    )
    report = train_run(training, folder, about, resume=True, finished=True)
    if report is None:
        return []
    if report.step < fit.steps:
        raise InputError(
            f"{folder}: stopped after step {report.step}; re-run the same command to resume"
        )
    note(f"best val AUC {report.best_auc:.4f} at step {report.best_step}", runtime.quiet)
    return [f"{failure.key}: {failure.reason}" for failure in report.failures]


def _predict(
    command: RunCommand,
    fit: FitConfig,
    generator: TrainedGenerator,
    test: EvaluationSet,
    out: Path,
    runtime: Runtime,
) -> None:
    """Write scores and maps of a test set to the seed's folder; keep finished ones."""
    config = GenerationConfig(
        batch=max(fit.batch // fit.accumulation, 1),
        workers=fit.workers,
        real_maps="fake-class",
        on_error=fit.on_error,
        stills=command.stills,
    )
    generate(test.faces, generator, out, config, runtime, name=command.model)
