"""NAME.focus.png: the photograph, and beside it its maps, outlines, numbers and verdicts."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from focus.data.cropping import Box
from focus.errors import count_of
from focus.model.results import Face, Result, draw_maps, summarise
from focus.model.verdicts import NO_FACE, NO_SIGN, SIGNS, UNSURE
from focus.view.overlay import colour_map

PAINTS = {SIGNS: (255, 122, 89), UNSURE: (245, 200, 75), NO_SIGN: (126, 214, 165)}
"""Colour of each verdict on photographs: light, with a dark casing."""
_LARGEST, _NARROWEST = 1200, 420  # pixels of one panel
_INK, _QUIET, _DARK = (20, 24, 29), (91, 100, 112), (16, 24, 32)
_GAP = 20


def fit(size: tuple[int, int], largest: int = _LARGEST, least: int = 1) -> tuple[int, int]:
    """Return height and width scaled to ``largest`` at most and, if tiny, ``least`` wide."""
    longer = max(size)
    scale = largest / longer if longer > largest else max(1.0, min(least, largest) / longer)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


@functools.lru_cache(16)
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return matplotlib's own font: the same on every machine."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    package = find_spec("matplotlib")  # imports nothing: that takes most of a second
    assert package is not None
    assert package.origin is not None
    home = Path(package.origin).parent / "mpl-data" / "fonts" / "ttf"
    return ImageFont.truetype(home / name, size)


def shrink_result(result: Result, size: tuple[int, int]) -> Result:
    """Return a result on the image resized to (height, width), its boxes scaled alike."""
    height, width = result.image.shape[:2]
    if (height, width) == size:
        return result
    method = cv2.INTER_AREA if size[0] < height else cv2.INTER_CUBIC
    image = cv2.resize(result.image, (size[1], size[0]), interpolation=method)
    faces = tuple(scale_face(face, size[1] / width) for face in result.faces)
    return Result(np.asarray(image), faces, result.source)


def scale_face(face: Face, scale: float) -> Face:
    """Return a face whose box is that of the image scaled by ``scale``."""
    left, top, right, bottom = (round(side * scale) for side in face.box)
    box = (left, top, max(right, left + 1), max(bottom, top + 1))
    return replace(face, box=box)


def draw_boxes(
    image: Image.Image, faces: Sequence[Face], numbers: Sequence[int] | None = None
) -> None:
    """Draw the square of each face in the colour of its verdict, and its number, onto an image.

    Args:
        image: drawn on.
        faces: their boxes are in its pixels.
        numbers: of the faces; None: 1, 2, ..., or none for a single face.
    """
    pen = ImageDraw.Draw(image)
    line = max(2, round(max(image.size) / 450))
    text = font(max(13, round(max(image.size) / 48)), bold=True)
    named = numbers if numbers is not None else range(1, len(faces) + 1)
    for number, face in zip(named, faces, strict=True):
        box, paint = clip_box(face.box, image.size), PAINTS[face.verdict]
        pen.rectangle(box, outline=_DARK, width=line + 2)
        inner = (box[0] + 1, box[1] + 1, max(box[2] - 1, box[0] + 1), max(box[3] - 1, box[1] + 1))
        pen.rectangle(inner, outline=paint, width=line)
        if numbers is not None or len(faces) > 1:
            label = f" {number} "
            place = pen.textbbox((box[0], box[1]), label, font=text)
            pen.rectangle((*place[:2], place[2], place[3] + line), fill=paint)
            pen.text((box[0], box[1]), label, fill=_DARK, font=text)


def clip_box(box: Box, size: tuple[int, int]) -> Box:
    """Return the part of a box inside an image of (width, height); the last pixel included."""
    width, height = size
    left, top = min(max(box[0], 0), width - 1), min(max(box[1], 0), height - 1)
    return left, top, max(min(box[2], width) - 1, left), max(min(box[3], height) - 1, top)


def draw_image(result: Result, title: str) -> Image.Image:
    """Return both panels with a caption: the untouched photograph, and the marked one.

    Args:
        result: of one photograph.
        title: its name, and the model's.
    """
    result = shrink_result(result, fit(result.image.shape[:2], least=_NARROWEST))
    marked = Image.fromarray(draw_maps(result.image, result.faces))
    draw_boxes(marked, result.faces)
    height, width = result.image.shape[:2]
    stacked = width > 1.6 * height
    size = max(14, round((width if stacked else 2 * width) / 75))
    lines = [(title, True), *((line, False) for line in _describe(result))]
    across = width if stacked else 2 * width + _GAP
    pieces = [(part, bold) for text, bold in lines for part in _wrap(text, size, across)]
    step = round(1.45 * size)
    panels = 2 * height + _GAP if stacked else height
    canvas = Image.new(
        "RGB",
        (across + 2 * _GAP, panels + step * (len(pieces) + 2) + 3 * _GAP),
        (255, 255, 255),
    )
    canvas.paste(Image.fromarray(result.image), (_GAP, _GAP))
    second = (_GAP, height + 2 * _GAP) if stacked else (width + 2 * _GAP, _GAP)
    canvas.paste(marked, second)
    pen, y = ImageDraw.Draw(canvas), panels + 2 * _GAP
    for text, bold in pieces:
        pen.text((_GAP, y), text, fill=_INK, font=font(size, bold))
        y += step
    _draw_scale(canvas, (_GAP, y + step // 2), size)
    return canvas


def _describe(result: Result) -> list[str]:
    if not result.faces:
        return [f"{NO_FACE}: nothing was examined"]
    lines = [summarise(face) for face in result.faces[:12]]
    if len(result.faces) > 1:
        lines = [f"face {number}: {line}" for number, line in enumerate(lines, 1)]
    more = len(result.faces) - len(lines)
    return lines + ([f"and {count_of(more, 'more face')}"] if more else [])


def _wrap(text: str, size: int, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font(size, True).getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _draw_scale(canvas: Image.Image, corner: tuple[int, int], size: int) -> None:
    """Draw the colour scale of the map in one line."""
    x, y = corner
    pen, text = ImageDraw.Draw(canvas), font(size)
    for word in ("map: 0 (untouched)", None, "1 (manipulated)"):
        if word is None:
            ramp = np.tile(np.linspace(0, 1, 8 * size, dtype=np.float32), (size, 1))
            canvas.paste(Image.fromarray(colour_map(ramp)), (x, y + size // 8))
            x += 8 * size + size // 2
        else:
            pen.text((x, y), word, fill=_QUIET, font=text)
            x += round(text.getlength(word)) + size // 2
