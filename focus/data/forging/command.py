"""``focus forge``: plan the forgeries, make them in several processes, and write the index."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from focus.config import fingerprint, to_json
from focus.data.archives import ARCHIVE_SUFFIXES
from focus.data.corpus import CORPORA
from focus.data.forging.making import SMALLEST_SIDE, FaceResult, ForgePlan, hash_text
from focus.data.forging.processes import make_all
from focus.data.images import VIDEO_SUFFIXES, split_path
from focus.data.index import Face, FaceIndex
from focus.data.landmarks import LANDMARKS_VARIABLE, LandmarkModel, find_landmark_weights
from focus.data.sources import INDEX_NAME, Source, open_source
from focus.errors import CheckFailedError, InputError, count_of
from focus.folders import claim, hold
from focus.runtime import SeedFlags, note, track
from focus.types import FAKE, REAL

FORGING_VERSION = 2
"""Incremented when the same command gives different images."""
RECORD = "forge.json"
_SPLIT_SHARES = (0.7, 0.8)
_REPORTED_FAILURES = 20


ForgeryKind = Literal[
    "blend",
    "partial",
    "swap",
    "warp",
    "inpaint",
    "smooth",
    "clone",
    "recolour",
    "noise",
    "resample",
    "decode",
]


@dataclass(frozen=True)
class ForgeCommand:
    """Forge real faces, with exact masks. Re-running the same command resumes."""

    source: Source = field(default_factory=Source)
    """Real faces, as crops (or photographs with --crop faces); fakes are skipped."""
    out: Path = Path("forged")
    """Output folder: real/, fake/, mask/, region/ and, written last, index.csv."""
    forgery: tuple[ForgeryKind, ...] = ("blend", "partial")
    """blend: self-blend of the face; partial: of one part; swap: another face; others: a local edit
    of one part. Faces take turns."""
    landmarks: Path | None = None
    """ONNX model of 68 points (default: $FOCUS_LANDMARKS); if none, an ellipse in the face box."""
    per_face: int = 1
    """Forgeries per face; 1 gives as many fakes as real faces."""
    size: int = 0
    """Shorter side of the images in pixels; 0: unchanged."""
    quality: int = 92
    """JPEG quality of real and forged images."""
    png: bool = False
    """Write PNG instead of JPEG."""
    workers: int = -1
    """Worker processes; -1: one per core."""
    runtime: SeedFlags = field(default_factory=SeedFlags)

    def __post_init__(self) -> None:
        chosen = set(self.forgery)
        if not chosen or len(chosen) < len(self.forgery) or chosen - {*get_args(ForgeryKind)}:
            given, known = " ".join(self.forgery), ", ".join(get_args(ForgeryKind))
            raise InputError(f"--forgery {given}: choose from {known}, each at most once")
        if self.per_face < 1:
            raise InputError(f"--per-face {self.per_face}: must be 1 or more")
        if self.size and self.size < SMALLEST_SIDE:
            raise InputError(f"--size {self.size}: must be 0 or at least {SMALLEST_SIDE}")
        if not 1 <= self.quality <= 100:
            raise InputError(f"--quality {self.quality}: must be 1 to 100")
        if self.workers < -1:
            raise InputError(f"--workers {self.workers}: must be -1 or more")


def forge_command(command: ForgeCommand) -> None:
    """Run ``focus forge``.

    Raises:
        InputError: no real face, an output folder with other content, or, for swaps, no landmark
            model or a split with only one video.
        CheckFailedError: some faces could not be forged; the output is complete without them.
    """
    quiet = command.runtime.quiet
    faces = _select_real(open_source(command.source, quiet), command, quiet)
    plan = _plan(faces, command)
    _check_apart(plan, command)
    with hold(plan.out):
        _claim(plan, command)
        failures = _forge(plan, faces, command)
    if failures:
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        raise CheckFailedError(
            f"{len(failures)} of {count_of(len(faces), 'face')} left out: {failures[0]}{more}"
        )


def _forge(plan: ForgePlan, faces: FaceIndex, command: ForgeCommand) -> list[str]:
    """Make missing files, and the index; return the faces left out, with the reasons."""
    quiet = command.runtime.quiet
    rows, failures = list[Face](), list[str]()
    results = make_all(plan, command.workers)
    for row, made in enumerate(track(results, len(faces), "forging", "faces", quiet)):
        if made.reason:
            failures.append(f"{faces.keys[row]}: {made.reason}")
        else:
            rows += _describe(plan, row, made, faces[row].extra)
    for failure in failures[:_REPORTED_FAILURES]:
        note(f"  {failure}", quiet)
    if not rows:
        raise InputError(f"{command.source.data}: no face could be forged; {failures[0]}")
    if hasattr(os, "sync"):
        os.sync()  # files must be on disk before the index lists them
    FaceIndex.of(rows, plan.out).write(plan.out / INDEX_NAME)
    methods = Counter(face.method for face in rows if face.label == FAKE)
    counts = ", ".join(f"{count} {method}" for method, count in sorted(methods.items()))
    real = len(rows) - methods.total()
    print(f"{plan.out}: {real} real and {count_of(methods.total(), 'forged face')} ({counts})")
    return failures


def _select_real(index: FaceIndex, command: ForgeCommand, quiet: bool) -> FaceIndex:
    faces = index.take(index.labels != FAKE)
    if len(faces) == 0:
        raise InputError(f"{command.source.data}: contains fakes only; forgeries need real faces")
    if whole := [key for key in faces.keys if key.lower().endswith(VIDEO_SUFFIXES)]:
        raise InputError(
            f"{command.source.data}: has whole videos, such as {whole[0]}; crop their faces with "
            "focus prepare first"
        )
    if len(faces) < len(index):
        skipped = count_of(len(index) - len(faces), "fake")
        note(f"skipping {skipped} of {command.source.data}", quiet)
    return faces


def _plan(faces: FaceIndex, command: ForgeCommand) -> ForgePlan:
    landmarks = find_landmark_weights(command.landmarks)
    if landmarks:
        LandmarkModel(landmarks)
    # Faces of one photograph stay together.
    photographs = (re.sub(r"#[0-9.]+$", "", key) for key in faces.keys)
    videos = [video or key for video, key in zip(faces.column("video"), photographs, strict=True)]
    splits = faces.column("split")
    if not any(splits):
        splits = [assign_split(video) for video in videos]
    if "swap" in command.forgery:
        _check_swaps(command, landmarks, set(zip(splits, videos, strict=True)))
    return ForgePlan(
        faces.root,
        tuple(faces.keys),
        tuple(faces.column("box")),
        tuple(splits),
        tuple(videos),
        tuple(name_faces(faces.keys)),
        command.out,
        command.forgery,
        command.per_face,
        command.size,
        command.quality,
        command.png,
        command.runtime.seed,
        landmarks,
    )


def _check_swaps(
    command: ForgeCommand, landmarks: Path | None, videos: set[tuple[str, str]]
) -> None:
    """Check that swaps are possible; ``videos`` has the pairs (split, video)."""
    if not landmarks:
        raise InputError(
            "--forgery swap needs a landmark model: give an ONNX model of 68 points by "
            f"--landmarks FILE or ${LANDMARKS_VARIABLE}"
        )
    for split, count in sorted(Counter(split for split, _ in videos).items()):
        if count < 2:
            where = f"split {split}" if split else command.source.data
            raise InputError(f"--forgery swap: {where} has only one video; a swap needs two")


def assign_split(video: str) -> str:
    """Return the split of a video by its hash: 70 % train, 10 % val, 20 % test."""
    place = hash_text(f"split {video}") / 2**64
    return "train" if place < _SPLIT_SHARES[0] else "val" if place < _SPLIT_SHARES[1] else "test"


def name_faces(keys: Sequence[str]) -> list[str]:
    """Return a path without suffix for each key, relative to their common folder.

    Characters with a meaning in an index, or not allowed on some systems, become ``_``; names that
    are then equal get six digits of their key's hash.
    """
    plain = [_name_face(key) for key in keys]
    shared = posixpath.commonpath([posixpath.dirname(f"/{name}") for name in plain])
    names = [posixpath.relpath(f"/{name}", shared) for name in plain]
    # Some file systems ignore case.
    times = Counter(name.casefold() for name in names)
    return [
        name if times[name.casefold()] == 1 else f"{name}-{hash_text(key):016x}"[: len(name) + 7]
        for name, key in zip(names, keys, strict=True)
    ]


def _name_face(key: str) -> str:
    file, member, *numbers = split_path(key)
    if member:
        ending = next(end for end in ARCHIVE_SUFFIXES if file.lower().endswith(end))
        file = f"{file[: -len(ending)]}/{member}"
    stem = str(PurePosixPath(file).with_suffix(""))
    name = "-".join([stem, *(str(number) for number in numbers if number is not None)])
    parts = PurePosixPath(re.sub(r"[^\w./ -]", "_", name)).parts
    return "/".join(part for part in parts if part not in ("/", ".."))


def _check_apart(plan: ForgePlan, command: ForgeCommand) -> None:
    """Reject an output folder inside the source folder."""
    source = Path(command.source.data)
    is_corpus = command.source.data in CORPORA.names()
    is_walked = source.is_dir() and not is_corpus and not (source / INDEX_NAME).is_file()
    if is_walked and plan.out.resolve().is_relative_to(source.resolve()):
        raise InputError(
            f"--out {plan.out}: is inside {source}, so the next run would read the forgeries as "
            "photographs; choose a folder elsewhere"
        )


def _claim(plan: ForgePlan, command: ForgeCommand) -> None:
    """Record the command in the output folder; reject a folder with other content."""
    model = hashlib.sha256(plan.landmarks.read_bytes()).hexdigest() if plan.landmarks else ""
    mark = fingerprint(
        {
            "version": FORGING_VERSION,
            "faces": [plan.keys, plan.boxes, plan.splits, plan.videos],
            "command": [
                plan.kinds,
                plan.per_face,
                plan.size,
                plan.quality,
                plan.png,
                plan.seed,
                model,
            ],
        }
    )
    this = {"command": to_json(command), "fingerprint": mark}
    claim(plan.out, plan.out / RECORD, this, compare=["fingerprint"])


def _describe(
    plan: ForgePlan, row: int, made: FaceResult, source_extra: Mapping[str, str]
) -> Iterator[Face]:
    """Yield the rows of the index for a real face and its forgeries."""
    extra = dict(source_extra)
    if split_path(plan.keys[row]).face is not None:
        del extra["box"]  # it applied to the photograph
    split, video, real, region = (
        plan.splits[row],
        plan.videos[row],
        plan.real(row),
        plan.region(row),
    )
    yield Face(real, REAL, split, video=video, region=region, extra=extra)
    for copy, donor in enumerate(made.donors):
        method = plan.choose_method(row, copy)[0]
        paths = plan.fake(row, copy), plan.mask(row, copy)
        donor_column = {"donor": plan.real(donor)} if donor >= 0 else {}
        yield Face(
            paths[0], FAKE, split, method, video, paths[1], real, region, extra | donor_column
        )
