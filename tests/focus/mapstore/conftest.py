"""Fixtures shared by the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.focus.mapstore.making import write


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    return write(tmp_path / "maps.h5", generator="mine")
