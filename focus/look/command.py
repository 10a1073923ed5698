"""``focus look``: examine photographs and clips, print a line a face, and write the results."""

from __future__ import annotations

import os
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path

from focus.errors import CheckFailedError, InputError, count_of, printable
from focus.files import replace_file
from focus.look.clip import write_clip
from focus.look.drawing import draw_image
from focus.look.inputs import Input, find_inputs, page_path
from focus.look.options import LookCommand
from focus.look.page import Page
from focus.model.clips import ClipResult, single_threads
from focus.model.faces import FaceModel, load
from focus.model.results import Result, summarise
from focus.model.verdicts import NO_FACE, VERDICTS
from focus.runtime import Progress, note


def look_command(command: LookCommand) -> None:
    """Run ``focus look``.

    Raises:
        InputError: a missing path, no image in a folder, no model, a single file that cannot be
            read, or results that cannot be written.
        CheckFailedError: some of several files cannot be read; the others are done.
    """
    inputs = find_inputs(command.paths, command.out)
    out = page_path(inputs, command.out, command.paths)
    if out.exists() and any(out.samefile(each.path) for each in inputs):
        raise InputError(f"{out}: is an input; choose another --out")
    with single_threads():  # building a network runs it, too
        page, failures = _look_at_all(command, inputs)
    page.write(out)
    if len(inputs) > 1:
        print(describe_total(page.verdicts))
    print(f"page: {out}")
    if command.open and not webbrowser.open(out.resolve().as_uri()):
        note(f"no browser found: open {out}", command.quiet)
    if failures:
        files = count_of(len(inputs), "file")
        raise CheckFailedError(f"{len(failures)} of {files} could not be read: {failures[0]}")


def _look_at_all(command: LookCommand, inputs: Sequence[Input]) -> tuple[Page, list[str]]:
    """Examine all files; return the page and the errors of those that cannot be read."""
    model = load(
        command.weights or None,
        crop=command.crop,
        face_detector=command.face_detector,
        device=command.device,
    )
    page, failures = Page(model.record, len(inputs)), list[str]()
    _introduce(model, command.quiet)
    names = _short_names([each.path for each in inputs])
    quiet = command.quiet or len(inputs) == 1
    with Progress(len(inputs), "looking", "files", quiet) as progress:
        for each, name in zip(inputs, names, strict=True):
            try:
                _look(model, each, name, page, command.quiet)
            except InputError as error:
                if len(inputs) == 1 or not str(error).startswith(str(each.path)):
                    raise
                failures.append(str(error))
                page.add_failure(name, str(error).removeprefix(f"{each.path}: "))
                note(str(error), command.quiet)
            progress.advance()
    return page, failures


def _look(model: FaceModel, each: Input, name: str, page: Page, quiet: bool) -> None:
    """Examine one file; print its lines, write its result and add it to the page."""
    if each.is_clip:
        with Progress(100, f"{name}: examining", "%", quiet) as bar:
            clip = model.watch(each.path, progress=_percent(bar))
        with Progress(100, f"{name}: writing", "%", quiet) as bar:
            plays = write_clip(clip, each.out, model.record.calibration, _percent(bar))
        print("\n".join(describe_clip(clip, name)))
        page.add_clip(name, clip, each.out, plays)
        return
    result = model(each.path)
    print("\n".join(describe_photo(result, name)))
    title = f"{printable(each.path.name)}, by {model.name}"
    with replace_file(each.out) as temporary:
        draw_image(result, title).save(temporary, format="png")
    page.add_photo(name, result)


def describe_total(verdicts: Sequence[str]) -> str:
    """Return the number of faces and clips with each verdict, the gravest first."""
    counts = (f"{verdicts.count(verdict):,} {verdict}" for verdict in reversed(VERDICTS))
    return f"{count_of(len(verdicts), 'face or clip', 'faces and clips')}: {', '.join(counts)}"


def describe_photo(result: Result, name: str) -> list[str]:
    """Return a line for each face: where it is, verdict, P, and where to look."""
    name = printable(name)
    if not result.faces:
        return [f"{name}: {NO_FACE}"]
    lines = []
    for number, face in enumerate(result.faces, 1):
        left, top, right, _ = face.box
        where = f"face {number} ({right - left} px at {left},{top})"
        lines.append(f"{name}: {where}: {summarise(face)}")
    return lines


def describe_clip(result: ClipResult, name: str) -> list[str]:
    """Return a line for the clip and one for each face in it."""
    name, leading = printable(name), result.leading
    score = f", P(fake) {leading.score:.2f}" if leading else ""
    reason = f" ({result.reason})" if result.reason else ""
    lines = [f"{name}: clip: {result.verdict}{score}{reason}"]
    for track in result.tracks if len(result.tracks) > 1 else ():
        first, last = (track.sightings[end].frame / result.rate for end in (0, -1))
        reason = f" ({track.reason})" if track.reason else ""
        brief = ", too brief to count" if track.is_brief else ""
        lines.append(
            f"{name}: face {track.number + 1} ({first:.1f} to {last:.1f} s{brief}): "
            f"{track.verdict}, P(fake) {track.score:.2f}{reason}"
        )
    return lines


def _percent(bar: Progress) -> Callable[[int, int], None]:
    """Return a function that moves a bar of 100 steps to a share."""

    def advance(done: int, total: int) -> None:
        step = round(100 * done / max(total, 1)) - bar.done
        if step > 0:
            bar.advance(step)

    return advance


def _introduce(model: FaceModel, quiet: bool) -> None:
    """Name the model and its training data; warn where it gives no verdicts."""
    about = f", trained on {model.record.trained_on}" if model.record.trained_on else ""
    note(f"model: {model.name}{about}", quiet)
    if model.record.calibration is None:
        note("not calibrated: scores are not probabilities, and every verdict is cannot say", quiet)


def _short_names(paths: Sequence[Path]) -> list[str]:
    """Return the paths relative to the folder that they share."""
    folders = [path.absolute().parent for path in paths]
    shared = Path(os.path.commonpath(folders)) if len({f.anchor for f in folders}) == 1 else None
    if shared is None:
        return [str(path) for path in paths]
    return [path.absolute().relative_to(shared).as_posix() for path in paths]
