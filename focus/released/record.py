"""Read the record of a released model's file, without torch and without its tensors."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

from focus.config import from_json
from focus.errors import InputError, shorten
from focus.released.contents import ReleasedModel

FORMAT, VERSION = "focus-model", 1
RECORD = "focus"
"""Name of the record in the file's metadata."""


def read_record(path: Path) -> ReleasedModel:
    """Read the record of a released model.

    Raises:
        InputError: a missing file, not a released model, a newer version, or a damaged record.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such weights file")
    try:
        with safe_open(path, "np") as file:
            text = (file.metadata() or {}).get(RECORD)
    except (OSError, SafetensorError) as error:
        reason = shorten(str(error).splitlines()[0], 120)
        raise InputError(f"{path}: cannot read weights ({reason})") from None
    if text is None:
        raise InputError(f"{path}: not a released model: its metadata has no record '{RECORD}'")
    try:
        values = json.loads(text)
        if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
            raise InputError("not a record of a released model")
        version = values.pop("format_version", None)
        if type(version) is not int or version < 1:
            raise InputError("no format version")
        if version > VERSION:
            raise InputError(f"format version {version}; update focus-forgery to read it")
        return from_json(ReleasedModel, values)
    except (ValueError, TypeError, RecursionError) as error:
        reason = shorten(str(error).splitlines()[0], 200)
        raise InputError(f"{path}: damaged record ({reason})") from None
