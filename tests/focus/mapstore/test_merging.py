"""Shards merge to the whole file."""

from __future__ import annotations

from pathlib import Path

import h5py
import pytest

from focus.errors import InputError
from focus.mapstore import (
    MapWriter,
    MergeCommand,
    merge,
    merge_command,
)
from focus.mapstore import rows as rows_module
from tests.focus.mapstore.making import RUN, make_rows, write


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
    merge_command(MergeCommand(tuple(reversed(shards)), out))
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
