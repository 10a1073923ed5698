"""Track faces through a clip, and give the boxes of each track one size."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from focus.data.cropping import Box, FaceBox
from focus.data.face_detection import enlarge

REACH = 2.0
LEAST_OVERLAP = 0.1


def follow(frames: Sequence[Sequence[FaceBox]]) -> list[list[int]]:
    """Return the track number of each face of each frame.

    Frames may be a second apart, so boxes are compared at twice their size: a face continues the
    track whose last box it overlaps by an intersection over union of at least 0.1, best pairs
    first; no two faces of a frame share a track. This tolerates a shift of one and a half box sides
    and frames without the face. A face that moved further starts a new track; only positions are
    compared.

    Returns:
        A number for each face, from 0 in order of appearance.
    """
    last: dict[int, FaceBox] = {}
    tracks = []
    for faces in frames:
        pairs = sorted(
            (
                (_overlap(face, box), -track, -place)
                for place, face in enumerate(faces)
                for track, box in last.items()
            ),
            reverse=True,
        )
        numbers: dict[int, int] = {}
        for overlap, track, place in pairs:
            if (
                overlap >= LEAST_OVERLAP
                and -place not in numbers
                and -track not in numbers.values()
            ):
                numbers[-place] = -track
        fresh = (number for number in range(len(last), len(last) + len(faces)))
        for place, face in enumerate(faces):
            if place not in numbers:
                numbers[place] = next(fresh)
            last[numbers[place]] = face
        tracks.append([numbers[place] for place in range(len(faces))])
    return tracks


def steady_boxes(
    frames: Sequence[Sequence[FaceBox]], tracks: Sequence[Sequence[int]], factor: float
) -> list[list[Box]]:
    """Return the squares to cut: around the centre of each face, of one size per track.

    The side is ``factor`` times the median, over the track, of the longer sides of its boxes, since
    the size of detected boxes fluctuates between frames.
    """
    sides: dict[int, list[float]] = {}
    for faces, numbers in zip(frames, tracks, strict=True):
        for face, track in zip(faces, numbers, strict=True):
            sides.setdefault(track, []).append(max(face.right - face.left, face.bottom - face.top))
    usual = {track: median(values) for track, values in sides.items()}
    return [
        [
            enlarge(_square(face, usual[track]), factor)
            for face, track in zip(faces, numbers, strict=True)
        ]
        for faces, numbers in zip(frames, tracks, strict=True)
    ]


def _square(face: FaceBox, side: float) -> tuple[float, float, float, float]:
    x, y = (face.left + face.right) / 2, (face.top + face.bottom) / 2
    return x - side / 2, y - side / 2, x + side / 2, y + side / 2


def _grow(face: FaceBox) -> tuple[float, float, float, float]:
    x, y = (face.left + face.right) / 2, (face.top + face.bottom) / 2
    width, height = REACH * (face.right - face.left), REACH * (face.bottom - face.top)
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _overlap(a: FaceBox, b: FaceBox) -> float:
    """Return the intersection over union of two boxes at twice their size."""
    one, other = _grow(a), _grow(b)
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    both = max(width, 0.0) * max(height, 0.0)
    union = REACH**2 * (a.area + b.area) - both
    return both / union if union > 0 else 0.0
