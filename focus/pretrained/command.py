"""``focus push``: upload a run to the Hugging Face Hub."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from focus.errors import InputError
from focus.files import sha256
from focus.hub import CARD, CHECKSUM, SETTINGS, WEIGHTS, parse_hub_name, upload_run
from focus.pretrained.card import write_card
from focus.pretrained.options import PushCommand
from focus.runs import Run, read_run


def push_command(command: PushCommand) -> None:
    """Run ``focus push`` and print the address.

    Raises:
        InputError: not a run, no connection, or no permission.
    """
    folder, name = command.words
    print(push_run(read_run(Path(folder)), name, command.license, command.private))


def push_run(run: Run, name: str, license_name: str = "", private: bool = False) -> str:
    """Upload a run with its card; return the address of the repository.

    Raises:
        InputError: a released model's file, no connection, or no permission.
    """
    repository, _ = parse_hub_name(name)
    if run.is_released:
        raise InputError(f"{run.weights}: a released model's file; give a run folder")
    with tempfile.TemporaryDirectory() as folder:
        pack_run(run, Path(folder), repository, license_name)
        return upload_run(Path(folder), repository, private)


def pack_run(run: Run, folder: Path, name: str = "", license_name: str = "") -> None:
    """Write weights, settings with their checksum, and the card to an existing folder."""
    shutil.copyfile(run.weights, folder / WEIGHTS)
    settings = {**run.config, CHECKSUM: sha256(folder / WEIGHTS)}
    (folder / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    (folder / CARD).write_text(write_card(run, name, license_name), encoding="utf-8")
