"""Fixtures shared by the tests of this folder."""

from __future__ import annotations

import pytest

from tests.evaluator.scoring.making import Corpus


@pytest.fixture
def corpus(tmp_path):
    return Corpus(tmp_path)
