"""Maps as images: one colour scale, overlays, truth outlines and captioned grids.

All images are uint8 RGB (H, W, 3). Maps are float (h, w) in [0, 1], 1 = manipulated, and are never
stretched to their own minimum and maximum, so that low values look low.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from focus.errors import count_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

Image = NDArray[np.uint8]
FaceMap = NDArray[np.float32]
Mask = NDArray[np.bool_]

OPACITY = 0.65
TRUTH_COLOUR = (0, 229, 255)  # cyan: absent from skin and from the colour scale
_CASING = (16, 24, 32)
_QUIET = {"color": "#5b6470", "weight": "normal"}
_WIDE = 8  # columns above which text grows: wide sheets are viewed reduced
_LARGEST = 1.75
_TITLE = 1.3  # size of the title relative to other text
_FONTS = {"bold": "DejaVuSans-Bold.ttf", "normal": "DejaVuSans.ttf"}  # shipped by matplotlib


@functools.cache
def colour_table() -> Image:
    """Return the colour of every map value, uint8 (256, 3) RGB: OpenCV's INFERNO.

    Its lightness grows steadily with the value, so it is readable in grey print and with colour
    blindness.
    """
    values = np.arange(256, dtype=np.uint8).reshape(256, 1)
    coloured = np.asarray(cv2.applyColorMap(values, cv2.COLORMAP_INFERNO), dtype=np.uint8)
    table = np.ascontiguousarray(coloured.reshape(256, 3)[:, ::-1])
    table.flags.writeable = False
    return table


def quantise(face_map: FaceMap) -> NDArray[np.uint8]:
    """Return ``round(255 * map)`` as uint8 of the same shape."""
    return np.rint(np.clip(face_map, 0, 1) * 255).astype(np.uint8)


def resize_map(face_map: FaceMap, size: tuple[int, int]) -> FaceMap:
    """Resize a map (h, w) bilinearly to ``size`` (height, width), half-pixel centres; float32."""
    face_map = np.asarray(face_map, dtype=np.float32)
    resized = cv2.resize(face_map, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.float32)


def resize_image(image: Image, size: tuple[int, int]) -> Image:
    """Resize an image to ``size`` (height, width): by area when shrinking, else bicubically."""
    shrinks = size[0] < image.shape[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (size[1], size[0]), interpolation=method), dtype=np.uint8)


def colour_map(face_map: FaceMap) -> Image:
    """Return a map (h, w) in opaque colours, uint8 (h, w, 3): 0 is black, 1 pale yellow."""
    return colour_table()[quantise(face_map)]


def overlay(face: Image, face_map: FaceMap, opacity: float = OPACITY) -> Image:
    """Lay a map over a face: ``(1 - a) * face + a * colour`` with ``a = opacity * map``.

    Where the map is 0, the face is unchanged.

    Args:
        face: uint8 (H, W, 3).
        face_map: float (h, w) in [0, 1], resized to the face.
        opacity: in [0, 1]; opacity of a map value of 1.
    """
    values = resize_map(face_map, (face.shape[0], face.shape[1]))
    alpha = np.float32(opacity) * np.clip(values, 0, 1)[..., None]
    blend = (1 - alpha) * face + alpha * colour_map(values)
    return np.asarray(np.rint(blend), dtype=np.uint8)


def outline(
    image: Image,
    mask: Mask,
    colour: tuple[int, int, int] = TRUTH_COLOUR,
    thickness: int = 2,
) -> Image:
    """Draw the contour of a mask on a copy of an image.

    Args:
        image: uint8 (H, W, 3).
        mask: bool (h, w), resized to the image; an empty mask draws nothing.
        colour: RGB, with a dark casing so that it is visible on bright areas.
        thickness: thickness of the coloured line, in pixels of the image.
    """
    contours = find_contours(mask, (image.shape[0], image.shape[1]))
    drawn = image.copy()
    cv2.drawContours(drawn, contours, -1, _CASING, thickness + 2, cv2.LINE_AA)
    cv2.drawContours(drawn, contours, -1, colour, thickness, cv2.LINE_AA)
    return drawn


def find_contours(mask: Mask, size: tuple[int, int]) -> list[NDArray[np.int32]]:
    """Return the closed contours of a mask (h, w), with holes, in pixels of ``size``.

    Each is int32 (n, 1, 2) of (x, y). They stay within about one pixel of the mask.
    """
    soft = resize_map(mask.astype(np.float32), size)
    growth = size[0] / mask.shape[0]
    if growth > 1:  # blur by one mask pixel, so that its pixels do not show as steps
        soft = np.asarray(cv2.GaussianBlur(soft, (0, 0), growth), dtype=np.float32)
    area = (soft >= 0.5).astype(np.uint8)
    contours, _ = cv2.findContours(area, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    smooth = (cv2.approxPolyDP(contour, 1, closed=True) for contour in contours)
    return [np.asarray(contour, dtype=np.int32) for contour in smooth]


@dataclass(frozen=True)
class SheetRow:
    """One line of a contact sheet."""

    caption: str
    """Shown left of the images; its first line is bold."""
    images: Sequence[Image | None]
    """One per heading, uint8 (H, W, 3); None leaves the cell empty."""
    notes: Sequence[str] = ()
    """One below each image (empty text: none), or an empty sequence."""


def contact_sheet(
    rows: Sequence[SheetRow],
    headings: Sequence[str],
    title: str = "",
    cell: int = 224,
    colour_bar: bool = True,
) -> Image:
    """Arrange images in a captioned grid on white, for a README or a paper.

    Text grows with the cells, and above 8 columns with their number, up to 1.75 times.

    Args:
        rows: each with one image per heading.
        headings: one above each column, wrapped as needed.
        title: shown at the top, if any.
        cell: side of a cell in pixels; images keep their aspect ratio inside it.
        colour_bar: draw a colour bar below the grid.

    Returns:
        uint8 (H, W, 3), as large as the grid needs.

    Raises:
        ValueError: no rows, or a row whose number of images differs from that of headings.
    """
    if not rows:
        raise ValueError("a contact sheet needs at least one row")
    for row in rows:
        if len(row.images) != len(headings):
            images, names = count_of(len(row.images), "image"), count_of(len(headings), "heading")
            raise ValueError(f"{images} under {names}")
    return _Sheet(rows, headings, title, cell, colour_bar).draw()


class _Sheet:
    """Layout and drawing of a contact sheet: images pasted by pixel, text set by matplotlib."""

    def __init__(
        self,
        rows: Sequence[SheetRow],
        headings: Sequence[str],
        title: str,
        cell: int,
        colour_bar: bool,
    ) -> None:
        self.rows, self.colour_bar = rows, colour_bar
        self.cell, self.margin = cell, round(cell * 0.11)
        # Text size in pixels.
        self.size = cell / 16 * min(max(1, len(headings) / _WIDE), _LARGEST)
        self.gap = round(0.8 * self.size)
        self.line = round(self.size * 1.45)
        self.headings = [self._wrap(heading, cell) for heading in headings]
        self.captions = [self._wrap_caption(row.caption) for row in rows]
        captions = (line for lines in self.captions for line in lines)
        widest = max(self._measure(text, weight=weight) for text, weight in captions)
        self.left = self.margin + (round(widest) + 2 * self.gap if widest else 0)
        self.pitch = cell + self.gap + (self.line if any(any(row.notes) for row in rows) else 0)
        grid = self.left + len(headings) * (cell + self.gap) - self.gap + self.margin
        self.width = max(grid, self._bar_words() + cell // 2 + 2 * self.margin if colour_bar else 0)
        self.title = self._wrap(title, self.width - 2 * self.margin, _TITLE) if title else []
        above = _TITLE * len(self.title) + 0.7 * bool(title)
        self.top = self.margin + round(self.line * (above + max(map(len, self.headings)) + 0.3))
        bottom = self.top + len(rows) * self.pitch - self.gap
        self.height = bottom + (2 * self.line if colour_bar else 0) + self.margin

    def draw(self) -> Image:
        canvas = np.full((self.height, self.width, 3), 255, dtype=np.uint8)
        for number, row in enumerate(self.rows):
            for column, image in enumerate(row.images):
                self._paste(canvas, image, *self._corner(number, column))
        if self.colour_bar:
            top, left, height, width = self._bar()
            ramp = np.tile(np.linspace(0, 1, width, dtype=np.float32), (height, 1))
            canvas[top : top + height, left : left + width] = colour_map(ramp)
        return self._typeset(canvas)

    def _corner(self, row: int, column: int) -> tuple[int, int]:
        """Top and left of a cell."""
        return self.top + row * self.pitch, self.left + column * (self.cell + self.gap)

    def _bar(self) -> tuple[int, int, int, int]:
        """Top, left, height and width of the colour bar."""
        height = max(6, round(self.size * 0.7))
        width = min(self.cell, self.width - 2 * self.margin - self._bar_words())
        right = self.width - self.margin - round(self._measure("manipulated"))
        return self.height - self.margin - height, right - width, height, width

    def _bar_words(self) -> int:
        """Width of the words on both sides of the colour bar."""
        return round(self._measure("untouched") + self._measure("manipulated"))

    def _paste(self, canvas: Image, image: Image | None, top: int, left: int) -> None:
        cell = self.cell
        if image is None:
            canvas[top : top + cell, left : left + cell] = 244
            return
        scale = cell / max(image.shape[:2])
        height, width = (max(1, round(side * scale)) for side in image.shape[:2])
        top, left = top + (cell - height) // 2, left + (cell - width) // 2
        canvas[top : top + height, left : left + width] = resize_image(image, (height, width))

    def _wrap_caption(self, caption: str) -> list[tuple[str, str]]:
        """Return lines of at most half a cell, each with its weight: the first one is bold."""
        first, *others = caption.split("\n")
        lines = [(line, "bold") for line in self._wrap(first, self.cell / 2)]
        for text in others:
            wrapped = self._wrap(text, self.cell / 2, weight="normal")
            lines += [(line, "normal") for line in wrapped]
        return lines

    def _wrap(self, text: str, width: float, scale: float = 1, weight: str = "bold") -> list[str]:
        """Break text into lines of at most ``width`` pixels: at a space or sign, else anywhere."""

        def fits(line: str) -> bool:
            return self._measure(line, scale, weight) <= width

        lines = [""]
        for piece in re.split(r"(?<=[\s_@/:,;+-])", text):
            if lines[-1] and not fits((lines[-1] + piece).rstrip()):
                lines.append("")
            if fits(piece.rstrip()):
                lines[-1] += piece
                continue
            for letter in piece:
                if lines[-1] and not fits(lines[-1] + letter):
                    lines.append("")
                lines[-1] += letter
        return [line.rstrip() for line in lines]

    def _measure(self, text: str, scale: float = 1, weight: str = "bold") -> float:
        """Return the width in pixels of a line at ``scale`` times the text size."""
        return measure(text, weight, scale * self.size)

    def _typeset(self, canvas: Image) -> Image:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        # At 72 dpi, a point is one pixel.
        figure = Figure(figsize=(self.width / 72, self.height / 72), dpi=72)
        agg = FigureCanvasAgg(figure)
        figure.figimage(canvas, 0, 0, origin="upper")
        self._write_headings(figure)
        for number, row in enumerate(self.rows):
            self._write_row(figure, number, row)
        agg.draw()
        return np.ascontiguousarray(np.asarray(agg.buffer_rgba())[..., :3])

    def _write_headings(self, figure: Figure) -> None:
        style: dict[str, Any] = {"va": "top", "fontsize": _TITLE * self.size}
        for place, text in enumerate(self.title):
            top = self.margin + place * _TITLE * self.line
            self._write(figure, self.margin, top, text, **style)
        for column, lines in enumerate(self.headings):
            top, left = self._corner(0, column)
            for place, text in enumerate(reversed(lines)):
                height = top - (0.45 + place) * self.line
                self._write(figure, left + self.cell / 2, height, text, ha="center")
        if self.colour_bar:
            top, left, height, _ = self._bar()
            middle, space = top + height / 2, self.size / 2
            style = {"va": "center_baseline", "ha": "right", **_QUIET}
            self._write(figure, left - space, middle, "untouched", **style)
            self._write(figure, self.width - self.margin, middle, "manipulated", **style)

    def _write_row(self, figure: Figure, number: int, row: SheetRow) -> None:
        top, _ = self._corner(number, 0)
        lines = self.captions[number]
        first = top + self.cell / 2 - (len(lines) - 1) * self.line / 2
        for place, (text, weight) in enumerate(lines):
            style = _QUIET if weight == "normal" else {}
            height = first + place * self.line
            self._write(figure, self.margin, height, text, va="center_baseline", **style)
        for column, text in enumerate(row.notes):
            _, left = self._corner(number, column)
            below = top + self.cell + 0.95 * self.line
            self._write(figure, left + self.cell / 2, below, text, ha="center", **_QUIET)

    def _write(self, figure: Figure, x: float, y: float, text: str, **style: Any) -> None:
        """Write one line at x, y pixels from the top left corner; default: bold."""
        style = {"fontsize": self.size, "color": "#14181d", "weight": "bold", **style}
        font = _font(style.pop("weight"), style.pop("fontsize"))
        # A key may hold dollar signs, which must not start a formula.
        place = (x / self.width, 1 - y / self.height)
        figure.text(*place, text, parse_math=False, fontproperties=font, **style)


def _font(weight: str, size: float) -> FontProperties:
    """Return the font of all text from matplotlib's own file: the same on every machine."""
    from matplotlib import get_data_path
    from matplotlib.font_manager import FontProperties

    return FontProperties(fname=Path(get_data_path(), "fonts", "ttf", _FONTS[weight]), size=size)


@functools.lru_cache(4096)
def measure(text: str, weight: str, size: float) -> float:
    """Return the width of a line in pixels, as ``contact_sheet`` writes it."""
    from matplotlib.backends.backend_agg import RendererAgg

    font = _font(weight, size)
    width, _, _ = RendererAgg(1, 1, 72).get_text_width_height_descent(text, font, ismath=False)
    return float(width)
