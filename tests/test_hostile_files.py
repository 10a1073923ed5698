"""Harmful images, archives, weights and records are refused in one line."""

from __future__ import annotations

import contextlib
import io
import json
import random
import struct
import tarfile
import zipfile
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest

from evaluator.interchange.reading import read_prediction
from evaluator.protocols.planning import JOURNAL, read_journal
from evaluator.tables import read_result
from focus.backbones import read_tensors
from focus.data.archives import list_members, read_member
from focus.data.images import read_image
from focus.data.prepare.planning import Task
from focus.data.prepare.running import Unit, recall
from focus.errors import InputError, UnreadableError
from focus.runs import load_network, read_run

ESCAPE = "\x1b]0;owned\x07\x1b[31m\nred\u202e\x9b"


def test_a_chunk_of_png_that_claims_gigabytes_is_refused(tmp_path: Path, monkeypatch) -> None:
    code = cv2.imencode(".png", np.full((8, 8, 3), 90, np.uint8))[1].tobytes()
    place = code.index(b"IDAT")
    path = tmp_path / "a.png"
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("the decoder was asked"))
    for length in (2**31 - 1, 2**32 - 1):
        path.write_bytes(code[: place - 4] + struct.pack(">I", length) + code[place:])
        with pytest.raises(UnreadableError, match="truncated"):
            read_image(path)


def test_more_pixels_than_bytes_can_hold_are_refused(tmp_path: Path) -> None:
    """Images of one colour are packed as tightly as their formats allow, and are read."""
    for name, flags in (("a.png", [cv2.IMWRITE_PNG_COMPRESSION, 9]), ("a.jpg", [])):
        path = tmp_path / name
        plain = np.full((2000, 2000), 128, np.uint8)
        for options in (flags, [*flags, cv2.IMWRITE_JPEG_PROGRESSIVE, 1]):
            cv2.imwrite(str(path), plain, options if name == "a.jpg" else flags)
            assert read_image(path).shape == (2000, 2000, 3)
    jpeg = bytearray((tmp_path / "a.jpg").read_bytes())
    at = max(jpeg.find(b"\xff\xc0"), jpeg.find(b"\xff\xc2"))
    struct.pack_into(">HH", jpeg, at + 5, 16000, 16000)
    (tmp_path / "a.jpg").write_bytes(jpeg)
    png = bytearray((tmp_path / "a.png").read_bytes())
    struct.pack_into(">II", png, 16, 16000, 16000)
    (tmp_path / "a.png").write_bytes(png)
    for name in ("a.jpg", "a.png"):
        with pytest.raises(UnreadableError, match="declares 16000 x 16000"):
            read_image(tmp_path / name)


def test_a_directory_of_tiff_that_leads_to_itself_ends(tmp_path: Path) -> None:
    code = cv2.imencode(".tiff", np.full((8, 8, 3), 90, np.uint8))[1].tobytes()
    (start,) = struct.unpack_from("<I", code, 4)
    (count,) = struct.unpack_from("<H", code, start)
    end = start + 2 + 12 * count
    path = tmp_path / "a.tiff"
    path.write_bytes(code[:end] + struct.pack("<I", start) + code[end + 4 :])
    assert read_image(path).shape == (8, 8, 3)
    path.write_bytes(code[:4] + struct.pack("<I", 4) + code[8:])
    with pytest.raises(UnreadableError):
        read_image(path)


def test_devices_and_claims_of_a_tar(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for name, kind in (("pipe", tarfile.FIFOTYPE), ("disk", tarfile.BLKTYPE)):
            info = tarfile.TarInfo(name)
            info.type = kind
            archive.addfile(info)
        info = tarfile.TarInfo("good")
        info.size = 1
        archive.addfile(info, io.BytesIO(b"x"))
    assert list_members(path) == ["good"]
    for name in ("pipe", "disk"):
        with pytest.raises(UnreadableError, match="link or a folder"):
            read_member(path, name)
    claim = tarfile.TarInfo("terabyte")
    claim.size = 10**12
    path.write_bytes(claim.tobuf() + bytes(1024))
    with pytest.raises(UnreadableError, match="damaged or truncated"):
        read_member(path, "terabyte")


def test_a_sparse_member_that_claims_more_than_it_has(tmp_path: Path) -> None:
    header = bytearray(tarfile.TarInfo("hole.png").tobuf(tarfile.GNU_FORMAT))
    header[156:157] = b"S"
    header[386:410] = b"%011o\0%011o\0" % (0, 0)
    header[483:495] = b"%011o\0" % (2**32)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    path = tmp_path / "a.tar"
    path.write_bytes(bytes(header) + bytes(1024))
    with pytest.raises(UnreadableError, match="256 MiB"):
        read_member(path, "hole.png")


def test_an_encrypted_zip_and_one_whose_sizes_lie(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes(2**20))
        archive.writestr("other", b"x" * 99)
    whole = path.read_bytes()
    entry = whole.index(b"PK\x01\x02")
    # The table says 10 bytes where a megabyte comes out: no more than 10 are taken.
    path.write_bytes(whole[: entry + 24] + struct.pack("<I", 10) + whole[entry + 28 :])
    with pytest.raises(UnreadableError, match="damaged"):
        read_member(path, "bomb")
    second = whole.index(b"PK\x01\x02", entry + 1)
    # Two members over the same bytes.
    path.write_bytes(whole[: second + 42] + bytes(4) + whole[second + 46 :])
    with pytest.raises(UnreadableError, match="damaged"):
        read_member(path, "other")
    path.write_bytes(whole[: entry + 8] + b"\1" + whole[entry + 9 :])
    with pytest.raises(UnreadableError, match="damaged"):
        read_member(path, "bomb")


def test_an_lmdb_folder_reads_as_lmdb_reads_it(tmp_path: Path) -> None:
    rng, folder = random.Random(0), tmp_path / "a_lmdb"
    with lmdb.open(str(folder), map_size=2**26) as data:
        for _ in range(3):
            with data.begin(write=True) as writing:
                for _number in range(900):
                    name = f"a\\{rng.randrange(10**6)}\\é.png".encode()
                    writing.put(name, rng.randbytes(rng.choice((0, 1, 300, 3000, 30000))))
                for key in rng.sample(list(writing.cursor().iternext(values=False)), 200):
                    writing.delete(key)
        with data.begin() as reading:
            truth = {key.decode().replace("\\", "/"): value for key, value in reading.cursor()}
    assert list_members(folder) == list(truth)
    for name, value in truth.items():
        assert read_member(folder, name) == value
    for name in ("", "a", "zzz", "a\udcff"):
        with pytest.raises(UnreadableError, match="no such key"):
            read_member(folder, name)


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_lmdb_folder_does_not_end_the_process(tmp_path: Path, seed: int) -> None:
    folder = tmp_path / "a_lmdb"
    with lmdb.open(str(folder), map_size=2**20) as data, data.begin(write=True) as writing:
        for number in range(300):
            writing.put(b"%d.png" % number, b"x" * 200)
    whole, rng = bytearray((folder / "data.mdb").read_bytes()), random.Random(seed)
    for _ in range(30):
        whole[rng.randrange(len(whole))] = rng.choice((0, 1, 255))
    (folder / "data.mdb").write_bytes(whole[: rng.choice((len(whole), len(whole) // 2))])
    with contextlib.suppress(UnreadableError):
        assert len(list_members(folder)) <= len(whole)
        assert isinstance(read_member(folder, "200.png"), bytes)


@pytest.mark.parametrize(
    "header",
    [
        (2**60).to_bytes(8, "little"),
        b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
        b'"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}',
        b'{"a":{"dtype":"Q7","shape":[2],"data_offsets":[0,8]}}',
        b'{"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,8]}}',
        b"[" * 99999,
    ],
)
def test_hostile_safetensors_are_refused(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "a.safetensors"
    length = b"" if len(header) == 8 else len(header).to_bytes(8, "little")
    path.write_bytes(length + header + bytes(16))
    with pytest.raises(InputError, match="cannot read weights"):
        read_tensors(path)


def test_a_run_of_strange_settings_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "best.safetensors").write_bytes(b"")
    record = {"format": "focus-run", "kind": "classifier"}
    for network in ({"a": 1}, {"encoder": 5}, {"image_size": "x"}, {"image_size": 10**6}):
        text = json.dumps({**record, "network": network})
        (tmp_path / "config.json").write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=r"config\.json: "):
            load_network(read_run(tmp_path))


def test_a_spoilt_record_of_prepare_is_not_believed(tmp_path: Path) -> None:
    whole = {"rows": [], "failures": [["a", "b"]], "gaps": [], "counts": {"faceless": 1}}
    unit = Unit(Task(()), tmp_path / "a.json")

    def recalled(**change: object) -> object:
        unit.record.write_text(json.dumps({**whole, **change}), encoding="utf-8")
        return recall(unit, tmp_path)

    assert recalled() is not None
    for change in ({"failures": [5]}, {"gaps": [[1]]}, {"counts": {"a": None}}, {"rows": [7]}):
        assert recalled(**change) is None
    unit.record.write_text("[" * 99999, encoding="utf-8")
    assert recall(unit, tmp_path) is None


def test_results_and_journals_of_other_shapes_are_refused(tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    for value in ("0.5", True, [1], float("nan")):
        result.write_text(json.dumps({"metrics": {"pxap": {"value": value}}}), encoding="utf-8")
        with pytest.raises(InputError, match="contains no metrics"):
            read_result(str(result))
    result.write_text("[" * 99999, encoding="utf-8")
    with pytest.raises(InputError, match="contains no metrics"):
        read_result(str(result))
    for text in ("5", "[[]]", "[" * 99999):
        (tmp_path / JOURNAL).write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match="use another --out"):
            read_journal(tmp_path)


def test_an_array_whose_header_is_no_python_is_refused(tmp_path: Path) -> None:
    file = io.BytesIO()
    np.save(file, np.zeros((2, 2), np.float32))
    path = tmp_path / "a.npy"
    path.write_bytes(file.getvalue().replace(b"(2, 2)", b"((((((").replace(b"}", b"("))
    with pytest.raises(UnreadableError, match="not an NPY file"):
        read_prediction(path)


def test_a_message_is_one_line_whatever_it_quotes() -> None:
    for error in (InputError, UnreadableError):
        text = str(error(f"a.csv: {ESCAPE}{'x' * 10**6}; write 0 or 1"))
        assert text.isprintable()
        assert len(text) < 400
        assert text.startswith("a.csv: \\x1b]0;owned\\x07\\x1b[31m\\nred\\u202e\\x9b")
        assert text.endswith("; write 0 or 1")
    plain = "Gänse.png: 日本語"
    assert str(InputError(plain)) == plain
