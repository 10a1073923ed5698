from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from focus.arguments import Entry, describe, parse
from focus.errors import InputError


@dataclass(frozen=True)
class Inner:
    """Nested values."""

    lr: float = 1e-4
    """Learning rate, 10 % of it at first."""
    betas: tuple[float, float] = (0.9, 0.999)
    factors: tuple[tuple[float, float], ...] = ()

    def __post_init__(self):
        if self.lr <= 0:
            raise InputError(f"--lr {self.lr}: must be positive")


@dataclass(frozen=True)
class Command:
    """A command."""

    maps: str
    """Map file."""
    out: Path
    """Where to write."""
    inner: Inner
    names: tuple[str, ...] = ("a", "b")
    places: tuple[Path, ...] = ()
    kind: Literal["blend", "swap"] = "swap"
    equation: Literal[4, 9] = 4
    steps: int = 10
    """Steps."""
    root: Path | None = None
    """Folder."""
    json: str = ""
    quiet: bool = False
    pairs: bool = True


def read(text, positional="maps", default=None):
    return parse(Command, text.split(), "focus try", "Try.", positional, default)


def test_defaults_are_kept():
    assert read("x.h5 --out y") == Command("x.h5", Path("y"), Inner())


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("--steps 3", "steps", 3),
        ("--steps=3", "steps", 3),
        ("--steps -1", "steps", -1),
        ("--names p q", "names", ("p", "q")),
        ("--names p --names q", "names", ("p", "q")),
        ("--names", "names", ()),
        ("--kind blend", "kind", "blend"),
        ("--equation 9", "equation", 9),
        ("--root r", "root", Path("r")),
        ("--json", "json", "-"),
        ("--json -", "json", "-"),
        ("--json f", "json", "f"),
        ("--quiet", "quiet", True),
        ("--no-pairs", "pairs", False),
        ("--lr 0.5", "inner", Inner(0.5)),
        ("--betas 0.5 0.6", "inner", Inner(betas=(0.5, 0.6))),
        ("--factors 1 2 3 4", "inner", Inner(factors=((1.0, 2.0), (3.0, 4.0)))),
    ],
)
def test_every_type_of_field(text, name, value):
    assert getattr(read(f"x.h5 --out y {text}"), name) == value


def test_underscores_become_dashes_only_in_flags():
    @dataclass(frozen=True)
    class Two:
        two_words: str = ""

    assert parse(Two, ["--two_words=a_b"], "x").two_words == "a_b"


@pytest.mark.parametrize("text", ["x.h5 --out y", "--out y x.h5", "--out y --maps x.h5"])
def test_a_positional_is_accepted_anywhere_or_after_its_flag(text):
    assert read(text).maps == "x.h5"


def test_several_positionals():
    command = parse(Command, ["p", "q", "--maps", "m", "--out", "o"], "x", "", "names")
    assert command.names == ("p", "q")
    command = parse(Command, ["p", "q", "--maps", "m", "--out", "o"], "x", "", "places")
    assert command.places == (Path("p"), Path("q"))


def test_flags_override_values_of_a_recipe():
    recipe = Command("r", Path("o"), Inner(0.3, factors=((1, 2),)), steps=7)
    changed = read("--lr 0.0001 --steps 10", default=recipe)
    assert changed == Command("r", Path("o"), Inner(0.0001, factors=((1, 2),)), steps=10)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "missing: MAPS, --out (see focus try --help)"),
        ("x.h5 --out", "--out: expected one argument (see focus try --help)"),
        ("x.h5 --uot y", "unknown flag --uot; perhaps --out? (see focus try --help)"),
        ("x.h5 --zzzzz y -q", "unknown flag --zzzzz (see focus try --help)"),
        ("x.h5 --out y --ste 3", "unknown flag --ste; perhaps --steps? (see focus try --help)"),
        ("x.h5 z.h5 --out y", "unexpected argument 'z.h5' (see focus try --help)"),
        ("x.h5 --maps x.h5 --out y", "unexpected argument 'x.h5' (see focus try --help)"),
        ("x --out y --steps 1.5", "--steps: '1.5' is not an integer (see focus try --help)"),
        ("x --out y --lr a", "--lr: 'a' is not a number (see focus try --help)"),
        (
            "x --out y --kind swop",
            "--kind: 'swop' is not one of blend, swap; perhaps swap? (see focus try --help)",
        ),
        (
            "x --out y --factors 1 2 3",
            "--factors: takes 2 values at a time, got 3 (see focus try --help)",
        ),
        ("x --out y --lr 0", "--lr 0.0: must be positive"),
    ],
)
def test_errors_are_one_line(text, message):
    with pytest.raises(InputError) as raised:
        read(text)
    assert str(raised.value) == message


def test_the_help_begins_with_required_and_everyday_flags(capsys):
    with pytest.raises(SystemExit) as leaving:
        read("--help")
    assert leaving.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: focus try MAPS --out PATH [flags]\n\nTry.\n")
    places = [text.index(word) for word in ("  MAPS", "  --out", "--root", "--json", "--names")]
    assert places == sorted(places)
    assert text.index("--steps") < text.index("--lr")
    assert "Learning rate, 10 % of it at first. (default: 0.0001)" in text
    assert "Folder.\n" in text
    assert "default: )" not in text
    assert "--no-pairs" in text
    assert "--kind {blend,swap}" in text


def test_arguments_are_described_as_the_help_shows_them():
    groups = describe(Command, "maps")
    assert next(iter(groups)) == "arguments"
    assert groups["arguments"][0] == Entry("MAPS", "TEXT", "Map file. Also as --maps.")
    entries = {entry.name: entry for group in groups.values() for entry in group}
    assert entries["--lr"] == Entry(
        "--lr", "X", "Learning rate, 10 % of it at first. (default: 0.0001)"
    )
    assert entries["--names"].values == "TEXT ..."
    assert entries["--kind"].values == "{blend,swap}"
