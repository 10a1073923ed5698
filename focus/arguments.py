"""Command-line arguments of a frozen dataclass, parsed by argparse.

A field is a flag: ``image_size: int = 224`` becomes ``--image-size``, its docstring the help.
Fields of nested dataclasses are flags too, without a prefix; a field of the command itself replaces
one of the same name in them. Supported types: str, int, float,
bool, Path, Literal, X | None, tuple[X, ...], tuple[X, X] and tuple[tuple[X, X], ...].
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import difflib
import functools
import inspect
import itertools
import textwrap
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn

from focus.errors import InputError

# Flags shown first in the help, in this order, after the required ones.
_EVERYDAY = ("data", "root", "split", "maps", "model", "method", "weights", "test", "out", "json")
_KINDS = {int: "an integer", float: "a number"}
_METAVARS = {int: "N", float: "X", Path: "PATH", str: "TEXT"}


class Option(NamedTuple):
    """One flag of a command."""

    path: tuple[str, ...]
    """Field names from the command to the value."""
    type: Any
    default: Any
    """``dataclasses.MISSING`` if the flag is required."""
    owner: type
    """The dataclass that defines the field."""

    @property
    def name(self) -> str:
        """Name of the flag, without dashes."""
        return self.path[-1].replace("_", "-")

    @property
    def flag(self) -> str:
        """The flag as typed; ``--no-NAME`` for a boolean that is true by default."""
        return f"--no-{self.name}" if self.default is True else f"--{self.name}"

    @property
    def required(self) -> bool:
        """Whether the flag has no default."""
        return self.default is dataclasses.MISSING


class Entry(NamedTuple):
    """One argument of a command, as the help shows it."""

    name: str
    """The flag, or the name of a positional argument."""
    values: str
    """Its values, such as ``N`` or ``{a,b}``; empty for a switch."""
    text: str
    """Meaning and default."""


def parse(
    config: type,
    arguments: Sequence[str],
    program: str,
    description: str = "",
    positional: str = "",
    default: Any = None,
) -> Any:
    """Return an instance of ``config`` filled from command-line arguments.

    Args:
        config: a dataclass.
        arguments: words of the command line; ``-h`` or ``--help`` prints the help.
        program: the command, for the usage line and the messages.
        description: first paragraph of the help.
        positional: name of the flag whose values may also be given without it.
        default: an instance that supplies the defaults in place of the class.

    Raises:
        InputError: invalid arguments, in one line.
        SystemExit: after printing the help.
    """
    options = list(list_options(config, default))
    if {"-h", "--help"} & set(arguments):
        print(_help(options, program, description, positional))
        raise SystemExit(0)
    try:
        values = _read(options, arguments, positional)
    except InputError as error:
        raise InputError(f"{error} (see {program} --help)") from None
    return _build(config, default, values)


def unparse(command: Any, positional: str = "") -> list[str]:
    """Return the words from which :func:`parse` makes ``command``: its values but the defaults."""
    first: list[str] = []
    words: list[str] = []
    for option in list_options(type(command)):
        value = functools.reduce(getattr, option.path, command)
        if value == option.default or value is None:
            continue
        values = list(map(str, value)) if isinstance(value, tuple) else [str(value)]
        if option.name == positional:
            first = values
        else:
            words += [option.flag, *([] if isinstance(value, bool) else values)]
    return [*first, *words]


def describe(config: type, positional: str = "", default: Any = None) -> dict[str, list[Entry]]:
    """Return the arguments of a command as its help groups them, by the group's title."""
    groups: dict[str, list[Entry]] = {}
    for title, members in _groups(list(list_options(config, default)), positional).items():
        groups[title] = []
        for option in members:
            name, text = option.flag, _explain(option).replace("%%", "%")
            if option.name == positional:
                name, text = _positional_name(option), f"{text} Also as {option.flag}."
            shape = _shape(option)
            several = " ..." if shape.get("nargs") == "*" else ""
            groups[title].append(Entry(name, shape.get("metavar", "") + several, text))
    return groups


def list_options(config: type, default: Any = None, path: tuple[str, ...] = ()) -> Iterator[Option]:
    """Yield the flags of a command's dataclass, those of nested ones included."""
    hints = typing.get_type_hints(config)
    own = {name for name, kind in hints.items() if not dataclasses.is_dataclass(kind)}
    for field in dataclasses.fields(config):
        here = (*path, field.name)
        value = _default_of(field) if default is None else getattr(default, field.name)
        if dataclasses.is_dataclass(hints[field.name]):
            nested = None if value is dataclasses.MISSING else value
            found = list_options(hints[field.name], nested, here)
            yield from (option for option in found if option.path[-1] not in own)
        else:
            yield Option(here, hints[field.name], value, config)


def _default_of(field: dataclasses.Field[Any]) -> Any:
    made = field.default_factory
    return field.default if made is dataclasses.MISSING else made()


def _build(config: type, default: Any, values: Mapping[tuple[str, ...], Any]) -> Any:
    """Build the dataclass from its defaults and ``values`` by path."""
    given: dict[str, Any] = {}
    hints = typing.get_type_hints(config)
    for field in dataclasses.fields(config):
        below = {path[1:]: value for path, value in values.items() if path[0] == field.name}
        value = _default_of(field) if default is None else getattr(default, field.name)
        missing = value is dataclasses.MISSING
        if () in below:
            given[field.name] = below[()]
        elif below or missing:
            given[field.name] = _build(hints[field.name], None if missing else value, below)
    return config(**given) if default is None else dataclasses.replace(default, **given)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(message.removeprefix("argument "))


def _read(
    options: Sequence[Option], arguments: Sequence[str], positional: str
) -> dict[tuple[str, ...], Any]:
    """Return the given values by path."""
    parser = _Parser(add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    by_flag = {option.flag: option for option in options}
    assert len(by_flag) == len(options), "two fields of a command share a flag"
    for option in options:
        parser.add_argument(option.flag, dest=option.flag, **_shape(option))
    found, rest = parser.parse_known_args([_dashed(word) for word in arguments])
    for name in (word.partition("=")[0] for word in rest if word.startswith("-")):
        near = difflib.get_close_matches(name, by_flag, n=1)
        raise InputError(f"unknown flag {name}" + (f"; perhaps {near[0]}?" if near else ""))
    values = {
        by_flag[flag].path: _finish(by_flag[flag], value) for flag, value in vars(found).items()
    }
    if rest:
        words = next((option for option in options if option.name == positional), None)
        several = words is not None and _is_tuple(_inner(words.type))
        if words is None or words.path in values or (len(rest) > 1 and not several):
            raise InputError(f"unexpected argument '{rest[-1]}'")
        kind = _inner(words.type)
        element = typing.get_args(kind)[0] if several else kind
        values[words.path] = tuple(map(element, rest)) if several else element(rest[0])
    missing = [option for option in options if option.required and option.path not in values]
    if missing:
        names = (_positional_name(o) if o.name == positional else o.flag for o in missing)
        raise InputError(f"missing: {', '.join(names)}")
    return values


def _shape(option: Option) -> dict[str, Any]:
    """Return the argparse settings of a flag: ``action``, ``nargs``, ``type``, ``metavar``."""
    kind = _inner(option.type)
    if kind is bool:
        return {"action": "store_const", "const": option.default is not True}
    parts = typing.get_args(kind) if typing.get_origin(kind) is tuple else ()
    if not parts:
        shape = {"type": _converter(kind), "metavar": _metavar(kind)}
        return shape | ({"nargs": "?", "const": kind("-")} if option.name == "json" else {})
    value = (typing.get_args(parts[0]) or parts)[0] if _is_tuple(parts[0]) else parts[0]
    shape = {"type": _converter(value), "metavar": _metavar(value)}
    if parts[-1] is Ellipsis:
        return {"action": "extend", "nargs": "*", **shape}
    return {"nargs": len(parts), **shape}


def _finish(option: Option, value: Any) -> Any:
    """Convert a parsed value to the field's type: lists to tuples, or to tuples of tuples."""
    if not isinstance(value, list):
        return value
    first = typing.get_args(_inner(option.type))[0]
    if not _is_tuple(first):
        return tuple(value)
    size = len(typing.get_args(first))
    if len(value) % size:
        raise InputError(f"{option.flag}: takes {size} values at a time, got {len(value)}")
    return tuple(tuple(value[start : start + size]) for start in range(0, len(value), size))


def _converter(kind: Any) -> Callable[[str], Any]:
    """Return a function from word to value; argparse prints its errors unchanged."""
    choices = _choices(kind)

    def convert(word: str) -> Any:
        if choices:
            if word not in choices:
                near = difflib.get_close_matches(word, choices, n=1)
                hint = f"; perhaps {near[0]}?" if near else ""
                known = ", ".join(choices)
                raise argparse.ArgumentTypeError(f"'{word}' is not one of {known}{hint}")
            return choices[word]
        try:
            return kind(word)
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{word}' is not {_KINDS[kind]}") from None

    return convert


def _inner(kind: Any) -> Any:
    """Return X for ``X | None``, any other type unchanged."""
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        return next(part for part in typing.get_args(kind) if part is not type(None))
    return kind


def _is_tuple(kind: Any) -> bool:
    return typing.get_origin(kind) is tuple


def _choices(kind: Any) -> dict[str, Any]:
    """Return the values of a Literal by their text; empty for other types."""
    values = typing.get_args(kind) if typing.get_origin(kind) is Literal else ()
    return {str(value): value for value in values}


def _metavar(kind: Any) -> str:
    choices = _choices(kind)
    return f"{{{','.join(choices)}}}" if choices else _METAVARS[kind]


def _dashed(word: str) -> str:
    """Replace underscores by dashes in a flag; return any other word unchanged."""
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value if word.startswith("--") else word


def _help(options: Sequence[Option], program: str, description: str, positional: str) -> str:
    """Return the help: required and everyday flags first, then the rest by their dataclass."""
    words = next((option for option in options if option.name == positional), None)
    usage, name = [program], ""
    if words is not None:
        name = _positional_name(words)
        several = f" [{name} ...]" if _is_tuple(_inner(words.type)) else ""
        usage.append(f"{name}{several}" if words.required else f"[{name}{several}]")
    usage += [
        f"{option.flag} {_shape(option)['metavar']}"
        for option in options
        if option.required and option is not words
    ]
    parser = argparse.ArgumentParser(
        prog=program,
        usage=" ".join([*usage, "[flags]"]),
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    for title, members in _groups(options, positional).items():
        group = parser.add_argument_group(title)
        for option in members:
            if option is words:
                group.add_argument(name, help=f"{_explain(option)} Also as {option.flag}.")
            else:
                group.add_argument(option.flag, help=_explain(option), **_shape(option))
    return parser.format_help()


def _groups(options: Sequence[Option], positional: str) -> dict[str, list[Option]]:
    groups: dict[str, list[Option]] = {"arguments": [], "everyday": [], "more": []}
    for option in options:
        title = "more" if len(option.path) == 1 else option.path[-2]
        if option.required or option.name == positional:
            title = "arguments"
        elif option.name in _EVERYDAY:
            title = "everyday"
        groups.setdefault(title, []).append(option)
    groups["everyday"].sort(key=lambda option: _EVERYDAY.index(option.name))
    return {title: members for title, members in groups.items() if members}


def _explain(option: Option) -> str:
    """Return the help of a flag: its field's docstring, and its default unless empty or boolean."""
    text = " ".join(_docstrings(option.owner).get(option.path[-1], "").split())
    default = option.default
    if isinstance(default, tuple):
        default = " ".join(map(str, default))
    if not option.required and not isinstance(default, bool) and default not in (None, ""):
        text += f" (default: {default})"
    return text.replace("%", "%%").strip()


@functools.cache
def _docstrings(config: type) -> dict[str, str]:
    """Return the docstring that follows each field of a dataclass, by the field's name."""
    found: dict[str, str] = {}
    for owner in reversed(config.__mro__[:-1]):
        body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, doc in itertools.pairwise(body.body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                text = doc.value if isinstance(doc, ast.Expr) else None
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    found[field.target.id] = text.value
    return found


def _positional_name(option: Option) -> str:
    name = option.name.upper()
    return name.removesuffix("S") if _is_tuple(_inner(option.type)) else name
