"""``focus view``: show a map file as an HTML page or as one image."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from focus.data.index import FaceIndex
from focus.data.sources import Source, reopen
from focus.data.subject import list_mismatches
from focus.errors import InputError, count_of
from focus.files import make_folder, replace_file
from focus.mapstore import MapReader
from focus.metric_names import describe_metric
from focus.runtime import QuietFlag, note
from focus.types import FAKE, REAL
from focus.view.cards import Card, Collection, read_card
from focus.view.overlay import Image, SheetRow, contact_sheet, outline, overlay, resize_image
from focus.view.page import write_page

SHEET_FACES = 8
SHEET_CELL = 224
LOOKED_AT = 100
_LABELS = {REAL: "real", FAKE: "fake"}


@dataclass(frozen=True)
class ViewCommand:
    """Show the maps of a file as an HTML page or as one image."""

    maps: Path
    """Map file to show."""
    source: Source = field(default_factory=Source)
    out: Path = Path("report.html")
    """HTML page to write; above 400 images, also a folder of them next to it."""
    png: Path | None = None
    """Write this image instead of a page: a contact sheet, or the one face of --key."""
    key: str = ""
    """Show only this face."""
    compare: tuple[str, ...] = ()
    """More maps of the same faces to show next to them, each as NAME=MAPS.h5."""
    modalities: tuple[str, ...] = ()
    """Modalities of each face to show next to it: rgb, sobel, dct, srm."""
    frames: Path | None = None
    """Folder of the whole images that the faces were cut from; show maps on those."""
    summary: Path | None = None
    """JSON file of `evaluator score`; its metrics are shown at the top of the page."""
    limit: int = 0
    """Number of faces to show, spread evenly over the index (0: all; in an image, 8)."""
    title: str = ""
    """Heading of the page or image."""
    runtime: QuietFlag = field(default_factory=QuietFlag)

    def __post_init__(self) -> None:
        if self.limit < 0:
            raise InputError(f"--limit {self.limit}: must be 0 (all faces) or more")
        if not self.png and self.out.suffix.lower() not in (".html", ".htm"):
            raise InputError(f"--out {self.out}: must end in .html; for an image use --png")
        if self.png and not (Path(self.png).suffix and cv2.haveImageWriter(self.png)):
            raise InputError(f"--png {self.png}: unknown image format; use .png or .jpg")


def view_command(command: ViewCommand) -> None:
    """Run ``focus view``: write the page or the image.

    Raises:
        InputError: a map file, the data or the summary cannot be read, the map file and the data
            have no face in common, or the output cannot be written.
    """
    collection = open_collection(command)
    out = command.png or command.out
    make_folder(out.parent)
    write = write_image if command.png else write_page
    write(collection, out, command.runtime.quiet)
    note(f"{out}: {count_of(len(collection), 'face')}", command.runtime.quiet)


def open_collection(command: ViewCommand) -> Collection:
    """Open the map files and the data of a command, and choose the faces."""
    modalities = _describe_modalities(command.modalities)
    if command.frames and not command.frames.is_dir():
        raise InputError(f"--frames {command.frames}: no such folder; give the folder of images")
    reader = MapReader(command.maps)
    index = reopen(reader.attributes, command.source, command.maps)
    mapped = np.array([key in reader for key in index.keys], dtype=bool)
    if not mapped.any():
        here = f"first here: {index.keys[0]}" if len(index) else "the data has no face"
        there = f"first there: {reader.face_keys[0]}" if len(reader) else "it is empty"
        raise InputError(f"{command.maps}: has no map of any of these faces ({here}; {there})")
    notices = _notices(index, reader, mapped)
    if command.key:
        mapped &= np.array([key == command.key for key in index.keys], dtype=bool)
        if not mapped.any():
            known = "has no map of it" if command.key in index.keys else "the data has no such face"
            raise InputError(f"--key {command.key}: {known} ({command.maps})")
    rows = np.flatnonzero(mapped)
    limit = command.limit or (SHEET_FACES if command.png else len(rows))
    if limit < len(rows):
        rows = rows[np.linspace(0, len(rows) - 1, limit).round().astype(int)]
    elif not command.key:
        unmapped = np.flatnonzero(~mapped)[:LOOKED_AT]
        rows = np.union1d(rows, np.array(_unreadable(index, unmapped, reader), dtype=int))
    name = str(reader.attributes.get("generator", "")) or "map"
    metrics, basis = read_metrics(command.summary) if command.summary else ([], "")
    return Collection(
        index=index.take(rows),
        readers={name: reader, **_open_compared(command, name)},
        title=command.title or ("" if command.png else f"Manipulation maps: {name}"),
        facts=_facts(index, reader, rows),
        notices=notices,
        metrics=metrics,
        frames=command.frames,
        modalities=modalities,
        basis=basis,
    )


def write_image(collection: Collection, out: Path, quiet: bool = False) -> None:
    """Write a contact sheet: a row per face with the face, truth if known, maps and modalities.

    Raises:
        InputError: the file cannot be written.
    """
    cards = list(collection.cards(quiet))
    masked = any(card.mask is not None for card in cards)
    truth = ["Truth"] if masked else []
    headings = ["Face", *truth, *collection.readers, *collection.modalities]
    whose = f" of {next(iter(collection.readers))}" if len(collection.readers) > 1 else ""
    rows = [_sheet_row(card, masked, whose) for card in cards]
    sheet = contact_sheet(rows, headings, collection.title, SHEET_CELL)
    with replace_file(out) as temporary:
        temporary.write_bytes(cv2.imencode(out.suffix, sheet[..., ::-1])[1].tobytes())


def read_metrics(path: Path) -> tuple[list[dict[str, str]], str]:
    """Return the metrics of an `evaluator score` JSON, and a line with split and threshold.

    Each metric has ``name``, ``meaning``, ``value`` and ``note`` (its interval and count).

    Raises:
        InputError: no such file, not JSON, or no ``metrics`` in it.
    """
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        metrics = [_describe_metric(*item) for item in summary["metrics"].items()]
        return metrics, _describe_basis(summary)
    except OSError as error:
        raise InputError(f"--summary {path}: cannot read it ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        hint = "make it with `evaluator score --json FILE`"
        raise InputError(f"--summary {path}: not a JSON file with metrics; {hint}") from None


def _describe_basis(summary: Mapping[str, Any]) -> str:
    parts = [f"split {summary['split']}"] if "split" in summary else []
    threshold = summary.get("threshold") or {}
    if threshold.get("value") is not None:
        rule = {"val": "chosen on val"}.get(threshold["rule"], threshold["rule"])
        parts.append(f"map threshold {threshold['value']:.3f} ({rule})")
    if "intervals" in summary:
        share, unit = summary["intervals"]["level"], summary["intervals"]["over"]
        parts.append(f"{share:.0%} bootstrap intervals over {unit}s")
    return ", ".join(parts)


def _describe_metric(name: str, metric: Mapping[str, Any]) -> dict[str, str]:
    about = describe_metric(name)
    head = {"name": about.name, "meaning": f"{name}: {about.tooltip}"}
    if metric["value"] is None:
        return {**head, "value": "none", "note": str(metric.get("reason", ""))}
    notes = []
    if metric.get("low") is not None:
        notes.append(f"{metric['low']:.3f} to {metric['high']:.3f}")
    elif metric.get("reason"):
        notes.append(str(metric["reason"]))
    if metric.get("n") is not None:
        notes.append(f"n {metric['n']:,}")
    return {**head, "value": f"{metric['value']:.3f}", "note": ", ".join(notes)}


def _describe_modalities(names: tuple[str, ...]) -> dict[str, str]:
    if not names:  # importing kornia is slow
        return {}
    from focus.view.modality import describe

    return describe(names)


def _open_compared(command: ViewCommand, name: str) -> dict[str, MapReader]:
    readers: dict[str, MapReader] = {}
    for text in command.compare:
        other, _, path = text.partition("=")
        if not other or not path:
            raise InputError(f"--compare {text}: write it as NAME=MAPS.h5")
        if other in readers or other == name:
            raise InputError(f"--compare {text}: the name '{other}' is used twice; choose another")
        readers[other] = MapReader(Path(path))
        len(readers[other])  # opens the file, so that a bad one is reported before any work
    return readers


def _unreadable(index: FaceIndex, rows: np.ndarray, reader: MapReader) -> list[int]:
    """Return the unreadable rows: the likely reason why they have no map."""
    return [row for row in rows.tolist() if read_card(index, row, [reader]).image is None]


def _notices(index: FaceIndex, reader: MapReader, mapped: np.ndarray) -> list[str]:
    notices = []
    if reader.attributes.get("real_maps") == "zero" and (index.labels[mapped] == REAL).any():
        notices.append(
            "Maps of real faces were set to zero when this file was made: their values "
            "say nothing about the generator."
        )
    mismatches = list_mismatches(reader.settings.get("trained_images"), index)
    notices += [f"{line[0].upper()}{line[1:]}." for line in mismatches]
    missing = int((~mapped).sum())
    if missing:
        first = index.keys[int(np.argmin(mapped))]
        notices.append(
            f"Faces of the data without a map in this file: {missing:,} (first: {first})."
        )
    orphans = len(reader) - int(mapped.sum())
    if orphans:
        notices.append(f"Maps in this file that belong to no face of the data: {orphans:,}.")
    return notices


def _facts(index: FaceIndex, reader: MapReader, rows: np.ndarray) -> list[tuple[str, str]]:
    attributes, labels = reader.attributes, index.labels[rows]
    counts = [("real", labels == REAL), ("fake", labels == FAKE), ("unknown", labels < 0)]
    parts = ", ".join(f"{int(of.sum()):,} {name}" for name, of in counts if of.any())
    kind = {"zero": "set to zero", "fake-class": "fake-class map"}
    real_maps = str(attributes.get("real_maps", ""))
    facts = [
        ("Generator", str(attributes.get("generator", ""))),
        ("Faces", f"{len(rows):,} ({parts})"),
        ("Grid", "{} x {}".format(*reader.shape)),
        ("Normalisation", str(attributes.get("normalisation", ""))),
        ("Real faces' maps", kind.get(real_maps, real_maps)),
        ("Trained on", str(reader.settings.get("trained_on", ""))),
        ("Data", str(attributes.get("data", ""))),
        ("Created", str(attributes.get("created", ""))),
        ("Weights", str(attributes.get("weights_sha256", ""))[:12]),
    ]
    return [(name, value) for name, value in facts if value]


def _sheet_row(card: Card, masked: bool, whose: str) -> SheetRow:
    """Return the images of one face, enlarged before anything is drawn on them."""
    lines = [_LABELS.get(card.face.label, "unknown"), card.face.method]
    if not math.isnan(card.score):
        lines.append(f"score{whose} {card.score:.2f}")
    if card.place:
        lines.append(card.place)
    face = None if card.image is None else _enlarge(card.image)
    truth = face if face is None or card.mask is None else outline(face, card.mask)
    maps = [
        None if face is None or values is None else overlay(face, values) for values in card.maps
    ]
    notes = ["" if math.isnan(auc) else f"pixel AUC {auc:.2f}" for auc in card.pixel_aucs]
    pairs = zip(card.maps, notes, strict=True)
    notes = ["no map" if values is None else text for values, text in pairs]
    if face is None:
        lines.append("cannot be read")
    before: list[Image | None] = [face, truth] if masked else [face]
    caption = "\n".join(line for line in lines if line)
    views = [None if view is None else _enlarge(view) for view in card.modalities]
    return SheetRow(caption, [*before, *maps, *views], [*[""] * len(before), *notes])


def _enlarge(image: Image) -> Image:
    scale = SHEET_CELL / max(image.shape[:2])
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    return resize_image(image, (height, width))
