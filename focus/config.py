"""Convert frozen dataclasses to JSON and back, and fingerprint them."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import operator
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from focus.errors import InputError, shorten

T = TypeVar("T")


def to_json(config: Any) -> dict[str, Any]:
    """Return a dataclass as plain JSON values (nested dataclasses as objects)."""
    return json.loads(json.dumps(dataclasses.asdict(config), default=str))


def given_values(options: Any) -> dict[str, Any]:
    """Return the fields of a dataclass that the user gave: those that are not None."""
    values = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    return {name: value for name, value in values.items() if value is not None}


def from_json(cls: type[T], values: typing.Mapping[str, Any]) -> T:
    """Build ``cls`` from the output of :func:`to_json`; missing fields take their defaults.

    Raises:
        InputError: an unknown field, or a value of the wrong type.
    """
    hints = typing.get_type_hints(cls)
    unknown = set(values) - {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    if unknown:
        raise InputError(f"{cls.__name__} has no field {', '.join(sorted(unknown))}")
    return cls(**{name: _revive(hints[name], value, name) for name, value in values.items()})


def parse_options(cls: type[T], options: typing.Mapping[str, Any]) -> T:
    """Build ``cls`` from the texts of ``--options name=value``.

    Raises:
        InputError: an unknown name, or a text that is not a valid value of its field.
    """
    hints = typing.get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    values = {}
    for name, text in options.items():
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"perhaps {near[0]}? " if near else ""
            raise InputError(f"--options {name}: no such setting; {hint}known: {', '.join(names)}")
        try:
            values[name] = _parse(hints[name], text) if isinstance(text, str) else text
        except ValueError as error:
            raise InputError(f"--options {name}={text}: {error}") from None
    return cls(**values)


def check_options(
    config: Any,
    *names: str,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    multiple: int | None = None,
) -> None:
    """Check numeric fields of a dataclass; for the ``__post_init__`` of a detector's configuration.

    Raises:
        InputError: a value out of bounds, or not a number.
    """
    bounds: list[tuple[str, float | None, Any]] = [
        ("at least", least, operator.ge),
        ("above", above, operator.gt),
        ("at most", most, operator.le),
        ("below", below, operator.lt),
        ("a multiple of", multiple, lambda value, unit: value % unit == 0),
    ]
    asked = [(word, bound, holds) for word, bound, holds in bounds if bound is not None]
    for name in names:
        value = getattr(config, name)
        if not all(holds(value, bound) for _, bound, holds in asked):
            wanted = " and ".join(f"{word} {bound}" for word, bound, _ in asked)
            raise InputError(f"--options {name}={value}: must be {wanted}")


def check_choices(config: Any) -> None:
    """Check the fields of a dataclass whose type is a Literal.

    Raises:
        InputError: a value that is not one of the literals.
    """
    for name, hint in typing.get_type_hints(type(config)).items():
        choices = typing.get_args(hint)
        value = getattr(config, name)
        if typing.get_origin(hint) is typing.Literal and value not in choices:
            known = ", ".join(map(str, choices))
            raise InputError(f"--options {name}={value}: must be one of {known}")


def split_options(words: typing.Sequence[str]) -> dict[str, str]:
    """Parse ``name=value`` words into a dictionary.

    Raises:
        InputError: a word without ``=``.
    """
    pairs = [word.partition("=") for word in words]
    for name, sign, _ in pairs:
        if not (name and sign):
            raise InputError(f"--options {name}: write NAME=VALUE")
    return {name: value for name, _, value in pairs}


def _parse(hint: Any, text: str) -> Any:
    """Convert text to a value of a type."""
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        choices = typing.get_args(hint)
        found = [choice for choice in choices if str(choice) == text]
        if not found:
            raise ValueError(f"must be one of {', '.join(map(str, choices))}")
        return found[0]
    if origin in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(hint) if member is not type(None)]
        return None if text in ("", "none") else _parse(members[0], text)
    if origin is tuple:
        kinds = [kind for kind in typing.get_args(hint) if kind is not Ellipsis]
        parts = text.split(",") if text else []
        return tuple(
            _parse(kinds[min(place, len(kinds) - 1)], part) for place, part in enumerate(parts)
        )
    if hint is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError("must be true or false")
        return text.lower() == "true"
    if hint in (int, float):
        try:
            return hint(text)
        except ValueError:
            kind = "a whole number" if hint is int else "a number"
            raise ValueError(f"must be {kind}") from None
    return hint(text)


def fingerprint(config: Any) -> str:
    """Return a 12-digit hexadecimal hash of a configuration (a dataclass or JSON values)."""
    values = to_json(config) if dataclasses.is_dataclass(config) else config
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


_ACCEPTED: dict[Any, tuple[type, ...]] = {
    bool: (bool,),
    int: (int,),
    float: (float, int),
    str: (str,),
    Path: (str,),
}


def _revive(hint: Any, value: Any, name: str) -> Any:
    """Convert a JSON value to a field's type."""
    origin, members = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in members:
            return None
        hint = next(member for member in members if member is not type(None))
        return _revive(hint, value, name)
    if origin is typing.Annotated:
        return _revive(members[0], value, name)
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return from_json(typing.cast("type[Any]", hint), value)
    if origin is tuple and isinstance(value, (list, tuple)):
        kinds = [member for member in members if member is not Ellipsis]
        return tuple(
            _revive(kinds[min(at, len(kinds) - 1)], one, name) for at, one in enumerate(value)
        )
    accepted = _ACCEPTED.get(hint)
    strange = accepted is not None and type(value) not in accepted
    strange |= origin is typing.Literal and value not in members
    if strange or origin is tuple or dataclasses.is_dataclass(hint):
        raise InputError(f"{shorten(repr(value), 60)} is not a valid value of {name}")
    return Path(value) if hint is Path else value
