"""The card of a run on the Hugging Face Hub, from what the run stores."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from focus.detectors import DETECTORS, Summary
from focus.errors import InputError
from focus.runs import Run
from focus.version import __version__

FIGURES = ("frame_auc", "video_auc", "pixel_auc", "iou_fake", "f1_fake", "pxap")


def write_card(run: Run, name: str, license_name: str = "") -> str:
    """Return the card as Markdown with YAML front matter.

    Args:
        run: the run.
        name: of the repository, owner/name; empty: unknown.
        license_name: licence of the weights as the hub names it; empty: not stated.
    """
    summary = _summary(run.kind)
    lines = ["---", *([f"license: {license_name}"] if license_name else [])]
    lines += ["library_name: focus-forgery", "pipeline_tag: image-classification", "tags:"]
    lines += [f"- {tag}" for tag in ("deepfake-detection", "image-forensics", run.kind)]
    lines += ["---", "", f"# {name.rpartition('/')[2] or run.kind}", ""]
    about = f"A `{run.kind}` detector of manipulated faces"
    about += f" ({summary.paper})" if summary.paper else ""
    lines += [f"{about}, trained with [FoCus](https://pypi.org/project/focus-forgery).", ""]
    where = f"hf:{name}" if name else "FOLDER"
    lines += ["```python", "import focus", ""]
    lines += [f'face = focus.load("{where}")("photo.jpg").faces[0]', "face.score, face.map"]
    lines += ["```", ""]
    lines += ["## Training", "", f"* data: {run.trained_on or 'not recorded'}"]
    lines += [f"* {line}" for line in _training(run)]
    lines += ["", "## Figures", "", *(_figures(run) or ["None are stored with this run."])]
    lines += ["", "## Limits", ""]
    lines += [
        "A detector finds the kinds of manipulation that it was trained on; on other tools its "
        "score may be no better than chance. It does not replace a person's judgement.",
        "",
    ]
    return "\n".join(lines)


def _summary(kind: str) -> Summary:
    try:
        return DETECTORS.get(kind).summary
    except InputError:  # the card does not need the detector
        return Summary()


def _training(run: Run) -> Iterator[str]:
    """Yield settings that a run stores, a line each."""
    for title, key in (("supervision", "maps"), ("versions", "versions")):
        value = run.config.get(key)
        if value:
            yield f"{title}: {value if isinstance(value, str) else json.dumps(value)}"
    yield f"network: `{json.dumps(dict(run.network), sort_keys=True)}`"
    yield f"uploaded by focus-forgery {__version__}"


def _figures(run: Run) -> list[str]:
    """Return the table of the best validation and of the tests beside the run."""
    rows = [("validation", "frame_auc", value) for value in _best_validation(run)]
    folder = run.weights.parent
    for test, metrics in _tests(folder).items():
        rows += [(test, figure, metrics[figure]) for figure in FIGURES if figure in metrics]
    if not rows:
        return []
    head = ["| faces | metric | value (95 % interval) |", "|---|---|---|"]
    return head + [f"| {test} | `{figure}` | {_format(value)} |" for test, figure, value in rows]


def _best_validation(run: Run) -> Iterator[dict[str, float]]:
    try:
        with (run.weights.parent / "journal.csv").open(newline="", encoding="utf-8") as file:
            found = [float(row["val/auc"]) for row in csv.DictReader(file) if row.get("val/auc")]
    except (OSError, ValueError):
        return
    if found:
        yield {"value": max(found)}


def _tests(folder: Path) -> dict[str, Any]:
    """Return metrics by test set, of the trial that trained this run alone."""
    try:
        found = json.loads((folder.parent / "result.json").read_text(encoding="utf-8"))
        single = len(list(folder.parent.glob("seed-*"))) == 1
        return {name: test["metrics"] for name, test in found["tests"].items()} if single else {}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}


def _format(value: Any) -> str:
    low, high = value.get("low"), value.get("high")
    interval = f" ({low:.3f} to {high:.3f})" if low is not None and high is not None else ""
    return "-" if value.get("value") is None else f"{value['value']:.3f}{interval}"
