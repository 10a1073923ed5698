"""Example faces of a test set: worst and best by score and by map."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

import cv2
import numpy as np

from evaluator.pages import element
from evaluator.scoring.measure import masked_fakes, measure, video_names
from evaluator.trial.data import EvaluationSet
from evaluator.trial.report.curves import Scores
from focus.data.index import FaceIndex
from focus.mapstore import MapReader
from focus.ranking import auc
from focus.types import FAKE, REAL
from focus.view.cards import Card, read_card
from focus.view.overlay import Image, colour_table, outline, overlay, resize_image

BY_SCORE, BY_MAP = 3, 6  # faces in a group; four groups are by score, two by map: 24 faces
JUDGED_MAPS = 2000
TRIED = 50  # extra faces to try if images cannot be read
SIDE = 208
JPEG_QUALITY = 82

Aucs = Mapping[int, float]  # by row of the index


@dataclass(frozen=True)
class Case:
    """A face with its score and pixel AUC."""

    card: Card
    score: float
    """Mean over seeds, NaN if missing."""
    spread: float
    """Standard deviation over seeds."""
    pixel_auc: float
    """Of the first seed's map; NaN in groups by score."""


@dataclass(frozen=True)
class Group:
    """A titled group of cases."""

    title: str
    cases: list[Case]
    worst: bool
    """Whether these are the worst cases, not the best."""


def find_cases(test: EvaluationSet, scores: Scores, maps: Path) -> list[Group]:
    """Return the worst and best faces by score and by the pixel AUC of their maps, 24 at most.

    A group has at most one face per video and skips unreadable images. Pixel AUCs are computed on
    the maps in ``maps``, for at most 2,000 fakes spread evenly over the set; not for maps of a
    single pixel.
    """
    with MapReader(maps) as reader:
        picker = _Picker(test.faces, scores, reader)
        groups = [*_by_score(picker, scores), *_by_map(picker, test.faces, reader)]
    return [group for group in groups if group.cases]


def draw_case(case: Case) -> Element:
    """Return a figure: the face, the face under its map, and its numbers."""
    face = case.card.face
    label = "fake" if face.label == FAKE else "real"
    images = element("div", *_draw_images(case.card, label), class_="images")
    figures = []
    if not math.isnan(case.score):
        text = f"score {case.score:.3f}" + (f" ± {case.spread:.3f}" if case.spread else "")
        figures.append(element("span", text))
    if not math.isnan(case.pixel_auc):
        figures.append(element("span", f"pixel AUC {case.pixel_auc:.3f}"))
    found = case.card.maps[0]
    if found is not None and found.size > 1:
        figures.append(element("span", f"map up to {found.max():.2f}"))
    known = ", ".join(text for text in (face.method, case.card.place) if text)
    kind = element("p", element("b", label, class_=f"badge {label}"), known, class_="kind")
    key = element("p", element("bdi", face.key), class_="key", title=face.key)
    about = element("figcaption", kind, element("p", *figures, class_="figures"), key)
    return element("figure", images, about, class_="case")


def draw_scale() -> Element:
    """Return the legend of map colours."""
    colours = ", ".join("rgb({} {} {})".format(*rgb) for rgb in colour_table()[::15].tolist())
    ramp = element("i", class_="ramp", style=f"background: linear-gradient(90deg, {colours})")
    truth = element("span", element("i", class_="stroke"), "truth outline")
    scale = element("span", "untouched", ramp, "manipulated")
    return element("p", scale, truth, class_="keys")


class _Picker:
    """Read the first readable faces of an order, at most one per video."""

    def __init__(self, index: FaceIndex, scores: Scores, reader: MapReader) -> None:
        self._index, self._reader = index, reader
        self._means, self._spreads = scores.means, scores.spreads
        self._videos = video_names(index)

    def pick(self, rows: np.ndarray, count: int, aucs: Aucs | None = None) -> list[Case]:
        """Return up to ``count`` cases of ``rows``, in order."""
        found: dict[str, Case] = {}
        tried = 0
        for row in rows.tolist():
            if len(found) == count or tried == count + TRIED:
                break
            if self._videos[row] in found:
                continue
            tried += 1
            card = read_card(self._index, row, [self._reader])
            if card.image is not None:
                pixel_auc = (aucs or {}).get(row, math.nan)
                numbers = float(self._means[row]), float(self._spreads[row]), pixel_auc
                found[self._videos[row]] = Case(card, *numbers)
        return list(found.values())


def _by_score(picker: _Picker, scores: Scores) -> Iterator[Group]:
    """Yield fakes and real faces with the worst and best scores."""
    means = scores.means
    for label, name, ends in (
        (FAKE, "Fakes", ("lowest", "highest")),
        (REAL, "Real faces", ("highest", "lowest")),
    ):
        rows = np.flatnonzero((scores.labels == label) & ~np.isnan(means))
        order = rows[np.argsort(means[rows] if label == FAKE else -means[rows], kind="stable")]
        worst, best = _halves(order)
        yield Group(f"{name} with the {ends[0]} scores", picker.pick(worst, BY_SCORE), True)
        yield Group(f"{name} with the {ends[1]} scores", picker.pick(best, BY_SCORE), False)


def _by_map(picker: _Picker, index: FaceIndex, reader: MapReader) -> Iterator[Group]:
    """Yield fakes with the worst and best pixel AUC."""
    if reader.shape == (1, 1):
        return
    known = np.array([key in reader for key in index.keys], dtype=bool)
    rows = masked_fakes(index, np.flatnonzero(known))
    if len(rows) > JUDGED_MAPS:
        rows = rows[np.linspace(0, len(rows) - 1, JUDGED_MAPS).round().astype(int)]
    measured = measure(index, rows, reader, quiet=True)
    areas = auc(measured.maps.inside, measured.maps.outside)
    defined = ~np.isnan(areas)
    rows, areas = measured.rows[defined], areas[defined]
    found = dict(zip(rows.tolist(), areas.tolist(), strict=True))
    worst, best = _halves(rows[np.argsort(areas, kind="stable")])
    yield Group("Maps that fit worst", picker.pick(worst, BY_MAP, found), True)
    yield Group("Maps that fit best", picker.pick(best, BY_MAP, found), False)


def _halves(order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first half of an order, and the second half reversed; they are disjoint."""
    middle = -(-len(order) // 2)
    return order[:middle], order[middle:][::-1]


def _draw_images(card: Card, label: str) -> Iterator[Element]:
    """Yield the face and, with a map, the face under its map; outline the truth on the last."""
    assert card.image is not None
    face, values = resize_image(card.image, _scaled(card.image)), card.maps[0]
    planes = {f"{label} face": face}
    if values is not None and values.size > 1:
        planes[f"{label} face under its map"] = overlay(face, values)
    name, last = planes.popitem()
    if card.mask is not None:
        name, last = f"{name}, with the outline of the truth", outline(last, card.mask)
    planes[name] = last
    for text, plane in planes.items():
        yield element("img", src=_to_data_url(_fit(plane)), alt=text, width=SIDE, height=SIDE)


def _scaled(image: Image) -> tuple[int, int]:
    """Return the size whose longer side is ``SIDE``, at which contours are drawn."""
    scale = SIDE / max(image.shape[:2])
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    return height, width


def _fit(image: Image) -> Image:
    """Return an image centred on a dark square of side ``SIDE``."""
    height, width = image.shape[:2]
    square = np.full((SIDE, SIDE, 3), 12, dtype=np.uint8)
    top, left = (SIDE - height) // 2, (SIDE - width) // 2
    square[top : top + height, left : left + width] = image
    return square


def _to_data_url(image: Image) -> str:
    """Return an image as a data URL."""
    flags = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    content = cv2.imencode(".jpg", image[..., ::-1], flags)[1].tobytes()
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode('ascii')}"
