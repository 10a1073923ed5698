"""Examine one uploaded file: the report of ``focus look`` as text, and nothing left on the disk."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from focus.data.images import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from focus.errors import InputError, printable
from focus.look.clip import write_clip
from focus.look.inputs import OURS
from focus.look.page import EMBEDDED, Page
from focus.model.clips import ClipResult, single_threads
from focus.model.faces import FaceModel

Advance = Callable[[float, str], None]
"""Called with the share that is done, in [0, 1], and the step in words."""
MOST_FRAMES = 3000
"""Longest clip that is written again with its maps: two minutes at 25 frames a second."""
_EXAMINING = 0.7  # of the time of a clip


class Report(NamedTuple):
    """A finished report."""

    name: str
    """File name for a download."""
    verdict: str
    """On the file as a whole."""
    html: str
    """The self-contained page of ``focus look``."""


def check_file(path: Path, limit: int) -> None:
    """Check name and size of a file before it is read.

    Args:
        path: the file.
        limit: largest size in MB.

    Raises:
        InputError: not an image or video by its name, empty, or too large.
    """
    name = printable(path.name)
    if not path.name.lower().endswith((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES)):
        raise InputError(f"{name}: not an image or video; use .jpg, .png, .webp, .mp4 or another")
    size = path.stat().st_size
    if not size:
        raise InputError(f"{name}: the file is empty")
    if size > 1_000_000 * limit:
        raise InputError(f"{name}: {size / 1e6:,.0f} MB is too large; the limit is {limit:,} MB")


def examine_file(model: FaceModel, path: Path, limit: int, advance: Advance) -> Report:
    """Examine a photograph or a clip.

    Args:
        model: the model.
        path: the file; its name is shown.
        limit: largest size in MB.
        advance: shows the progress.

    Raises:
        InputError: a file that :func:`check_file` refuses, or that cannot be read; the message
            has its name without the folder.
    """
    check_file(path, limit)
    page = Page(model.record, 1)
    try:
        with single_threads():
            if path.name.lower().endswith(VIDEO_SUFFIXES):
                _add_clip(page, model, path, advance)
            else:
                advance(0.2, "looking for faces")
                page.add_photo(path.name, model(path))
    except InputError as error:
        text = str(error).replace(str(path), path.name)
        raise InputError(printable(text)) from None
    return Report(f"{path.stem}{OURS}.html", page.items[0]["verdict"], page.render())


def _add_clip(page: Page, model: FaceModel, path: Path, advance: Advance) -> None:
    """Examine a clip and add it, with the marked clip where it is short enough."""

    def watching(done: int, total: int) -> None:
        advance(_EXAMINING * done / total, f"examining frame {done:,} of {total:,}")

    result = model.watch(path, progress=watching)
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / f"clip{OURS}.mp4"
        shown = film if _write_film(page, result, film, advance) else None
        page.add_clip(path.name, result, shown, plays=True)


def _write_film(page: Page, result: ClipResult, film: Path, advance: Advance) -> bool:
    """Write the marked clip; return whether the page can hold and browsers can play it."""

    def writing(done: int, total: int) -> None:
        share = _EXAMINING + (1 - _EXAMINING) * done / total
        advance(share, f"marking frame {done:,} of {total:,}")

    if result.frames > MOST_FRAMES:
        return False
    with suppress(InputError):  # the frames and the curve are shown in any case
        return (
            write_clip(result, film, page.model.calibration, writing)
            and film.stat().st_size <= EMBEDDED
        )
    return False
