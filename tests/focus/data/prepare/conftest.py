"""Fixtures shared by the tests of this folder."""

from __future__ import annotations

import pytest

from focus.data.prepare import running
from tests.focus.data.prepare.making import SquareDetector


@pytest.fixture(autouse=True)
def _square_detector(monkeypatch):
    monkeypatch.setattr(running, "open_face_detector", lambda *_: SquareDetector())
