"""The DeepFake Detection Challenge: the full corpus (``dfdc``) and its preview (``dfdcp``).

::

    dfdc_train_part_<0 to 49>/<name>.mp4, metadata.json      the parts may be in train/
    test/<name>.mp4, labels.csv                              the list may be in the root

    original_videos/<id>/<name>.mp4                          the preview; all of it may be in
    method_A/<id>/<id>_<x>/<name>.mp4                        dfdc_preview_set/
    method_B/...
    dataset.json

Videos may be one level down, in ``videos/``, in a part, in ``test`` or in a folder of the preview.
A single part, or the sample of the challenge, is read too: a root with ``metadata.json`` in it.

``metadata.json``: ``{"a.mp4": {"label": "FAKE", "split": "train", "original": "b.mp4"}}``, and REAL
videos have no original. ``labels.csv``: ``filename,label`` with **1 = fake**. ``dataset.json``:
``{"method_A/...mp4": {"label": "fake", "set": "train"}}``, where ``target_id`` and ``swapped_id``
become the columns ``target`` and ``source`` if present. Labels and splits come from these files;
there is no val. A listed video is a row even if the file is missing, as long as its folder exists
(many copies lack ``method_B``); an unlisted video has no label.

No masks. ``original`` (``dfdc`` only) is the aligned real video; column ``target`` names it too, so
that fakes of one video can be grouped when it is missing. The method of a fake is not published; in
the preview it is the folder. Frames may show two people, one of them forged.

Published: 5000 test videos of ``dfdc`` (unverified). Also cited, but unverified and not checked:
119154 training videos of ``dfdc``; 1131 real and 4113 fake videos of ``dfdcp``.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from focus.data.corpora.reading import (
    build_index,
    find_videos,
    list_names,
    list_videos,
    natural,
    read_records,
    read_text,
    strip_suffix,
    walk,
)
from focus.data.corpus import Corpus, ScanOptions
from focus.data.index import Face, FaceIndex
from focus.errors import InputError
from focus.types import FAKE, REAL, UNKNOWN

_LABELS = {"real": REAL, "fake": FAKE}
_FLAGS = {"0": REAL, "1": FAKE}
_SPLITS = {"train": "train", "validation": "val", "val": "val", "test": "test"}
_PREVIEW_FOLDERS = ("original_videos", "method_A", "method_B")


class _Folder(NamedTuple):
    """A folder of videos and its list: name -> (label, split, original)."""

    videos: Path
    records: Mapping[str, tuple[int, str, str]]


def scan(root: Path, options: ScanOptions) -> FaceIndex:
    """List the training parts and the test videos that exist.

    Raises:
        InputError: neither of them, a part without its list, an unknown label or split, or an
            unsupported option.
    """
    folders = [
        base / name
        for base in (root, root / "train")
        for name in list_names(base, folders=True)
        if name.startswith("dfdc_train_part_")
    ]
    if not folders and (root / "metadata.json").is_file():
        folders = [root]
    parts = [_Folder(find_videos(folder), _read_metadata(folder)) for folder in folders]
    if (root / "test").is_dir():
        inside, in_root = root / "test" / "labels.csv", root / "labels.csv"
        flags = _read_flags(in_root if in_root.is_file() and not inside.is_file() else inside)
        parts.append(_Folder(find_videos(root / "test"), flags))
    if not parts:
        looked = "dfdc_train_part_*/metadata.json, test/labels.csv or metadata.json"
        raise InputError(f"{root}: not DFDC: no {looked}")
    return build_index(_list_faces(root, parts), root, options)


def _list_faces(root: Path, parts: list[_Folder]) -> Iterator[Face]:
    names = [sorted({*list_videos(part.videos), *part.records}, key=natural) for part in parts]
    paths = [
        {name: (part.videos.relative_to(root) / name).as_posix() for name in listed}
        for part, listed in zip(parts, names, strict=True)
    ]
    anywhere = {name: path for files in paths for name, path in files.items()}
    for part, files in zip(parts, paths, strict=True):
        for name, path in files.items():
            label, split, original = part.records.get(name, (UNKNOWN, "", ""))
            aligned = files.get(original) or anywhere.get(original, "")
            shown = name if label == REAL else original
            extra = {"target": Path(shown).stem}
            yield Face(path, label, split, "", strip_suffix(path), original=aligned, extra=extra)


def _read_metadata(folder: Path) -> dict[str, tuple[int, str, str]]:
    path = folder / "metadata.json"
    records = {}
    for name, record in read_records(path).items():
        label, split = _look_up(path, name, record, "split")
        records[name] = label, split, str(record.get("original") or "")
    return records


def _read_flags(path: Path) -> dict[str, tuple[int, str, str]]:
    reader = csv.reader(read_text(path).splitlines(keepends=True))
    header = [name.strip() for name in next(reader, [])]
    if header[:2] != ["filename", "label"]:
        raise InputError(f"{path}: line 1 must be filename,label, not {','.join(header)}")
    records: dict[str, tuple[int, str, str]] = {}
    before = reader.line_num
    for row in reader:
        where, before = f"{path}: line {before + 1}", reader.line_num
        if not row:
            continue
        if len(row) < 2 or row[1].strip() not in _FLAGS:
            raise InputError(f"{where}: label must be 0 (real) or 1 (fake): {','.join(row)}")
        if row[0] in records:
            raise InputError(f"{where} repeats {row[0]}")
        records[row[0]] = _FLAGS[row[1].strip()], "test", ""
    return records


def _look_up(path: Path, name: str, record: Mapping[str, Any], key: str) -> tuple[int, str]:
    label = _LABELS.get(str(record.get("label")).lower())
    if label is None:
        raise InputError(f"{path}: {name} has label {record.get('label')!r}; known: real, fake")
    split = _SPLITS.get(str(record.get(key)).lower())
    if split is None:
        raise InputError(
            f"{path}: {name} has {key} {record.get(key)!r}; known: {', '.join(_SPLITS)}"
        )
    return label, split


def scan_preview(root: Path, options: ScanOptions) -> FaceIndex:
    """List the videos of the preview, in those of its three folders that exist.

    Raises:
        InputError: no dataset.json, an unknown label, set or folder in it, none of the folders, or
            an unsupported option.
    """
    base = next(
        (b for b in (root, root / "dfdc_preview_set") if (b / "dataset.json").is_file()), None
    )
    if base is None:
        raise InputError(
            f"{root}: not the DFDC preview: no dataset.json, here or in dfdc_preview_set/"
        )
    folders = {name: base / name for name in _PREVIEW_FOLDERS if (base / name).is_dir()}
    if not folders:
        raise InputError(f"{base}: none of {', '.join(_PREVIEW_FOLDERS)} next to dataset.json")
    faces = dict[str, Face]()
    for name, record in read_records(base / "dataset.json").items():
        folder, _, rest = name.replace("\\", "/").partition("/")
        if folder not in _PREVIEW_FOLDERS or not rest:
            known = ", ".join(_PREVIEW_FOLDERS)
            raise InputError(f"{base / 'dataset.json'}: {name} is in no known folder ({known})")
        label, split = _look_up(base / "dataset.json", name, record, "set")
        if folder in folders:
            path = (find_videos(folders[folder]).relative_to(root) / rest).as_posix()
            extra = {"target": record.get("target_id"), "source": record.get("swapped_id")}
            faces[path] = Face(
                path,
                label,
                split,
                folder if label == FAKE else "",
                strip_suffix(path),
                extra={key: str(value or "") for key, value in extra.items()},
            )
    for there in folders.values():
        videos = find_videos(there)
        for name in walk(videos):
            path = (videos.relative_to(root) / name).as_posix()
            faces.setdefault(path, Face(path, video=strip_suffix(path)))
    ordered = sorted(faces.values(), key=lambda face: natural(face.path))
    return build_index(ordered, root, options)


_SOURCE = "Dolhansky et al., The {} Dataset, {}"
CORPUS = Corpus(
    name="dfdc",
    title="DeepFake Detection Challenge",
    source=_SOURCE.format("DeepFake Detection Challenge (DFDC)", "2020, arXiv:2006.07397"),
    scan=scan,
    unit="video",
    published={"test": 5000},
)
PREVIEW = Corpus(
    name="dfdcp",
    title="DeepFake Detection Challenge, preview",
    source=_SOURCE.format("Deepfake Detection Challenge (DFDC) Preview", "2019, arXiv:1910.08854"),
    scan=scan_preview,
    unit="video",
)
