"""What the two command lines share: a table of commands, exit codes, one line per mistake."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import importlib
import io
import itertools
import os
import re
import signal
import sys
import time
from collections.abc import Mapping
from types import FrameType
from typing import Any, NamedTuple

from focus.errors import CheckFailedError, InputError
from focus.processes import process_rank
from focus.processes.signals import Handler, handle, interrupt

INTERRUPTED = 130
_LAUNCHER_SECONDS = 2.0  # in which a launcher ends the other processes of a run
_STOPPED = "interrupted; finished work is kept"
_WORKER_GONE = (
    "a loader process was killed, as happens when memory is short, shared memory too: give the "
    "same command (focus train: with --resume) with fewer --workers, 0 for none, or give the "
    "container more (docker --shm-size); finished work is kept"
)


RENAMED_FLAGS = {
    "--detector": "--face-detector",
    "--detector-weights": "--face-detector-weights",
}
_GROUP_GONE = (
    "the connection to another process of this run broke: it was ended, or gave no answer in time; "
    "the launcher names it; finished work is kept"
)
_BROKEN = re.compile(r"^Dist|gloo|nccl|timed out|connection (was )?(closed|reset|refused)", re.I)


class Command(NamedTuple):
    """One command; its modules are imported when it is called, not before."""

    config: str  # module:class, a frozen dataclass
    function: str  # module:function of that dataclass
    summary: str
    example: str
    words: str = ""  # the flag that the leading words without one belong to
    recipes: str = ""  # module:dict, name -> (summary, part of the config, ...)
    moved: Mapping[str, str] = {}  # a flag that the command no longer has -> what replaces it


def run(
    program: str, about: str, commands: Mapping[str, Command], arguments: list[str] | None
) -> int:
    """Run the command that the first argument names; return its exit code.

    0: done; 1: a check failed; 2: bad arguments or input, said in one line; 130: Ctrl-C or SIGTERM.

    Args:
        program: name of the command line.
        about: what it is for.
        commands: name -> command.
        arguments: those of this process, which then ends, unless given.
    """
    if arguments is None:
        code = run(program, about, commands, sys.argv[1:])
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing is left to interrupt
        return code
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview(program, about, commands))
        return 0 if arguments else 2
    name, rest = arguments[0], arguments[1:]
    if name == "--version":
        from importlib.metadata import version

        print(f"{program} {version('focus-forgery')}")
        return 0
    if name not in commands:
        near = difflib.get_close_matches(name, commands, n=1)
        hint = f"; perhaps '{near[0]}'?" if near else ""
        return _say(program, f"no command '{name}'{hint} See {program} --help")
    # PyTorch's C++ side warns of what only its developers can use; errors still come through.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    return _run(f"{program} {name}", commands[name], rest)


def _run(program: str, command: Command, arguments: list[str]) -> int:
    """Run a command; say in one line what stopped it."""
    try:
        with handle(_leaving_at_once(program)):  # what an import is broken off with may be anything
            config, function = parse(program, command, arguments), load(command.function)
        with handle(interrupt):
            function(config)
    except InputError as error:
        return _say(program, str(error))
    except CheckFailedError as error:
        return _say(program, str(error), 1)
    except KeyboardInterrupt as error:
        return _say(program, str(error) or _STOPPED, INTERRUPTED)
    except BrokenPipeError:  # the reader of our output went away, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        where = f"{error.filename}: " if error.filename else ""
        return _say(program, f"{where}{error.strerror}")
    except RuntimeError as error:  # torch raises it wherever the main thread is just then
        if "DataLoader worker" in str(error):
            return _say(program, _WORKER_GONE)
        if "WORLD_SIZE" in os.environ and _BROKEN.search(f"{type(error).__name__} {error}"):
            return _say(program, _GROUP_GONE)
        raise
    return 0


def _leaving_at_once(program: str) -> Handler:
    def leave(number: int, _: FrameType | None) -> None:
        os.write(2, f"{program}: {_STOPPED}\n".encode())
        os._exit(INTERRUPTED)

    return leave


def parse(program: str, command: Command, arguments: list[str]) -> Any:
    """Return the command's dataclass, filled from arguments.

    Raises:
        InputError: arguments that do not fit.
        SystemExit: after printing the help that was asked for.
    """
    import tyro

    for flag in (word.partition("=")[0].replace("_", "-") for word in arguments):
        if flag in command.moved:
            raise InputError(f"{flag}: use {command.moved[flag]}")
        if flag in RENAMED_FLAGS:
            raise InputError(f"{flag} is now called {RENAMED_FLAGS[flag]}")
    config = load(command.config)
    description = (
        f"{command.summary[0].upper()}{command.summary[1:]}.\n\nExample: {command.example}"
    )
    default: Any = tyro.MISSING_NONPROP
    words = list(itertools.takewhile(lambda word: not word.startswith("-"), arguments))
    if command.recipes:
        recipes = load(command.recipes)
        lines = "\n\n".join(f"  {name}: {recipe[0]}." for name, recipe in recipes.items())
        description += f"\n\nRecipes (the first word; flags change single values):\n\n{lines}"
        name = words[0] if words else next(iter(recipes))
        if name not in recipes:
            raise InputError(f"no recipe '{name}'; there are {', '.join(recipes)}")
        default = _with_recipe(config, recipes[name][1:])
        arguments = arguments[len(words[:1]) :]
    elif command.words and words:
        arguments = [f"--{command.words}", *arguments]
    arguments = _complete_json(arguments)
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(
                config,
                prog=program,
                description=description,
                args=arguments,
                default=default,
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
            )
    except SystemExit as leaving:
        if leaving.code in (0, None):
            raise
        raise InputError(f"{_one_line(complaint.getvalue())} (see {program} --help)") from None


def _complete_json(arguments: list[str]) -> list[str]:
    """Let ``--json`` without a file mean standard output, as ``--json -`` does."""
    completed = []
    for word, following in itertools.zip_longest(arguments, arguments[1:], fillvalue="--"):
        completed.append(word)
        if word == "--json" and following.startswith("--"):
            completed.append("-")
    return completed


def _with_recipe(config: Any, parts: tuple[Any, ...]) -> Any:
    """Return the command's defaults with a recipe's parts in the fields of their types."""
    command = config()
    fields = {
        type(getattr(command, field.name)): field.name for field in dataclasses.fields(config)
    }
    return dataclasses.replace(command, **{fields[type(part)]: part for part in parts})


def _one_line(complaint: str) -> str:
    """Take what matters from tyro's complaint, which comes in a box with help for every flag."""
    text = " ".join(re.sub(r"[^\x20-\x7e]", " ", complaint).split())
    text = text.removeprefix("Parsing error").removeprefix("Required options").strip()
    # What a dataclass itself refused says which flag it is about.
    text = re.sub(r"^Value error[ -]*Error parsing \w+: ", "", text)
    text, _, _ = text.partition("For full helptext")
    said = []
    if "Missing from" in text:
        start = text.index("Missing from")
        end = text.find("Unrecognized options", start)
        flags = re.findall(r"--[a-z-]+", text[start : end if end >= 0 else None])
        said.append(f"missing: {', '.join(flags)}")
        text = text[end:] if end >= 0 else ""
    if text:
        said.append(re.sub(r"^(- )+| [ -]*$", "", text.strip()))
    return "; ".join(said)


def _overview(program: str, about: str, commands: Mapping[str, Command]) -> str:
    width = max(map(len, commands))
    lines = [f"  {name:{width}}  {command.summary}" for name, command in commands.items()]
    first = next(iter(commands.values())).example
    return (
        f"usage: {program} COMMAND [flags]\n\n{about}\n\ncommands:\n"
        + "\n".join(lines)
        + f"\n\n{program} COMMAND --help shows its flags and an example.\nExample: {first}"
    )


def load(target: str) -> Any:
    """Return what ``module:name`` names, its module imported."""
    module, name = target.split(":")
    return getattr(importlib.import_module(module), name)


def _say(program: str, text: str, code: int = 2) -> int:
    """Print a line and return the exit code.

    Of several processes the main one speaks: the others wait until their launcher has ended them,
    and print only if it has not, since then the fault is theirs alone.
    """
    rank = process_rank()
    if rank and code != 2:  # a launcher would end the main process, still at work, on a fault
        return 0 if code == 1 else code
    if rank:
        time.sleep(_LAUNCHER_SECONDS)
        text = f"process {rank}: {text}"
    if text:
        print(f"{program}: {text}", file=sys.stderr)
    return code
