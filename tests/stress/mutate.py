"""Plant one-line faults in the source, one at a time, and list those that no test notices.

    python tests/stress/mutate.py --count 100 --seed 1 --jobs 2 focus/training/loop.py ...

Each fault takes a test run of the mutated module, 5 to 60 s; a hundred take about half an hour on
two cores. The tree is copied per job, so the checkout is not modified; torch is imported once and
each test run is a fork. A surviving fault is either untested or has no observable effect (an
equivalent fault): review the list.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
COPIED = (
    "focus",
    "plugins",
    "evaluator",
    "tests",
    "scripts",
    "docs",
    "pyproject.toml",
    "README.md",
)
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
SILENT = {"advance", "note", "print", "track", "warn"}  # progress and messages
SYMMETRIC = {"hypot", "max", "min"}  # of two arguments in either order
ELSEWHERE = {"focus/training/loop.py": "tests/test_survival.py"}  # tests that are not mirrored


class Fault(NamedTuple):
    """One planted fault: its place, its kind, and the whole mutated source."""

    path: str
    line: int
    text: str
    source: str


def faults_of(path: str) -> Iterator[Fault]:
    """Yield every fault of a module."""
    source = (ROOT / path).read_text(encoding="utf-8")
    tree = ast.parse(source)
    skipped = _skipped(tree)
    for number, node in enumerate(ast.walk(tree)):
        if id(node) in skipped:
            continue
        for kind in range(_variants(node)):
            mutated = copy.deepcopy(tree)
            target = next(n for k, n in enumerate(ast.walk(mutated)) if k == number)
            text = _mutate(target, kind, mutated)
            if text:
                line = getattr(node, "lineno", 0)
                code = source.splitlines()[line - 1].strip() if line else ""
                yield Fault(path, line, f"{text}: {code}", ast.unparse(mutated))


def _skipped(tree: ast.AST) -> set[int]:
    """Return the nodes that are annotations, docstrings, messages or progress."""
    found: set[int] = set()
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = []
        if isinstance(node, ast.arg | ast.AnnAssign):
            parts = [node.annotation]
        elif isinstance(node, ast.FunctionDef):
            parts = [node.returns, *node.decorator_list]
        elif _says_or_imports(node):
            parts = [node]
        found |= {id(inner) for part in parts if part is not None for inner in ast.walk(part)}
    return found


def _says_or_imports(node: ast.AST) -> bool:
    """Return whether a node is a message, a docstring or an import."""
    if isinstance(node, ast.Expr):
        silent = isinstance(node.value, ast.Call) and _called(node.value) in SILENT
        return silent or isinstance(node.value, ast.Constant)
    if isinstance(node, ast.Call):
        return _called(node) in SILENT
    if isinstance(node, ast.If):
        return getattr(node.test, "id", "") == "TYPE_CHECKING"
    return isinstance(node, ast.Raise | ast.Assert | ast.JoinedStr | ast.Import | ast.ImportFrom)


def _called(node: ast.Call) -> str:
    """Return the last name of what a call calls."""
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def _variants(node: ast.AST) -> int:
    """Return the number of faults that a node can carry."""
    if isinstance(node, ast.BinOp | ast.Compare | ast.BoolOp | ast.If | ast.IfExp):
        return 1
    if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float):
        return 1
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        return 1
    if isinstance(node, ast.Call):
        return len(node.keywords) + (len(node.args) == 2 and _called(node) not in SYMMETRIC)
    return int(isinstance(node, ast.Expr | ast.Assign | ast.AugAssign))


def _mutate(node: ast.AST, kind: int, tree: ast.AST) -> str:
    """Change a node in place and return a description; empty if nothing can be changed."""
    if isinstance(node, ast.Compare):
        node.ops[0] = _swapped(node.ops[0])
        return f"comparison to {type(node.ops[0]).__name__}"
    if isinstance(node, ast.BinOp | ast.BoolOp):
        if type(node.op) not in SWAPS:
            return ""
        node.op = _swapped(node.op)
        return f"operator to {type(node.op).__name__}"
    if isinstance(node, ast.If | ast.IfExp):
        node.test = ast.UnaryOp(ast.Not(), node.test)
        return "condition negated"
    if isinstance(node, ast.Constant):
        value: Any = node.value
        node.value = (not value) if isinstance(value, bool) else value + 1
        return f"constant {value} to {node.value}"
    if isinstance(node, ast.UnaryOp):
        return _replace(tree, node, node.operand, f"{type(node.op).__name__} dropped")
    if isinstance(node, ast.Call):
        if kind < len(node.keywords):
            return f"argument {node.keywords.pop(kind).arg} dropped"
        node.args.reverse()
        return "arguments swapped"
    return _replace(tree, node, ast.Pass(), "statement dropped")


def _swapped(operator: ast.AST) -> Any:
    return SWAPS[type(operator)]()


def _replace(tree: ast.AST, node: ast.AST, other: ast.AST, text: str) -> str:
    """Replace a node by another."""
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is node:
                setattr(parent, name, other)
                return text
            if isinstance(value, list) and any(item is node for item in value):
                value[[item is node for item in value].index(True)] = other
                return text
    return ""


def tests_for(path: str) -> list[str]:
    """Return the tests of a module: those at the mirrored path, else of the nearest folder."""
    module = Path(path)
    mirrored = ROOT / "tests" / module.parent / f"test_{module.stem}.py"
    found = [mirrored] if mirrored.is_file() else []
    folder = ROOT / "tests" / module.parent
    while not folder.is_dir() or not list(folder.glob("test_*.py")):
        folder = folder.parent
    found += [test for test in sorted(folder.glob("test_*.py")) if test not in found]
    wider = ROOT / "tests" / module.parts[0]
    found += sorted(test for test in wider.glob("*/test_*.py") if module.stem in test.stem)
    found += [ROOT / ELSEWHERE[path]] if path in ELSEWHERE else []
    return [test.relative_to(ROOT).as_posix() for test in dict.fromkeys(found)]


def _survives(tree: Path, fault: Fault, seconds: float) -> bool:
    """Run the tests of a fault in a copy of the tree; return whether all pass."""
    target = tree / fault.path
    kept = target.read_text(encoding="utf-8")
    target.write_text(fault.source, encoding="utf-8")
    try:
        child = os.fork()
        if child == 0:
            _run_tests(tree, tests_for(fault.path))
        return _wait(child, seconds) == 0
    finally:
        target.write_text(kept, encoding="utf-8")


def _run_tests(tree: Path, tests: list[str]) -> None:
    """Run pytest in this (forked) process and end it with pytest's code."""
    os.setsid()
    os.chdir(tree)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    os.environ["PYTHONPATH"] = str(tree)
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.path.insert(0, str(tree))
    sys.dont_write_bytecode = True
    import pytest

    os._exit(int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests])))


def _wait(child: int, seconds: float) -> int:
    """Return a child's exit code; one that takes too long counts as failed and is killed."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return 1


def main() -> None:
    """Plant the faults and print those that survive."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="+", help="modules, relative to the checkout")
    parser.add_argument("--count", type=int, default=100, help="faults to plant, chosen at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=240, help="limit of one test run")
    flags = parser.parse_args()
    import timm  # noqa: F401  # imported once, shared by every fork
    import torch

    torch.set_num_threads(1)
    every = [fault for path in flags.paths for fault in faults_of(path)]
    chosen = random.Random(flags.seed).sample(every, min(flags.count, len(every)))
    with tempfile.TemporaryDirectory() as scratch:
        trees = [Path(scratch, str(job)) for job in range(flags.jobs)]
        for tree in trees:
            for name in COPIED:
                copier = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
                tree.mkdir(exist_ok=True)
                copier(ROOT / name, tree / name)
        free = list(trees)

        def judge(fault: Fault) -> bool:
            tree = free.pop()
            alive = _survives(tree, fault, flags.seconds)
            free.append(tree)
            word = "SURVIVED" if alive else "caught"
            print(f"{word}  {fault.path}:{fault.line}  {fault.text}", flush=True)
            return alive

        with ThreadPoolExecutor(flags.jobs) as pool:
            survived = sum(pool.map(judge, chosen))
    print(f"{survived} of {len(chosen)} survived ({len(every)} possible)")


if __name__ == "__main__":
    main()
