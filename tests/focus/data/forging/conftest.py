"""Fixtures shared by the tests of this folder."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def no_model(monkeypatch):
    monkeypatch.delenv("FOCUS_LANDMARKS", raising=False)
