"""Harmful map files are refused in one line, and no escape sequence is printed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest

from focus.cli import main
from focus.data.index import FaceIndex
from focus.errors import InputError
from focus.mapstore import MapReader, MapWriter

ESCAPE = "\x1b]0;owned\x07\x1b[31m\nred\u202e\x9b"


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
