"""Shared by both command lines: command table, exit codes, one-line errors."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import os
import re
import signal
import sys
import time
from collections.abc import Mapping
from types import FrameType
from typing import Any, NamedTuple

from focus.arguments import parse as arguments_of
from focus.errors import CheckFailedError, InputError
from focus.processes import process_rank
from focus.processes.signals import Handler, handle, interrupt
from focus.streams import close_quietly, open_closed_streams, print_error

INTERRUPTED = 130
_LAUNCHER_SECONDS = 2.0  # time for a launcher to end the other processes of a run
_STOPPED = "interrupted; finished work is kept"
_WORKER_GONE = (
    "a data-loader worker was killed, probably out of memory or shared memory; re-run the same "
    "command (focus train: with --resume) with fewer --workers (0: none), or with more shared "
    "memory (docker --shm-size); finished work is kept"
)
# Removed flags of every command that reads faces, and their replacements.
_MOVED = {
    "--detector": "--face-detector",
    "--detector-weights": "--face-detector-weights",
}
_GROUP_GONE = (
    "lost the connection to another process of this run: it ended, or did not answer in time; "
    "see the launcher's output; finished work is kept"
)
_BROKEN = re.compile(r"^Dist|gloo|nccl|timed out|connection (was )?(closed|reset|refused)", re.I)


class Command(NamedTuple):
    """One command; its modules are imported only when it is called."""

    config: str  # module:class, a frozen dataclass
    function: str  # module:function of that dataclass
    summary: str
    example: str
    words: str = ""  # the flag that takes the leading words
    recipes: str = ""  # module:dict, name -> (summary, part of the config, ...)
    moved: Mapping[str, str] = {}  # removed flag -> its replacement


def run(
    program: str, about: str, commands: Mapping[str, Command], arguments: list[str] | None
) -> int:
    """Run the command named by the first argument; return its exit code.

    0: done; 1: a check failed; 2: bad arguments or input (one-line error); 130: Ctrl-C or SIGTERM.

    Args:
        program: name of the command line.
        about: its purpose, for the help.
        commands: name -> command.
        arguments: None: those of this process.
    """
    if arguments is None:
        return _run_process(program, about, commands)
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
        return _fail(program, f"no command '{name}'{hint} See {program} --help")
    # PyTorch's C++ warnings are for its developers; errors are still shown.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    return _run(f"{program} {name}", commands[name], rest)


def _run_process(program: str, about: str, commands: Mapping[str, Command]) -> int:
    """Run the command of this process; its standard streams may be closed or broken."""
    open_closed_streams()
    try:
        try:
            code = run(program, about, commands, sys.argv[1:])
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output has exited, as in `| head`
        close_quietly(sys.stdout)
        code = 0
    except OSError as error:  # from the flush: a full disk
        close_quietly(sys.stdout)
        code = _fail(program, f"standard output: {error.strerror}")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing is left to interrupt
    return code


def _run(program: str, command: Command, arguments: list[str]) -> int:
    """Run a command; report an error in one line."""
    try:
        with handle(_exit_handler(program)):  # an interrupted import can raise anything
            config, function = parse(program, command, arguments), load(command.function)
        with handle(interrupt):
            function(config)
    except InputError as error:
        return _fail(program, str(error))
    except CheckFailedError as error:
        return _fail(program, str(error), 1)
    except KeyboardInterrupt as error:
        return _fail(program, str(error) or _STOPPED, INTERRUPTED)
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        where = f"{error.filename}: " if error.filename else ""
        return _fail(program, f"{where}{error.strerror}")
    except RuntimeError as error:  # torch raises it anywhere in the main thread
        if "DataLoader worker" in str(error):
            return _fail(program, _WORKER_GONE)
        if "WORLD_SIZE" in os.environ and _BROKEN.search(f"{type(error).__name__} {error}"):
            return _fail(program, _GROUP_GONE)
        raise
    return 0


def _exit_handler(program: str) -> Handler:
    def leave(number: int, _: FrameType | None) -> None:
        os.write(2, f"{program}: {_STOPPED}\n".encode())
        os._exit(INTERRUPTED)

    return leave


def parse(program: str, command: Command, arguments: list[str]) -> Any:
    """Return the command's dataclass, filled from arguments.

    Raises:
        InputError: invalid arguments.
        SystemExit: after printing the help.
    """
    moved = {**_MOVED, **command.moved}
    for flag in (word.partition("=")[0].replace("_", "-") for word in arguments):
        if flag in moved:
            raise InputError(f"{flag}: use {moved[flag]}")
    config, default = load(command.config), None
    description = f"{command.summary[0].upper()}{command.summary[1:]}."
    description += f"\n\nExample: {command.example}"
    if command.recipes:
        recipes = load(command.recipes)
        lines = "\n\n".join(f"  {name}: {recipe[0]}." for name, recipe in recipes.items())
        description += f"\n\nRecipes (the first word; flags change single values):\n\n{lines}"
        named = bool(arguments) and not arguments[0].startswith("-")
        name = arguments[0] if named else next(iter(recipes))
        if name not in recipes:
            raise InputError(f"no recipe '{name}'; known: {', '.join(recipes)}")
        default, arguments = _with_recipe(config, recipes[name][1:]), arguments[named:]
    positional = "" if command.recipes else command.words
    return arguments_of(config, arguments, program, description, positional, default)


def _with_recipe(config: Any, parts: tuple[Any, ...]) -> Any:
    """Return the command's defaults with each part of a recipe in the field of its type."""
    command = config()
    fields = {
        type(getattr(command, field.name)): field.name for field in dataclasses.fields(config)
    }
    return dataclasses.replace(command, **{fields[type(part)]: part for part in parts})


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
    """Import a module and return the object at ``module:name``."""
    module, name = target.split(":")
    return getattr(importlib.import_module(module), name)


def _fail(program: str, text: str, code: int = 2) -> int:
    """Print a line and return the exit code.

    With several processes only the main one prints at once. The others wait for the launcher to end
    them, and print only if it does not: then the error is theirs alone.
    """
    rank = process_rank()
    if rank and code != 2:  # an error code would make the launcher end the main process
        return 0 if code == 1 else code
    if rank:
        time.sleep(_LAUNCHER_SECONDS)
        text = f"process {rank}: {text}"
    if text:
        print_error(f"{program}: {text}")
    return code
