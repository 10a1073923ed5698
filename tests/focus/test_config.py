"""Settings of detectors and generators: invalid values are refused by name."""

from dataclasses import dataclass
from typing import Literal

import pytest

from focus.config import check_choices, check_options, parse_options
from focus.errors import InputError


@dataclass(frozen=True)
class Settings:
    """Some settings."""

    size: int = 64
    share: float = 0.5
    threshold: float = 0.5
    mode: Literal["map", "mfs"] = "map"

    def __post_init__(self) -> None:
        check_options(self, "size", least=32, multiple=16)
        check_options(self, "share", least=0, below=1)
        check_options(self, "threshold", above=0, most=1)
        check_choices(self)


def test_bounds_are_inclusive_or_exclusive():
    Settings(size=32, share=0, threshold=1, mode="mfs")
    Settings(size=48, share=0.99, threshold=1e-9)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("size", 16, "at least 32 and a multiple of 16"),
        ("size", 40, "a multiple of 16"),
        ("share", 1.0, "at least 0 and below 1"),
        ("share", -0.1, "at least 0"),
        ("share", float("nan"), "at least 0"),
        ("threshold", 0.0, "above 0 and at most 1"),
        ("threshold", 1.1, "at most 1"),
        ("threshold", float("nan"), "above 0"),
        ("mode", "both", "one of map, mfs"),
    ],
)
def test_a_wrong_value_is_named(name, value, said):
    with pytest.raises(InputError, match=f"--options {name}=.*{said}"):
        Settings(**{name: value})
    with pytest.raises(InputError, match=f"--options {name}="):
        parse_options(Settings, {name: str(value)})
