from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from focus.data.index import DuplicateKeyError, Face, FaceIndex
from focus.errors import InputError

HEAD = "path,label,split\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "index.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,0,\n\n\nb,2,\n", "line 5 has label '2'; use 0 (real), 1 (fake) or empty"),
        ('"a\nb\nc",0,\nd,1,dev\n', "line 5 has split 'dev'; use train, val, test or empty"),
        ('\n"a\nb",1\n', "line 3 has 2 fields, the header 3"),
        ("a,0,\n\nb,1,,\n", "line 4 has 4 fields, the header 3"),
        ("\na,0,\n\n,1,\n", "line 5 has an empty path"),
        ('a,0,\n"b\n",1,\n\na,1,train\n', "lines 2 and 6 have the same path: a"),
    ],
)
def test_errors_name_lines_of_the_file(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, HEAD + text)
    with pytest.raises(InputError) as raised:
        FaceIndex.read(path)
    assert str(raised.value) == f"{path}: {message}"


def test_rows_without_a_file_are_counted_from_one(tmp_path: Path) -> None:
    with pytest.raises(DuplicateKeyError, match=r"^rows 1 and 3 have the same path: a$"):
        FaceIndex.of([Face("a"), Face("b"), Face("a")], tmp_path)


def test_an_empty_label_is_unknown(tmp_path: Path) -> None:
    index = FaceIndex.read(write(tmp_path, "path,label\na,\nb,-1\nc,0\nd,1\n"))
    assert index.labels.tolist() == [-1, -1, 0, 1]
    assert index.labels.dtype == np.int8
    assert [face.label for face in index] == [-1, -1, 0, 1]
    assert list(index.where(label=0).keys) == ["c"]


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    faces = [
        Face("a,b.png", 1, "train", "swap", "v", "m.png", "o.png", "r.png", {"box": "1 2 3 4"}),
        Face('q"\n.png', 0, "val", video="w"),
        Face("c.png"),
    ]
    FaceIndex.of(faces, tmp_path).write(tmp_path / "index.csv")
    read = FaceIndex.read(tmp_path / "index.csv")
    assert read.root == tmp_path
    assert next(iter(read)) == faces[0]
    assert [(face.path, face.label, face.split, face.video) for face in read] == [
        (face.path, face.label, face.split, face.video) for face in faces
    ]
    head = (tmp_path / "index.csv").read_text().splitlines()[0]
    assert head == "path,label,split,method,video,mask,original,region,box"


def test_columns_that_are_empty_everywhere_are_left_out(tmp_path: Path) -> None:
    index = FaceIndex.of([Face("a"), Face("b", method="swap")], tmp_path)
    assert set(index.columns) == {"path", "method"}
    assert list(index.column("mask")) == ["", ""]
    assert list(index.column("method")) == ["", "swap"]
    assert index[0].extra == {}


def test_columns_have_a_value_a_row(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="column mask: 1 value for 2 rows"):
        FaceIndex({"path": ["a", "b"], "mask": ["m"]}, np.zeros(2), tmp_path)


def test_where_chooses_by_split_method_and_label(tmp_path: Path) -> None:
    faces = [
        Face("r1", 0, "train"),
        Face("r2", 0, "test", "swap"),
        Face("f1", 1, "train", "swap"),
        Face("f2", 1, "train", "blend"),
        Face("u", -1, "test", "blend"),
    ]
    index = FaceIndex.of(faces, tmp_path)
    assert list(index.where(split="train").keys) == ["r1", "f1", "f2"]
    assert list(index.where(methods=["swap"]).keys) == ["r1", "r2", "f1"]
    assert list(index.where(methods=["blend"]).keys) == ["r1", "r2", "f2", "u"]
    assert list(index.where(label=1).keys) == ["f1", "f2"]
    assert list(index.where("train", ["swap"], 1).keys) == ["f1"]
    assert list(index.where().keys) == list(index.keys)
    assert list(index.take(np.array([3, 0])).labels) == [1, 0]
    assert list(index.take(np.array([True, False, False, False, True])).keys) == ["r1", "u"]
    assert index.where("test").root == tmp_path


def test_fingerprint_is_of_keys_labels_and_their_order(tmp_path: Path) -> None:
    def mark(*faces: Face) -> str:
        return FaceIndex.of(faces, tmp_path).fingerprint()

    a, b = Face("a", 0), Face("b", 1)
    assert mark(a, b) == mark(Face("a", 0, "train", video="v"), b)
    others = [mark(b, a), mark(a), mark(a, Face("b", 0)), mark(a, Face("c", 1))]
    assert len({mark(a, b), *others}) == 5
    assert mark(a, b) == hashlib.sha256(b"a\x000\nb\x001\n").hexdigest()


def test_relocated_paths_lead_to_the_same_files(tmp_path: Path) -> None:
    face = Face("x/a", 1, mask="m", original="/o/a", region="x/r", video="x/a")
    index = FaceIndex.of([face], tmp_path / "data")
    moved = index.relocated(tmp_path / "lists" / "deep")[0]
    assert (moved.path, moved.mask, moved.original, moved.region, moved.video) == (
        "../../data/x/a",
        "../../data/m",
        "/o/a",
        "../../data/x/r",
        "x/a",
    )
    assert index.relocated(tmp_path / "data")[0] == face
    assert index.relocated(tmp_path / "lists").root == tmp_path / "lists"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1 has no column 'path'"),
        ("path,split\n", r"line 1 has no column 'label' \(has: path, split\)"),
        ("path,label,path\n", "line 1 has a column twice"),
    ],
)
def test_headers_that_are_none(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        FaceIndex.read(write(tmp_path, text))


def test_headers_may_have_spaces_and_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_bytes("\ufeff path , label\na,1\n".encode())
    assert FaceIndex.read(tmp_path / "index.csv", tmp_path / "other").root == tmp_path / "other"
    assert list(FaceIndex.read(tmp_path / "index.csv").keys) == ["a"]


def test_files_that_are_no_index(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read the index \(No such file"):
        FaceIndex.read(tmp_path / "none.csv")
    (tmp_path / "index.csv").write_bytes(b"path,label\n\xff,0\n")
    with pytest.raises(InputError, match="not UTF-8 text at byte 11"):
        FaceIndex.read(tmp_path / "index.csv")
    write(tmp_path, "path,label\n" + "a" * 200_000 + ",0\n")
    with pytest.raises(InputError, match=r"not a CSV file \(field larger"):
        FaceIndex.read(tmp_path / "index.csv")
