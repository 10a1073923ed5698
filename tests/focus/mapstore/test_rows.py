"""The layout of a map file, and its values."""

from __future__ import annotations

import json
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from focus.errors import InputError
from focus.mapstore import (
    MapReader,
    MapWriter,
)
from focus.mapstore import rows as rows_module
from focus.view.cards import pixel_auc
from tests.focus.mapstore.making import RUN, make_rows


def test_file_has_the_layout_of_the_contract(maps: Path) -> None:
    rows = make_rows(0, 10)
    with h5py.File(maps) as file:
        assert set(file) == {"maps", "scale", "key", "label", "score"}
        assert file["maps"].dtype == np.uint16
        assert file["maps"].chunks[1:] == (14, 14)
        assert h5py.check_string_dtype(file["key"].dtype) == ("utf-8", len(rows.keys[0].encode()))
        assert (file["label"].dtype, file["score"].dtype) == (np.int8, np.float32)
        np.testing.assert_array_equal(file["maps"], rows.levels)
        np.testing.assert_array_equal(file["scale"], rows.scales)
        np.testing.assert_array_equal(file["label"], rows.labels)
        np.testing.assert_array_equal(file["score"], rows.scores)
        assert file["key"].asstr()[:].tolist() == rows.keys
        attributes = {name: file.attrs[name] for name in file.attrs}
    attributes = {
        name: value.decode() if isinstance(value, bytes) else value
        for name, value in attributes.items()
    }
    assert attributes.pop("format") == "focus-maps"
    assert attributes.pop("format_version") == 2
    assert "h5py" in json.loads(attributes.pop("versions"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", attributes.pop("created"))
    assert attributes == {
        "generator": "mine",
        "config": "{}",
        "weights_sha256": "",
        "data": "",
        "root": "",
        "source": "{}",
        "index_fingerprint": "",
        "real_maps": "fake-class",
        "normalisation": "none",
    }


def test_floats_are_rounded_and_read_back_in_unit_range(tmp_path: Path) -> None:
    values = np.array([[[0.0, 1.0], [0.5, 0.0019]]], dtype=np.float64)
    with MapWriter(tmp_path / "x.h5", generator="mine") as writer:
        writer.append(["a"], values)
        writer.append(["b"], torch.from_numpy(values)[:, None].float())
        writer.append(["c"], values > 0.4)
    reader = MapReader(tmp_path / "x.h5")
    assert reader["b"].dtype == np.float32
    np.testing.assert_allclose(reader["a"], values[0], atol=0.5 / 65280)
    assert reader["a"][1, 0] == 0.5
    np.testing.assert_array_equal(reader["a"], reader["b"])
    assert reader["c"].tolist() == [[0, 1], [1, 0]]
    assert np.isnan(reader.score("a"))
    assert reader.labels.tolist() == [-1, -1, -1]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"maps": np.full((2, 3, 3), 1.1)}, "face 'a'"),
        ({"maps": np.stack([np.zeros((3, 3)), np.full((3, 3), np.nan)])}, "face 'b'"),
        ({"maps": np.zeros((2, 3, 3), int)}, "int64"),
        ({"maps": np.zeros((3, 3))}, "shape"),
        ({"maps": np.zeros((3, 3, 3))}, "for 2 keys"),
        ({"labels": [0, 2]}, "labels"),
        ({"scores": [0.5]}, "scores"),
        ({"parts": {"cam": np.zeros(3)}}, "cam"),
        ({"keys": ["a", "a"]}, "repeated"),
        ({"keys": ["a", "b\0"]}, "cannot be stored"),
        ({"keys": ["a", "b\udc80"]}, "cannot be stored"),
        ({"keys": ["a", "é" * 2049]}, "4096 bytes"),
    ],
)
def test_faults_of_appended_rows_are_named(tmp_path: Path, arguments, complaint) -> None:
    arguments = {"keys": ["a", "b"], "maps": np.zeros((2, 3, 3)), **arguments}
    with pytest.raises(InputError, match=complaint), MapWriter(tmp_path / "x.h5") as writer:
        writer.append(**arguments)
    assert not (tmp_path / "x.h5").exists()


@pytest.mark.parametrize("score", [1.0, 0.9, 0.02, 0.001, 1e-5, 1e-12, 1e-30])
def test_a_map_keeps_its_ranking_at_any_score(tmp_path: Path, score: float) -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((56, 56)) < 0.3
    # Stretched to [0, 1] as a class map is; its pixel AUC is about 0.90.
    plain = rng.normal(size=(56, 56)) + 1.81 * mask
    plain = (plain - plain.min()) / np.ptp(plain)
    values = (plain * score).astype(np.float32)
    with MapWriter(tmp_path / "x.h5") as writer:
        writer.append(["a"], values[None])
    stored = MapReader(tmp_path / "x.h5")["a"]
    assert pixel_auc(values, mask) == pytest.approx(0.9, abs=0.01)
    assert pixel_auc(stored, mask) == pytest.approx(pixel_auc(values, mask), abs=1e-4)
    np.testing.assert_allclose(stored, values, rtol=0, atol=float(values.max()) * 1.6e-5)


def test_levels_of_8_bits_and_halves_are_exact(tmp_path: Path) -> None:
    levels = np.arange(256, dtype=np.uint8)
    maps = np.stack([levels // 2**shift for shift in range(8)]).reshape(8, 16, 16)
    with MapWriter(tmp_path / "x.h5") as writer:
        writer.append(list("abcdefgh"), maps)
        writer.append(["half"], np.full((1, 16, 16), 0.5))
    reader = MapReader(tmp_path / "x.h5")
    expected = maps.astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(reader.read(slice(8)), expected)
    assert (reader["half"] == 0.5).all()


def test_maps_of_two_sizes_and_unknown_attributes_are_refused(tmp_path: Path) -> None:
    writer = MapWriter(tmp_path / "x.h5")
    writer.append(["a"], np.zeros((1, 3, 3)))
    with pytest.raises(InputError, match="3x3 and 5x4"):
        writer.append(["b"], np.zeros((1, 5, 4)))
    with pytest.raises(InputError, match="genrator"):
        MapWriter(tmp_path / "x.h5", genrator="mine")


def test_a_face_needs_less_than_a_kilobyte(tmp_path: Path) -> None:
    rows = make_rows(0, 500)
    path = tmp_path / "x.h5"
    with MapWriter(path) as writer:
        writer.append(rows.keys, rows.maps)
    assert path.stat().st_size / 500 < 500


def test_equal_rows_give_equal_bytes_but_for_the_time(tmp_path, monkeypatch) -> None:
    times = iter(["2031-01-01T00:00:00Z", "2032-02-02T11:11:11Z"])
    monkeypatch.setattr(rows_module, "now", lambda: next(times))
    part = np.random.default_rng(0).random((9, 2, 3)).astype(np.float16)
    contents = []
    for name in ("a.h5", "b.h5"):
        rows = make_rows(0, 9)
        with MapWriter(tmp_path / name, RUN, part_rows=5) as writer:
            writer.append(rows.keys, rows.maps, rows.labels, rows.scores, {"cam": part})
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] != contents[1]
    assert contents[0].replace(b"2031-01-01T00:00:00Z", b"2032-02-02T11:11:11Z") == contents[1]
