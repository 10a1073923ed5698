"""The readers of every kind of file; each must return a valid result or refuse in one line."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import torch

from evaluator.interchange.reading import read_names, read_prediction, read_scores
from evaluator.protocols.planning import read_journal
from evaluator.tables import FORMATS, read_result
from focus.backbones import read_tensors
from focus.data.archives import list_members, read_member
from focus.data.corpus import CORPORA, ScanOptions
from focus.data.doctor.looking import FACE, MASK, look_at
from focus.data.images import count_frames, read_face, read_image, read_mask
from focus.data.index import FaceIndex
from focus.data.prepare.planning import Task
from focus.data.prepare.running import Unit, recall
from focus.data.sources import Source, reopen
from focus.data.videos import FrameReader
from focus.errors import CheckFailedError, InputError, UnreadableError
from focus.mapstore import MapReader, MapWriter, info
from focus.mapstore.summary import describe
from focus.runs import load_network, read_run
from focus.runtime import Runtime
from focus.training.checkpoint import load_state
from focus.view.gallery import ViewCommand, read_metrics, view_command
from fuzzing.seeds import IDENTITY, train_tiny

LONGEST = 400


class FaultError(Exception):
    """A reader misbehaved; the message is the finding, in one line."""


def attempt(path: Path, read: Callable[[], Any], promised: Callable[[Any], bool]) -> bool:
    """Call a reader; return False if it refused the file.

    Raises:
        FaultError: it returned an invalid result, or its refusal is not one clear line.
    """
    try:
        found = read()
    except (InputError, UnreadableError, CheckFailedError) as error:
        text = str(error)
        if len(text) >= LONGEST or not text.isprintable() or not text.strip():
            raise FaultError(
                f"{type(error).__name__} is not one clear line: {text[:300]!r}"
            ) from None
        # By contract, the reason why an image cannot be read does not include its path.
        if not isinstance(error, UnreadableError) and str(path.parent) not in text:
            raise FaultError(f"the refusal does not name the file: {text!r}") from None
        return False
    if not promised(found):
        raise FaultError(f"not what was promised: {repr(found)[:200]}")
    return True


# Images, videos, archives


def _is_image(found: Any) -> bool:
    is_right = found.dtype == np.uint8 and found.ndim == 3 and found.shape[2] == 3
    return bool(is_right and found.size > 0)


def _is_mask(found: Any) -> bool:
    return bool(found.dtype == np.bool_ and found.ndim == 2 and found.size > 0)


def _look(path: Path, role: int = FACE | MASK) -> None:
    look, reason = look_at(path.parent, path.name, "", role, False)
    if not reason.isprintable() or len(reason) >= LONGEST or look.dtype.names is None:
        raise FaultError(f"the doctor's reason is not one clear line: {reason[:300]!r}")


def read_still(path: Path) -> bool:
    """Read an image in every possible way."""
    done = attempt(path, lambda: read_image(path), _is_image)
    attempt(path, lambda: read_image(path, 4), _is_image)
    attempt(path, lambda: read_mask(path), _is_mask)
    attempt(path, lambda: read_face(path.parent, f"{path.name}#0.0", "-2 1 9 9"), _is_image)
    _look(path)
    return done


def read_video(path: Path) -> bool:
    """Count the frames of a video, and read the first, the last, and one past the end."""
    counts: list[int] = []

    def count() -> int:
        counts.append(count_frames(path))
        return counts[0]

    done = attempt(path, count, lambda found: bool(found > 0))
    last = counts[0] - 1 if counts else 3
    reader: list[FrameReader] = []

    def open_reader() -> FrameReader:
        reader.append(FrameReader(path))
        return reader[0]

    if attempt(path, open_reader, lambda found: type(found) is FrameReader):
        for frame in (0, last, 2, last + 1):
            attempt(path, partial(reader[0].read, frame), _is_image)
    attempt(path, lambda: read_face(path.parent, f"{path.name}#1"), _is_image)
    attempt(path, lambda: read_mask(path.parent / f"{path.name}#0"), _is_mask)
    _look(path)
    return done


def read_archive(path: Path) -> bool:
    """List the members of an archive and read a few of them."""
    path = path.parent if path.parent.name.endswith("_lmdb") else path
    names: list[str] = []

    def list_names() -> list[str]:
        names.extend(list_members(path))
        return names

    done = attempt(path, list_names, lambda found: type(found) is list)
    for name in [*names[:4], "pictures/a.png", "../a.png"]:
        attempt(path, partial(read_member, path, name), lambda found: type(found) is bytes)
        if name.isprintable():
            attempt(path, partial(read_face, path.parent, f"{path.name}!/{name}"), _is_image)
    return done


# Tables and JSON


def read_index(path: Path) -> bool:
    """Read an index, and write it."""

    def read() -> FaceIndex:
        index = FaceIndex.read(path)
        index.where(split="test"), index.fingerprint()
        index.relocated(path.parent / "elsewhere").write(path.with_name("again.csv"))
        return index

    return attempt(path, read, lambda index: all(face.path for face in index))


def read_map_file(path: Path) -> bool:
    """Read the whole content of a map file, and the output of ``focus info``."""
    with MapReader(path) as reader:
        done = attempt(path, lambda: _read_maps(reader), bool)
        attempt(path, lambda: info(path), _is_told)
    return done


def _read_maps(reader: MapReader) -> bool:
    height, width = reader.shape
    for key in reader.face_keys[:3]:
        found, score = reader[key], reader.score(key)
        if found.shape != (height, width) or found.dtype != np.float32 or key not in reader:
            raise FaultError(f"the map of {key!r}: {found.dtype} {found.shape}")
        if found.size and not 0 <= found.min() <= found.max() <= 1:
            raise FaultError(f"the map of {key!r} reaches from {found.min()} to {found.max()}")
        if not math.isnan(score) and not 0 <= score <= 1:
            raise FaultError(f"the score of {key!r} is {score}")
        for name in reader.part_names[:2]:
            reader.part(name, key)
    if not set(reader.labels.tolist()) <= {-1, 0, 1}:
        raise FaultError(f"labels {set(reader.labels.tolist())}")
    if sum(map(len, reader.blocks())) != len(reader):
        raise FaultError("blocks hold other faces than the file")
    return True


def _is_told(summary: Mapping[str, Any]) -> bool:
    json.dumps(summary, allow_nan=False)
    text = describe(summary)
    text.encode()
    return all(line.isprintable() for line in text.split("\n"))


def read_provenance(path: Path) -> bool:
    """Put damaged attributes into a map file, and open, describe and show it."""
    made = path.with_name("maps.h5")
    try:
        attributes = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return False  # damaged beyond being attributes
    index = path.with_name("index.csv")
    with h5py.File(made, "w") as file:
        for name, value in attributes.items() if isinstance(attributes, dict) else ():
            if "\0" in name or name.startswith("format"):
                continue
            text = value if isinstance(value, str) else json.dumps(value)
            text = str(index) if text == "DATA" else text
            try:
                file.attrs[name or "x"] = np.bytes_(text.encode())
            except (ValueError, RuntimeError, TypeError, OSError):
                continue  # h5py itself cannot write it
        file.attrs["format"], file.attrs["format_version"] = np.bytes_("focus-maps"), 2
        for name, values in _MAPS.items():
            file[name] = values
    _write_image(path.with_name("a.png"))
    index.write_text("path,label,method\na.png,1,a\n", encoding="utf-8")
    read_map_file(made)

    def reopened() -> FaceIndex:
        with MapReader(made) as reader:
            return reopen(reader.attributes, Source(), str(made))

    done = attempt(made, reopened, lambda _: True)
    out = path.with_name("page.html")
    command = ViewCommand(made, Source(str(index)), out, runtime=Runtime(quiet=True))
    if attempt(made, lambda: view_command(command), lambda _: True):
        page = out.read_text(encoding="utf-8")
        if any(not line.isprintable() for line in page.replace("\t", " ").split("\n")):
            raise FaultError("the page holds control characters")
    return done


_MAPS = {
    "maps": np.zeros((1, 4, 4), np.uint16),
    "scale": np.ones(1, np.float32),
    "key": np.array(["a.png"], "S"),
    "label": np.ones(1, np.int8),
    "score": np.ones(1, np.float32),
}


def _write_image(path: Path) -> None:
    cv2.imwrite(str(path), np.full((8, 8, 3), 90, np.uint8))


def read_scores_file(path: Path) -> bool:
    """Read the scores of an outside system."""
    return attempt(
        path, lambda: read_scores(path), lambda found: all(type(k) is str for k in found)
    )


def read_names_file(path: Path) -> bool:
    """Read the names of an export."""
    return attempt(path, lambda: read_names(path), lambda found: type(found) is dict)


def read_array(path: Path) -> bool:
    """Read a map of an outside system."""
    return attempt(
        path,
        lambda: read_prediction(path),
        lambda found: found.dtype == np.float32 and found.ndim == 2 and found.size > 0,
    )


def read_results(path: Path) -> bool:
    """Read a result as ``evaluator table`` and ``focus view --summary`` do, and a journal."""
    done = attempt(path, lambda: read_result(str(path)), lambda rows: _is_tabled(rows))
    attempt(path, lambda: read_metrics(path), lambda found: len(found) == 2)
    return done


def _is_tabled(rows: Any) -> bool:
    names = ("frame_auc", "pxap")
    tables = [write(rows, names) for write in FORMATS.values()]
    for table in tables:
        table.encode()
    return all(line.isprintable() for table in tables for line in table.split("\n"))


def read_steps(path: Path) -> bool:
    """Read the journal of a protocol's steps."""
    return attempt(path, lambda: read_journal(path.parent), lambda found: type(found) is dict)


def read_record(path: Path) -> bool:
    """Read the record of a finished task of ``focus prepare``; a damaged one is repeated."""
    outcome = recall(Unit(Task(()), path), path.parent)
    if outcome is not None:
        for row in outcome.rows:
            dict(row)
        for where, reason in [*outcome.failures, *outcome.gaps]:
            if not isinstance(where, str) or not isinstance(reason, str):
                raise FaultError(f"a failure of {where!r}: {reason!r}")
        sum(outcome.counts.values())
    return outcome is not None


def read_parts(path: Path) -> bool:
    """Resume from the segments of a map file, whose record of the run may be damaged."""
    out = path.parent.with_name(path.parent.name.removesuffix(".parts"))

    def go_on() -> int:
        with MapWriter(out, IDENTITY, 1, part_rows=1) as writer:
            if writer.missing:
                return 1
            return writer.finish()

    return attempt(out, go_on, lambda found: found == 1)


def read_corpus(name: str) -> Callable[[Path], bool]:
    """Return a reader of the folder, or its parent, that holds a corpus's list."""

    def read(path: Path) -> bool:
        root = next(folder for folder in path.parents if (folder / "ROOT").exists())
        corpus = CORPORA.get(name)
        with redirect_stderr(io.StringIO()) as said:  # notes on skipped entries
            done = attempt(root / "x", lambda: corpus.scan(root, ScanOptions()), lambda _: True)
        if not all(line.isprintable() for line in said.getvalue().split("\n")):
            raise FaultError(f"a note is not one clear line: {said.getvalue()[:300]!r}")
        return done

    return read


# Weights


def read_weights(path: Path) -> bool:
    """Read tensors."""
    return attempt(
        path,
        lambda: read_tensors(path),
        lambda found: all(type(value) is torch.Tensor for value in found.values()),
    )


def read_state(path: Path) -> bool:
    """Resume from a checkpoint of a tiny network."""
    network, optimizer, average = train_tiny()
    return attempt(
        path,
        lambda: load_state(path, network, optimizer, average),
        lambda facts: type(facts) is dict,
    )


def read_run_folder(path: Path) -> bool:
    """Build the network of a run folder, and predict."""

    def read() -> Any:
        network = load_network(read_run(path.parent))
        with torch.no_grad():
            return network.eval().predict(torch.zeros(1, 3, 32, 32)).scores

    return attempt(path, read, lambda scores: scores.shape == (1,))
