"""The structure holds: layers, light start-up, no network, no machine paths."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("focus", "plugins", "evaluator")
SOURCES = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/")


def test_imports_run_downwards_only():
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    found = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("program", ["focus", "evaluator"])
def test_help_starts_at_once(program):
    call = f"from {program}.cli import main; main(['--help'])"
    best = min(_seconds(call) for _ in range(3))
    bare = min(_seconds("pass") for _ in range(3))
    assert best - bare < 0.3


def _seconds(code):
    """Return the CPU seconds of a process, which do not depend on other load."""
    before = os.times()
    run_python(code)
    after = os.times()
    return sum(after[2:4]) - sum(before[2:4])


def test_info_needs_no_torch():
    found = run_python("import sys, focus.mapstore; sys.exit('torch' in sys.modules)")
    assert found.returncode == 0, found.stderr


def test_every_module_imports_without_a_network_or_cuda():
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in SOURCES
    ]
    code = f"""
import importlib, socket
def refuse(*_): raise RuntimeError("the network was opened")
socket.socket.connect = socket.create_connection = refuse
for name in {modules!r}:
    importlib.import_module(name)
import torch
assert not torch.cuda.is_initialized()
"""
    found = run_python(code)
    assert found.returncode == 0, found.stderr


def test_only_the_map_store_knows_hdf5():
    users = {path.relative_to(ROOT).parts[:2] for path in SOURCES if "h5py" in path.read_text()}
    assert users == {("focus", "mapstore")}


def test_only_one_module_knows_the_parser():
    pattern = re.compile(r"^\s*(import|from) argparse", re.M)
    users = [path for path in SOURCES if pattern.search(path.read_text())]
    assert [path.relative_to(ROOT).as_posix() for path in users] == ["focus/arguments.py"]


def test_no_module_imports_what_windows_lacks():
    pattern = re.compile(r"^\s*(import|from) (fcntl|grp|posix|pty|pwd|resource|termios)\b", re.M)
    assert not [path for path in SOURCES if pattern.search(path.read_text(encoding="utf-8"))]


METHODS = {path.name for path in (ROOT / "plugins").iterdir() if (path / "model.py").is_file()}
METHODS |= {"focus", "FoCus", "FoCusConfig", "sobel", "carp"}
ROOMS = (
    "focus/network/",
    "focus/generators/focus.py",
    "focus/training/options.py",  # flags of FoCus' own settings
    "focus/training/recipes.py",
    "focus/generation/options.py",  # the default of --method
    "focus/modalities.py",  # sobel, an image filter
    "focus/view/modality.py",
    "focus/data/corpora/",  # corpora that papers published
    "focus/__init__.py",
    "focus/cli.py",  # focus, the program
    "focus/released/record.py",
    "focus/released/catalogue.py",  # its cache folder
    "evaluator/protocols/plans.py",
    *(f"plugins/{name}/" for name in METHODS),
)


def test_generic_code_names_no_method():
    """Constants and identifiers; docstrings may cite a method as the source of an equation."""
    found = []
    for path in SOURCES:
        name = path.relative_to(ROOT).as_posix()
        if name.startswith(ROOMS) or name.endswith("_tables.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            words = {getattr(node, field, None) for field in ("value", "id", "attr", "name")}
            if not isinstance(node, ast.Import | ast.ImportFrom) and _words(words) & METHODS:
                found.append(f"{name}:{getattr(node, 'lineno', '')}")
    assert not found


def _words(values):
    return {value for value in values if isinstance(value, str)}


def test_nothing_unpickles():
    pattern = re.compile(r"weights_only=False|import pickle|allow_pickle=True|yaml\.load\(")
    assert not [path for path in SOURCES if pattern.search(path.read_text())]


def test_configurations_are_frozen():
    """A dataclass that others hold cannot change under them; those that collect are listed."""
    pattern = re.compile(r"^@dataclass(?!\(.*frozen=True)", re.M)
    found = {
        path.relative_to(ROOT).as_posix() for path in SOURCES if pattern.search(path.read_text())
    }
    assert found == {"focus/look/page.py", "focus/data/prepare/crops.py"}


def test_files_stay_readable():
    files = [*SOURCES, *TESTS]
    assert not [path for path in files if len(path.read_text().splitlines()) > 400]


def test_tests_mirror_the_source():
    """``tests/a/b/test_c.py`` tests the module or package ``a.b.c``; tests/test_*.py, the whole."""
    found = [path.relative_to(ROOT / "tests") for path in TESTS if path.parent != ROOT / "tests"]
    sources = [ROOT / path.parent / path.stem.removeprefix("test_") for path in found]
    assert not [
        path for path in sources if not path.is_dir() and not path.with_suffix(".py").exists()
    ]
