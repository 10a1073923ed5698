"""Summarise a map file as text or JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from focus.errors import count_of, printable
from focus.mapstore.reader import MapReader
from focus.output import present
from focus.runtime import QuietFlag

_LABELS = {"real": 0, "fake": 1, "unknown": -1}
_REAL_MAPS = {"zero": "maps set to zero", "fake-class": "maps kept"}
_SHADES = " .:-=+*#%@"
_STEP = 2048  # faces read at a time
_WIDEST = 28  # cells of a drawn map; each is two characters wide


@dataclass(frozen=True)
class InfoCommand:
    """Summarise a map file."""

    maps: Path
    """The map file."""
    json: Path | None = None
    """Write the summary as JSON to this file; - prints only the JSON to standard output."""
    runtime: QuietFlag = field(default_factory=QuietFlag)


def info_command(command: InfoCommand) -> None:
    """Run ``focus info``.

    Raises:
        InputError: not a map file, or the JSON file cannot be written.
    """
    summary = info(command.maps)
    present(summary, describe(summary), command.json)


def info(path: Path | str) -> dict[str, Any]:
    """Return a summary of a map file, as JSON values.

    ``labels`` has, by label: faces; ``mean``, the mean of all map values; ``coverage``, the share
    of map area at or above 0.5; ``zero``, the number of all-zero maps; ``score``, lowest, mean
    and highest P(fake) or None; ``mean_map``, (h, w) values in [0, 1].

    Raises:
        InputError: not a map file, or a damaged one.
    """
    with MapReader(path) as reader:
        sums = {name: _Sum(reader.shape) for name in _LABELS}
        step = reader.fit(_STEP)
        for start in range(0, len(reader), step):
            here = slice(start, start + step)
            maps, labels, scores = reader.read(here), reader.labels[here], reader.scores[here]
            for name, label in _LABELS.items():
                sums[name].add(maps[labels == label], scores[labels == label])
        size, count = reader.path.stat().st_size, len(reader)
        attributes: dict[str, Any] = dict(reader.attributes)
        for name in ("config", "versions"):
            attributes[name] = _parse(attributes[name])
        return {
            "file": str(path),
            "bytes": size,
            "bytes_per_face": round(size / count, 1) if count else None,
            "faces": count,
            "grid": list(reader.shape),
            "parts": list(reader.part_names),
            "labels": {name: total.describe() for name, total in sums.items() if total.faces},
            "attributes": attributes,
        }


def describe(summary: Mapping[str, Any]) -> str:
    """Return a summary as text, with the mean maps drawn in characters."""
    attributes, labels = summary["attributes"], summary["labels"]
    height, width = summary["grid"]
    size = f"{summary['bytes'] / 1e6:.2f} MB"
    each = f", {summary['bytes_per_face']:.0f} bytes a face" if summary["faces"] else ""
    faces = count_of(summary["faces"], "face")
    lines = [
        f"{summary['file']}: maps of {faces}, {height}x{width}, {size}{each}",
        f"  made by            {attributes['generator'] or 'unknown'}, {attributes['created']}",
        f"  faces of           {attributes['data'] or 'unknown'}",
        f"  real faces         {_REAL_MAPS.get(str(attributes['real_maps']), 'unknown')}",
        f"  normalisation      {attributes['normalisation'] or 'unknown'}",
        f"  parts kept         {', '.join(summary['parts']) or 'none'}",
    ]
    further = ("root", "shard", "weights_sha256", "index_fingerprint", "config", "versions")
    known = [name for name in further if attributes.get(name)]
    lines += [f"  {name.replace('_', ' '):<17}  {_flatten(attributes[name])}" for name in known]
    if labels:
        lines += ["", "  label      faces   mean  >= 0.5  all zero   P(fake) low, mean, high"]
    for name, row in labels.items():
        numbers = f"{row['faces']:>8}  {row['mean']:.3f}  {row['coverage']:6.1%}  {row['zero']:>8}"
        score = row["score"]
        spread = "   ".join(f"{score[part]:.3f}" for part in score) if score else "none"
        lines.append(f"  {name:<8}{numbers}   {spread}")
    drawn = {name: row["mean_map"] for name, row in labels.items() if row["mean"] > 0}
    if drawn:
        lines += ["", *_draw(drawn)]
    return "\n".join(map(printable, lines))


class _Sum:
    """Running sums over the faces of one label."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.faces = self.zero = self.marked = 0
        self.total = np.zeros(shape)
        self.scores: list[np.ndarray] = []

    def add(self, maps: np.ndarray, scores: np.ndarray) -> None:
        """Count maps float32 (n, h, w) and scores float32 (n,)."""
        self.faces += len(maps)
        self.zero += int((~maps.any(axis=(1, 2))).sum())
        self.marked += int((maps >= 0.5).sum())
        self.total += maps.sum(axis=0, dtype=np.float64)
        self.scores.append(scores[~np.isnan(scores)])

    def describe(self) -> dict[str, Any]:
        """Return the sums as JSON values."""
        mean = self.total / self.faces
        scores = np.concatenate(self.scores).astype(float)
        return {
            "faces": self.faces,
            "mean": round(float(mean.mean()), 4),
            "coverage": round(self.marked / (self.faces * mean.size), 4),
            "zero": self.zero,
            "score": {
                "lowest": round(float(scores.min()), 4),
                "mean": round(float(scores.mean()), 4),
                "highest": round(float(scores.max()), 4),
            }
            if len(scores)
            else None,
            "mean_map": mean.round(4).tolist(),
        }


def _draw(maps: Mapping[str, Sequence[Sequence[float]]]) -> list[str]:
    """Draw mean maps side by side, the darkest character for the highest value of each."""
    blocks = []
    for name, values in maps.items():
        image = np.asarray(values)
        step = -(-max(image.shape) // _WIDEST)
        tall, wide = (-(-side // step) for side in image.shape)
        missing = [(0, tall * step - image.shape[0]), (0, wide * step - image.shape[1])]
        image = np.pad(image, missing, "edge")
        image = image.reshape(tall, step, wide, step).mean(axis=(1, 3))
        shades = np.rint(image / (image.max() or 1) * (len(_SHADES) - 1)).astype(int)
        drawing = ["".join(_SHADES[shade] * 2 for shade in row) for row in shades]
        title = f"mean map, {name} ({_SHADES[-1]} = {image.max():.2f})"
        blocks.append([title, *drawing])
    width = max(len(line) for block in blocks for line in block)
    rows = zip(*blocks, strict=True)
    return ["  " + "   ".join(line.ljust(width) for line in row).rstrip() for row in rows]


def _parse(text: str | int) -> Any:
    """Parse JSON text; return any other text unchanged."""
    try:
        value = json.loads(str(text))
        json.dumps(value, allow_nan=False)  # Python parses "NaN", which is not JSON
    except (ValueError, RecursionError):
        return text
    return value


def _flatten(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    return ", ".join(f"{name} {part}" for name, part in value.items())
