"""A model on a video: faces followed over time, one verdict for each and one for the clip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from focus.data.cropping import FaceBox, crop
from focus.data.prepare.tracks import follow
from focus.data.videos import FrameReader
from focus.errors import InputError, UnreadableError, count_of
from focus.model.results import Face, Result
from focus.model.verdicts import NO_FACE, UNSURE, combine, find_obstacle, judge_score
from focus.released.contents import ReleasedModel, logits_of

_RATE = 8.0  # frames examined per second
_MOST_FRAMES = 1000
_FEWEST = 3
_BRIEF = 0.1  # tracks with a smaller share of the longest one's frames do not count
_USABLE = 0.2
_DETECTED = 480  # pixels of a frame for the face detector
_CROPS, _CROP = 24, 160  # crops kept of a track, and their side


class Examiner(Protocol):
    """A model of single frames: :class:`focus.model.faces.FaceModel`."""

    record: ReleasedModel

    def find_faces(self, image: np.ndarray) -> list[FaceBox] | None:
        """Return the faces of an image; None: the whole image is one."""

    def examine(self, image: np.ndarray, faces: Sequence[FaceBox] | None) -> Result:
        """Return scores, verdicts and maps of known faces."""


@dataclass(frozen=True, eq=False)
class Sighting:
    """A face in one frame."""

    frame: int
    face: Face
    crop: np.ndarray | None = None
    """uint8 (160, 160, 3), RGB, of one in several sightings; None for the others."""


@dataclass(frozen=True, eq=False)
class Track:
    """One face over time.

    Attributes:
        number: from 0, in order of appearance.
        sightings: in order of time.
        score: P(fake) of the mean log-odds over the frames that can be judged (over all frames, if
            none can).
        verdict: on the whole track, by the model's thresholds.
        reason: why nothing can be said; empty for the other verdicts.
        is_brief: too short to count for the clip.
    """

    number: int
    sightings: tuple[Sighting, ...]
    score: float
    verdict: str
    reason: str
    is_brief: bool = False


@dataclass(frozen=True, eq=False)
class ClipResult:
    """The faces that a model found in a video.

    Attributes:
        source: the file.
        frames: number of frames.
        rate: frames per second.
        every: the interval between examined frames.
        size: height and width of a frame.
        tracks: the longest first.
    """

    source: str
    frames: int
    rate: float
    every: int
    size: tuple[int, int]
    tracks: tuple[Track, ...]

    @property
    def verdict(self) -> str:
        """The gravest verdict of the faces that are seen long enough."""
        return combine(track.verdict for track in self.tracks if not track.is_brief)

    @property
    def leading(self) -> Track | None:
        """The track behind the verdict; None without a face."""
        known = [track for track in self.tracks if track.verdict == self.verdict]
        return known[0] if known else None

    @property
    def reason(self) -> str:
        """Why nothing can be said; empty for the other verdicts."""
        return self.leading.reason if self.leading and self.verdict != NO_FACE else ""

    def __repr__(self) -> str:
        faces = count_of(len(self.tracks), "face")
        return f"ClipResult({self.source}: {self.verdict}, {faces}, {self.frames} frames)"


def watch(
    model: Examiner, path: Path, every: int, progress: Callable[[int, int], None] | None
) -> ClipResult:
    """Examine a video; see :meth:`focus.model.faces.FaceModel.watch`."""
    if every < 0:
        raise InputError(f"every {every}: must be at least 1, or 0 for the default")
    try:
        reader = FrameReader(path)
        frames = reader.frames
        every = every or max(round(reader.rate / _RATE), -(-frames // _MOST_FRAMES), 1)
        seen: list[tuple[int, Sequence[tuple[Face, np.ndarray | None]]]] = []
        kept = -(-frames // (every * _CROPS))
        size = (1, 1)
        for frame, image, boxes in _detect(model, reader, range(0, frames, every)):
            size = (image.shape[0], image.shape[1])
            result = model.examine(image, boxes)
            keeps = frame // every % kept == 0
            crops = [_cut(image, face) if keeps else None for face in result.faces]
            seen.append((frame, list(zip(result.faces, crops, strict=True))))
            if progress is not None:
                progress(min(frame + every, frames), frames)
    except UnreadableError as error:
        raise InputError(f"{path}: {error}") from None
    tracks = _judge_tracks(model, seen)
    return ClipResult(str(path), frames, reader.rate, every, size, tracks)


def _detect(
    model: Examiner, reader: FrameReader, frames: range
) -> Iterator[tuple[int, np.ndarray, list[FaceBox] | None]]:
    """Yield frames with their faces; a thread decodes and detects one frame ahead.

    Detector and network have one core each.
    """

    def find(frame: int) -> tuple[int, np.ndarray, list[FaceBox] | None]:
        image = reader.read(frame)
        return frame, image, _find_faces(model, image)

    with single_threads(), ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(find, frames[0]) if frames else None
        for frame in (*frames[1:], -1):
            if ahead is None:
                return
            found = ahead.result()
            ahead = pool.submit(find, frame) if frame >= 0 else None
            yield found


def _find_faces(model: Examiner, image: np.ndarray) -> list[FaceBox] | None:
    """Detect faces in a frame reduced to 480 pixels: twice as fast as in a photograph."""
    scale = _DETECTED / max(image.shape[:2])
    if scale >= 1:
        return model.find_faces(image)
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    faces = model.find_faces(np.asarray(small, np.uint8))
    if faces is None:
        return None
    return [
        FaceBox(
            face.left / scale,
            face.top / scale,
            face.right / scale,
            face.bottom / scale,
            face.score,
            None if face.points is None else face.points / scale,
        )
        for face in faces
    ]


@contextmanager
def single_threads() -> Iterator[None]:
    """Let torch and OpenCV use one core each.

    A small network gains little from two for a single face, and loses tenfold where another
    process is busy: 0.04 s a face, or 0.5 s (two MobileNetV2 of half width, 224 pixels).
    """
    import torch

    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def _judge_tracks(
    model: Examiner, seen: Sequence[tuple[int, Sequence[tuple[Face, np.ndarray | None]]]]
) -> tuple[Track, ...]:
    boxes = [[face.detection or _whole(face) for face, _ in faces] for _, faces in seen]
    groups: dict[int, list[Sighting]] = {}
    for (frame, faces), numbers in zip(seen, follow(boxes), strict=True):
        for (face, part), number in zip(faces, numbers, strict=True):
            groups.setdefault(number, []).append(Sighting(frame, face, part))
    longest = max(map(len, groups.values()), default=0)
    tracks = [
        _judge_track(model, number, sightings, len(sightings) < _BRIEF * longest)
        for number, sightings in groups.items()
    ]
    return tuple(sorted(tracks, key=lambda track: (-len(track.sightings), track.number)))


def _judge_track(
    model: Examiner, number: int, sightings: Sequence[Sighting], is_brief: bool
) -> Track:
    calibration, limits = model.record.calibration, model.record.limits
    faces = [sighting.face for sighting in sightings]
    obstacles = [find_obstacle(face.quality, face.distance, limits) for face in faces]
    usable = [face for face, obstacle in zip(faces, obstacles, strict=True) if not obstacle]
    scores = np.array([face.score for face in usable or faces])
    score = float(1 / (1 + np.exp(-logits_of(scores).mean())))
    verdict, reason = judge_score(score, calibration, "mean score")
    if len(usable) < max(min(_FEWEST, len(faces)), _USABLE * len(faces)):
        common = Counter(filter(None, obstacles)).most_common(1)[0][0]
        blind = len(faces) - len(usable)
        verdict = UNSURE
        reason = f"in {blind} of {count_of(len(faces), 'frame')}: {common}"
    return Track(number, tuple(sightings), score, verdict, reason, is_brief)


def _cut(image: np.ndarray, face: Face) -> np.ndarray:
    part = crop(image, face.box)
    return np.asarray(cv2.resize(part, (_CROP, _CROP), interpolation=cv2.INTER_AREA))


def _whole(face: Face) -> FaceBox:
    left, top, right, bottom = face.box
    return FaceBox(left, top, right, bottom, 1.0)
