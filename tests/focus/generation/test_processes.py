"""Waiting for other processes."""

from __future__ import annotations

from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np
import pytest

from focus.errors import InputError
from focus.generation.processes import await_parts
from focus.mapstore import MapWriter
from focus.mapstore.rows import check_rows

NO_MORE: tuple[Any, ...] = (None, None, {})  # neither labels nor scores nor parts


def test_waiting_for_other_processes_times_out(tmp_path: Path) -> None:
    run = {"generator": "stub", "index_fingerprint": "abc"}
    with MapWriter(tmp_path / "x.h5", run, 2, part_rows=1) as writer:
        writer.write_part(0, check_rows(["a"], np.zeros((1, 2, 2)), *NO_MORE))
        with pytest.raises(InputError, match=r"no part came .* 1 are missing"):
            await_parts(writer, [0, 1], patience=0.3)
        late = Timer(0.3, writer.write_part, (1, check_rows(["b"], np.ones((1, 2, 2)), *NO_MORE)))
        late.start()
        await_parts(writer, [0, 1], patience=30)
