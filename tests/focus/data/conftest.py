"""Fixtures shared by the tests of this folder."""

from __future__ import annotations

import pytest

from focus.data import sources
from tests.focus.data.planted_files import Bright


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FOCUS_DATA", "FOCUS_DETECTOR_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def bright(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "open_face_detector", lambda *_: Bright())
