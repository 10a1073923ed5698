"""``evaluator export``: convert a map file to the format of another tool."""

from __future__ import annotations

import io
import json
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
import torch

from evaluator.interchange.names import flat_names, kept_paths
from evaluator.interchange.options import ExportCommand, Format
from evaluator.metrics.counting import resize_levels
from focus.cells import write_rows
from focus.data.archives import read_member
from focus.data.images import IMAGE_SUFFIXES, read_bytes, read_face, split_path
from focus.data.index import FaceIndex
from focus.data.masks import encode_rle
from focus.data.parquet import ImageWriter
from focus.data.sources import Source, reopen
from focus.errors import CheckFailedError, InputError, UnreadableError, count_of
from focus.mapstore import MapReader
from focus.runtime import note, track
from focus.types import UNKNOWN, Failure

PREDICTIONS, PROBABILITIES = "pred", "pred_label_combined.json"
SCORES, NAMES, RESULTS = "scores.csv", "names.csv", "results.json"
CATEGORY = 1
LISTED = 10
_FLAT = "--format imdl has flat names"


def export_command(command: ExportCommand) -> None:
    """Run ``evaluator export`` and print the names of the written files.

    Raises:
        InputError: see :func:`export_maps`.
        CheckFailedError: some images could not be read for their size; the other maps were written.
    """
    with MapReader(command.maps) as reader:
        index = None
        if command.format != "png":  # only png does not need image sizes
            source = Source(command.data, command.root)
            index = reopen(reader.attributes, source, command.maps, all_splits=True)
        failures = export_maps(
            reader,
            command.out,
            command.format,
            index,
            threshold=command.threshold,
            quiet=command.runtime.quiet,
        )
        count = len(reader) - len(failures)
    marked = f", masks above {command.threshold:g}" if command.format == "coco" else ""
    print(f"{command.out}: {count_of(count, 'map')} ({command.format}{marked})")
    if failures:
        for failure in failures[:LISTED]:
            note(f"  {failure.key}: {failure.reason}", command.runtime.quiet)
        raise CheckFailedError(
            f"{count_of(len(failures), 'image')} could not be read, so their size is unknown "
            f"and their maps were not written, such as {failures[0].key}: {failures[0].reason}"
        )


def export_maps(
    reader: MapReader,
    out: Path | str,
    form: Format = "png",
    index: FaceIndex | None = None,
    *,
    threshold: float = 0.5,
    quiet: bool = False,
) -> list[Failure]:
    """Write every map of a file to a folder.

    - ``imdl``: ``pred/NAME.png``, uint8 (H, W) of the image's size, and the probabilities as
      ``pred_label_combined.json``. NAME is the file name if unique, else with a hash of the key;
      ``names.csv`` maps names to keys.
    - ``wsol``: ``KEY.npy``, float32 (H, W) in [0, 1] of the image's size.
    - ``coco``: ``results.json``, a list of ``image_id`` (the key), ``category_id`` 1,
      ``segmentation`` (RLE of the pixels above ``threshold``), ``threshold``, and ``score`` if
      the face has one.
    - ``png``: ``KEY.png``, uint16 (h, w) of the stored size: round(65535 * map).
    - ``parquet``: ``maps.parquet``, as ``datasets`` reads it: image, map (PNG, uint8 of the image's
      size), score, label and key.
    - ``webdataset``: ``maps.tar`` with ``N.jpg`` (or other image), ``N.map.png`` and ``N.json``.

    ``wsol`` and ``png`` also write ``scores.csv``. Maps are resized bilinearly.

    Args:
        reader: the map file.
        out: the folder; it must be new or empty.
        form: one of the above.
        index: the faces, for the size of their images; not needed for ``png``.
        threshold: threshold of ``coco`` masks, in [0, 1).
        quiet: hide progress.

    Returns:
        The faces whose images could not be read; they have no map in ``out``.

    Raises:
        InputError: the folder is not empty, faces are missing from the index, or a key is not a
            path below the folder.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--out {out}: is not an empty folder; give another")
    faces = None if form == "png" else ExportedFaces(index, reader)
    writer = _WRITERS[form](reader, out, threshold, faces)
    failures = []
    for row, key in enumerate(track(reader.face_keys, len(reader), "exporting", "maps", quiet)):
        size = reader.shape if faces is None else faces.find(key)
        if isinstance(size, str):
            failures.append(Failure(row, key, size))
        else:
            writer.write(key, size)
    writer.finish({failure.key for failure in failures})
    return failures


class ExportedFaces:
    """The face images, by key: height and width, and the bytes of an image file."""

    def __init__(self, index: FaceIndex | None, reader: MapReader) -> None:
        if index is None:
            raise InputError(f"{reader.path}: image sizes are needed; give an index")
        self._index, self._boxes = index, index.column("box")
        self._rows = {key: row for row, key in enumerate(index.keys)}
        strange = [key for key in reader.face_keys if key not in self._rows]
        if strange:
            raise InputError(
                f"{reader.path}: {len(strange)} of its {count_of(len(reader), 'face')} "
                "are not in the index of "
                f"{index.root} (is --data the right corpus?): {', '.join(strange[:LISTED])}"
            )

    def find(self, key: str) -> tuple[int, int] | str:
        """Return height and width of the upright image, or the reason it cannot be read."""
        try:
            image = read_face(self._index.root, key, self._boxes[self._rows[key]])
        except UnreadableError as error:
            return str(error)
        return image.shape[0], image.shape[1]

    def read(self, key: str) -> tuple[bytes, str]:
        """Return an image file of the face and its suffix: the file itself, or a crop as PNG."""
        where, root = split_path(key), self._index.root
        if where.frame is None:
            path, name = root / where.file, where.member or where.file
            suffix = PurePosixPath(name).suffix.lower()
            data = read_member(path, where.member) if where.member else read_bytes(path)
            return data, suffix if suffix in IMAGE_SUFFIXES else ".png"
        image = read_face(root, key, self._boxes[self._rows[key]])
        return encode_png(cv2.cvtColor(image, cv2.COLOR_RGB2BGR)), ".png"

    def label(self, key: str) -> int:
        """Return the label of a face."""
        return int(self._index.labels[self._rows[key]])


class _Writer(ABC):
    """Write maps one by one, then files about all of them."""

    def __init__(
        self, reader: MapReader, out: Path, threshold: float, faces: ExportedFaces | None
    ) -> None:
        self.reader, self.out, self.threshold, self.faces = reader, out, threshold, faces
        self.names = self.name(reader.face_keys)
        out.mkdir(parents=True, exist_ok=True)

    def name(self, keys: Sequence[str]) -> dict[str, str]:
        return kept_paths(keys, _FLAT)

    @abstractmethod
    def write(self, key: str, size: tuple[int, int]) -> None: ...

    def finish(self, left_out: set[str]) -> None:
        rows = ((key, repr(score)) for key, score in self.scores(left_out))
        _write_csv(self.out / SCORES, ("key", "score"), rows)

    def scores(self, left_out: set[str]) -> Iterator[tuple[str, float]]:
        """Yield key and score of the written faces that have a score."""
        for key, score in zip(self.reader.face_keys, self.reader.scores.tolist(), strict=True):
            if key not in left_out and not np.isnan(score):
                yield key, score

    def levels(self, key: str, size: tuple[int, int]) -> np.ndarray:
        return resize_levels(torch.from_numpy(self.reader[key])[None], size)[0].numpy()

    def place(self, name: str) -> Path:
        """Return the path of a file below the folder; create its parent."""
        path = self.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


class _Png(_Writer):
    def write(self, key: str, size: tuple[int, int]) -> None:
        levels = np.rint(self.reader[key] * np.float32(65535)).astype(np.uint16)
        _write_png(self.place(f"{self.names[key]}.png"), levels)


class _Wsol(_Writer):
    def write(self, key: str, size: tuple[int, int]) -> None:
        values = self.reader[key]
        if values.shape != size:
            values = cv2.resize(values, size[::-1], interpolation=cv2.INTER_LINEAR)
        np.save(self.place(f"{self.names[key]}.npy"), np.clip(values, 0, 1), allow_pickle=False)


class _Imdl(_Writer):
    def name(self, keys: Sequence[str]) -> dict[str, str]:
        return flat_names(keys)

    def write(self, key: str, size: tuple[int, int]) -> None:
        name = f"{PREDICTIONS}/{self.names[key]}.png"
        _write_png(self.place(name), self.levels(key, size))

    def finish(self, left_out: set[str]) -> None:
        probabilities = {self.names[key]: score for key, score in self.scores(left_out)}
        _write_json(self.out / PROBABILITIES, probabilities)
        rows = ((name, key) for key, name in self.names.items() if key not in left_out)
        _write_csv(self.out / NAMES, ("name", "key"), rows)


class _Coco(_Writer):
    def __init__(
        self, reader: MapReader, out: Path, threshold: float, faces: ExportedFaces | None
    ) -> None:
        super().__init__(reader, out, threshold, faces)
        self.results: list[dict[str, Any]] = []

    def name(self, keys: Sequence[str]) -> dict[str, str]:
        return {}

    def write(self, key: str, size: tuple[int, int]) -> None:
        mask = self.levels(key, size) > self.threshold * 255
        result = {
            "image_id": key,
            "category_id": CATEGORY,
            "segmentation": {"size": list(size), "counts": encode_rle(mask)},
            "threshold": self.threshold,
        }
        self.results.append(result)

    def finish(self, left_out: set[str]) -> None:
        known = dict(self.scores(left_out))
        for result in self.results:
            if result["image_id"] in known:
                result["score"] = known[result["image_id"]]
        _write_json(self.out / RESULTS, self.results)


class _Samples(_Writer):
    """Write faces with their maps into one file."""

    def name(self, keys: Sequence[str]) -> dict[str, str]:
        return {key: f"{row:08d}" for row, key in enumerate(keys)}

    @cached_property
    def known(self) -> dict[str, float]:
        return dict(self.scores(set()))

    @abstractmethod
    def add(self, key: str, image: bytes, suffix: str, level: bytes, label: int) -> None: ...

    def write(self, key: str, size: tuple[int, int]) -> None:
        assert self.faces is not None
        image, suffix = self.faces.read(key)
        self.add(key, image, suffix, encode_png(self.levels(key, size)), self.faces.label(key))


class _Parquet(_Samples):
    def __init__(
        self, reader: MapReader, out: Path, threshold: float, faces: ExportedFaces | None
    ) -> None:
        writer = ImageWriter(out / "maps.parquet")
        super().__init__(reader, out, threshold, faces)
        self.writer = writer

    def add(self, key: str, image: bytes, suffix: str, level: bytes, label: int) -> None:
        self.writer.add(key, image, level, self.known.get(key), label)

    def finish(self, left_out: set[str]) -> None:
        self.writer.close()


class _WebDataset(_Samples):
    def __init__(
        self, reader: MapReader, out: Path, threshold: float, faces: ExportedFaces | None
    ) -> None:
        super().__init__(reader, out, threshold, faces)
        self.tar = tarfile.open(out / "maps.tar", "w")  # noqa: SIM115 (closed by finish)

    def add(self, key: str, image: bytes, suffix: str, level: bytes, label: int) -> None:
        about: dict[str, Any] = {"key": key, "label": "" if label == UNKNOWN else label}
        if key in self.known:
            about["score"] = self.known[key]
        members = {suffix: image, ".map.png": level, ".json": json.dumps(about).encode()}
        for ending, data in members.items():
            info = tarfile.TarInfo(self.names[key] + ending)
            info.size = len(data)
            self.tar.addfile(info, io.BytesIO(data))

    def finish(self, left_out: set[str]) -> None:
        self.tar.close()


_WRITERS: Mapping[Format, Callable[[MapReader, Path, float, ExportedFaces | None], _Writer]] = {
    "imdl": _Imdl,
    "wsol": _Wsol,
    "coco": _Coco,
    "png": _Png,
    "parquet": _Parquet,
    "webdataset": _WebDataset,
}


def encode_png(levels: np.ndarray) -> bytes:
    """Return the bytes of a PNG."""
    return cv2.imencode(".png", levels)[1].tobytes()


def _write_png(path: Path, levels: np.ndarray) -> None:
    # Not imwrite, which does not report why writing failed.
    path.write_bytes(encode_png(levels))


def _write_json(path: Path, values: Any) -> None:
    text = json.dumps(values, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _write_csv(path: Path, header: tuple[str, ...], rows: Iterator[tuple[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        write_rows(file, header, rows)
