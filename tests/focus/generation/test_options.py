"""Invalid flags of generate."""

from __future__ import annotations

from typing import Any

import pytest

from focus.errors import InputError
from focus.generation import GenerationConfig


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        ({"batch": 0}, "--batch 0"),
        ({"workers": -2}, "--workers -2"),
        ({"shard": "3/2"}, "--shard 3/2"),
        ({"mirror": True, "parts": True}, "--mirror: joined maps have no --parts"),
    ],
)
def test_bad_flags_are_named(arguments: dict[str, Any], flag: str) -> None:
    with pytest.raises(InputError, match=flag):
        GenerationConfig(**arguments)
