"""Every kind of untrusted file: how it is made, damaged and read."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from evaluator.protocols.planning import JOURNAL
from focus.runs import RunFolder
from fuzzing import readers, seeds
from fuzzing.mutations import damage, damage_json, mend_png, mend_tar


@dataclass(frozen=True)
class Kind:
    """A kind of file."""

    make: Callable[[], list[bytes]]
    """Makes intact files, each readable by ``read``."""
    read: Callable[[Path], bool]
    """Reads a file; returns False if it is refused in one line; raises on anything else."""
    file: str
    """File name, with folders if the reader needs them."""
    weight: int = 4
    """Share of the files."""
    text: bool = False
    is_json: bool = False
    inner: tuple[Callable[[bytes], bytes], Callable[[bytes, Random], bytes]] | None = None
    """Unwraps and wraps a file: half of the damage is done inside the wrapper."""
    beside: Callable[[], Mapping[str, bytes]] = field(default=dict)
    """Further files that the reader needs: name -> content."""

    def draw(self, rng: Random, whole: list[bytes]) -> bytes:
        """Return a damaged file."""
        data, other = rng.choice(whole), rng.choice(whole)
        if self.is_json and rng.random() < 0.7:
            return damage_json(rng, data)
        if self.inner is not None and rng.random() < 0.5:
            unwrap, wrap = self.inner
            return wrap(damage(rng, unwrap(data), unwrap(other)), rng)
        return damage(rng, data, other, self.text)


def _json(*values: Any) -> Callable[[], list[bytes]]:
    return lambda: [json.dumps(value).encode() for value in values]


def _same(data: bytes) -> bytes:
    return data


def _wrap_gzip(data: bytes, _: Random) -> bytes:
    return gzip.compress(data, 1)


_LIST = {"ROOT": b""}
_RECORD = {"rows": [{"path": "a.png", "label": 1}], "failures": [["a", "b"]], "gaps": []}
_OPEN = {
    "images": [{"id": 0, "file_name": "Images/Val/a.jpg", "height": 9, "width": 9}],
    "annotations": [
        {
            "image_id": 0,
            "id": 0,
            "category_id": 1,
            "bbox": [1, 1, 5, 5],
            "segmentation": [[1, 1, 5, 1, 5, 5]],
        }
    ],
    "categories": [{"id": 0, "name": "Real"}, {"id": 1, "name": "Fake"}],
}
_BENCH = {
    "UADFV": {
        "UADFV_Fake": {
            "test": {"7": {"label": "UADFV_Fake", "frames": ["UADFV/fake/frames/7/0.png"]}}
        }
    }
}

KINDS = {
    "jpeg": Kind(seeds.make_jpegs, readers.read_still, "a.jpg", 10),
    "png": Kind(
        seeds.make_pngs, readers.read_still, "a.png", 10, inner=(_same, lambda d, _: mend_png(d))
    ),
    "webp": Kind(seeds.make_webps, readers.read_still, "a.webp", 8),
    "bmp": Kind(seeds.make_bmps, readers.read_still, "a.bmp"),
    "tiff": Kind(seeds.make_tiffs, readers.read_still, "a.tiff", 10),
    "mp4": Kind(seeds.make_videos(".mp4", "mp4v"), readers.read_video, "a.mp4", 5),
    "avi": Kind(seeds.make_videos(".avi", "MJPG"), readers.read_video, "a.avi", 4),
    "mkv": Kind(seeds.make_videos(".mkv", "mp4v"), readers.read_video, "a.mkv", 3),
    "tar": Kind(
        seeds.make_tars, readers.read_archive, "a.tar", 5, inner=(_same, lambda d, _: mend_tar(d))
    ),
    "tar.gz": Kind(
        lambda: [gzip.compress(data, 1) for data in seeds.make_tars()],
        readers.read_archive,
        "a.tar.gz",
        3,
        inner=(gzip.decompress, _wrap_gzip),
    ),
    "zip": Kind(seeds.make_zips, readers.read_archive, "a.zip", 6),
    "lmdb": Kind(seeds.make_lmdbs, readers.read_archive, "a_lmdb/data.mdb", 4),
    "maps": Kind(seeds.make_maps, readers.read_map_file, "a.h5", 14),
    "map part": Kind(
        seeds.make_parts,
        readers.read_parts,
        "a.h5.parts/part-000000.h5",
        3,
        beside=lambda: _beside("run.json"),
    ),
    "parts record": Kind(
        seeds.make_run_json,
        readers.read_parts,
        "a.h5.parts/run.json",
        2,
        is_json=True,
        beside=lambda: _beside("part-000000.h5"),
    ),
    "map attributes": Kind(
        seeds.make_provenance, readers.read_provenance, "attributes.txt", 4, is_json=True
    ),
    "index": Kind(seeds.make_index, readers.read_index, "a.csv", 8, text=True),
    "weights": Kind(seeds.make_weights, readers.read_weights, "a.safetensors", 5),
    "pickle": Kind(
        seeds.make_pickles,
        readers.read_weights,
        "a.pth",
        5,
        inner=(seeds.unpack_pickle, seeds.pack_pickle),
    ),
    "checkpoint": Kind(seeds.make_states, readers.read_state, RunFolder(Path()).resume.name, 4),
    "run config": Kind(
        seeds.make_run_config,
        readers.read_run_folder,
        "config.json",
        2,
        is_json=True,
        beside=lambda: {"best.safetensors": seeds.make_run_weights()[0]},
    ),
    "run weights": Kind(
        seeds.make_run_weights,
        readers.read_run_folder,
        "best.safetensors",
        1,
        beside=lambda: {"config.json": seeds.make_run_config()[0]},
    ),
    "record": Kind(
        _json({**_RECORD, "counts": {"faceless": 1}}),
        readers.read_record,
        "record.json",
        2,
        is_json=True,
        beside=lambda: {"a.png": b""},
    ),
    "result": Kind(
        _json(
            seeds.RESULT,
            {"tests": {"cdf": seeds.RESULT, "b": seeds.RESULT}},
            {"tests": {"cdf": seeds.RESULT}},
        ),
        readers.read_results,
        "result.json",
        4,
        is_json=True,
    ),
    "steps": Kind(_json({"a": "focus"}), readers.read_steps, JOURNAL, 1, is_json=True),
    "scores json": Kind(
        _json({"a": 0.5, "b": 1}), readers.read_scores_file, "a.json", 2, is_json=True
    ),
    "scores csv": Kind(
        lambda: [b"key,score\na,0.5\nb,1\n"], readers.read_scores_file, "a.csv", 2, True
    ),
    "names": Kind(
        lambda: [b"name,key\na.png,x/a\nb.png,x/b\n"], readers.read_names_file, "n.csv", 2, True
    ),
    "npy": Kind(seeds.make_arrays, readers.read_array, "a.npy", 3),
    "openforensics": Kind(
        _json(_OPEN),
        readers.read_corpus("openforensics"),
        "Val_poly.json",
        2,
        is_json=True,
        beside=lambda: _LIST,
    ),
    "deepfakebench": Kind(
        _json(_BENCH),
        readers.read_corpus("deepfakebench"),
        "dataset_json/UADFV.json",
        2,
        is_json=True,
        beside=lambda: _LIST | {"UADFV/fake/frames/7/0.png": b""},
    ),
    "dfdc": Kind(
        _json({"a.mp4": {"label": "FAKE", "split": "train", "original": "b.mp4"}}),
        readers.read_corpus("dfdc"),
        "metadata.json",
        2,
        is_json=True,
        beside=lambda: _LIST | {"a.mp4": b""},
    ),
}


def _beside(name: str) -> dict[str, bytes]:
    return {f"a.h5.parts/{name}": seeds.split_maps()[name]}


class Seeds(NamedTuple):
    """The intact files of a kind, and the further files beside each."""

    files: list[bytes]
    beside: Mapping[str, bytes]


def make_seeds(name: str) -> Seeds:
    """Make the intact files of a kind, the same every time."""
    kind = KINDS[name]
    return Seeds(kind.make(), kind.beside())
