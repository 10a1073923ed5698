"""Writing, resuming, and disks that are full or read-only."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from focus.errors import InputError
from focus.mapstore import (
    MapReader,
    MapWriter,
)
from tests.focus.mapstore.making import RUN, make_rows


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
    resource = pytest.importorskip("resource", reason="Unix only")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/dev/fd"))
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


@pytest.mark.skipif(sys.platform == "win32", reason="has no limit on file sizes")
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


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere"
)
def test_a_read_only_folder_is_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match=r"x\.h5: cannot be written \(Permission denied\)"):
        MapWriter(tmp_path / "x.h5")
