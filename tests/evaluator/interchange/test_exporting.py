"""Maps to other formats."""

from __future__ import annotations

import json
import sys

import cv2
import numpy as np
import pytest

from evaluator.interchange import (
    ExportCommand,
    export_command,
    export_maps,
)
from evaluator.interchange.names import flat_names
from focus.data.archives import read_member
from focus.data.index import Face, FaceIndex
from focus.data.masks import encode_rle
from focus.data.sources import Source, open_source
from focus.errors import CheckFailedError, InputError
from focus.mapstore import MapReader
from tests.evaluator.interchange.making import KEYS, SIZES, run_export, write_maps


def test_imdl_has_image_sizes_and_unique_names(corpus):
    out = run_export(corpus, "imdl")
    names = sorted(path.name for path in (out / "pred").iterdir())
    assert len(names) == 4
    assert "001.png" in names  # a unique name
    assert not any(name == "000.png" for name in names)  # three faces share it
    keys = dict(line.split(",") for line in (out / "names.csv").read_text().splitlines()[1:])
    assert sorted(keys.values()) == sorted(KEYS)
    for name, key in keys.items():
        image = cv2.imread(str(out / "pred" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        assert image.shape == SIZES[KEYS.index(key)]
        assert image.dtype == np.uint8
    probabilities = json.loads((out / "pred_label_combined.json").read_text())
    found = {keys[name]: value for name, value in probabilities.items()}
    assert found == {
        "real/000.jpg": np.float32(0.1),
        "a/000.png": np.float32(1 / 3),
        "b/000.png": np.float32(0.9),
    }


def test_wsol_keeps_the_path_of_the_id(corpus):
    out = run_export(corpus, "wsol")
    reader = MapReader(corpus / "maps.h5")
    for key, size in zip(KEYS, SIZES, strict=True):
        values = np.load(out / f"{key}.npy", allow_pickle=False)
        assert values.shape == size
        assert values.dtype == np.float32
        expected = cv2.resize(reader[key], size[::-1], interpolation=cv2.INTER_LINEAR)
        np.testing.assert_allclose(values, expected, atol=1e-6)


def test_coco_masks_are_above_the_recorded_threshold(corpus):
    out = run_export(corpus, "coco", threshold=0.25)
    results = json.loads((out / "results.json").read_text())
    assert [entry["image_id"] for entry in results] == list(KEYS)
    assert {entry["threshold"] for entry in results} == {0.25}
    assert "score" not in results[2]
    entry, level = results[3], MapReader(corpus / "maps.h5")["b/000.png"]
    assert entry["segmentation"]["size"] == [16, 16]
    resized = cv2.resize(level * 255, (16, 16), interpolation=cv2.INTER_LINEAR)
    mask = np.ceil(resized - 0.5) > 0.25 * 255
    assert entry["segmentation"]["counts"] == encode_rle(mask)


def test_png_needs_no_faces(tmp_path):
    levels = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    write_maps(tmp_path / "maps.h5", ["nowhere/x.jpg"], levels)
    export_maps(MapReader(tmp_path / "maps.h5"), tmp_path / "out", quiet=True)
    read = cv2.imread(str(tmp_path / "out/nowhere/x.jpg.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(read, levels[0] * np.uint16(257))


@pytest.mark.parametrize(
    "key", ["../x.png", "/tmp/x.png", "a/../../x.png", "..\\x.png", "C:\\x.png", "C:x.png", "a//b"]
)
def test_hostile_keys_are_refused(tmp_path, key):
    path = write_maps(tmp_path / "maps.h5", [key], np.zeros((1, 2, 2), np.uint8))
    for form in ("png", "wsol"):
        with pytest.raises(InputError, match="refused"):
            export_command(ExportCommand(path, tmp_path / "out" / form, form))
    assert not (tmp_path / "out").exists()
    name = flat_names([key])[key]
    assert not set(name) & set("/\\:")
    assert not name.startswith(".")


def test_a_full_folder_unknown_faces_and_unreadable_images(corpus):
    (corpus.parent / "png").mkdir()
    (corpus.parent / "png" / "old.png").touch()
    with pytest.raises(InputError, match="not an empty folder"):
        run_export(corpus, "png")
    (corpus / "a/000.png").write_bytes(b"nothing")
    with pytest.raises(CheckFailedError, match=r"1 image .* a/000\.png: not an image"):
        run_export(corpus, "wsol")
    assert (corpus.parent / "wsol/b/000.png.npy").exists()
    assert "a/000" not in (corpus.parent / "wsol/scores.csv").read_text()
    FaceIndex.of([Face("other.png")], corpus).write(corpus / "index.csv")
    with pytest.raises(InputError, match=r"4 of its 4 faces are not in the index"):
        run_export(corpus, "imdl")


def test_webdataset_has_image_map_and_facts_and_is_read_back(corpus):
    out = run_export(corpus, "webdataset")
    index = open_source(Source(str(out / "maps.tar")))
    assert index.labels.tolist() == [0, 1, 1, 1]
    assert list(index.column("key")) == list(KEYS)
    assert index[0].path == "maps.tar!/00000000.jpg"
    for row, (key, size) in enumerate(zip(KEYS, SIZES, strict=True)):
        assert (
            read_member(out / "maps.tar", index.keys[row].partition("!/")[2])
            == (corpus / key).read_bytes()
        )
        data = read_member(out / "maps.tar", f"{row:08d}.map.png")
        level = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        assert level.shape == size
    assert [score[:5] for score in index.column("score")] == ["0.100", "0.333", "", "0.899"]
    with MapReader(corpus / "maps.h5") as reader:
        inside = cv2.imdecode(
            np.frombuffer(read_member(out / "maps.tar", "00000003.map.png"), np.uint8), -1
        )
        assert inside.mean() == pytest.approx(255 * reader[KEYS[3]].mean(), abs=3)


def test_parquet_has_image_map_score_and_label(corpus):
    pq = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow, of the extra datasets")
    out = run_export(corpus, "parquet")
    rows = pq.read_table(out / "maps.parquet").to_pylist()
    assert [row["key"] for row in rows] == list(KEYS)
    assert [row["label"] for row in rows] == [0, 1, 1, 1]
    assert [row["score"] for row in rows] == pytest.approx([0.1, 1 / 3, None, 0.9])
    for row, size in zip(rows, SIZES, strict=True):
        assert row["image"]["bytes"] == (corpus / row["key"]).read_bytes()
        level = cv2.imdecode(np.frombuffer(row["map"]["bytes"], np.uint8), cv2.IMREAD_UNCHANGED)
        assert (level.shape, level.dtype) == (size, np.uint8)


def test_parquet_without_pyarrow_is_one_line(corpus, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"pip install 'focus-forgery\[datasets\]'"):
        run_export(corpus, "parquet")
    (corpus / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"pip install 'focus-forgery\[datasets\]'"):
        open_source(Source(str(corpus / "a.parquet")))


def test_crops_of_photographs_are_written_as_they_are_seen(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    face = Face("a.png#0.0", 1, extra={"box": "2 3 12 13"})
    index = FaceIndex.of([face], tmp_path)
    path = write_maps(tmp_path / "maps.h5", [face.path], np.zeros((1, 2, 2), np.uint8))
    with MapReader(path) as reader:
        export_maps(reader, tmp_path / "out", "webdataset", index, quiet=True)
    data = read_member(tmp_path / "out" / "maps.tar", "00000000.png")
    assert (cv2.imdecode(np.frombuffer(data, np.uint8), 1) == image[3:13, 2:12]).all()
