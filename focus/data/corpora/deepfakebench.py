"""DeepfakeBench (Yan et al., NeurIPS 2023): its folders of aligned faces, and its JSON files.

::

    dataset_json/*.json, or preprocessing/dataset_json/*.json
    <dataset>/.../frames/<video>/<frame>.png         256 x 256; may be in rgb/, datasets/ or
    <dataset>/.../masks/<video>/<frame>.png          datasets/rgb/

    {dataset: {label: {split: {video: {"label": label, "frames": [...], "masks": [...]}}}}}

The root is the folder above, or one of the JSON files, to read only that one; the JSON files may
also be directly in the root. Some datasets have a compression level between split and video;
default: c23.

Paths in the files may come from another machine: with back-slashes, a drive letter, another root.
The longest end of a path that exists below this root is used; an absolute path to an existing
folder is used unchanged. Videos whose folder ``frames`` is missing are left out with a note; if it
exists, a missing frame is a row. A frame that is listed twice, in ``FF-DF.json`` and in
``FaceForensics++.json``, is one row. Frames are sorted by their numbers.

Labels are looked up by name, in ``LABELS``. ``method`` is the label's name, ``video`` the label and
the folder of the frames, since folders such as ``000_003`` recur across methods.

Splits are corrected where the files are known to be wrong. In most datasets ``val`` repeats
``test``, in Celeb-DF ``train`` contains the test videos, and the ``val`` of DFDC is a single
record: a video in several splits is kept only in the first of test, val and train, a malformed
``val`` is left out, and both are noted. So no model is selected on test data.

Masks are those listed, else those in the folder ``masks`` that mirrors ``frames``, of this level or
of c23, which all levels share. ``original`` is empty: each video was aligned independently, so a
fake and its real frame differ by more than the forgery. Images that are not files on disk are read
from ``<dataset>_lmdb`` folders (in the root, ``lmdb/`` or ``datasets/lmdb/``). Landmarks are not
read, so their integer width, which depends on the system that wrote them, does not matter.

No counts are published for the extracted faces.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from focus.data.corpora.reading import LEVELS, choose_methods, list_names, natural, read_json
from focus.data.corpus import Corpus, ScanOptions
from focus.data.index import SPLITS, Face, FaceIndex
from focus.errors import InputError, count_of
from focus.runtime import note
from focus.types import FAKE, REAL

_REAL_NAMES = """FF-real DFD_real CelebDFv1_real CelebDFv2_real DFDCP_Real DFDC_Real DF_real
    UADFV_Real roop_Real"""
_FAKE_NAMES = """FF-DF FF-F2F FF-FS FF-NT FF-FH FF-SH DFD_fake CelebDFv1_fake CelebDFv2_fake
    DFDCP_FakeA DFDCP_FakeB DFDC_Fake DF_fake UADFV_Fake roop_Fake"""
LABELS = {
    **{name.casefold(): REAL for name in _REAL_NAMES.split()},
    **{name.casefold(): FAKE for name in _FAKE_NAMES.split()},
}
"""Label by lower-case name."""
_ALL_LEVELS = {"raw", "c0", "c23", "c40"}
_JSON_FOLDERS = ("dataset_json", "preprocessing/dataset_json", "")
_IMAGE_FOLDERS = ("", "rgb", "datasets", "datasets/rgb")
_LMDB_FOLDERS = ("", "lmdb", "datasets/lmdb")
_PREFERENCE = ("test", "val", "train")


class _Video(NamedTuple):
    """A record of a JSON file; its paths unchanged except for forward slashes."""

    file: Path
    label: str
    split: str
    folder: str
    frames: list[str]
    """File names within the folder."""
    masks: list[str]
    """Full paths."""


def scan(root: Path, options: ScanOptions) -> FaceIndex:
    """List the frames of all JSON files, or of the file ``root``.

    Raises:
        InputError: no JSON file, one with another structure, an unknown label, split, level or
            method, a folder labelled both real and fake, or all listed folders missing.
    """
    if options.compression not in LEVELS:
        raise InputError(f"compression {options.compression}: use raw, c23 or c40")
    files = _find_files(root)
    if root.is_file():
        root = root.parent
        root = root.parent if root.name == "dataset_json" else root
        root = root.parent if root.name == "preprocessing" else root
    videos = [video for file in files for video in _read_videos(file, LEVELS[options.compression])]
    if not videos:
        named = ", ".join(str(file) for file in files[:3])
        raise InputError(f"{named}: no video of compression {options.compression or 'c23'}")
    # Sorting is stable: of two files, the first determines the name of a video.
    videos.sort(key=lambda video: _PREFERENCE.index(video.split))
    return choose_methods(FaceIndex.of(_list_faces(root, videos), root), options.methods)


def _find_files(root: Path) -> list[Path]:
    if root.is_file():
        return [root]
    for folder in _JSON_FOLDERS:
        if names := list_names(root / folder, (".json",)):
            return [root / folder / name for name in names]
    looked = "dataset_json/*.json, preprocessing/dataset_json/*.json or *.json"
    raise InputError(f"{root}: not DeepfakeBench: no {looked}")


# JSON to videos


def _read_videos(file: Path, levels: tuple[str, ...]) -> Iterator[_Video]:
    for dataset, labels in _read_object(file, read_json(file), "the file").items():
        for label, splits in _read_object(file, labels, dataset).items():
            _look_up(file, label)
            for split, videos in _read_object(file, splits, label).items():
                if split not in SPLITS:
                    raise InputError(
                        f"{file}: {label} has a split {split!r}; known: {', '.join(SPLITS)}"
                    )
                where = f"{label} {split}"
                named = _choose_level(videos, levels, f"{file}: {where}")
                if split == "val" and not _is_table(named):
                    note(f"{file}: {where} is left out: it is not video -> frames")
                    continue
                for name, record in _read_object(file, named, where).items():
                    yield _read_video(file, label, split, f"{where} {name}", record)


def _is_table(content: Any) -> bool:
    return isinstance(content, dict) and all(isinstance(one, dict) for one in content.values())


def _read_object(file: Path, content: Any, what: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        shape = "dataset -> label -> split -> video -> label, frames and masks"
        raise InputError(f"{file}: {what} is not an object; expected {shape}")
    return content


def _look_up(file: Path, label: str) -> int:
    if label.casefold() not in LABELS:
        raise InputError(f"{file}: unknown label {label!r} (known: {', '.join(LABELS)})")
    return LABELS[label.casefold()]


def _choose_level(videos: Any, levels: tuple[str, ...], where: str) -> Any:
    """Return the videos of a level, or all if there are no levels."""
    if not isinstance(videos, dict) or not videos or not videos.keys() <= _ALL_LEVELS:
        return videos
    if not videos.keys() & set(levels):
        note(f"{where} is left out: it has compression {', '.join(videos)} only")
    return next((videos[level] for level in levels if level in videos), {})


def _read_video(file: Path, label: str, split: str, where: str, content: Any) -> _Video:
    record = _read_object(file, content, where)
    own = str(record.get("label", label))
    if _look_up(file, own) != _look_up(file, label):
        raise InputError(f"{file}: {where} is labelled {own}")
    lists = []
    for paths in (record.get("frames"), record.get("masks") or []):
        if not (isinstance(paths, list) and all(isinstance(path, str) for path in paths)):
            raise InputError(f"{file}: {where}: frames and masks must be lists of paths")
        lists.append([path.replace("\\", "/") for path in paths])
    frames, masks = lists
    folders = {posixpath.dirname(frame) for frame in frames}
    if len(folders) > 1:
        raise InputError(f"{file}: {where} has frames in two folders: {', '.join(folders)}")
    names = [posixpath.basename(frame) for frame in frames]
    return _Video(file, label, split, "".join(folders), names, masks)


# Videos to rows


def _list_faces(root: Path, videos: list[_Video]) -> list[Face]:
    disk = _Disk(root)
    owners: dict[str, _Video] = {}
    faces: dict[str, Face] = {}
    left_out = Counter[tuple[str, str]]()
    for video in videos:
        label = _look_up(video.file, video.label)
        name = f"{video.file.name}: {video.label} {video.split}"
        folder = disk.find(video.folder)
        if not folder or not video.frames:
            reason = "their folder is missing" if video.frames else "they list no frames"
            left_out[name, reason] += 1
            continue
        owner = owners.setdefault(folder, video)
        if _look_up(owner.file, owner.label) != label:
            claims = f"{owner.label} in {owner.file.name} and {name}"
            raise InputError(f"{folder}: labelled both real and fake: {claims}")
        if owner.split != video.split:
            left_out[name, f"they are in {owner.split} too"] += 1
            continue
        method = video.label if label == FAKE else ""
        masks = _Masks(disk, video.masks if method else [], folder if method else "")
        key = f"{owner.label}/{folder}"
        for frame in video.frames:
            path, mask = f"{folder}/{frame}", masks.find(frame)
            faces.setdefault(path, Face(path, label, video.split, method, key, mask))
    if not faces:
        raise InputError(_explain_mismatch(root, videos))
    for (name, reason), count in left_out.items():
        note(f"{name}: {count_of(count, 'video')} left out: {reason}")
    return [faces[path] for path in sorted(faces, key=natural)]


def _explain_mismatch(root: Path, videos: list[_Video]) -> str:
    folder = next((video.folder for video in videos if video.folder), "no frames at all")
    places = ", ".join(place or "the root" for place in _IMAGE_FOLDERS)
    return f"{root}: no folder listed in its JSON files exists in {places}; they list {folder}"


class _Disk:
    """Resolves paths from another machine to folders on this disk."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[str, str] = {}

    def find(self, folder: str) -> str:
        """Return a folder of frames or masks, relative to the root (or absolute).

        Empty if its parent folder is missing.
        """
        above, video = posixpath.split(folder)
        if above not in self._known:
            self._known[above] = self._find_above(above)
        return self._known[above] and f"{self._known[above]}/{video}"

    def has(self, folder: str) -> bool:
        """Return whether a folder, relative to the root, exists."""
        return (self._root / folder).is_dir()

    def _find_above(self, folder: str) -> str:
        parts = [part for part in folder.split("/") if part not in ("", ".", "..")]
        # At least three folders, <dataset>/<part>/frames: corpora may share the names of parts.
        for start in range(len(parts) - 2):
            for place in _IMAGE_FOLDERS:
                candidate = posixpath.join(place, *parts[start:])
                if self.has(candidate):
                    return candidate
        if folder.startswith("/") and self.has(folder):
            return folder
        return self._find_lmdb(parts)

    def _find_lmdb(self, parts: list[str]) -> str:
        """Return the path of a folder in ``<dataset>_lmdb``, whose keys are full paths."""
        for start, dataset in enumerate(parts):
            for place in _LMDB_FOLDERS:
                archive = posixpath.join(place, f"{dataset}_lmdb")
                if self.has(archive):
                    return f"{archive}!/{'/'.join(parts[start:])}"
        return ""


class _Masks:
    """The masks of a fake video: those listed, by stem, or else a folder mirroring its frames."""

    def __init__(self, disk: _Disk, listed: list[str], folder: str) -> None:
        split = [posixpath.split(path) for path in listed]
        found = [f"{there}/{name}" for above, name in split if (there := disk.find(above))]
        self._listed = {PurePosixPath(path).stem: path for path in found}
        self._folder = "" if found else self._mirror(disk, folder)

    def find(self, frame: str) -> str:
        """Return the path of the mask of a frame, empty if there is none."""
        stem = PurePosixPath(frame).stem
        return f"{self._folder}/{stem}.png" if self._folder else self._listed.get(stem, "")

    @staticmethod
    def _mirror(disk: _Disk, folder: str) -> str:
        above, _, below = folder.rpartition("/frames/")
        start, _, level = above.rpartition("/")
        shared = [f"{start}/c23"] if level in _ALL_LEVELS else []
        for candidate in (above, *shared):
            if candidate and disk.has(f"{candidate}/masks"):
                return f"{candidate}/masks/{below}"
        return ""


CORPUS = Corpus(
    name="deepfakebench",
    title="DeepfakeBench",
    source="Yan et al., DeepfakeBench: A Comprehensive Benchmark of Deepfake Detection, NeurIPS "
    "2023; https://github.com/SCLBD/DeepfakeBench",
    scan=scan,
    unit="face",
)
