"""Released models by name: in the package, in a cache folder, or to be downloaded.

``catalogue.json`` beside this file lists models that are not in the package: name -> url, sha256,
bytes and summary. Imports no torch.
"""

from __future__ import annotations

import difflib
import json
import os
import shutil
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

from focus.errors import InputError, count_of, shorten
from focus.files import replace_file, sha256

DEFAULT_MODEL = "focus-small"
CACHE_VARIABLE = "FOCUS_WEIGHTS"
PACKAGED = Path(__file__).parent
_CATALOGUE = PACKAGED / "catalogue.json"
_SUFFIX = ".safetensors"
_SECONDS = 20


class Download(NamedTuple):
    """A model that is not in the package."""

    url: str
    sha256: str
    bytes: int
    summary: str


def cache_folder() -> Path:
    """Return the folder of fetched models: ``$FOCUS_WEIGHTS``, else ``~/.cache/focus``."""
    given = os.environ.get(CACHE_VARIABLE, "")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(given) if given else home / "focus"


def read_catalogue() -> dict[str, Download]:
    """Return the models that can be fetched, by name."""
    values = json.loads(_CATALOGUE.read_text(encoding="utf-8"))
    return {name: Download(**entry) for name, entry in values.items()}


def local_models() -> dict[str, Path]:
    """Return the files of the models on this machine, by name; the package goes first."""
    found: dict[str, Path] = {}
    for folder in (PACKAGED, cache_folder()):
        for path in sorted(folder.glob(f"*{_SUFFIX}")):
            found.setdefault(path.stem, path)
    return found


def model_names() -> list[str]:
    """Return the names of all models, on this machine or not."""
    return sorted({DEFAULT_MODEL, *local_models(), *read_catalogue()})


def find_model(name: str) -> Path:
    """Return the file of a model by name.

    Raises:
        InputError: an unknown name, or a model that must be fetched first.
    """
    path = local_models().get(name)
    if path is not None:
        return path
    if name in read_catalogue():
        raise InputError(f"model {name}: not on this machine; run: focus weights fetch {name}")
    if name == DEFAULT_MODEL:
        raise InputError(
            f"model {name}: this copy of focus-forgery comes without it; give a run folder, or put "
            f"{name}{_SUFFIX} into {cache_folder()}"
        )
    near = difflib.get_close_matches(name, model_names(), n=1)
    hint = f"perhaps {near[0]}? " if near else ""
    raise InputError(f"no model '{name}'; {hint}known: {', '.join(model_names())}")


def fetch_model(name: str, source: Path | None = None) -> Path:
    """Copy a model into the cache folder, from a local file or its URL, and check its checksum.

    Args:
        name: a name of the catalogue.
        source: a downloaded file; None: ``NAME.safetensors`` in the current folder if it exists,
            else the URL.

    Returns:
        The file; one that is there already is kept.

    Raises:
        InputError: an unknown name, no connection, or a file with another checksum.
    """
    known = read_catalogue()
    if name not in known:
        return find_model(name)
    entry, target = known[name], cache_folder() / f"{name}{_SUFFIX}"
    if target.is_file() and sha256(target) == entry.sha256:
        return target
    beside = Path(f"{name}{_SUFFIX}")
    source = source or (beside if beside.is_file() else None)
    with replace_file(target) as temporary:
        if source is not None:
            _copy(source, temporary)
        else:
            _download(name, entry, temporary)
        found = sha256(temporary)
        if found != entry.sha256:
            raise InputError(
                f"{source or entry.url}: not {name}: SHA-256 is {found}, not {entry.sha256}"
            )
    return target


def _copy(source: Path, target: Path) -> None:
    if not source.is_file():
        raise InputError(f"--file {source}: no such file")
    shutil.copyfile(source, target)


def _download(name: str, entry: Download, target: Path) -> None:
    try:
        with (
            urllib.request.urlopen(entry.url, timeout=_SECONDS) as stream,
            target.open("wb") as file,
        ):
            left = entry.bytes
            while left >= 0 and (block := stream.read(1 << 20)):
                left -= len(block)
                file.write(block)
            if left > 0:
                done = entry.bytes - left
                raise ConnectionError(f"ended after {done:,} of {count_of(entry.bytes, 'byte')}")
    except (urllib.error.URLError, OSError, HTTPException, ValueError) as error:
        reason = shorten(getattr(error, "reason", None) or error, 100)
        raise InputError(
            f"model {name}: cannot download {entry.url} ({reason}); download it elsewhere, then: "
            f"focus weights fetch {name} --file FILE"
        ) from None
