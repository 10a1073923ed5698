"""Checks of image files (present, readable, complete, matching sizes) and of masks."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from focus.data.doctor.findings import Finding, Severity
from focus.data.doctor.looking import DAMAGED, FINE, FORMATS, MISSING, UNREADABLE
from focus.data.doctor.survey import Survey
from focus.data.index import FaceIndex
from focus.types import FAKE, REAL

_EXACT = tuple(FORMATS.index(name) for name in ("PNG", "BMP", "TIFF"))
_MOST_GREY = 0.01
_FLAT = 0.01
_MOST_STRAY = 16
_PLURALS = {"mask": "masks", "region": "regions", "original": "originals"}


def check_files(survey: Survey) -> Iterator[Finding]:
    """Yield files that are missing, unreadable, damaged, truncated or of one colour."""
    done = np.zeros(len(survey.looks), dtype=np.bool_)
    for noun, places in _group_places(survey).items():
        places = places[~done[places]]
        done[places] = True
        yield from _check_status(survey, noun, places)
    looks = survey.looks
    lost = looks["promised"] - looks["frames"]
    # Containers that derive the frame count from the duration may be slightly off.
    short = np.flatnonzero((looks["frames"] > 0) & (lost > np.maximum(2, 0.02 * looks["promised"])))
    if len(short):
        examples = (
            f"{survey.files.paths[place]} ({looks['frames'][place]} of {looks['promised'][place]})"
            for place in short.tolist()
        )
        message = "videos with fewer frames than their header declares"
        yield Finding.of("serious", "truncated videos", message, examples, len(short))
    flat = np.flatnonzero(survey.faces["sharpness"] < _FLAT)
    if len(flat):
        yield _list("warning", "blank images", "images of one colour", survey, flat)


def check_sizes(survey: Survey, quick: bool) -> Iterator[Finding]:
    """Yield masks, regions and originals whose size differs from that of their image.

    With ``quick``, swapped height and width are not reported: EXIF may rotate the image.
    """
    for column, plural in _PLURALS.items():
        rows, linked = survey.linked(column)
        own = survey.faces[rows]
        differ = (own["height"] != linked["height"]) | (own["width"] != linked["width"])
        differ &= (own["height"] > 0) & (linked["height"] > 0)
        differ &= (own["status"] != UNREADABLE) & (linked["status"] != UNREADABLE)
        turned = (own["height"] == linked["width"]) & (own["width"] == linked["height"]) & differ
        faults = [(differ & ~turned, f"{plural} of another size than their image")]
        if not quick:
            faults.append((turned, f"{plural} that are rotated relative to their image"))
        for wrong, message in faults:
            if wrong.any():
                examples = (
                    f"{survey.files.paths[rows[at]]} {_size(own[at])}, {column} {_size(linked[at])}"
                    for at in np.flatnonzero(wrong)
                )
                severity: Severity = "warning" if column == "region" else "serious"
                yield Finding.of(severity, "sizes", message, examples, int(wrong.sum()))
        short = (linked["frames"] > 0) & (linked["frames"] < own["frames"])
        if short.any():
            examples = (
                f"{survey.files.paths[rows[at]]} ({linked['frames'][at]} of {own['frames'][at]})"
                for at in np.flatnonzero(short)
            )
            message = f"{plural} with fewer frames than their video"
            yield Finding.of("warning", "truncated videos", message, examples, int(short.sum()))


def check_masks(index: FaceIndex, survey: Survey) -> Iterator[Finding]:
    """Yield masks that are empty, full, not binary, or not empty for a real face."""
    rows, masks = survey.linked("mask")
    labels, marked = index.labels[rows], masks["marked"]
    paths = index.column("mask")
    fakes = (labels == FAKE) & ~np.isnan(marked)
    empty, full = fakes & (marked == 0), fakes & (marked == 1)
    faults: list[tuple[Severity, str, np.ndarray]] = [
        ("serious", "masks of real faces that are not empty", (labels == REAL) & (marked > 0)),
        (
            "serious" if empty.sum() == fakes.sum() else "warning",
            "masks of fakes that are empty",
            empty,
        ),
        ("warning", "masks of fakes that mark the whole image", full),
    ]
    for severity, message, wrong in faults:
        if wrong.any():
            found = rows[wrong].tolist()
            names = (f"{index.keys[row]} ({paths[row]})" for row in found)
            yield Finding.of(severity, "masks", message, names, len(found))
    tolerated = np.where(np.isin(masks["format"], _EXACT), 0, _MOST_GREY)
    grey = masks["grey"] > tolerated
    if grey.any():
        names = (
            f"{paths[rows[at]]} ({masks['grey'][at]:.1%} of it grey)" for at in np.flatnonzero(grey)
        )
        message = (
            "masks with values other than 0 and 255 (or 0 and 1), which are thresholded at half"
        )
        yield Finding.of("warning", "masks", message, names, int(grey.sum()))


def measure_sizes(survey: Survey) -> dict[str, int]:
    """Return the five commonest face sizes (``HEIGHTxWIDTH``) and their counts."""
    faces = survey.faces[survey.faces["height"] > 0]
    sizes, counts = np.unique(faces[["height", "width"]], return_counts=True)
    common = np.argsort(-counts, kind="stable")[:5]
    return {_size(sizes[at]): int(counts[at]) for at in common}


def _group_places(survey: Survey) -> dict[str, np.ndarray]:
    groups = {"faces": np.arange(survey.files.faces)}
    for column, plural in _PLURALS.items():
        places = survey.files.links[column]
        groups[plural] = np.unique(places[places >= 0])
    return groups


def _check_status(survey: Survey, noun: str, places: np.ndarray) -> Iterator[Finding]:
    status = survey.looks["status"][places]
    missing = places[status == MISSING]
    if len(missing):
        message = f"{noun} whose file is missing"
        if len(missing) == survey.files.faces == len(places):
            message += f" (all of them: is {survey.files.root} the right root?)"
        yield _list("serious", "missing files", message, survey, missing)
    unreadable = places[status == UNREADABLE]
    if len(unreadable):
        message = f"{noun} that cannot be read"
        yield _list("serious", "unreadable files", message, survey, unreadable)
    damaged = places[status == DAMAGED]
    odd = np.array([_is_stray(survey.reasons[place]) for place in damaged.tolist()], np.bool_)
    faults: tuple[tuple[Severity, str, np.ndarray], ...] = (
        ("serious", f"{noun} that are damaged: the decoder filled in missing parts", damaged[~odd]),
        ("warning", f"{noun} with stray bytes: possibly damaged", damaged[odd]),
    )
    for severity, message, wrong in faults:
        if len(wrong):
            yield _list(severity, "damaged files", message, survey, wrong)


def _is_stray(reason: str) -> bool:
    """Return whether the file has only the few stray bytes that some cameras write."""
    stray = re.search(r"([0-9]+) extraneous bytes", reason)
    return stray is not None and int(stray[1]) <= _MOST_STRAY


def _list(
    severity: Severity, check: str, message: str, survey: Survey, places: np.ndarray
) -> Finding:
    names = (
        f"{survey.files.paths[place]} ({survey.reasons[place]})"
        if survey.looks["status"][place] not in (FINE, MISSING)
        else survey.files.paths[place]
        for place in places.tolist()
    )
    return Finding.of(severity, check, message, names, len(places))


def _size(look: np.ndarray) -> str:
    return f"{look['height']}x{look['width']}"
