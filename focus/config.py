"""Frozen dataclasses to JSON and back, and their fingerprint."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from focus.errors import InputError

T = TypeVar("T")


def to_json(config: Any) -> dict[str, Any]:
    """Return a dataclass as plain JSON values (nested dataclasses as objects)."""
    return json.loads(json.dumps(dataclasses.asdict(config), default=str))


def from_json(cls: type[T], values: typing.Mapping[str, Any]) -> T:
    """Build ``cls`` from what :func:`to_json` gave.

    Raises:
        InputError: a field that ``cls`` does not have; missing ones take their defaults.
    """
    hints = typing.get_type_hints(cls)
    unknown = set(values) - {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    if unknown:
        raise InputError(f"{cls.__name__} has no field {', '.join(sorted(unknown))}")
    return cls(**{name: _revive(hints[name], value) for name, value in values.items()})


def fingerprint(config: Any) -> str:
    """Return twelve hexadecimal digits that name a configuration (a dataclass or JSON values)."""
    values = to_json(config) if dataclasses.is_dataclass(config) else config
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _revive(hint: Any, value: Any) -> Any:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(hint) if member is not type(None)]
        return None if value is None else _revive(members[0], value)
    if origin is typing.Annotated:
        return _revive(typing.get_args(hint)[0], value)
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return from_json(typing.cast("type[Any]", hint), value)
    if origin is tuple and isinstance(value, list):
        return tuple(value)
    return Path(value) if hint is Path else value
