"""Runs on the Hugging Face Hub: ``hf:owner/name`` to a local run folder, and back.

A repository holds a run folder: ``config.json`` with the checksum of the weights,
``best.safetensors`` and the card, ``README.md``. ``huggingface_hub`` does the transfers, with its
cache and its settings (``HF_HOME``, ``HF_TOKEN``, ``HF_ENDPOINT``); it is imported on first use.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from focus.errors import InputError, shorten
from focus.files import sha256

SCHEME = "hf:"
SETTINGS, WEIGHTS, CARD = "config.json", "best.safetensors", "README.md"
CHECKSUM = "weights_sha256"
_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def is_hub_name(name: str) -> bool:
    """Return whether a name starts with ``hf:``."""
    return name.startswith(SCHEME)


def parse_hub_name(name: str) -> tuple[str, str | None]:
    """Return repository and revision of ``[hf:]owner/name[@revision]``; None: the newest.

    Raises:
        InputError: another form.
    """
    repository, at, revision = name.removeprefix(SCHEME).partition("@")
    if not _NAME.fullmatch(repository) or (at and not revision):
        raise InputError(f"{name}: give hf:owner/name or hf:owner/name@revision")
    return repository, revision or None


def fetch_run(name: str) -> Path:
    """Download a run, or find it in the cache; return its folder.

    Args:
        name: ``hf:owner/name[@revision]``.

    Raises:
        InputError: a wrong name, no such repository, no connection, no run in it, or weights whose
            checksum is not the recorded one.
    """
    repository, revision = parse_hub_name(name)
    from huggingface_hub import hf_hub_download

    try:
        places = [
            Path(hf_hub_download(repository, file, revision=revision))
            for file in (SETTINGS, WEIGHTS)
        ]
    except Exception as error:  # the hub and its HTTP client raise many types
        raise InputError(f"{name}: {_explain(error)}") from None
    settings, weights = places
    try:
        expected = json.loads(settings.read_text(encoding="utf-8"))[CHECKSUM]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        raise InputError(f"{name}: its {SETTINGS} is not of a run that focus push wrote") from None
    found = sha256(weights)
    if found != expected:
        raise InputError(f"{name}: {WEIGHTS} is damaged: SHA-256 is {found}, not {expected}")
    return settings.parent


def upload_run(folder: Path, name: str, private: bool = False) -> str:
    """Create the repository unless it exists, and upload a folder; return its address.

    Args:
        folder: everything in it is uploaded.
        name: ``[hf:]owner/name``.
        private: whether a new repository is private.

    Raises:
        InputError: a wrong name, no connection, or no permission.
    """
    repository, revision = parse_hub_name(name)
    if revision:
        raise InputError(f"{name}: a push goes to the newest revision; leave @{revision} out")
    from huggingface_hub import HfApi

    try:
        api: Any = HfApi()
        api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message="focus push")
        return f"{api.endpoint}/{repository}"
    except Exception as error:  # the hub and its HTTP client raise many types
        raise InputError(f"{name}: {_explain(error)}") from None


def _explain(error: Exception) -> str:
    """Return why a transfer failed, in one line."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return "no access; log in with: hf auth login, or set HF_TOKEN"
    if status == 404:
        return "no such repository, or no such file in it"
    kind, reason = type(error).__name__, (str(error).strip() or "no message").splitlines()[0]
    offline = "OfflineMode" in kind or "LocalEntryNotFound" in kind or "Connect" in kind
    if offline:
        return "not in the cache, and the Hugging Face Hub cannot be reached; give a local folder"
    return f"the Hugging Face Hub failed ({kind}: {shorten(reason, 160)})"
