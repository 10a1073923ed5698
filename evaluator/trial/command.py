"""``evaluator run``: train a detector with maps, select on val, evaluate on test sets."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from evaluator.trial.data import EvaluationSet, TrainingData, check_apart, open_tests, open_training
from evaluator.trial.judging import Trial, judge_trial
from evaluator.trial.options import RunCommand
from focus.config import fingerprint, parse_options, split_options, to_json
from focus.data.index import FaceIndex
from focus.data.sources import open_source, reopen
from focus.detectors import DETECTORS, config_type
from focus.errors import InputError
from focus.files import sha256
from focus.folders import hold
from focus.generation import GenerationConfig, generate
from focus.generators.trained import TrainedGenerator
from focus.mapstore import MapReader
from focus.runtime import Runtime, note
from focus.training.options import OPERATIONAL, FitConfig, list_settings
from focus.training.trainer import Training, train_run


def run_command(command: RunCommand) -> None:
    """Run ``evaluator run``.

    Raises:
        InputError: invalid faces, maps or settings; a test set that overlaps with training data; an
            --out that contains another trial.
        CheckFailedError: some faces could not be read; the result covers the others.
    """
    # Check names and settings before reading any data.
    kind = config_type(DETECTORS.get(command.model))
    config = parse_options(kind, split_options(command.options))
    index = _open_faces(command)
    tests = open_tests(command.test, index, command.hold_out)
    is_main = command.runtime.accelerator().is_main_process
    with hold(Path(command.out)) if is_main else nullcontext():
        trial = _train(command, config, index, tests)
        if is_main:
            judge_trial(trial, tests, Path(command.out), command.draws, command.runtime)


def _open_faces(command: RunCommand) -> FaceIndex:
    """Return the given faces, or those recorded in the map file."""
    if command.source.data or not Path(command.maps).is_file():
        return open_source(command.source, command.runtime.quiet)
    with MapReader(command.maps) as reader:
        return reopen(reader.attributes, command.source, command.maps, all_splits=True)


def _train(
    command: RunCommand, config: Any, index: FaceIndex, tests: Sequence[EvaluationSet]
) -> Trial:
    """Train and predict with every seed."""
    hard = config.map_threshold if getattr(config, "map_mode", "") == "hard" else 0.0
    self_blend = bool(command.fit.augmentation.forged_share)
    data = open_training(
        index, command.maps, command.hold_out, command.runtime.seed, hard, self_blend
    )
    check_apart(data, tests)
    if any(test.selected for test in tests):
        data.notes.append(
            "the data have no test split: evaluated on val, where weights are selected, which is "
            "optimistic; use --hold-out 0.1 to select on a part of train, or --test"
        )
    for line in data.notes:
        note(f"note: {line}", command.runtime.quiet)
    fit = command.fit.complete(DETECTORS.get(command.model))
    facts = _facts(command, data, tests, config, fit)
    folder = Path(command.out)
    files: dict[str, list[Path]] = {test.name: [] for test in tests}
    failed, judged_maps = list[str](), data.maps is not None
    for seed in range(command.runtime.seed, command.runtime.seed + command.seeds):
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
