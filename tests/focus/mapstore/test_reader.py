"""Reading map files, also in other processes."""

from __future__ import annotations

import multiprocessing
import operator
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from focus.errors import InputError
from focus.mapstore import (
    MapReader,
    MapWriter,
)
from tests.focus.mapstore.making import make_rows, write


def test_reading_agrees_with_h5py(tmp_path: Path) -> None:
    part = np.arange(700 * 6, dtype=np.float32).reshape(700, 2, 3)
    rows = make_rows(0, 700)
    with MapWriter(tmp_path / "x.h5", part_rows=128) as writer:
        writer.append(rows.keys, rows.maps, rows.labels, rows.scores, {"cam": part})
    reader = MapReader(tmp_path / "x.h5")
    wanted = np.random.default_rng(0).integers(0, 700, 300)
    np.testing.assert_array_equal(reader.read(wanted), rows.maps[wanted])
    np.testing.assert_array_equal(reader.read_part("cam", wanted), part[wanted])
    np.testing.assert_array_equal(reader.part("cam", rows.keys[321]), part[321])
    assert reader.read([]).shape == (0, 14, 14)
    assert (len(reader), reader.shape, list(reader)) == (700, (14, 14), rows.keys)
    assert rows.keys[3] in reader
    assert "nobody" not in reader
    assert reader.score(rows.keys[3]) == rows.scores[3]
    with pytest.raises(InputError, match="no map of face 'nobody'"):
        reader["nobody"]
    with pytest.raises(InputError, match="no part 'b'"):
        reader.part("b", rows.keys[0])
    with pytest.raises(IndexError):
        reader.read([700])


def test_a_reader_is_a_mapping(maps: Path) -> None:
    rows = make_rows(0, 10)
    reader = MapReader(maps)
    assert isinstance(reader, Mapping)
    assert repr(reader) == f"MapReader({str(maps)!r})"
    assert list(reader) == list(reader.keys()) == rows.keys
    assert reader.keys() & {"nobody", rows.keys[0]} == {rows.keys[0]}
    found = dict(reader)
    assert list(found) == rows.keys
    np.testing.assert_array_equal(np.stack(list(reader.values())), rows.maps)
    for place, (key, values) in enumerate(reader.items()):
        assert key == rows.keys[place]
        np.testing.assert_array_equal(values, rows.maps[place])
    assert reader.get("nobody") is None
    assert reader.get("nobody", 7) == 7
    with pytest.raises(KeyError, match="no map of face 'nobody'"):
        reader["nobody"]
    with pytest.raises(KeyError, match="no map of face 'nobody'"):
        reader.score("nobody")
    assert reader == reader
    assert reader != MapReader(maps)
    assert hash(reader)


@pytest.mark.parametrize("moved", [False, True])
def test_data_are_found_from_anywhere_and_after_both_moved(tmp_path, moved) -> None:
    project = tmp_path / "project"
    (project / "faces").mkdir(parents=True)
    maps = project / "out" / "maps.h5"
    write(maps, data=str(project / "faces"), root="relative/stays")
    if moved:
        project.rename(tmp_path / "elsewhere")
        maps = tmp_path / "elsewhere" / "out" / "maps.h5"
    attributes = MapReader(maps).attributes
    assert attributes["data"] == str(maps.parents[1] / "faces")
    assert attributes["root"] == "relative/stays"


def test_any_key_of_many_is_found_at_once(tmp_path: Path) -> None:
    count = 40_000
    keys = [f"{row:07d}" for row in range(count)]
    with MapWriter(tmp_path / "x.h5") as writer:
        for start in range(0, count, 20_000):
            writer.append(keys[start : start + 20_000], np.zeros((20_000, 4, 4), np.uint8))
    reader = MapReader(tmp_path / "x.h5")
    start = time.process_time()
    assert keys[-1] in reader
    assert time.process_time() - start < 2
    start = time.process_time()
    for row in np.random.default_rng(0).integers(0, count, 500):
        reader[keys[row]]
    assert (time.process_time() - start) / 500 < 1e-3


class Maps(Dataset):
    def __init__(self, reader: MapReader) -> None:
        self.reader = reader

    def __len__(self) -> int:
        return len(self.reader)

    def __getitem__(self, row: int) -> torch.Tensor:
        return torch.from_numpy(self.reader[self.reader.face_keys[row]])


def test_an_open_reader_serves_forked_loader_workers(maps: Path) -> None:
    reader = MapReader(maps)
    mine = reader[reader.face_keys[0]]
    loader = DataLoader(Maps(reader), 5, num_workers=2, multiprocessing_context="fork")
    found = torch.cat(list(loader)).numpy()
    np.testing.assert_array_equal(found, make_rows(0, 10).maps)
    np.testing.assert_array_equal(reader[reader.face_keys[0]], mine)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_an_open_reader_serves_processes_that_are_not_forked(maps: Path, method: str) -> None:
    reader = MapReader(maps)
    key = reader.face_keys[7]
    assert key in reader
    with multiprocessing.get_context(method).Pool(1) as pool:
        found = pool.apply(operator.getitem, (reader, key))
    np.testing.assert_array_equal(found, reader[key])


def test_a_pickled_reader_carries_no_handle(maps: Path) -> None:
    reader = MapReader(maps)
    assert len(reader) == 10
    assert len(pickle.dumps(reader)) < 500
    assert len(pickle.loads(pickle.dumps(reader))) == 10


def test_a_missing_file_and_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        len(MapReader(tmp_path / "x.h5"))
    with pytest.raises(InputError, match="no such file"):
        len(MapReader(""))
    (tmp_path / "x.h5").write_text("path,label\n")
    with pytest.raises(InputError, match="not an HDF5 file"):
        len(MapReader(tmp_path / "x.h5"))


@pytest.mark.parametrize("mode", ["r+", "w"])
def test_a_file_open_for_writing_elsewhere_is_named_so(maps: Path, mode: str) -> None:
    code = (
        "import h5py, sys; file = h5py.File(sys.argv[1], sys.argv[2], libver='latest');"
        "print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(maps), mode]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stdin=pipe, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "open\n"
        if mode == "r+":
            os.truncate(maps, maps.stat().st_size - 100)  # as in the middle of its writing
        with pytest.raises(InputError, match=r"maps\.h5: is open for writing elsewhere"):
            len(MapReader(maps))
        writer.communicate("")


def test_a_file_of_version_1_with_fixed_texts_is_read(maps: Path) -> None:
    levels = np.arange(10 * 14 * 14, dtype=np.uint64).astype(np.uint8).reshape(10, 14, 14)
    with h5py.File(maps, "r+") as file:
        del file["maps"], file["scale"]
        file["maps"] = levels
        file.attrs["format_version"] = 1
    with MapReader(maps) as reader:
        expected = levels.astype(np.float32) / np.float32(255)
        np.testing.assert_array_equal(reader.read(slice(None)), expected)
        np.testing.assert_array_equal(next(reader.blocks()).maps, expected)
