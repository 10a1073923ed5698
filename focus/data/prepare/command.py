"""``focus prepare``: the command, its checks and its report."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Literal

import numpy as np

from focus.config import to_json
from focus.data.corpus import CORPORA
from focus.data.cropping import PADDED
from focus.data.images import VIDEO_SUFFIXES
from focus.data.index import COLUMNS, FaceIndex
from focus.data.prepare.crops import ADDED, RECORDS, CropConfig, Cropper, Outcome
from focus.data.prepare.planning import Task, plan
from focus.data.prepare.running import CropperSettings, Unit, recall, run
from focus.data.prepare.truth import needs_masks, write_truth
from focus.data.sources import INDEX_NAME, Source, open_source
from focus.errors import CheckFailedError, InputError, count_of
from focus.files import clear_temporary, write_failures
from focus.folders import claim, hold
from focus.runtime import Progress, QuietFlag, available_cores, note

ERRORS_NAME = "errors.csv"
SHOWN_FAILURES = 20
_WHOLE_VIDEO = 2**30
_COUNTED = {
    "faceless": "images have no face",
    "mask": "images lack the mask that their row names; the mask column is empty",
    "region": "images lack the region that their row names; the region column is empty",
    "original": "images lack the original that their row names; the original column is empty",
    "guessed": "fake images have no mask that marks a face; their largest face was used",
    PADDED: "crops extend beyond their image, which is reflected there: see column padded",
    "blank": "faces of fakes have no forged pixel; --faces forged cuts only those that have",
}


@dataclass(frozen=True, kw_only=True)
class PrepareCommand(CropConfig):
    """Cut faces out of videos and photographs."""

    source: Source = field(default_factory=Source)
    """Input: a corpus, an index, a folder, a video or an image."""
    out: Path = Path("prepared")
    """Folder for the crops and their index.csv. Re-running the same command resumes."""
    workers: int = -1
    """Worker processes, one video at a time each; -1: one per core; 0: this process only."""
    overwrite: bool = False
    """Prepare everything again if --out has faces prepared with other settings."""
    on_error: Literal["skip", "stop"] = "skip"
    """skip: skip unreadable videos and report them at the end; stop: fail at the first."""
    runtime: QuietFlag = field(default_factory=QuietFlag)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.workers < -1:
            raise InputError(f"--workers {self.workers}: must be at least 0, or -1 for the default")


def prepare_command(command: PrepareCommand) -> None:
    """Run ``focus prepare``: write ``crops/``, their masks and originals, and ``index.csv``.

    For a corpus whose ground truth is polygons or colours, only its masks are written.

    Raises:
        InputError: the source needs no preparing or cannot be opened, --out has other contents, or
            no face is found; with ``on_error="stop"``, a file cannot be read.
        CheckFailedError: some videos or images cannot be read; the index has all others.
    """
    out = command.out
    corpus = needs_masks(command.source)
    if corpus is not None:
        with hold(out):
            written, count = write_truth(corpus, command.source, out)
        print(
            f"{out / INDEX_NAME}: {count_of(len(written), 'row')} of {corpus.name}, "
            f"{count_of(count, 'mask')}"
        )
        return
    index = _open_index(command)
    tasks = plan(index, whole=_is_listing(command.source))
    config = CropConfig(**{each.name: getattr(command, each.name) for each in fields(CropConfig)})
    source = command.source
    settings = CropperSettings(
        index.root, out, config, source.face_detector, source.face_detector_weights
    )
    cropper = settings.open()
    with hold(out):
        _claim(out, command, config)
        _prepare(settings, cropper, index, tasks, command)


def _prepare(
    settings: CropperSettings,
    cropper: Cropper,
    index: FaceIndex,
    tasks: Sequence[Task],
    command: PrepareCommand,
) -> None:
    """Cut the unfinished faces, write the index, and print a summary."""
    start, out = time.monotonic(), settings.out
    units = [Unit(task, out / RECORDS / f"{task.digest(index.root)}.json") for task in tasks]
    made = _do(settings, cropper, units, command)
    total = Outcome()
    prepared = _gather(units, index, out, total)
    write_failures(out / ERRORS_NAME, [*total.failures, *total.gaps])
    clips = sum(len(task.clips) for task in tasks)
    counted = count_of(clips, _name_clips(tasks)[:-1])
    if len(prepared) == 0:
        path, reason = (total.failures or total.gaps)[0]
        raise InputError(f"no face in any of {counted}; {path}: {reason}")
    prepared.write(out / INDEX_NAME)
    kept = f" ({clips - made} already done)" if made < clips else ""
    seconds = time.monotonic() - start
    print(
        f"{out / INDEX_NAME}: {count_of(len(prepared), 'face')} of {counted}{kept}, {seconds:.1f} s"
    )
    _print_notes(total, out, command.runtime.quiet)
    if total.failures:
        raise CheckFailedError(
            f"{len(total.failures)} of {counted} could not be read and are not in the index; "
            f"{out / ERRORS_NAME} lists them"
        )


def _open_index(command: PrepareCommand) -> FaceIndex:
    """Open the source; refuse one that needs no preparing."""
    source, path = command.source, Path(command.source.data).expanduser()
    if source.every != Source.every:
        raise InputError(
            f"--every {source.every}: use --frames N, evenly spaced frames of each video"
        )
    if source.data in CORPORA.names() and CORPORA.get(source.data).unit == "face":
        raise InputError(
            f"corpus {source.data}: its images are face crops already: nothing to prepare; "
            f"use --data {source.data} directly"
        )
    out = command.out.resolve()
    if _is_listing(source) and path.resolve() in (out, *out.parents):
        raise InputError(
            f"--out {command.out}: is inside --data {source.data}, where its crops would count "
            "as images to prepare; choose a folder elsewhere"
        )
    taken = replace(source, crop="frame", every=_WHOLE_VIDEO)
    index = open_source(taken, command.runtime.quiet)
    if set(ADDED) <= set(index.columns):
        raise InputError(f"{source.data}: has faces that focus prepare cut; use it directly")
    return index


def _is_listing(source: Source) -> bool:
    """Return whether the source is listed files: the user has not chosen frames."""
    path = Path(source.data).expanduser()
    if source.data in CORPORA.names():
        return False
    if path.is_dir():
        return bool(source.data) and not (path / INDEX_NAME).is_file()
    return path.is_file() and path.name.lower().endswith(VIDEO_SUFFIXES)


def _claim(out: Path, command: PrepareCommand, config: CropConfig) -> None:
    """Record the settings in ``out``; refuse a folder with other contents."""
    source, record = command.source, out / RECORDS / "run.json"
    this = {"format": "focus-prepare", "version": 2, "data": source.data}
    this |= {"detector": source.face_detector, **to_json(config)}
    held = record.exists()
    replace = command.overwrite if held else not (out / INDEX_NAME).exists()
    if held and replace:
        (out / INDEX_NAME).unlink(missing_ok=True)
        for path in record.parent.glob("*.json"):
            path.unlink()
    claim(out, record, this, replace=replace, advice="choose another --out, or add --overwrite")
    clear_temporary(record.parent)


def _do(
    settings: CropperSettings, cropper: Cropper, units: Sequence[Unit], command: PrepareCommand
) -> int:
    """Prepare units that are unfinished or had failures; return the number of their clips."""
    quiet, pending = command.runtime.quiet, []
    for unit in units:
        kept = recall(unit, settings.out)
        if kept is None or kept.failures:
            pending.append(unit)
    workers = available_cores() if command.workers < 0 else command.workers
    clips = sum(len(unit.task.clips) for unit in pending)
    kind = _name_clips([unit.task for unit in pending])
    try:
        with (
            Progress(clips, "preparing", kind, quiet) as progress,
            closing(run(settings, cropper, pending, workers)) as running,
        ):
            for done, failures in running:
                if failures and command.on_error == "stop":
                    path, reason = failures[0]
                    raise InputError(
                        f"{settings.root / path}: {reason} (to skip it: --on-error skip)"
                    )
                progress.advance(done)
    except KeyboardInterrupt:
        text = f"{settings.out}: stopped; re-run the same command to resume"
        raise KeyboardInterrupt(text) from None
    return clips


def _gather(units: Sequence[Unit], index: FaceIndex, out: Path, total: Outcome) -> FaceIndex:
    """Join the outcomes in the order of the source."""
    further = [
        f"{name}_id" if name in ADDED else name for name in index.columns if name not in COLUMNS
    ]
    names = [*(name for name in COLUMNS if name != "label"), *further, *ADDED, PADDED]
    columns: dict[str, list[str]] = {name: [] for name in names}
    labels: list[int] = []
    for unit in units:
        outcome = recall(unit, out)
        if outcome is None:
            raise InputError(f"{unit.record}: was removed; re-run the same command")
        for row in outcome.rows:
            labels.append(int(row["label"]))
            for name, values in columns.items():
                # Values other than paths repeat: keep one copy of each.
                values.append(sys.intern(str(row.get(name, ""))))
        total.add(replace(outcome, rows=[]))
    kept = {name: values for name, values in columns.items() if name == "path" or any(values)}
    index = FaceIndex(kept, np.array(labels, dtype=np.int8), out)
    index.check_keys()
    return index


def _print_notes(total: Outcome, out: Path, quiet: bool) -> None:
    for kind, text in _COUNTED.items():
        if total.counts[kind]:
            note(f"  {total.counts[kind]} {text}", quiet)
    for path, reason in total.failures[:SHOWN_FAILURES]:
        note(f"  {path}: {reason}", quiet)


def _name_clips(tasks: Sequence[Task]) -> str:
    kinds = {clip.is_video for task in tasks for clip in task.clips}
    return "videos" if kinds == {True} else "images" if kinds == {False} else "files"
