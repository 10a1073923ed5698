"""Parquet files of images: rows, labels by class name, reading in place, and writing."""

import json

import cv2
import numpy as np
import pytest

from focus.data.archives import list_members, read_member
from focus.data.faces import FaceDataset
from focus.data.images import read_face, read_mask
from focus.data.parquet import ImageWriter
from focus.data.sources import Source, open_source
from focus.errors import InputError, UnreadableError

pa = pytest.importorskip("pyarrow", reason="needs pyarrow, of the extra datasets")
pq = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow, of the extra datasets")


def encode(level, suffix=".png"):
    return cv2.imencode(suffix, np.full((8, 8, 3), level, np.uint8))[1].tobytes()


def struct(data):
    return {"bytes": data, "path": "x.png"}


IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write(path, labels, names=None, kind=None, rows=3, /, **columns):
    """Write one image per label, of level 10 * row, in row groups of ``rows``."""
    images = [struct(encode(10 * row)) for row in range(len(labels))]
    fields = {"image": pa.array(images, IMAGE), "label": pa.array(labels, kind), **columns}
    table = pa.table(fields)
    if names:
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        about = {"huggingface": json.dumps({"info": {"features": features}})}
        table = table.replace_schema_metadata(about)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=rows)
    return path


def test_class_names_decide_the_label_not_the_number(tmp_path):
    path = write(tmp_path / "a.parquet", [0, 1, None, 1], ["Fake", "Real"])
    index = open_source(Source(str(path)))
    assert index.labels.tolist() == [1, 0, -1, 0]
    assert list(index.keys) == [f"a.parquet!/image/{row}" for row in range(4)]
    plain = open_source(Source(str(write(tmp_path / "b.parquet", [0, 1, -1]))))
    assert plain.labels.tolist() == [0, 1, -1]
    words = open_source(Source(str(write(tmp_path / "c.parquet", ["real", "FAKE", ""]))))
    assert words.labels.tolist() == [0, 1, -1]


@pytest.mark.parametrize(
    ("labels", "names", "message"),
    [
        ([0, 1], ["cat", "dog"], "column label has 'cat'; the classes must be real and fake"),
        ([0, 2], None, "column label has 2"),
        (["genuine"], None, "column label has 'genuine'"),
    ],
)
def test_other_classes_are_refused(tmp_path, labels, names, message):
    with pytest.raises(InputError, match=message):
        open_source(Source(str(write(tmp_path / "a.parquet", labels, names))))


def test_images_of_every_row_group_are_read_in_any_order(tmp_path):
    path = write(tmp_path / "a.parquet", [0, 1] * 10)
    index = open_source(Source(str(path)))
    for row in np.random.default_rng(0).permutation(20).tolist():
        assert (read_face(index.root, index.keys[row]) == 10 * row).all()
    faces = FaceDataset(index, 8)
    assert faces[7].image.max() == 70
    assert list_members(path)[:2] == ["image/0", "image/1"]
    for member in ("image/20", "image/-1", "image/x", "label/0", "nothing"):
        with pytest.raises(UnreadableError, match="no such row or column"):
            read_member(path, member)


def test_masks_splits_and_other_columns(tmp_path):
    mask = pa.array([None, struct(encode(255))], IMAGE)
    more = {"mask": mask, "video": ["v", "w"], "age": [31, 32], "path": ["p", "q"]}
    write(tmp_path / "data" / "train-00000-of-00001.parquet", [0, 1], **more)
    write(tmp_path / "data" / "validation-00000-of-00001.parquet", [0, 1], **more)
    write(tmp_path / "data" / "trainees.parquet", [0], split=["test"])
    index = open_source(Source(str(tmp_path)))
    assert list(index.column("split")) == ["train", "train", "test", "val", "val"]
    face = index[1]
    assert (face.video, face.extra["age"], "path" in face.extra) == ("w", "32", False)
    assert read_mask(index.root / face.mask).all()
    assert index[0].mask == ""
    index.relocated(tmp_path / "lists").write(tmp_path / "lists" / "index.csv")
    again = open_source(Source(str(tmp_path / "lists" / "index.csv")))
    assert (read_face(again.root, again.keys[1]) == 10).all()


def test_a_plain_binary_column_and_faults_are_one_line(tmp_path):
    table = pa.table({"face": [encode(5)], "other": [b"x"]})
    pq.write_table(table, tmp_path / "a.parquet")
    index = open_source(Source(str(tmp_path / "a.parquet")))
    assert (read_face(index.root, index.keys[0]) == 5).all()
    pq.write_table(pa.table({"one": [b"x"], "two": [b"x"]}), tmp_path / "b.parquet")
    with pytest.raises(InputError, match=r"needs a column 'image' .*\(its columns: one, two\)"):
        open_source(Source(str(tmp_path / "b.parquet")))
    (tmp_path / "c.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(InputError, match="not a Parquet file, or damaged"):
        open_source(Source(str(tmp_path / "c.parquet")))
    empty = pa.table({"image": pa.array([struct(None)], IMAGE)})
    pq.write_table(empty, tmp_path / "d.parquet")
    with pytest.raises(UnreadableError, match=r"holds no image; it names the file x\.png"):
        read_member(tmp_path / "d.parquet", "image/0")


def test_a_row_that_names_a_file_is_that_file(tmp_path):
    (tmp_path / "x.png").write_bytes(encode(6))
    rows = [{"bytes": None, "path": str(tmp_path / name)} for name in ("x.png", "none.png")]
    table = {"image": pa.array(rows, IMAGE), "mask": pa.array([rows[0], struct(None)], IMAGE)}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    index = open_source(Source(str(tmp_path / "a.parquet")))
    assert (read_face(index.root, index.keys[0]) == 6).all()
    assert list(index.column("mask")) == ["a.parquet!/mask/0", ""]
    with pytest.raises(UnreadableError, match=r"none\.png: No such file"):
        read_face(index.root, index.keys[1])


def test_written_faces_are_read_back_with_their_features(tmp_path):
    path = tmp_path / "maps.parquet"
    writer = ImageWriter(path)
    for row in range(130):
        writer.add(f"a/{row}.png", encode(row), encode(255 - row), None if row else 0.5, row % 2)
    writer.close()
    found = pq.ParquetFile(path)
    assert found.metadata.num_row_groups == 2
    features = json.loads(found.schema_arrow.metadata[b"huggingface"])["info"]["features"]
    assert features["label"]["names"] == ["real", "fake"]
    assert features["map"] == features["image"] == {"_type": "Image"}
    assert found.read().column("score").to_pylist()[:2] == [0.5, None]
    index = open_source(Source(str(path)))
    assert index.labels.tolist() == [row % 2 for row in range(130)]
    assert (read_face(index.root, index.keys[120]) == 120).all()
