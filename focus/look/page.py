"""The HTML page of ``focus look``: one file, offline, with every photograph and clip.

A map is an image whose opacity is its value, above the untouched photograph, so that the slider
only changes the opacity of that layer.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment

from focus.data.cropping import paste
from focus.data.videos import clock
from focus.errors import count_of, printable
from focus.files import replace_file
from focus.look.clip import LINES
from focus.look.drawing import clip_box, fit, shrink_result
from focus.model.clips import ClipResult, Track
from focus.model.results import Face, Result
from focus.model.verdicts import NO_FACE, NO_SIGN, SIGNS, UNSURE
from focus.released.contents import Calibration, ReleasedModel
from focus.view.overlay import (
    OPACITY,
    colour_map,
    find_contours,
    quantise,
    resize_image,
    resize_map,
)

_STYLES = {SIGNS: "signs", UNSURE: "unsure", NO_SIGN: "none", NO_FACE: "empty"}
_SIDES = ((20, 1280), (100, 800))  # (number of images at most, side in pixels)
_SMALLEST_SIDE = 480
_CROP, _STRIP = 224, 160
_STRIP_FRAMES = 6
EMBEDDED = 12_000_000
"""Largest marked clip inside a page, in bytes."""


@dataclass
class Page:
    """Collects results as encoded text, and writes them as one page.

    Args:
        model: record of the model.
        count: number of files, on which the size of the images depends.
    """

    model: ReleasedModel
    count: int
    items: list[dict[str, Any]] = field(default_factory=list)

    @property
    def side(self) -> int:
        """Longer side of an image in pixels."""
        return next((side for most, side in _SIDES if self.count <= most), _SMALLEST_SIDE)

    @property
    def verdicts(self) -> list[str]:
        """The verdict on each face of a photograph, and on each clip with a face."""
        found = [face["verdict"] for item in self.items for face in item["faces"]]
        return found + [item["verdict"] for item in self.items if item.get("tracks")]

    def add_photo(self, name: str, result: Result) -> None:
        """Add a photograph and its faces."""
        small = shrink_result(result, fit(result.image.shape[:2], self.side))
        height, width = small.image.shape[:2]
        squares = [
            {**_square(face, (height, width)), "style": _STYLES[face.verdict], "number": number}
            for number, face in enumerate(small.faces, 1)
        ]
        self.items.append(
            {
                "name": printable(name),
                "verdict": result.verdict,
                "style": _STYLES[result.verdict],
                "size": f"{result.image.shape[1]} x {result.image.shape[0]} pixels",
                "image": _jpeg(small.image),
                "layer": _layer(small),
                "height": height,
                "width": width,
                "squares": squares,
                "faces": [
                    self._describe(face, number, result.image)
                    for number, face in enumerate(result.faces, 1)
                ],
            }
        )

    def add_clip(self, name: str, result: ClipResult, film: Path | None, plays: bool) -> None:
        """Add a clip: its film, its curves, and frames of each face.

        Args:
            name: of the clip.
            result: its result.
            film: the marked clip; it is embedded if browsers play it and it is small, else linked.
                None: no marked clip.
            plays: whether browsers play it.
        """
        leading = result.leading
        embedded = film is not None and plays and film.stat().st_size <= EMBEDDED
        self.items.append(
            {
                "name": printable(name),
                "verdict": result.verdict,
                "style": _STYLES[result.verdict],
                "reason": result.reason,
                "score": None if leading is None else f"{leading.score:.2f}",
                "size": f"{count_of(result.frames, 'frame')}, {result.frames / result.rate:.1f} s"
                + (f", one in {result.every} examined" if result.every > 1 else ""),
                "film": _data_url("video/mp4", film.read_bytes()) if film and embedded else "",
                "file": film.name if film else "",
                "plot": _plot(result, self.model.calibration),
                "tracks": [self._describe_track(track, result) for track in result.tracks[:12]],
                "faces": [],
            }
        )

    def add_failure(self, name: str, reason: str) -> None:
        """Add a file that cannot be read."""
        self.items.append({"name": printable(name), "verdict": "cannot be read", "style": "empty"})
        self.items[-1] |= {"reason": printable(reason), "faces": []}

    def write(self, path: Path) -> None:
        """Write the page.

        Raises:
            InputError: it cannot be written.
        """
        text = self.render()
        with replace_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def render(self) -> str:
        """Return the page as HTML."""
        home = files("focus.look")
        environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
        template = environment.from_string(home.joinpath("page.html").read_text("utf-8"))
        counts = {
            verdict: sum(item["verdict"] == verdict for item in self.items) for verdict in _STYLES
        }
        return template.render(
            items=self.items,
            model=self.model,
            counts={name: count for name, count in counts.items() if count},
            styles=_STYLES,
            opacity=round(100 * OPACITY),
            css=home.joinpath("page.css").read_text("utf-8"),
        )

    def _describe(self, face: Face, number: int, image: np.ndarray) -> dict[str, Any]:
        left, top, right, bottom = clip_box(face.box, (image.shape[1], image.shape[0]))
        inside = (slice(top, bottom + 1), slice(left, right + 1))
        height, width = fit((bottom - top + 1, right - left + 1), _CROP, _CROP)
        part = resize_image(image[inside], (height, width))
        values = resize_map(paste(face.map, face.box, image.shape[:2])[inside], (height, width))
        return {
            "number": number,
            "verdict": face.verdict,
            "style": _STYLES[face.verdict],
            "score": f"{face.score:.2f}",
            "percent": round(100 * face.score, 1),
            "reason": face.reason,
            "place": face.place if face.verdict == SIGNS else "",
            "where": f"{right - left + 1} x {bottom - top + 1} pixels at {left}, {top}",
            "height": height,
            "width": width,
            "image": _jpeg(part),
            "layer": _png(_coloured(values)),
            "outline": "" if face.verdict == NO_SIGN else _to_path(values >= face.mark),
        }

    def _describe_track(self, track: Track, result: ClipResult) -> dict[str, Any]:
        first, last = track.sightings[0].frame, track.sightings[-1].frame
        cut = [each for each in track.sightings if each.crop is not None]
        places = np.linspace(0, max(len(cut) - 1, 0), min(_STRIP_FRAMES, len(cut)))
        chosen = [cut[place] for place in dict.fromkeys(places.round().astype(int).tolist())]
        return {
            "number": track.number + 1,
            "verdict": track.verdict,
            "style": _STYLES[track.verdict],
            "score": f"{track.score:.2f}",
            "percent": round(100 * track.score, 1),
            "reason": track.reason + (" (too brief to count)" if track.is_brief else ""),
            "where": f"{clock(first, result.rate)} to {clock(last, result.rate)}",
            "frames": [
                {
                    "time": clock(each.frame, result.rate),
                    "frame": each.frame,
                    "layer": _png(_coloured(resize_map(each.face.map, (_STRIP, _STRIP)))),
                    "image": _jpeg(each.crop),
                    "score": f"{each.face.score:.2f}",
                }
                for each in chosen
            ],
        }


def _square(face: Face, size: tuple[int, int]) -> dict[str, Any]:
    """Return the position of a square in percent of the image, and its outline."""
    height, width = size
    left, top = max(face.box[0], 0), max(face.box[1], 0)
    right, bottom = min(face.box[2], width), min(face.box[3], height)
    return {
        "left": 100 * left / width,
        "top": 100 * top / height,
        "width": 100 * max(right - left, 0) / width,
        "height": 100 * max(bottom - top, 0) / height,
        "path": _image_outline(face, size),
    }


def _image_outline(face: Face, size: tuple[int, int]) -> str:
    if face.verdict == NO_SIGN:
        return ""
    return _to_path(paste(face.map, face.box, size) >= face.mark)


def _to_path(mask: np.ndarray) -> str:
    contours = find_contours(mask, (mask.shape[0], mask.shape[1]))
    lines = (" ".join(f"{x},{y}" for x, y in contour[:, 0].tolist()) for contour in contours)
    return "".join(f"M{line}Z" for line in lines)


def _layer(result: Result) -> str:
    return _png(_coloured(result.map))


def _coloured(values: np.ndarray) -> np.ndarray:
    """Return a map as RGBA, its value as opacity."""
    return np.dstack([colour_map(values), quantise(values)])


def _plot(result: ClipResult, calibration: Calibration | None) -> dict[str, Any]:
    """Return the curves in units of a plot of 1000 x 200."""
    last = max(result.frames - 1, 1)
    curves = [
        {
            "number": track.number + 1,
            "colour": "#{:02x}{:02x}{:02x}".format(*LINES[place % len(LINES)]),
            "points": " ".join(
                f"{1000 * each.frame / last:.1f},{200 - 200 * each.face.score:.1f}"
                for each in track.sightings
            ),
        }
        for place, track in enumerate(result.tracks[:8])
    ]
    bounds = [] if calibration is None else [calibration.low, calibration.high]
    ranges = []
    for track in result.tracks[:8]:
        scores = [each.face.score for each in track.sightings]
        ranges.append(f"face {track.number + 1} from {min(scores):.2f} to {max(scores):.2f}")
    return {
        "label": f"P(fake) over time: {', '.join(ranges) or 'no face'}",
        "curves": curves,
        "bounds": [{"y": 200 - 200 * value, "value": f"{value:.2f}"} for value in bounds],
        "end": clock(result.frames - 1, result.rate),
    }


def _jpeg(image: np.ndarray, quality: int = 88) -> str:
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality]
    code = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), flags)[1]
    return _data_url("image/jpeg", code.tobytes())


def _png(image: np.ndarray) -> str:
    code = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGBA2BGRA))[1]
    return _data_url("image/png", code.tobytes())


def _data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
