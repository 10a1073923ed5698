"""Tars of WebDataset: members with one KEY are a sample, the rest of a name says its content.

``KEY.jpg`` (or another image), ``KEY.cls`` (0 real, 1 fake) or ``KEY.json`` with ``label`` (0, 1,
real or fake), and optionally ``KEY.mask.png``, ``KEY.region.png`` and ``KEY.original.png``; other
images with a second dot are skipped. Further texts and numbers of the JSON are columns; ``split``,
``method`` and ``video`` are those of an index.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from focus.data.archives import open_archive
from focus.data.index import LABEL_TEXTS, PATHS, SPLIT_NAMES, Face
from focus.errors import InputError, UnreadableError
from focus.types import LABEL_NAMES, UNKNOWN

LABEL_SUFFIXES = (".cls", ".json")
_LABELS = {**LABEL_TEXTS, "none": UNKNOWN, **LABEL_NAMES}
_NAMED = ("method", "video")


def list_samples(archive: Path, images: Sequence[str], members: Sequence[str]) -> list[Face]:
    """Return a row per image with the label and the columns of its sample.

    Args:
        archive: the tar, or its URL.
        images: its images, in the order of the rows.
        members: all its members.

    Raises:
        InputError: a label or JSON that cannot be read.
    """
    samples: dict[str, dict[str, str]] = {}
    for member in members:
        key, rest = _split_name(member)
        samples.setdefault(key, {})[rest] = member
    opened, faces = open_archive(archive), []
    for image in images:
        key, rest = _split_name(image)
        if "." in rest:  # a mask, or something else that belongs to an image
            continue
        parts = samples[key]
        try:
            facts = _read_facts(opened, parts)
        except (UnreadableError, ValueError, RecursionError) as error:
            raise InputError(f"{archive}: sample {key}: {error}") from None
        linked = {
            name: member
            for part, member in parts.items()
            if (name := part.rpartition(".")[0]) in PATHS
        }
        faces.append(_make_face(image, facts, linked, f"{archive}: sample {key}"))
    return faces


def _split_name(member: str) -> tuple[str, str]:
    """Return the key and the rest of a name, split at the first dot of the file name."""
    folder, slash, name = member.rpartition("/")
    stem, _, rest = name.partition(".")
    return f"{folder}{slash}{stem}", rest.lower()


def _read_facts(opened: Any, parts: dict[str, str]) -> dict[str, Any]:
    """Return the content of the JSON, with the label of the .cls if there is one."""
    facts: dict[str, Any] = {}
    if "json" in parts:
        facts = json.loads(opened.read(parts["json"]))
        if not isinstance(facts, dict):
            raise ValueError("its JSON is not an object")
    if "cls" in parts:
        facts["label"] = opened.read(parts["cls"]).decode().strip()
    return facts


def _make_face(image: str, facts: dict[str, Any], linked: dict[str, str], where: str) -> Face:
    texts = {
        name: str(value)
        for name, value in facts.items()
        if isinstance(value, (str, int, float)) and name not in PATHS
    }
    word = texts.pop("label", "").lower()
    if word not in _LABELS:
        raise InputError(f"{where}: label {word!r}; use 0 (real), 1 (fake), real or fake")
    split = SPLIT_NAMES.get(texts.pop("split", "").lower(), "")
    known = {name: texts.pop(name) for name in _NAMED if name in texts}
    return Face(image, _LABELS[word], split, extra=texts, **known, **linked)
