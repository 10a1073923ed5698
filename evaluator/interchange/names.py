"""Keys of faces as file names: safe relative paths, and unique flat names."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from focus.data.images import IMAGE_SUFFIXES
from focus.errors import InputError

_UNSAFE = re.compile(r"[^\w.#@+=,() -]")
_DRIVE = re.compile(r"[A-Za-z]:")
_LONGEST = 120


def is_hostile(name: str) -> bool:
    """Return whether a name is not a path below a folder: absolute, with ``..``, or invalid."""
    parts = name.replace("\\", "/").split("/")
    return bool(_DRIVE.match(name)) or "\0" in name or not {"", ".", ".."}.isdisjoint(parts)


def kept_paths(keys: Sequence[str], hint: str) -> dict[str, str]:
    """Return key -> relative path; the path is the key itself.

    Args:
        keys: keys of a map file; not trusted.
        hint: the fix for a key that cannot be a path, for the message.

    Raises:
        InputError: a key is absolute or has ``..`` or an empty part, or two keys differ only in
            case, which some file systems ignore.
    """
    seen: dict[str, str] = {}
    for key in keys:
        if is_hostile(key):
            raise InputError(f"key {key!r}: refused: not a path below a folder; {hint}")
        other = seen.setdefault(key.replace("\\", "/").casefold(), key)
        if other != key:
            raise InputError(f"keys {other!r} and {key!r}: would be the same file; {hint}")
    return {key: key.replace("\\", "/") for key in keys}


def flat_names(keys: Sequence[str]) -> dict[str, str]:
    """Return key -> file name without folder and suffix, unique regardless of case.

    A name is the last part of the key without its image suffix. If it is not unique, or has a
    character that is not portable, twelve digits of the key's SHA-256 are appended.

    Raises:
        InputError: two keys whose names still collide.
    """
    plain = {key: strip_suffix(_last(key)) for key in keys}
    count = Counter(name.casefold() for name in plain.values())
    names: dict[str, str] = {}
    taken: dict[str, str] = {}
    for key, name in plain.items():
        clean = _shorten(_UNSAFE.sub("_", name)).lstrip(".")
        if count[name.casefold()] > 1 or clean != name or not clean:
            clean = f"{clean}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
        other = taken.setdefault(clean.casefold(), key)
        if other != key:
            raise InputError(f"keys {other!r} and {key!r}: would be the same file; rename one")
        names[key] = clean
    return names


def strip_suffix(name: str) -> str:
    """Return a name without its image suffix, if any."""
    suffix = PurePosixPath(name).suffix
    return name[: -len(suffix)] if suffix.lower() in IMAGE_SUFFIXES else name


def below(key: str) -> str:
    """Return a key without drive, root and ``..``: ``../faces/a.png`` becomes ``faces/a.png``."""
    parts = _DRIVE.sub("", key, count=1).replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", ".", ".."))


def _last(key: str) -> str:
    return key.replace("\\", "/").rsplit("/", 1)[-1]


def _shorten(name: str) -> str:
    """Limit a name to 120 bytes of UTF-8, without splitting a character."""
    return name.encode()[:_LONGEST].decode(errors="ignore")
