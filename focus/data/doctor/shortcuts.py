"""Checks for shortcuts: file features that separate real from fake without the face.

A detector that is trained on JPEG fakes and PNG real faces learns to tell JPEG from PNG. Each file
feature is therefore scored as a detector; a high score is a fault of the corpus. Features of the
content (brightness, sharpness) are only noted, since forging changes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass

import numpy as np

from focus.data.doctor.findings import Finding, Severity
from focus.data.doctor.looking import DAMAGED, FINE, FORMATS
from focus.data.doctor.survey import Survey
from focus.data.index import FaceIndex
from focus.ranking import score_auc
from focus.types import FAKE, REAL

SERIOUS, WARNING = 0.75, 0.6
"""Area under the ROC curve from which a file feature is a serious fault, or a warning."""
_MOST_LEVELS = 16
_MOST_CHANCE = 3.0
_CLEARLY = 0.02
_CONTENT = ("brightness", "sharpness")
_SAMPLING = {0x11: "grey", 0x111111: "4:4:4", 0x111121: "4:2:2", 0x111122: "4:2:0"}


@dataclass(frozen=True)
class Shortcut:
    """How well one file feature separates real from fake."""

    auc: float
    """Area under the ROC curve, at least 0.5."""
    among: str
    """The forgery method that it separates best, or ``all``."""
    faces: int
    """Number of faces compared."""
    real: str
    """Typical value for real faces (median, or commonest)."""
    fake: str
    """Typical value for fakes."""


def measure_shortcuts(index: FaceIndex, survey: Survey) -> dict[str, Shortcut]:
    """Return the features that separate real from fake better than chance, by name.

    Each is scored over all faces, and for each method against the real faces; the result of a
    method is returned only if it is clearly better.
    """
    features = _read_features(survey)
    methods = np.array(index.column("method"))
    is_real, is_fake = index.labels == REAL, index.labels == FAKE
    groups = {"all": is_real | is_fake}
    names = sorted(set(methods[is_fake]) - {""})
    if len(names) > 1:
        groups |= {name: is_real | (is_fake & (methods == name)) for name in names}
    found: dict[str, Shortcut] = {}
    for name, values in features.items():
        for group, rows in groups.items():
            rows = rows & ~np.isnan(values)
            auc = score_feature(values[rows], is_fake[rows])
            if auc > (found[name].auc + _CLEARLY if name in found else 0.5):
                typical = (_describe(name, values[rows & of]) for of in (is_real, is_fake))
                found[name] = Shortcut(round(auc, 4), group, int(rows.sum()), *typical)
    return found


def score_feature(values: np.ndarray, is_fake: np.ndarray) -> float:
    """Return the area under the ROC curve of a feature as a detector, in either direction.

    A feature of at most 16 values is scored by the share of fakes at each of them, since formats
    have no order. Returns 0.5 for a result within three standard deviations of chance (rank-sum
    statistic), and for a single class.

    Args:
        values: float (N,).
        is_fake: bool (N,).
    """
    fakes = int(is_fake.sum())
    reals = len(is_fake) - fakes
    if not (fakes and reals):
        return 0.5
    levels, codes = np.unique(values, return_inverse=True)
    if len(levels) <= _MOST_LEVELS:
        values = (np.bincount(codes, is_fake) / np.bincount(codes))[codes]
    auc = score_auc(is_fake.astype(int), values)
    auc = max(auc, 1 - auc)
    deviation = np.sqrt((fakes + reals + 1) / (12 * fakes * reals))
    return auc if auc - 0.5 > _MOST_CHANCE * deviation else 0.5


def check_shortcuts(shortcuts: Mapping[str, Shortcut], are_videos: bool) -> Iterator[Finding]:
    """Yield the features by which a detector could separate the classes without the face.

    For whole videos they are warnings at most: crops cut from them are new files.
    """
    for name, shortcut in sorted(shortcuts.items(), key=lambda item: -item[1].auc):
        if shortcut.auc < WARNING:
            continue
        severity: Severity = "warning"
        if name in _CONTENT:
            severity = "note"
        elif shortcut.auc >= SERIOUS and not are_videos:
            severity = "serious"
        of = "" if shortcut.among == "all" else f" of {shortcut.among}"
        by = "one number of the image" if name in _CONTENT else "the file alone"
        message = (
            f"faces on which a detector can score AUC {shortcut.auc:.2f} by {by}: {name}, "
            f"typically {shortcut.real} for real faces, {shortcut.fake} for fakes{of}"
        )
        yield Finding.of(severity, "shortcut", message, (), shortcut.faces)


def to_facts(shortcuts: Mapping[str, Shortcut]) -> dict[str, dict[str, object]]:
    """Return the shortcuts as plain JSON values."""
    return {name: asdict(shortcut) for name, shortcut in shortcuts.items()}


def _read_features(survey: Survey) -> dict[str, np.ndarray]:
    """Return each feature as float (rows,), NaN where a file lacks it."""
    looks = survey.faces
    is_read = np.isin(looks["status"], (FINE, DAMAGED))
    is_jpeg = looks["format"] == FORMATS.index("JPEG")
    pixels = looks["height"] * looks["width"].astype(np.float64)
    pixels *= np.maximum(looks["frames"], 1)
    known: dict[str, tuple[np.ndarray, np.ndarray]] = {
        "format": (looks["format"], looks["format"] > 0),
        "JPEG quantisation": (looks["quantisation"], is_jpeg),
        "JPEG subsampling": (looks["subsampling"], is_jpeg),
        "presence of EXIF": (looks["exif"], looks["format"] > 0),
        "height": (looks["height"], looks["height"] > 0),
        "width": (looks["width"], looks["width"] > 0),
        "file size": (looks["bytes"], looks["bytes"] > 0),
        "bytes per pixel": (
            looks["bytes"] / np.maximum(pixels, 1),
            (looks["bytes"] > 0) & (pixels > 0),
        ),
        "brightness": (looks["brightness"], looks["hash"] > 0),
        "sharpness": (looks["sharpness"], looks["hash"] > 0),
    }
    return {
        name: np.where(there & is_read, values.astype(np.float64), np.nan)
        for name, (values, there) in known.items()
    }


def _describe(name: str, values: np.ndarray) -> str:
    """Return the typical value of a feature as text."""
    levels, counts = np.unique(values, return_counts=True)
    commonest = levels[counts.argmax()]
    share = counts.max() / len(values)
    words: dict[str, Callable[[], str]] = {
        "format": lambda: f"{FORMATS[int(commonest)]} in {share:.0%}",
        "JPEG subsampling": lambda: (
            f"{_SAMPLING.get(int(commonest), hex(int(commonest)))} in {share:.0%}"
        ),
        "presence of EXIF": lambda: f"in {values.mean():.0%}",
        "file size": lambda: f"{np.median(values):,.0f} bytes",
        "JPEG quantisation": lambda: f"{commonest:.0f} in {share:.0%}",
    }
    return words.get(name, lambda: f"{np.median(values):.4g}")()
