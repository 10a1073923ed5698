"""Files made to do harm, each refused in one line; and a short run of tests/stress/fuzz.py."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import struct
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import cv2
import h5py
import lmdb
import numpy as np
import pytest

from evaluator.interchange.reading import read_prediction
from evaluator.protocols.planning import JOURNAL, read_journal
from evaluator.tables import read_result
from focus.backbones import read_tensors
from focus.cli import main
from focus.data.archives import list_members, read_member
from focus.data.images import read_image
from focus.data.index import FaceIndex
from focus.data.prepare.planning import Task
from focus.data.prepare.running import Unit, recall
from focus.errors import InputError, UnreadableError
from focus.mapstore import MapReader, MapWriter
from focus.runs import load_network, read_run

ROOT = Path(__file__).parent.parent
ESCAPE = "\x1b]0;owned\x07\x1b[31m\nred\u202e\x9b"


def test_the_fuzzer_finds_nothing():
    command = [sys.executable, "tests/stress/fuzz.py", "--count", "250", "--seed", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    kind, files, read, refused, *_ = done.stdout.splitlines()[-1].split()
    assert kind == "all"
    assert int(files) >= 250
    assert int(read) > 50
    assert int(refused) > 50
    assert int(read) + int(refused) == int(files)


ODD_READER = """
import os, sys
sys.path.insert(0, "tests/stress")
import fuzz
from focus.errors import InputError
from fuzzing.kinds import Kind
from fuzzing.readers import attempt
from pathlib import Path

class Odd(Kind):
    def draw(self, rng, whole):
        return str(next(self.numbers)).encode()

def read(path):
    number = int(path.read_bytes())
    if number == 0:
        raise KeyError("x")
    if number == 1:
        return bool(bytearray(b"x" * (80 << 20)))
    if number == 2:
        os.write(2, b"hello")
        return True
    if number == 3:
        return attempt(path, lambda: 1, lambda found: found == 2)
    def refuse():
        raise InputError("no file is named")
    if number == 4:
        return attempt(path, refuse, bool)
    if way == "die":
        os.abort()
    while True:
        pass

fuzz.CPU_SECONDS, fuzz.MEMORY = 1, 64 << 20
fuzz.KINDS["odd"] = Odd(lambda: [], read, "a")
for way in ("die", "hang"):
    Odd.numbers = iter(range(7))
    print(*fuzz.fuzz("odd", 6, 0, Path(sys.argv[1]) / way).findings, sep="\\n")
"""


def test_the_fuzzer_notices_what_is_wrong(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ODD_READER, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    common = ("KeyError", "takes", "prints", "not what was promised", "does not name")
    expected = [*common, "SIGABRT", *common, "hangs"]
    said = done.stdout.splitlines()
    assert len(said) == len(expected), done.stderr[-2000:]
    assert all(word in line for word, line in zip(expected, said, strict=True)), said
    assert (tmp_path / "hang" / "odd-5" / "a").read_bytes() == b"5"


# Map files


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    path = tmp_path / "maps.h5"
    with MapWriter(path, generator="g") as writer:
        writer.append([f"{n}.png" for n in range(5)], np.full((5, 4, 4), 90, np.uint8))
    return path


def break_score(file):
    file["score"][2] = 7


def break_label(file):
    file["label"][1] = 3


def break_attribute_text(file):
    file.attrs["generator"] = np.bytes_(b"\xff\xfe")
    file.attrs["data"] = np.bytes_(b"\xff\xfe")


def break_attribute_compound(file):
    file.attrs["config"] = np.zeros((), [("a", "i4"), ("b", "f8")])


def break_attribute_type(file):
    file["named"] = np.dtype([("a", "i4")])
    file.attrs.create("config", np.zeros((), [("a", "i4")]), dtype=file["named"])


def break_attribute_enum(file):
    file.attrs["config"] = np.zeros((50,), np.int64)


def break_cycle(file):
    file["parts"] = file["/"]


def break_many_parts(file):
    group = file.create_group("parts")
    for number in range(70):
        group[str(number)] = np.zeros(5, np.float32)


def break_part_group(file):
    file.create_group("parts/a/b/c")


def break_part_row(file):
    file.create_dataset("parts/a", (5, 10**5, 10**5), np.float32, chunks=(1, 10, 10))


def break_never_written(file):
    for name in list(file):
        del file[name]
    count = 3000
    file["label"], file["score"] = np.zeros(count, np.int8), np.zeros(count, np.float32)
    file["scale"] = np.ones(count, np.float32)
    file["key"] = np.array([f"{n}" for n in range(count)], "S8")
    file.create_dataset("maps", (count, 4096, 4096), np.uint16, chunks=(1, 512, 512))


def break_type(file):
    file["stored"] = np.dtype([("a", "i4")])
    del file["label"]
    file.create_dataset("label", (5,), file["stored"])


HARM = {
    break_score: "/score has values outside",
    break_label: "/label has values other",
    break_attribute_text: "damaged",
    break_attribute_compound: "'config'",
    break_attribute_type: "'config'",
    break_attribute_enum: "'config'",
    break_cycle: "not numbers|not a dataset",
    break_many_parts: "more than 64",
    break_part_group: "not a dataset",
    break_part_row: "declares",
    break_never_written: "declares",
    break_type: "/label is",
}


@pytest.mark.parametrize("harm", HARM, ids=lambda harm: harm.__name__)
def test_a_map_file_that_would_do_harm_is_refused(maps: Path, harm) -> None:
    with h5py.File(maps, "r+") as file:
        harm(file)
    with pytest.raises(InputError, match=HARM[harm]) as caught:
        list(MapReader(maps).blocks())
    assert str(maps) in str(caught.value)
    assert str(caught.value).isprintable()


def test_maps_that_were_packed_a_thousandfold_are_read_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "maps.h5"
    with h5py.File(path, "w") as file:
        file.attrs["format"], file.attrs["format_version"] = np.bytes_("focus-maps"), 2
        file["key"] = np.array([f"{n}" for n in range(40)], "S")
        file["scale"] = np.ones(40, np.float32)
        file["label"], file["score"] = np.zeros(40, np.int8), np.zeros(40, np.float32)
        shape = (40, 4096, 4096)
        plan = {"chunks": (1, 4096, 4096), "compression": "gzip", "compression_opts": 1}
        packed = file.create_dataset("maps", shape, np.uint16, **plan)
        for row in range(40):
            packed[row] = 0
    assert path.stat().st_size < 8 << 20
    with MapReader(path) as reader:
        assert reader.fit(2048) == 4
        assert len(next(iter(reader.blocks()))) == 4


@pytest.mark.parametrize("shape", [(1, 4096), (30, 31), (29, 100)])
def test_maps_of_any_shape_are_drawn(tmp_path: Path, shape: tuple[int, int], capsys) -> None:
    path = tmp_path / "maps.h5"
    levels = np.zeros((1, *shape), np.uint8)
    levels[:, -1, -1] = 255
    with MapWriter(path, config='{"a": NaN}') as writer:
        writer.append(["a.png"], levels)
    assert main(["info", str(path)]) == 0
    assert "@@" in capsys.readouterr().out
    assert main(["info", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out, parse_constant=lambda _: pytest.fail("no JSON"))
    assert told["attributes"]["config"] == '{"a": NaN}'


def test_a_spoilt_part_is_made_anew(tmp_path: Path) -> None:
    identity = {"generator": "g", "index_fingerprint": "f"}
    with MapWriter(tmp_path / "a.h5", identity, 1, part_rows=1) as writer:
        part = tmp_path / "a.h5.parts" / "part-000000.h5"
        for spoil in ("[[1]]", "{", "7", "[" * 9999):
            writer._appended = 0
            writer.append(["a.png"], np.zeros((1, 4, 4), np.uint8))
            assert writer.missing == []
            with h5py.File(part, "r+") as file:
                del file["failures"]
                file["failures"] = np.frombuffer(spoil.encode(), np.uint8)
            assert writer.missing == [0]
        writer._appended = 0
        writer.append(["a.png"], np.zeros((1, 4, 4), np.uint8))
    assert len(MapReader(tmp_path / "a.h5")) == 1


def test_no_escape_sequence_reaches_the_terminal_or_the_page(tmp_path, capsys):
    (tmp_path / "x").mkdir()
    key = f"x/{ESCAPE}.png".replace("\x9b", "")
    cv2.imwrite(str(tmp_path / "x" / "plain.png"), np.zeros((8, 8, 3), np.uint8))
    os.rename(tmp_path / "x" / "plain.png", tmp_path / key)
    FaceIndex({"path": [key], "method": [ESCAPE]}, np.ones(1, np.int8), tmp_path).write(
        tmp_path / "index.csv"
    )
    maps = tmp_path / "maps.h5"
    told = dict.fromkeys(("generator", "normalisation", "root", "data"), ESCAPE)
    with MapWriter(maps, {**told, "config": {ESCAPE: ESCAPE}}) as writer:
        parts = {f"a{ESCAPE}".replace("/", ""): np.zeros((1, 2), np.float32)}
        writer.append([key], np.full((1, 4, 4), 200, np.uint8), parts=parts)
    assert main(["info", str(maps)]) == 0
    assert main(["view", str(maps)]) == 2
    page = tmp_path / "page.html"
    view = ["view", str(maps), "--data", str(tmp_path / "index.csv"), "--out", str(page)]
    assert main(view) == 0
    said = capsys.readouterr()
    for text in (said.out, said.err, page.read_text(encoding="utf-8")):
        assert "owned" in text or text is said.err
        strange = {sign for sign in text if not sign.isprintable()} - {"\n"}
        assert strange == set()


# Pictures and archives


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
    """Pictures of one colour are packed as tightly as their formats allow, and are read."""
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


# Weights, records, messages


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
    whole = {"rows": [], "failures": [["a", "b"]], "gaps": [], "counts": {"pictures": 1}}
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
