from __future__ import annotations

import contextlib
import json
import multiprocessing
import operator
import os
import pickle
import re
import resource
import signal
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
    InfoCommand,
    MapReader,
    MapWriter,
    MergeCommand,
    Rows,
    info,
    info_command,
    merge,
    merge_command,
)
from focus.mapstore import rows as rows_module
from focus.mapstore.rows import encode
from focus.view.cards import pixel_auc

RUN = {"generator": "stub", "index_fingerprint": "abc", "config": {"k": 1}}
TEXT = h5py.string_dtype()
FIXED = h5py.string_dtype("utf-8", 30)


def make_rows(start: int, stop: int, side: int = 14, **parts: np.ndarray) -> Rows:
    rng = np.random.default_rng(start)
    count = stop - start
    return Rows(
        [f"faces/vidéo/{row:06d}.png" for row in range(start, stop)],
        *encode(rng.random((count, side, side), dtype=np.float32)),
        np.array([row % 3 - 1 for row in range(start, stop)], dtype=np.int8),
        rng.random(count, dtype=np.float32),
        parts,
    )


def write(path: Path, count: int = 10, **attributes: str) -> Path:
    rows = make_rows(0, count)
    with MapWriter(path, part_rows=4, **attributes) as writer:
        writer.append(rows.keys, rows.maps, rows.labels, rows.scores)
    return path


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    return write(tmp_path / "maps.h5", generator="mine")


# The file


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


# Reading


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


# Files of unknown origin


def break_missing(file):
    del file["score"]


def break_format(file):
    file.attrs["format"] = np.bytes_("other")


def break_newer(file):
    file.attrs["format_version"] = 3


def break_attribute_reference(file):
    file.attrs["config"] = file["maps"].ref


def break_attribute_array(file):
    file.attrs["config"] = np.zeros(3)


def break_dtype(file):
    del file["maps"]
    file["maps"] = np.zeros((10, 14, 14), np.float32)


def break_rank(file):
    del file["maps"]
    file["maps"] = np.zeros((10, 14), np.uint16)


def break_length(file):
    del file["label"]
    file["label"] = np.zeros(9, np.int8)


def break_group(file):
    del file["label"]
    file.create_group("label")


def break_key_type(file):
    del file["key"]
    file["key"] = np.arange(10)


def break_key_pickle(file):
    del file["key"]
    file.create_dataset("key", (10,), h5py.vlen_dtype(np.uint8))


def break_duplicate(file):
    file["key"][3] = file["key"][4]


def break_utf8(file):
    file["key"][3] = b"\xff\xfe"


def break_variable_keys(file):
    keys = file["key"][:]
    del file["key"]
    file.create_dataset("key", data=keys, dtype=TEXT)


def break_variable_attribute(file):
    file.attrs["config"] = "{}"


def break_level(file):
    file["maps"][3, 2, 1] = 65281


def break_scale(file):
    file["scale"][3] = 2


def break_scale_nan(file):
    file["scale"][3] = np.nan


def break_failures(file):
    file["failures"] = h5py.ExternalLink("/etc/passwd", "/maps")


def break_long_key(file):
    del file["key"]
    file["key"] = np.array(["x" * 5000] * 10, "S")


def break_soft_link(file):
    file["elsewhere"] = file["maps"]
    del file["maps"]
    file["maps"] = h5py.SoftLink("/elsewhere")


def break_external_link(file):
    del file["maps"]
    file["maps"] = h5py.ExternalLink("/etc/passwd", "/maps")


def break_external_part(file):
    file.create_group("parts")["cam"] = h5py.ExternalLink("other.h5", "/maps")


def break_parts_link(file):
    file["parts"] = h5py.ExternalLink("other.h5", "/")


def break_part_objects(file):
    file.create_group("parts").create_dataset("cam", (10,), TEXT)


def break_external_storage(file):
    del file["maps"]
    storage = [("/etc/passwd", 0, 3920)]
    file.create_dataset("maps", (10, 14, 14), np.uint16, external=storage)


def break_virtual(file):
    layout = h5py.VirtualLayout((10, 14, 14), np.uint16)
    layout[:] = h5py.VirtualSource("/etc/passwd", "maps", (10, 14, 14))
    del file["maps"]
    file.create_virtual_dataset("maps", layout)


def break_rows(file):
    for name, kind in (
        ("label", np.int8),
        ("score", np.float32),
        ("scale", np.float32),
        ("key", FIXED),
    ):
        del file[name]
        file.create_dataset(name, (10**12,), kind, chunks=(1000,))
    del file["maps"]
    file.create_dataset("maps", (10**12, 14, 14), np.uint16, chunks=(1, 14, 14))


def break_sides(file):
    del file["maps"]
    file.create_dataset("maps", (10, 10**6, 10**6), np.uint16, chunks=(1, 100, 100))


def break_chunk(file):
    del file["maps"]
    file.create_dataset("maps", (10, 4096, 4096), np.uint16, chunks=(10, 4096, 4096))


def break_filter(file):
    del file["maps"]
    file.create_dataset("maps", (10, 14, 14), np.uint16, chunks=(1, 14, 14), fletcher32=True)


def read_all(reader: MapReader) -> None:
    assert "x" not in reader
    list(reader.blocks())


FAULTS = {
    break_missing: "/score",
    break_format: "not a map file",
    break_newer: "format 3.*upgrade",
    break_attribute_reference: "'config'",
    break_attribute_array: "'config'",
    break_dtype: "/maps is float32",
    break_rank: "/maps is uint16 of rank 2",
    break_length: "/label has 9 rows",
    break_group: "/label is not a dataset",
    break_key_type: "/key is not a 1-D string dataset",
    break_key_pickle: "/key is not a 1-D string dataset",
    break_duplicate: "twice",
    break_utf8: "UTF-8",
    break_long_key: "4096",
    break_soft_link: "link",
    break_external_link: "link",
    break_external_part: "link",
    break_parts_link: "link",
    break_part_objects: "not numbers",
    break_external_storage: "outside",
    break_virtual: "outside",
    break_rows: "declares",
    break_sides: "sides",
    break_chunk: "declares",
    break_filter: "unsupported filter",
    break_variable_keys: "variable-length text.*re-run focus generate",
    break_variable_attribute: "variable-length text.*re-run focus generate",
    break_level: "/maps has levels above 65280",
    break_scale: "/scale has values outside",
    break_scale_nan: "/scale has values outside",
    break_failures: "link",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_hostile_file_is_refused_in_one_line(maps: Path, fault) -> None:
    with h5py.File(maps, "r+") as file:
        fault(file)
    with pytest.raises(InputError, match=FAULTS[fault]) as caught:
        read_all(MapReader(maps))
    assert str(maps) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_gzip_lzf_shuffle_and_fixed_texts_are_read(maps: Path) -> None:
    with h5py.File(maps, "r+") as file:
        values = {name: file[name][:] for name in file}
        for name in values:
            del file[name]
        file.create_dataset("maps", data=values["maps"], compression="gzip", shuffle=True)
        file.create_dataset("label", data=values["label"], compression="lzf")
        file["score"], file["scale"] = values["score"], values["scale"]
        file["key"] = values["key"].astype("S40")
    reader = MapReader(maps)
    np.testing.assert_array_equal(reader[reader.face_keys[5]], make_rows(0, 10).maps[5])
    assert list(reader) == make_rows(0, 10).keys


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused_in_one_line(maps: Path, share: float) -> None:
    maps.write_bytes(maps.read_bytes()[: int(maps.stat().st_size * share)])
    with pytest.raises(InputError, match=r"maps\.h5: (not an HDF5 file|cut short)") as caught:
        len(MapReader(maps))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seed", range(60))
def test_damaged_bytes_give_one_line_at_worst(maps: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    content = bytearray(maps.read_bytes())
    for place in rng.integers(0, len(content), 20):
        content[place] = rng.integers(0, 256)
    maps.write_bytes(content)
    with contextlib.suppress(InputError):
        reader = MapReader(maps)
        assert sum(map(len, reader.blocks())) == len(reader)
        assert reader[reader.face_keys[0]].shape == reader.shape


def test_a_missing_file_and_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        len(MapReader(tmp_path / "x.h5"))
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


# Parts


def test_parts_are_resumed_and_written_in_any_order(tmp_path: Path) -> None:
    whole = write_parts(tmp_path / "whole.h5", range(3))
    whole.finish()
    first = write_parts(tmp_path / "x.h5", [2])
    first.close()
    assert first.missing == [0, 1]
    second = MapWriter(tmp_path / "x.h5", RUN, 10, part_rows=4)
    assert second.missing == [0, 1]
    other = MapWriter(tmp_path / "x.h5", RUN, 10, part_rows=4, owner=False)
    other.write_part(1, make_rows(4, 8), [(6, "k", "why")])
    second.write_part(0, make_rows(0, 4))
    assert second.finish() == 10
    assert second.failures == [(6, "k", "why")]
    assert sorted(os.listdir(tmp_path)) == ["whole.h5", "x.h5", "x.h5.errors.csv"]
    a, b = MapReader(tmp_path / "whole.h5"), MapReader(tmp_path / "x.h5")
    assert list(a) == list(b)
    np.testing.assert_array_equal(a.read(slice(None)), b.read(slice(None)))


def write_parts(path: Path, blocks, run=RUN) -> MapWriter:
    writer = MapWriter(path, run, 10, part_rows=4)
    for block in blocks:
        writer.write_part(block, make_rows(4 * block, min(4 * block + 4, 10)))
    return writer


def test_parts_are_not_all_open_at_once(tmp_path: Path) -> None:
    writer = MapWriter(tmp_path / "x.h5", RUN, 60, part_rows=1)
    for block in range(60):
        writer.write_part(block, make_rows(block, block + 1))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 30, limits[1]))
    try:
        assert writer.finish() == 60
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_damaged_part_counts_as_missing(tmp_path: Path) -> None:
    writer = write_parts(tmp_path / "x.h5", range(3))
    part = tmp_path / "x.h5.parts" / "part-000001.h5"
    part.write_bytes(part.read_bytes()[:-100])
    assert writer.missing == [1]
    with pytest.raises(InputError, match="missing part 1 of 3"):
        writer.finish()


@pytest.mark.parametrize(
    "change", ["generator", "config", "weights_sha256", "index_fingerprint", "normalisation"]
)
def test_parts_of_another_run_are_refused_without_overwrite(tmp_path, change) -> None:
    write_parts(tmp_path / "x.h5", [0]).close()
    other = {**RUN, change: "other"}
    hashes = {"weights_sha256": "other weights", "index_fingerprint": "other faces"}
    said = hashes.get(change, f"{change}: .* there, other here")
    with pytest.raises(InputError, match=rf"{said}.*--overwrite"):
        MapWriter(tmp_path / "x.h5", other, 10, part_rows=4)
    with MapWriter(tmp_path / "x.h5", other, 10, part_rows=4, overwrite=True) as writer:
        assert writer.missing == [0, 1, 2]
        for block in range(3):
            writer.write_part(block, make_rows(4 * block, min(4 * block + 4, 10)))
    assert MapReader(tmp_path / "x.h5").attributes[change] == "other"


def test_overwrite_resumes_from_parts_of_the_same_run(tmp_path: Path) -> None:
    write_parts(tmp_path / "x.h5", [0]).close()
    with MapWriter(tmp_path / "x.h5", RUN, 10, part_rows=4, overwrite=True) as writer:
        assert writer.missing == [1, 2]
        for block in (1, 2):
            writer.write_part(block, make_rows(4 * block, min(4 * block + 4, 10)))


def test_an_existing_file_is_refused_unless_it_is_this_one(tmp_path: Path) -> None:
    write_parts(tmp_path / "x.h5", range(3)).finish()
    again = MapWriter(tmp_path / "x.h5", RUN, 10, part_rows=4)
    assert again.complete
    assert (again.missing, again.faces) == ([], 10)
    with pytest.raises(InputError, match=r"another run \(k: 1 there, 2 here\); --overwrite"):
        MapWriter(tmp_path / "x.h5", {**RUN, "config": {"k": 2}}, 10)
    with pytest.raises(InputError, match=r"x\.h5 exists.*--overwrite"):
        MapWriter(tmp_path / "x.h5", generator="mine")
    (tmp_path / "y.h5").write_text("a thesis")
    with pytest.raises(InputError, match="is not a whole map file"):
        MapWriter(tmp_path / "y.h5", RUN)
    assert (tmp_path / "y.h5").read_text() == "a thesis"


def test_rows_appended_without_a_fingerprint_are_not_resumed(tmp_path: Path) -> None:
    writer = MapWriter(tmp_path / "x.h5", part_rows=2)
    writer.append(["a", "b", "c"], np.zeros((3, 2, 2)))
    writer.close()
    assert (tmp_path / "x.h5.parts" / "part-000000.h5").exists()
    with MapWriter(tmp_path / "x.h5", part_rows=2) as writer:
        writer.append(["d"], np.ones((1, 2, 2)))
    assert MapReader(tmp_path / "x.h5").face_keys == ["d"]


def test_foreign_files_in_the_parts_folder_survive(tmp_path: Path) -> None:
    folder = tmp_path / "x.h5.parts"
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    with MapWriter(tmp_path / "x.h5", overwrite=True) as writer:
        writer.append(["d"], np.ones((1, 2, 2)))
    assert os.listdir(folder) == ["thesis.txt"]


def test_nothing_readable_gives_no_file(tmp_path: Path) -> None:
    writer = MapWriter(tmp_path / "x.h5", RUN, 2, part_rows=4)
    writer.write_part(0, make_rows(0, 0), [(0, "a.png", "gone"), (1, "b.png", "gone")])
    with pytest.raises(InputError, match=r"no face could be read: a\.png: gone"):
        writer.finish()
    assert os.listdir(tmp_path) == []


HOLD = """
import os, sys, time
from focus.mapstore import MapWriter
writer = MapWriter(sys.argv[1], generator="stub", index_fingerprint="abc", rows=10)
child = os.fork()
os.write(1, (b"held" if child else b"forked") + bytes([10]))
time.sleep(30)
"""


def test_a_lock_excludes_others_and_ends_with_its_process(tmp_path: Path) -> None:
    out = tmp_path / "x.h5"
    command = [sys.executable, "-c", HOLD, str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as holder:
        try:
            assert holder.stdout is not None
            assert {holder.stdout.readline(), holder.stdout.readline()} == {b"held\n", b"forked\n"}
            with pytest.raises(InputError, match="another run is writing it"):
                MapWriter(out, {**RUN, "config": "{}"}, 10)
            holder.kill()  # its forked child, such as a loader worker, lives on
            holder.wait()
            MapWriter(out, {**RUN, "config": "{}"}, 10).close()
        finally:
            os.killpg(holder.pid, signal.SIGKILL)


def test_two_writers_of_one_process_exclude_each_other(tmp_path: Path) -> None:
    first = MapWriter(tmp_path / "x.h5", RUN, 10)
    with pytest.raises(InputError, match="another run"):
        MapWriter(tmp_path / "x.h5", RUN, 10)
    first.close()
    MapWriter(tmp_path / "x.h5", RUN, 10).close()


FILL = """
import resource, signal, sys
import numpy as np
from focus.errors import InputError
from focus.mapstore import MapWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
room = int(sys.argv[2])
try:
    with MapWriter(sys.argv[1], generator="x", index_fingerprint="y", part_rows=100) as writer:
        for start in range(0, 400, 50):
            if start == 200:
                resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
            keys = [str(start + row) for row in range(50)]
            writer.append(keys, np.zeros((50, 14, 14), np.uint8))
except InputError as error:
    print(error)
"""


@pytest.mark.parametrize(("room", "parts"), [(1000, 2), (20_000, 2), (60_000, 4)])
def test_a_full_disk_is_one_line_and_parts_are_kept(tmp_path: Path, room: int, parts: int) -> None:
    command = [sys.executable, "-c", FILL, str(tmp_path / "x.h5"), str(room)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert re.fullmatch(r".*: no room on the disk .*finished parts are kept\n", ended.stdout)
    there = sorted(path.name for path in (tmp_path / "x.h5.parts").glob("part-*"))
    assert there == [f"part-{block:06d}.h5" for block in range(parts)]
    assert not list(tmp_path.rglob(".*-tmp"))
    assert not (tmp_path / "x.h5").exists()


def test_a_path_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"x\.h5: cannot be written \(Not a directory\)"):
        MapWriter(tmp_path / "file" / "x.h5")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_read_only_folder_is_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match=r"x\.h5: cannot be written \(Permission denied\)"):
        MapWriter(tmp_path / "x.h5")


# Merging


def write_shards(folder: Path, total: int = 3, **changes: str) -> list[Path]:
    paths = []
    for number in range(1, total + 1):
        run = {**RUN, "shard": f"{number}/{total}", **changes}
        path = folder / f"{number}.h5"
        rows = make_rows(10 * (number - 1), 10 * number)
        with MapWriter(path, run, 10) as writer:
            writer.write_part(0, rows)
        paths.append(path)
    return paths


def test_merged_shards_equal_the_whole_file(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(rows_module, "now", lambda: "2031-01-01T00:00:00Z")
    monkeypatch.setattr("focus.mapstore.merging.now", lambda: "2031-01-01T00:00:00Z")
    shards = write_shards(tmp_path)
    with MapWriter(tmp_path / "whole.h5", RUN, 30, part_rows=10) as writer:
        for block in range(3):
            writer.write_part(block, make_rows(10 * block, 10 * block + 10))
    out = tmp_path / "all.h5"
    merge_command(MergeCommand(tuple(map(str, reversed(shards))), str(out)))
    assert capsys.readouterr().out == f"{out}: 30 faces of 3 shards\n"
    assert out.read_bytes() == (tmp_path / "whole.h5").read_bytes()
    with pytest.raises(InputError, match="--overwrite"):
        merge(shards, out)
    assert merge(shards, out, overwrite=True) == 30


def test_shards_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "all.h5"
    (tmp_path / "other").mkdir()
    shards, others = write_shards(tmp_path), write_shards(tmp_path / "other", weights_sha256="x")
    with pytest.raises(InputError, match="missing: shard 1/3, 3/3"):
        merge(shards[1:2], out)
    with pytest.raises(InputError, match=r"both shard 1/3"):
        merge([*shards, shards[0]], out)
    with pytest.raises(InputError, match="weights_sha256"):
        merge([shards[0], others[1], shards[2]], out)
    with pytest.raises(InputError, match="not a shard"):
        merge([write(tmp_path / "plain.h5")], out)
    with h5py.File(shards[1], "r+") as file:
        file["key"][0] = make_rows(0, 1).keys[0]
    with pytest.raises(InputError, match=r"is in both .*1\.h5 and .*2\.h5"):
        merge(shards, out)
    assert not out.exists()


# Info


def test_info_counts_faces_and_values(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with MapWriter(path, RUN | {"index_fingerprint": ""}) as writer:
        writer.append(["r1", "r2"], np.zeros((2, 2, 2)), [0, 0], [0.25, 0.75])
        writer.append(["f"], np.array([[[1.0, 0.6], [0.2, 0.0]]]), [1], [np.nan])
    summary = info(path)
    assert summary["faces"] == 3
    assert summary["grid"] == [2, 2]
    assert summary["bytes"] == path.stat().st_size
    assert summary["attributes"]["config"] == {"k": 1}
    real, fake = summary["labels"]["real"], summary["labels"]["fake"]
    assert (real["faces"], real["zero"], real["mean"]) == (2, 2, 0)
    assert real["score"] == {"lowest": 0.25, "mean": 0.5, "highest": 0.75}
    assert (fake["coverage"], fake["mean"], fake["score"]) == (0.5, 0.45, None)
    assert fake["mean_map"] == [[1.0, 0.6], [0.2, 0.0]]
    assert "unknown" not in summary["labels"]


def test_info_prints_for_people_or_programs(maps: Path, tmp_path: Path, capsys) -> None:
    info_command(InfoCommand(str(maps)))
    page = capsys.readouterr().out
    assert "maps of 10 faces, 14x14" in page
    assert "mean map, fake" in page
    info_command(InfoCommand(str(maps), json="-"))
    assert json.loads(capsys.readouterr().out)["faces"] == 10
    info_command(InfoCommand(str(maps), json=str(tmp_path / "i.json")))
    assert json.loads((tmp_path / "i.json").read_text())["faces"] == 10


def test_info_starts_without_torch(maps: Path) -> None:
    code = (
        "import sys; from focus.mapstore import InfoCommand, info_command;"
        f"info_command(InfoCommand({str(maps)!r})); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_is_refused_before_the_work(tmp_path, overwrite):
    with pytest.raises(InputError, match="is a folder; name a file"):
        MapWriter(tmp_path, overwrite=overwrite)
    with pytest.raises(InputError, match="is a folder; name a file"):
        merge([], tmp_path, overwrite)
