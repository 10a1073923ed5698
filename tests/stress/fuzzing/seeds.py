"""Small intact files of every kind, the same every time."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import cv2
import h5py
import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from focus.mapstore import MapWriter
from focus.network.classifier import Classifier
from focus.network.encoder import EncoderConfig
from focus.runs import RunFolder, describe_run
from focus.training.checkpoint import save_state

TINY = EncoderConfig("test_vit.r160_in1k", encoder_weights="none", image_size=32)
IDENTITY = {"generator": "g", "index_fingerprint": "f"}


def _encode(form: str, pixels: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    if options.pop("palette", False):
        image = image.convert("P")
    image.save(file, form, **options)
    return file.getvalue()


def _noise(*shape: int, kind: type = np.uint8) -> np.ndarray:
    smooth = cv2.resize(np.random.default_rng(0).random((4, 4, 4)), (24, 20))
    found: np.ndarray = (smooth * np.iinfo(kind).max).astype(kind)
    return np.ascontiguousarray(found[..., : shape[0]] if shape else found[..., 0])


def _exif(orientation: int) -> Image.Exif:
    found = Image.Exif()
    found[0x0112] = orientation
    return found


def make_jpegs() -> list[bytes]:
    """Return JPEGs: baseline, progressive, grey, rotated, and with restart markers."""
    rgb = _noise(3)
    return [
        _encode("JPEG", rgb),
        _encode("JPEG", rgb, progressive=True),
        _encode("JPEG", _noise()),
        _encode("JPEG", rgb, exif=_exif(6)),
        _encode("JPEG", rgb, restart_marker_blocks=1),
        _encode("JPEG", np.tile(rgb, (4, 4, 1)), quality=30),
    ]


def make_pngs() -> list[bytes]:
    """Return PNGs: 8, 16 and 1 bits, with a palette, with alpha, interlaced."""
    deep = cv2.imencode(".png", _noise(3, kind=np.uint16))[1].tobytes()
    return [
        _encode("PNG", _noise(3)),
        _encode("PNG", _noise(4)),
        _encode("PNG", _noise()),
        _encode("PNG", _noise(3), palette=True),
        _encode("PNG", _noise() > 127),
        _encode("PNG", _noise(3), exif=_exif(3)),
        deep,
    ]


def make_webps() -> list[bytes]:
    """Return WebPs: lossy, lossless, with alpha, extended, animated."""
    rgb, frames = _noise(3), [Image.fromarray(_noise(3)), Image.fromarray(255 - _noise(3))]
    file = io.BytesIO()
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:])
    return [
        _encode("WEBP", rgb),
        _encode("WEBP", rgb, lossless=True),
        _encode("WEBP", _noise(4)),
        _encode("WEBP", rgb, exif=_exif(6)),
        file.getvalue(),
    ]


def make_bmps() -> list[bytes]:
    """Return BMPs of 24, 8 and 1 bits."""
    return [_encode("BMP", _noise(3)), _encode("BMP", _noise()), _encode("BMP", _noise() > 127)]


def make_tiffs() -> list[bytes]:
    """Return TIFFs: plain, grey, compressed in four ways, 1 bit, 16 bits."""
    rgb = _noise(3)
    packed = ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")
    deep = cv2.imencode(".tiff", _noise(3, kind=np.uint16))[1].tobytes()
    return [
        _encode("TIFF", rgb),
        _encode("TIFF", _noise()),
        *(_encode("TIFF", rgb, compression=name) for name in packed),
        _encode("TIFF", _noise() > 127, compression="group4"),
        deep,
    ]


def make_index() -> list[bytes]:
    """Return indexes: minimal, and with every column."""
    header = "path,label,split,method,video,mask,original,region,box"
    splits = ("train", "val", "test")
    rows = [
        f'{n}.png,{n % 2},{splits[n % 3]},m{n % 2},v{n},m/{n}.png,"{n},o.png",,1 2 3 4'
        for n in range(6)
    ]
    return [b"path,label\na.png,0\nb.png,1\nc.png,\n", "\n".join([header, *rows, ""]).encode()]


def make_maps() -> list[bytes]:
    """Return map files: plain, with evidence, and compressed with fixed-length keys."""
    keys = [f"faces/{n}.png" for n in range(6)]
    maps = np.random.default_rng(0).random((6, 7, 7)).astype(np.float32)
    parts = {"cam": np.ones((6, 2, 7, 7), np.float16), "scale": np.ones(6, np.float32)}
    found = []
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "a.h5"
        for kept in (None, parts):
            out.unlink(missing_ok=True)
            with MapWriter(out, {"config": {"a": 1}, **IDENTITY}) as writer:
                writer.append(keys, maps, [0, 1, 1, 0, -1, 1], np.linspace(0, 1, 6), kept)
            found.append(out.read_bytes())
        with h5py.File(out, "r+") as file:
            values = {name: file[name][:] for name in ("maps", "scale", "label", "score")}
            for name in ("maps", "scale", "label", "score", "key", "parts"):
                del file[name]
            for name, array in values.items():
                file.create_dataset(name, data=array, chunks=True, compression="gzip", shuffle=True)
            file["key"] = np.array(keys, "S20")
        found.append(out.read_bytes())
    return found


def make_parts() -> list[bytes]:
    """Return the only segment of a map file."""
    return [split_maps()["part-000000.h5"]]


def make_run_json() -> list[bytes]:
    """Return the record of the run beside the segments."""
    return [split_maps()["run.json"]]


def split_maps() -> dict[str, bytes]:
    """Return the files in the folder of an unfinished map file."""
    with tempfile.TemporaryDirectory() as folder:
        writer = MapWriter(Path(folder) / "a.h5", IDENTITY, 1, part_rows=1)
        writer.append(["a.png"], np.ones((1, 4, 4), np.uint8))
        writer.close()
        return {path.name: path.read_bytes() for path in Path(folder).glob("a.h5.parts/*.*")}


def make_provenance() -> list[bytes]:
    """Return the attributes of a map file as JSON."""
    attributes = {
        "generator": "g",
        "config": '{"a": 1, "normalise": "none"}',
        "weights_sha256": "00",
        "data": "DATA",
        "root": "",
        "source": '{"split": "", "methods": ["a"], "every": 10, "face_detector": "yunet"}',
        "index_fingerprint": "f",
        "relative": '{"data": "../faces", "root": ".."}',
        "real_maps": "zero",
        "normalisation": "none",
        "versions": '{"torch": "2"}',
        "created": "2026-01-01T00:00:00Z",
        "shard": "1/2",
    }
    return [json.dumps(attributes | {"source": json.loads(attributes["source"])}).encode()]


_METRIC = {"value": 0.9, "low": 0.8, "high": 0.95, "n": 10}
_METRICS = {"frame_auc": _METRIC, "pxap": {**_METRIC, "value": None, "reason": "no mask"}}
RESULT = {
    "split": "test",
    "threshold": {"value": 0.5, "rule": "val"},
    "intervals": {"level": 0.95, "over": "video"},
    "metrics": _METRICS,
}


def make_arrays() -> list[bytes]:
    """Return NPY files."""
    found = []
    for array in (np.ones((5, 7), np.float32), np.ones((1, 5, 7)), np.ones((5, 7), np.uint8)):
        file = io.BytesIO()
        np.save(file, array)
        found.append(file.getvalue())
    return found


def make_videos(suffix: str, code: str) -> Callable[[], list[bytes]]:
    """Return a maker of two clips."""

    def make() -> list[bytes]:
        found = []
        with tempfile.TemporaryDirectory() as folder:
            for count in (12, 130):
                path = Path(folder) / f"{count}{suffix}"
                writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), 25, (48, 32))
                for number in range(count):
                    writer.write(np.full((32, 48, 3), number, np.uint8))
                writer.release()
                found.append(path.read_bytes())
        return found

    return make


_MEMBERS = {"pictures/a.png": 0, "pictures/b.jpg": 1, "c.txt": 2}


def _members() -> Iterator[tuple[str, bytes]]:
    contents = (make_pngs()[0], make_jpegs()[0], b"text")
    return zip(_MEMBERS, contents, strict=True)


def make_tars() -> list[bytes]:
    """Return tar files in two formats."""
    found = []
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w", format=form) as archive:
            for name, content in [*_members(), ("long/" * 30 + "é.png", b"x")]:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        found.append(file.getvalue())
    return found


def make_zips() -> list[bytes]:
    """Return zip files, stored and deflated."""
    found = []
    for packing in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", packing) as archive:
            for name, content in _members():
                archive.writestr(name, content)
        found.append(file.getvalue())
    return found


def make_lmdbs() -> list[bytes]:
    """Return the data file of an LMDB folder, with values small and large."""
    import lmdb

    with tempfile.TemporaryDirectory() as folder:
        with lmdb.open(folder, map_size=2**20) as data, data.begin(write=True) as writing:
            for name, content in [*_members(), *((f"f/{n}.png", b"x" * 200) for n in range(60))]:
                writing.put(name.encode(), content)
            writing.put(b"large.png", make_bmps()[0] * 6)
        return [(Path(folder) / "data.mdb").read_bytes()]


def make_weights() -> list[bytes]:
    """Return safetensors of a few types."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a"
        save_file({"a": torch.ones(3, 2), "b": torch.ones(4).half()}, path)
        first = path.read_bytes()
        save_file({"x": torch.zeros(2, dtype=torch.int64)}, path, metadata={"format": "pt"})
        return [first, path.read_bytes()]


def make_states() -> list[bytes]:
    """Return a checkpoint."""
    network, optimizer, average = train_tiny()
    with tempfile.TemporaryDirectory() as folder:
        path = RunFolder(Path(folder)).resume
        save_state(path, network, optimizer, average, {"step": 1})
        return [path.read_bytes()]


def make_pickles() -> list[bytes]:
    """Return tensors-only .pth files, new and old."""
    found = []
    for new in (True, False):
        file = io.BytesIO()
        state = {"state_dict": {"a": torch.ones(3, 2), "b": torch.ones(2)}}
        torch.save(state, file, _use_new_zipfile_serialization=new)
        found.append(file.getvalue())
    return found


def unpack_pickle(data: bytes) -> bytes:
    """Return the pickle inside a .pth; an old file as it is."""
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))


def pack_pickle(pickle: bytes, _: Random) -> bytes:
    """Replace the pickle inside a .pth."""
    whole, file = make_pickles()[0], io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            new.writestr(name, pickle if name.endswith("data.pkl") else old.read(name))
    return file.getvalue()


def make_run_config() -> list[bytes]:
    """Return the config.json of a tiny run."""
    return [json.dumps(describe_run("classifier", TINY, fingerprint="f")).encode()]


def make_run_weights() -> list[bytes]:
    """Return the weights of a tiny run."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "best.safetensors"
        state = Classifier(TINY).state_dict()
        save_file({name: value.contiguous() for name, value in state.items()}, path)
        return [path.read_bytes()]


def train_tiny() -> tuple[torch.nn.Module, torch.optim.Optimizer, torch.nn.Module]:
    """Return a network after a step, its optimiser, and another network."""
    torch.manual_seed(0)
    network, average = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return network, optimizer, average
