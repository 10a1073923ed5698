"""Damaged and hostile files are refused in one line."""

from __future__ import annotations

import contextlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from focus.errors import InputError
from focus.mapstore import (
    MapReader,
)
from tests.focus.mapstore.making import make_rows

TEXT = h5py.string_dtype()
FIXED = h5py.string_dtype("utf-8", 30)


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
