"""One writer at a time in the folder of an unfinished file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from focus.errors import InputError
from focus.mapstore import (
    MapWriter,
    merge,
)
from tests.focus.mapstore.making import RUN

HOLD = """
import os, sys, time
from focus.mapstore import MapWriter
writer = MapWriter(sys.argv[1], generator="stub", index_fingerprint="abc", rows=10)
child = os.fork()
os.write(1, (b"held" if child else b"forked") + bytes([10]))
time.sleep(30)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
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


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_is_refused_before_the_work(tmp_path, overwrite):
    with pytest.raises(InputError, match="is a folder; name a file"):
        MapWriter(tmp_path, overwrite=overwrite)
    with pytest.raises(InputError, match="is a folder; name a file"):
        merge([], tmp_path, overwrite)
