"""``focus prepare``: what is prepared, where it goes, and what is said at the end."""

from __future__ import annotations

import json
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
from focus.data.images import VIDEO_SUFFIXES
from focus.data.index import COLUMNS, FaceIndex
from focus.data.prepare.crops import ADDED, PADDED, RECORDS, CropConfig, Cropper, Outcome
from focus.data.prepare.planning import Task, plan
from focus.data.prepare.running import Job, Unit, recall, run
from focus.data.prepare.truth import needs_masks, write_truth
from focus.data.sources import INDEX_NAME, Source, open_source
from focus.errors import CheckFailedError, InputError, count_of
from focus.files import clear_temporary, replace_file, write_failures
from focus.folders import hold
from focus.runtime import Progress, Runtime, available_cores, note

ERRORS_NAME = "errors.csv"
SPOKEN_FAILURES = 20
_WHOLE_VIDEO = 2**30
_COUNTED = {
    "faceless": "images show no face",
    "mask": "images lack the mask that their row names; it is left empty",
    "region": "images lack the region that their row names; it is left empty",
    "original": "images lack the original that their row names; it is left empty",
    "guessed": "fake images have no mask that marks a face; their largest face was taken",
    PADDED: "crops reach beyond the edge of their image, which is reflected there: column padded",
    "blank": "faces of fakes show no forged pixel; --faces forged takes those that do",
}


@dataclass(frozen=True, kw_only=True)
class PrepareCommand(CropConfig):
    """Cut faces out of videos and photographs."""

    source: Source = field(default_factory=Source)
    """What to prepare: a corpus, an index, a folder, a video or an image."""
    out: str = "prepared"
    """Folder for the crops and their index.csv. Re-running the same command resumes."""
    workers: int = -1
    """Processes, each with a video at a time; -1: one for each core; 0: only this one."""
    overwrite: bool = False
    """Make everything again, where --out holds faces that were prepared otherwise."""
    on_error: Literal["skip", "stop"] = "skip"
    """Skip a video that cannot be read and say so at the end, or stop at the first."""
    runtime: Runtime = field(default_factory=Runtime)
    """Flags that every command has."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.workers < -1:
            raise InputError(f"--workers {self.workers}: must be at least 0, or -1 for the default")


def prepare_command(command: PrepareCommand) -> None:
    """Run ``focus prepare``: write ``crops/``, what belongs to them, and ``index.csv``.

    A corpus whose truth is polygons or colours gets its masks written, and nothing is cut.

    Raises:
        InputError: a source that needs no preparing or cannot be opened, an --out that holds
            something else, no face at all; with ``on_error="stop"``, what cannot be read.
        CheckFailedError: some videos or images could not be read; the index is complete without
            them.
    """
    out = Path(command.out)
    corpus = needs_masks(command.source)
    if corpus is not None:
        with hold(out):
            written, count = write_truth(corpus, command.source, out)
        print(
            f"{out / INDEX_NAME}: {count_of(len(written), 'row')} of {corpus.name} in "
            f"place, {count_of(count, 'mask')}"
        )
        return
    index = _open(command)
    tasks = plan(index, whole=_is_listing(command.source))
    config = CropConfig(**{each.name: getattr(command, each.name) for each in fields(CropConfig)})
    source = command.source
    job = Job(index.root, out, config, source.face_detector, source.face_detector_weights)
    cropper = job.open()
    with hold(out):
        _claim(out, command, config)
        _prepare(job, cropper, index, tasks, command)


def _prepare(
    job: Job, cropper: Cropper, index: FaceIndex, tasks: Sequence[Task], command: PrepareCommand
) -> None:
    """Cut what is not cut yet, write the index, and say what came of it."""
    start, out = time.monotonic(), job.out
    units = [Unit(task, out / RECORDS / f"{task.digest(index.root)}.json") for task in tasks]
    made = _do(job, cropper, units, command)
    total = Outcome()
    prepared = _gather(units, index, out, total)
    write_failures(out / ERRORS_NAME, [*total.failures, *total.gaps])
    clips = sum(len(task.clips) for task in tasks)
    counted = count_of(clips, _name_clips(tasks)[:-1])
    if len(prepared) == 0:
        path, reason = (total.failures or total.gaps)[0]
        raise InputError(f"no face in any of {counted}; {path}: {reason}")
    prepared.write(out / INDEX_NAME)
    there = f" ({clips - made} were there)" if made < clips else ""
    seconds = time.monotonic() - start
    print(
        f"{out / INDEX_NAME}: {count_of(len(prepared), 'face')} of {counted}"
        f"{there}, {seconds:.1f} s"
    )
    _speak(total, out, command.runtime.quiet)
    if total.failures:
        raise CheckFailedError(
            f"{len(total.failures)} of {counted} could not be read and are not in the index; "
            f"{out / ERRORS_NAME} lists them"
        )


def _open(command: PrepareCommand) -> FaceIndex:
    """Open the source; refuse what needs no preparing."""
    source, path = command.source, Path(command.source.data).expanduser()
    if source.every != Source.every:
        raise InputError(f"--every {source.every}: prepare takes --frames N of a video, evenly")
    if source.data in CORPORA.names() and CORPORA.get(source.data).unit == "face":
        raise InputError(
            f"corpus {source.data}: its images are face crops already, so there is nothing to "
            f"prepare; use --data {source.data} as it is"
        )
    out = Path(command.out).resolve()
    if _is_listing(source) and path.resolve() in (out, *out.parents):
        raise InputError(
            f"--out {command.out}: lies inside --data {source.data}, where its crops would be "
            "taken for images to prepare; give a folder elsewhere"
        )
    taken = replace(source, crop="frame", every=_WHOLE_VIDEO)
    index = open_source(taken, command.runtime.quiet)
    if set(ADDED) <= set(index.columns):
        raise InputError(f"{source.data}: holds faces that focus prepare cut; use it as it is")
    return index


def _is_listing(source: Source) -> bool:
    """Return whether frames in the rows come of listing files, so that nobody chose them."""
    path = Path(source.data).expanduser()
    if source.data in CORPORA.names():
        return False
    if path.is_dir():
        return bool(source.data) and not (path / INDEX_NAME).is_file()
    return path.is_file() and path.name.lower().endswith(VIDEO_SUFFIXES)


def _claim(out: Path, command: PrepareCommand, config: CropConfig) -> None:
    """Record in ``out`` how it is made; refuse a folder that holds something else."""
    source, record = command.source, out / RECORDS / "run.json"
    this = {"format": "focus-prepare", "version": 2, "data": source.data}
    this |= {"detector": source.face_detector, **to_json(config)}
    if (out / INDEX_NAME).exists() and not record.exists():
        raise InputError(
            f"--out {out}: holds an {INDEX_NAME} that focus prepare did not write; "
            "give another folder"
        )
    if record.exists() and not command.overwrite:
        try:
            old = json.loads(record.read_text(encoding="utf-8"))
            differs = [
                f"{name} {old.get(name)}, not {this[name]}"
                for name in this
                if old.get(name) != this[name]
            ]
        except (OSError, ValueError, AttributeError, RecursionError):
            differs = ["its record cannot be read"]
        if differs:
            raise InputError(
                f"--out {out}: was prepared otherwise ({'; '.join(differs)}); give another folder, "
                "or --overwrite"
            )
    if command.overwrite and record.exists():
        (out / INDEX_NAME).unlink(missing_ok=True)
        for path in record.parent.glob("*.json"):
            path.unlink()
    record.parent.mkdir(parents=True, exist_ok=True)
    clear_temporary(record.parent)
    with replace_file(record, within=record.parent) as temporary:
        temporary.write_text(json.dumps(this, indent=1), encoding="utf-8")


def _do(job: Job, cropper: Cropper, units: Sequence[Unit], command: PrepareCommand) -> int:
    """Do what is not finished, and what could not be read before; return how many clips."""
    quiet, pending = command.runtime.quiet, []
    for unit in units:
        kept = recall(unit, job.out)
        if kept is None or kept.failures:
            pending.append(unit)
    workers = available_cores() if command.workers < 0 else command.workers
    clips = sum(len(unit.task.clips) for unit in pending)
    kind = _name_clips([unit.task for unit in pending])
    try:
        with (
            Progress(clips, "preparing", kind, quiet) as progress,
            closing(run(job, cropper, pending, workers)) as running,
        ):
            for done, failures in running:
                if failures and command.on_error == "stop":
                    path, reason = failures[0]
                    raise InputError(f"{job.root / path}: {reason} (--on-error skip passes it by)")
                progress.advance(done)
    except KeyboardInterrupt:
        text = f"{job.out}: stopped; re-run the same command to resume"
        raise KeyboardInterrupt(text) from None
    return clips


def _gather(units: Sequence[Unit], index: FaceIndex, out: Path, total: Outcome) -> FaceIndex:
    """Put the outcomes together, in the order of the source whatever the order of the work."""
    further = [
        f"{name}_id" if name in ADDED else name for name in index.columns if name not in COLUMNS
    ]
    names = [*(name for name in COLUMNS if name != "label"), *further, *ADDED, PADDED]
    columns: dict[str, list[str]] = {name: [] for name in names}
    labels: list[int] = []
    for unit in units:
        outcome = recall(unit, out)
        if outcome is None:
            raise InputError(f"{unit.record}: is gone; re-run the same command")
        for row in outcome.rows:
            labels.append(int(row["label"]))
            for name, values in columns.items():
                # All but paths repeat: one copy of each serves a million rows.
                values.append(sys.intern(str(row.get(name, ""))))
        total.add(replace(outcome, rows=[]))
    kept = {name: values for name, values in columns.items() if name == "path" or any(values)}
    index = FaceIndex(kept, np.array(labels, dtype=np.int8), out)
    index.check_keys()
    return index


def _speak(total: Outcome, out: Path, quiet: bool) -> None:
    for kind, text in _COUNTED.items():
        if total.counts[kind]:
            note(f"  {total.counts[kind]} {text}", quiet)
    for path, reason in total.failures[:SPOKEN_FAILURES]:
        note(f"  {path}: {reason}", quiet)


def _name_clips(tasks: Sequence[Task]) -> str:
    kinds = {clip.is_video for task in tasks for clip in task.clips}
    return "videos" if kinds == {True} else "images" if kinds == {False} else "files"
