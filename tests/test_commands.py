"""The command line as a process: closed streams, one line for an error, light parsing."""

import subprocess
import sys
from pathlib import Path

import pytest

from evaluator.cli import COMMANDS as EVALUATOR
from evaluator.cli import main as evaluator
from focus.arguments import list_options
from focus.cli import COMMANDS as FOCUS
from focus.cli import main as focus
from focus.commands import load

ROOT = Path(__file__).parent.parent
COMMANDS = [
    (program, name)
    for program, commands in (("focus", FOCUS), ("evaluator", EVALUATOR))
    for name in commands
]

# Of --quiet, --seed, --device and --precision, those of a command that does not use all.
SHARED_FLAGS = {
    **dict.fromkeys(["prepare", "doctor", "merge", "renormalise", "info"], "quiet"),
    **dict.fromkeys(["view", "export", "models", "import", "table"], "quiet"),
    **dict.fromkeys(["weights", "push"], ""),
    **dict.fromkeys(["look", "app"], "quiet device"),
    **dict.fromkeys(["index", "forge", "check"], "quiet seed"),
    **dict.fromkeys(["score", "judge"], "quiet seed device"),
}
# Options without a value by default that are names or words: not paths alone.
TEXTS = {"data", "weights", "method", "model", "split", "compression", "shard", "normalise"}
TEXTS |= {"key", "title", "layer", "license"}


def shell(line, cwd):
    """Run a line of bash in which `focus` and `evaluator` are this tree's."""
    paths = f"export PYTHONPATH={ROOT}; focus() {{ '{sys.executable}' -m focus \"$@\"; }}"
    script = f"set -o pipefail; {paths}; {line}"
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=cwd)


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_command_works_with_closed_streams(demo_corpus, tmp_path, closed):
    done = shell(f"focus index --data {demo_corpus} --out copy.csv {closed}", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert len((tmp_path / "copy.csv").read_text().splitlines()) == 41


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-"])
def test_an_error_keeps_its_code_with_closed_streams(tmp_path, closed):
    done = shell(f"focus info none.h5 {closed}", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


@pytest.mark.parametrize("words", ["--help", "info --help", "--version"])
def test_a_reader_that_leaves_is_no_error(tmp_path, words):
    done = shell(f"(focus {words}; echo $? >&2) | true", tmp_path)
    assert done.stderr == "0\n"


def test_an_error_keeps_its_code_when_nobody_reads_it(tmp_path):
    done = shell("(focus info none.h5 2>&1; echo $? > code) | true", tmp_path)
    assert (done.stderr, (tmp_path / "code").read_text()) == ("", "2\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_under_the_output_is_one_line(tmp_path):
    done = shell("focus --help > /dev/full", tmp_path)
    assert done.returncode == 2
    assert done.stderr == "focus: standard output: No space left on device\n"


@pytest.mark.parametrize(("program", "name"), COMMANDS)
def test_help_and_typos_import_no_torch(program, name):
    code = f"""
import sys
from {program}.cli import main
try:
    main(["{name}", "--help"])
except SystemExit as leaving:
    assert leaving.code == 0
assert main(["{name}", "--no-such-flag"]) == 2
heavy = {{"torch", "accelerate", "timm", "kornia", "sklearn", "scipy.stats", "matplotlib"}}
sys.exit(", ".join(sorted(heavy & set(sys.modules))) or 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr.count("\n")) == (0, 1), done.stderr
    assert done.stdout.startswith(f"usage: {program} {name} ")


@pytest.mark.parametrize(("program", "name"), COMMANDS)
def test_a_command_has_the_shared_flags_that_it_uses(program, name):
    command = (FOCUS if program == "focus" else EVALUATOR)[name]
    names = {option.name for option in list_options(load(command.config))}
    shared = [flag for flag in ("quiet", "seed", "device", "precision") if flag in names]
    assert shared == SHARED_FLAGS.get(name, "quiet seed device precision").split()


@pytest.mark.parametrize(("program", "name"), COMMANDS)
def test_options_that_are_paths_are_typed_so(program, name):
    command = (FOCUS if program == "focus" else EVALUATOR)[name]
    empty = {option.name for option in list_options(load(command.config)) if option.default == ""}
    assert empty <= TEXTS


@pytest.mark.parametrize(
    ("main", "command", "flag", "replacement"),
    [
        (focus, "forge", "--kind", "--forgery"),
        (focus, "train", "--kind", "--model"),
        (focus, "index", "--detector", "--face-detector"),
        (focus, "index", "--detector-weights", "--face-detector-weights"),
        (evaluator, "robustness", "--kinds=blur", "--corruptions"),
        (evaluator, "run", "--predictions", "evaluator judge"),
    ],
)
def test_a_renamed_flag_names_its_successor(capsys, main, command, flag, replacement):
    assert main([command, flag, "x"]) == 2
    assert f"use {replacement}" in capsys.readouterr().err
