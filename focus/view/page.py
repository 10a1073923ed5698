"""The HTML gallery: one offline page, or a page with a folder of images.

Maps are stored as numbers on their own grid and coloured in the browser, so that its sliders act
at once. Above ``SINGLE_FILE_IMAGES`` images (of faces and their modalities), images and maps are
in a folder next to the page, which loads them as needed; by script tags, because browsers forbid
fetching from a local disk.
"""

from __future__ import annotations

import base64
import html
import json
import math
import re
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np

from focus.errors import printable
from focus.files import replace_file
from focus.metric_names import describe_metric
from focus.view.cards import Card, Collection, shrink
from focus.view.overlay import OPACITY, Image, Mask, colour_table, find_contours, quantise

SINGLE_FILE_IMAGES = 400
CHUNK = 24  # cards per script of the folder: a sorted page may need sixty scripts
GRID_SIDE = 112
TRUTH_SIDE = 256
JPEG_QUALITY = 88


def write_page(collection: Collection, out: Path, quiet: bool = False) -> None:
    """Write the page ``out``, and above 400 images the folder ``<stem>_files`` next to it.

    Faces are streamed: only a line of text per face and the cards of one chunk (of all, in a single
    file) stay in memory. The page appears last, in one rename.

    Raises:
        InputError: the output cannot be written.
    """
    folder = out.with_name(f"{out.stem}_files")
    _clear(folder)
    single = len(collection) * (1 + len(collection.modalities)) <= SINGLE_FILE_IMAGES
    writer = _CardWriter(None if single else folder)
    for card in collection.cards(quiet):
        writer.add(card)
    writer.flush()
    notices = list(collection.notices)
    if writer.faults:
        notices.append(f"Faces whose image or mask cannot be read: {writer.faults:,}.")
    data = {
        "title": collection.title,
        "facts": collection.facts,
        "notices": notices,
        "metrics": collection.metrics,
        "basis": collection.basis,
        "names": list(collection.readers),
        "auc": describe_metric("pixel_auc").tooltip,
        "modalities": list(collection.modalities.items()),
        "colours": _encode(colour_table()),
        "table": writer.table,
        "masked": writer.masked,
        "chunk": CHUNK,
        "chunks": writer.chunks if single else None,
        "folder": quote(folder.name),
    }
    with replace_file(out) as temporary:
        temporary.write_text(_fill_template(collection.title, data), encoding="utf-8")


class _CardWriter:
    """Convert cards to JSON: a small table of all, and chunks with the images and maps.

    Args:
        folder: folder of images and chunks; None keeps both in ``chunks``.
    """

    def __init__(self, folder: Path | None) -> None:
        names = ("key", "label", "score", "auc", "mean", "method", "split", "video")
        self.table: dict[str, list[Any]] = {name: [] for name in names}
        self.chunks: list[list[dict[str, Any]]] = []
        self.faults, self.masked = 0, False
        self._folder, self._written = folder, 0
        self._chunk: list[dict[str, Any]] = []
        if folder is not None:
            folder.mkdir(exist_ok=True)

    def add(self, card: Card) -> None:
        aucs = [_rounded(auc) for auc in card.pixel_aucs]
        mean = float("nan") if card.maps[0] is None else float(card.maps[0].mean())
        line = {
            "key": card.face.key,
            "label": card.face.label,
            "score": _rounded(card.score),
            "auc": aucs[0],
            "mean": _rounded(mean),
            "method": card.face.method,
            "split": card.face.split,
            "video": card.face.video,
        }
        for name, value in line.items():
            self.table[name].append(value)
        self.faults += bool(card.fault)
        self.masked |= card.mask is not None
        self._chunk.append(self._describe(card, aucs))
        if len(self._chunk) == CHUNK:
            self.flush()

    def flush(self) -> None:
        """Store the open chunk; call it after the last card."""
        if self._folder is None:
            self.chunks.append(self._chunk)
        elif self._chunk:
            text = f"focusChunk({self._written}, {_to_json(self._chunk)});\n"
            (self._folder / f"cards-{self._written}.js").write_text(text, encoding="utf-8")
        self._written += 1
        self._chunk = []

    def _describe(self, card: Card, aucs: list[float | None]) -> dict[str, Any]:
        known = [plane for plane in (card.image, card.mask, *card.maps) if plane is not None]
        name = f"face-{card.row}"
        views = [
            "" if view is None else self._store(view, f"{name}-{place}")
            for place, view in enumerate(card.modalities)
        ]
        return {
            "image": "" if card.image is None else self._store(card.image, name),
            "modalities": views,
            "size": known[0].shape[:2] if known else (1, 1),
            "maps": [None if values is None else _describe_map(values) for values in card.maps],
            "aucs": aucs,
            "truth": None if card.mask is None else _describe_truth(card.mask),
            "place": card.place,
            "fault": card.fault,
        }

    def _store(self, image: Image, name: str) -> str:
        """Return the URL of an image: a file of the folder, or a data URL."""
        flags = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        content = cv2.imencode(".jpg", image[..., ::-1], flags)[1]
        if self._folder is None:
            return f"data:image/jpeg;base64,{_encode(content)}"
        path = self._folder / f"{name}.jpg"
        path.write_bytes(content.tobytes())
        return f"{quote(self._folder.name)}/{path.name}"


def _describe_map(values: np.ndarray) -> dict[str, Any]:
    """Return a map's grid and values as bytes; a grid above 112 px is averaged."""
    grid = shrink(values, GRID_SIDE)
    return {"grid": grid.shape, "values": _encode(quantise(grid))}


def _describe_truth(mask: Mask) -> dict[str, Any]:
    """Return a mask as an SVG path, and the size of its coordinate system."""
    scale = TRUTH_SIDE / max(mask.shape)
    height, width = (max(1, round(side * scale)) for side in mask.shape)
    parts = []
    for contour in find_contours(mask, (height, width)):
        # Twice the pixel number plus one: pixel centres, without decimals.
        points = " ".join(f"{2 * x + 1},{2 * y + 1}" for x, y in contour[:, 0].tolist())
        parts.append(f"M{points}Z")
    return {"size": [2 * height, 2 * width], "path": "".join(parts)}


def _fill_template(title: str, data: dict[str, Any]) -> str:
    """Insert title, data, styles and script into the template, in one pass."""
    home = files("focus.view")
    parts = {
        "title": html.escape(printable(title)),
        "data": _to_json(data),
        "style": home.joinpath("gallery.css").read_text(encoding="utf-8"),
        "script": home.joinpath("gallery.js").read_text(encoding="utf-8"),
        "opacity": str(round(100 * OPACITY)),
    }
    template = home.joinpath("gallery.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], template)


def _to_json(value: Any) -> str:
    """Return JSON that is safe inside a script element: nothing in it can end the element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")


def _encode(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode("ascii")


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


def _clear(folder: Path) -> None:
    """Remove only the files of an earlier page from its folder."""
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if re.fullmatch(r"face-[\d-]+\.jpg|cards-\d+\.js", path.name):
            path.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()
