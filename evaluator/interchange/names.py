"""Keys of faces as file names: paths that stay below a folder, and flat names that never meet."""

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
    """Tell whether a name leads out of the folder it is put in, or is no name of a file."""
    parts = name.replace("\\", "/").split("/")
    return bool(_DRIVE.match(name)) or "\0" in name or not {"", ".", ".."}.isdisjoint(parts)


def kept_paths(keys: Sequence[str], mend: str) -> dict[str, str]:
    """Return key -> path below a folder, which is the key itself.

    Args:
        keys: of a map file of any origin.
        mend: how the user gets around a key that cannot be a path, for the message.

    Raises:
        InputError: a key that is absolute, holds ``..`` or an empty part, or two that differ in
            capitals alone, which one file name could not tell apart everywhere.
    """
    seen: dict[str, str] = {}
    for key in keys:
        if is_hostile(key):
            raise InputError(f"key {key!r}: is no path below a folder, so it is refused; {mend}")
        other = seen.setdefault(key.replace("\\", "/").casefold(), key)
        if other != key:
            raise InputError(f"keys {other!r} and {key!r}: would be one file; {mend}")
    return {key: key.replace("\\", "/") for key in keys}


def flat_names(keys: Sequence[str]) -> dict[str, str]:
    """Return key -> name of a file without folder and suffix; no two are alike in any case.

    A name is the last part of the key without its picture suffix. Where another face has the same,
    or a character of it is not safe everywhere, twelve digits of the key's SHA-256 are added.

    Raises:
        InputError: two keys whose names would meet all the same.
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
            raise InputError(f"keys {other!r} and {key!r}: would be one file; rename one")
        names[key] = clean
    return names


def strip_suffix(name: str) -> str:
    """Return a name without the suffix of a picture, if it has one."""
    suffix = PurePosixPath(name).suffix
    return name[: -len(suffix)] if suffix.lower() in IMAGE_SUFFIXES else name


def below(key: str) -> str:
    """Return a key without what leads up or out: ``../faces/a.png`` is ``faces/a.png``."""
    parts = _DRIVE.sub("", key, count=1).replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", ".", ".."))


def _last(key: str) -> str:
    return key.replace("\\", "/").rsplit("/", 1)[-1]


def _shorten(name: str) -> str:
    """Keep a name within what file systems take, without cutting a character in two."""
    return name.encode()[:_LONGEST].decode(errors="ignore")
