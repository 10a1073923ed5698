"""``evaluator judge``: score predictions of another system like those of a trial."""

from __future__ import annotations

from pathlib import Path

from evaluator.interchange import ABSENT, import_maps
from evaluator.trial.data import EvaluationSet, labelled_faces
from evaluator.trial.judging import Trial, judge_trial
from evaluator.trial.options import JudgeCommand
from evaluator.trial.results import RESULT
from focus.data.index import FaceIndex
from focus.data.sources import open_source, reopen
from focus.errors import InputError, count_of
from focus.files import sha256
from focus.folders import hold
from focus.mapstore import MapReader
from focus.runs import RunFolder
from focus.runtime import note

MAP_FILES = (".h5", ".hdf5")
LISTED = 10


def judge_command(command: JudgeCommand) -> None:
    """Run ``evaluator judge``.

    Raises:
        InputError: predictions that cannot be read or match no face, no labelled face, or an --out
            that contains the result of ``evaluator run``.
        CheckFailedError: some predictions could not be read; the result covers the others.
    """
    given, folder = command.predictions, command.out
    if not given.exists():
        raise InputError(f"{given}: no such file or folder of predictions")
    test = _open_faces(command, given)
    folder.mkdir(parents=True, exist_ok=True)
    if any(RunFolder(path).is_begun() for path in folder.glob("seed-*")):
        raise InputError(
            f"--out {folder}: contains a trained trial and its {RESULT}; choose another"
        )
    with hold(folder):
        trial = _take(command, test, given, folder)
        judge_trial(trial, [test], folder, command.draws, command.runtime)


def _open_faces(command: JudgeCommand, given: Path) -> EvaluationSet:
    """Return labelled faces: of the requested split, else of test, else all."""
    index = _open_index(command, given)
    split = command.source.split
    if not split and "test" in index.column("split"):
        split, index = "test", index.where("test")
    return EvaluationSet(split or "all", labelled_faces(index, str(index.root)))


def _open_index(command: JudgeCommand, given: Path) -> FaceIndex:
    if command.source.data or given.suffix.lower() not in MAP_FILES:
        return open_source(command.source, command.runtime.quiet)
    with MapReader(given) as reader:
        return reopen(reader.attributes, command.source, given, all_splits=True)


def _take(command: JudgeCommand, test: EvaluationSet, given: Path, folder: Path) -> Trial:
    """Return the predictions; import them to a map file unless they are one."""
    path, failed = given, list[str]()
    has_maps = given.is_dir() or given.suffix.lower() in MAP_FILES
    if given.is_dir() or not has_maps:
        path = folder / f"{test.name}.h5"
        places = (given, "") if has_maps else ("", given)
        quiet = command.runtime.quiet
        found = import_maps(test.faces, path, *places, name=given.name, overwrite=True, quiet=quiet)
        failed = [f"{key}: {reason}" for key, reason in found.missing if reason != ABSENT]
        if found.unmatched:
            listed = ", ".join(found.unmatched[:LISTED])
            count = count_of(len(found.unmatched), "prediction")
            note(f"note: no face is matched by {count}: {listed}", quiet)
    facts = {
        "model": given.name,
        "maps": {"source": "", "sha256": ""},
        "predictions": sha256(path),
    }
    return Trial({test.name: [path]}, facts, has_maps, command.missing, failed)
