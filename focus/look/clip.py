"""NAME.focus.mp4: the clip with its maps over the faces, and the score over time below it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw

from focus.data.videos import FrameReader, clock, silence_opencv
from focus.errors import InputError, UnreadableError
from focus.files import replace_file
from focus.look.drawing import PAINTS, draw_boxes, fit, font, scale_face
from focus.model.clips import ClipResult, Sighting, Track
from focus.model.results import Face, draw_maps
from focus.released.contents import Calibration
from focus.view.overlay import resize_image

LARGEST = 960
"""Longer side of a frame, in pixels."""
_PLOT, _HEAD = 148, 42  # pixels of height, of which the lines of text take
_GROUND, _INK, _FAINT = (25, 29, 34), (233, 236, 239), (88, 97, 107)
LINES = ((134, 173, 255), (255, 181, 163), (143, 224, 183), (245, 200, 75))
"""Colours of the curves, in the order of the tracks."""


def write_clip(
    result: ClipResult,
    out: Path,
    calibration: Calibration | None,
    progress: Callable[[int, int], None] | None = None,
) -> bool:
    """Write the marked clip.

    H.264 if PyAV (``pip install 'focus-forgery[video]'``) or OpenCV can write it, which browsers
    play; else MPEG-4, for a video player.

    Args:
        result: of the clip.
        out: the file, ending in .mp4.
        calibration: thresholds to draw; None: none.
        progress: called with the number of frames written and of all.

    Returns:
        Whether browsers play it.

    Raises:
        InputError: the clip cannot be read again, or the file cannot be written.
    """
    height, width = (side // 2 * 2 for side in fit(result.size, LARGEST, 320))
    strip = draw_plot(result, width, calibration)
    boxes = [_Path(track) for track in result.tracks]
    try:
        reader = FrameReader(Path(result.source))
        with (
            replace_file(out) as temporary,
            _writer(temporary, result.rate, (height + _PLOT, width)) as (write, plays),
        ):
            for frame in range(result.frames):
                image = resize_image(reader.read(frame), (height, width))
                write(np.vstack([_mark(image, result, boxes, frame), _point(strip, frame, result)]))
                if progress is not None:
                    progress(frame + 1, result.frames)
    except UnreadableError as error:
        raise InputError(f"{result.source}: {error}") from None
    return plays


class _Path:
    """A track's face at any frame: the nearest sighting, its box interpolated."""

    def __init__(self, track: Track) -> None:
        self.track = track
        self.frames = [sighting.frame for sighting in track.sightings]

    def at(self, frame: int, reach: int) -> Face | None:
        """Return the face; None further than ``reach`` frames from a sighting."""
        place = int(np.searchsorted(self.frames, frame, side="right")) - 1
        before = self.track.sightings[max(place, 0)]
        after = self.track.sightings[min(place + 1, len(self.frames) - 1)]
        if place < 0 or after.frame - before.frame > 3 * reach:
            after = before = min((before, after), key=lambda each: abs(each.frame - frame))
        nearest = min((before, after), key=lambda each: abs(each.frame - frame))
        if abs(nearest.frame - frame) > reach:
            return None
        return replace(nearest.face, box=_between(before, after, frame), verdict=self.track.verdict)


def _between(before: Sighting, after: Sighting, frame: int) -> tuple[int, int, int, int]:
    if after.frame == before.frame:
        return before.face.box
    share = min(max((frame - before.frame) / (after.frame - before.frame), 0.0), 1.0)
    ends = np.array([before.face.box, after.face.box], np.float64)
    left, top, right, bottom = np.rint((1 - share) * ends[0] + share * ends[1]).astype(int).tolist()
    return left, top, right, bottom


def _mark(image: np.ndarray, result: ClipResult, paths: Sequence[_Path], frame: int) -> np.ndarray:
    """Return a frame with the maps, squares and numbers of the faces in it."""
    scale = image.shape[1] / result.size[1]
    known = [path.at(frame, 2 * result.every) for path in paths]
    present = [(path.track, face) for path, face in zip(paths, known, strict=True) if face]
    faces = tuple(scale_face(face, scale) for _, face in present)
    canvas = Image.fromarray(draw_maps(image, faces))
    draw_boxes(canvas, faces, [track.number + 1 for track, _ in present])
    return np.asarray(canvas)


def draw_plot(result: ClipResult, width: int, calibration: Calibration | None) -> np.ndarray:
    """Return the curves of P(fake) over time, uint8 (148, width, 3)."""
    canvas = Image.new("RGB", (width, _PLOT), _GROUND)
    pen, text = ImageDraw.Draw(canvas), font(12)
    top, bottom = _HEAD, _PLOT - 8
    if calibration is not None:
        for value in {calibration.low, calibration.high}:
            y = bottom - value * (bottom - top)
            pen.line((0, y, width, y), fill=_FAINT, width=1)
    leading = result.leading
    paint = PAINTS.get(result.verdict, _INK)
    title = f"{result.verdict}" + (f", P(fake) {leading.score:.2f}" if leading else "")
    pen.text((8, 5), title, fill=paint, font=font(13, bold=True))
    pen.text((width - 8, 23), "P(fake), 0 to 1", fill=_INK, font=text, anchor="ra")
    for number, track in enumerate(result.tracks[:8]):
        points = [
            (
                each.frame / max(result.frames - 1, 1) * (width - 1),
                bottom - each.face.score * (bottom - top),
            )
            for each in track.sightings
        ]
        colour = LINES[number % len(LINES)]
        if len(points) > 1:
            pen.line(points, fill=colour, width=2, joint="curve")
        for x, y in points if len(points) < 3 else ():
            pen.ellipse((x - 2, y - 2, x + 2, y + 2), fill=colour)
    return np.asarray(canvas)


def _point(strip: np.ndarray, frame: int, result: ClipResult) -> np.ndarray:
    """Return the plot with a line at a frame, its time and number."""
    x = round(frame / max(result.frames - 1, 1) * (strip.shape[1] - 1))
    marked = strip.copy()
    marked[_HEAD - 2 :, max(x - 1, 0) : x + 1] = _INK
    canvas = Image.fromarray(marked)
    text = f"{clock(frame, result.rate)}, frame {frame}"
    ImageDraw.Draw(canvas).text((8, 23), text, fill=_INK, font=font(12))
    return np.asarray(canvas)


@contextmanager
def _writer(
    path: Path, rate: float, size: tuple[int, int]
) -> Iterator[tuple[Callable[[np.ndarray], None], bool]]:
    """Yield a function that appends a frame (RGB), and whether browsers play the file."""
    try:
        import av
    except ImportError:
        av = None  # type: ignore[assignment]
    if av is not None and "libx264" in av.codecs_available:
        with _pyav_writer(av, path, rate, size) as write:
            yield write, True
        return
    with silence_opencv():
        plays, video = True, None
        for code in ("avc1", "mp4v"):
            fourcc = cv2.VideoWriter.fourcc(*code)
            video = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, fourcc, rate, size[::-1])
            if video.isOpened():
                break
            plays = False
    if video is None or not video.isOpened():
        raise InputError(f"{path.name}: this OpenCV cannot write videos")

    def append(frame: np.ndarray) -> None:
        video.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    try:
        yield append, plays
    finally:
        video.release()


@contextmanager
def _pyav_writer(
    av: Any, path: Path, rate: float, size: tuple[int, int]
) -> Iterator[Callable[[np.ndarray], None]]:
    from fractions import Fraction

    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1001))
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "23"}

        def write(frame: np.ndarray) -> None:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))

        yield write
        container.mux(stream.encode())
