"""Maps to other formats."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from evaluator.interchange import (
    ExportCommand,
    encode_rle,
    export_command,
    export_maps,
)
from evaluator.interchange.names import flat_names
from focus.data.index import Face, FaceIndex
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
            export_command(ExportCommand(str(path), str(tmp_path / "out" / form), form))
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
