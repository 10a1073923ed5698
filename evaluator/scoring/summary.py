"""The result of ``evaluator score`` as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from evaluator.metrics import THRESHOLDED
from focus.errors import count_of

WIDTH = 100
_FIRST = 24


def format_summary(result: Mapping[str, Any]) -> str:
    """Return a table of all faces, a table per breakdown column, and a legend.

    ``result`` is the return value of :func:`evaluator.scoring.command.score_maps`.
    """
    faces, coverage = result["faces"], result["coverage"]
    head = (
        f"{result['maps']['file']}, split {result['split']}: {count_of(faces['total'], 'face')}"
        f" ({faces['real']:,} real, {faces['fake']:,} fake),"
        f" maps for {coverage['with_map']:,} of {coverage['faces']:,}"
    )
    lines = [
        head,
        *_missing(coverage),
        "",
        *_whole({**result["metrics"], **result.get("parts", {})}),
    ]
    for column, groups in result["by"].items():
        lines += ["", *_broken_down(column, groups)]
    return "\n".join([*lines, "", *_legend(result["metrics"], result["threshold"])])


def _missing(coverage: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line per class of missing predictions and how they are counted."""
    rule = "count as wrong" if coverage["rule"] == "wrong" else "are LEFT OUT of every value"
    for name, noun in (("missing", "prediction"), ("without_score", "score")):
        fakes, reals = coverage[name]["fake"], coverage[name]["real"]
        if fakes or reals:
            yield f"without a {noun}: {fakes:,} fake, {count_of(reals, 'real face')}, which {rule}"


def _whole(metrics: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield f"{'metric':{_FIRST}}{'value':>8}   {'95 % interval':<18}{'n':>9}"
    for name, found in metrics.items():
        if found["value"] is None:
            yield f"{name:{_FIRST}}{'-':>8}   {found['reason']}"
            continue
        low, high = found["low"], found["high"]
        interval = "-" if low is None else f"{low:.4f} to {high:.4f}"
        missing = f"   {found['reason']}" if low is None and found.get("reason") else ""
        yield f"{name:{_FIRST}}{found['value']:8.4f}   {interval:<18}{found['n']:>9,}{missing}"


def _broken_down(
    column: str, groups: Mapping[str, Mapping[str, Mapping[str, Any]]]
) -> Iterator[str]:
    """Yield blocks of as many groups as fit the width; omit metrics without values."""
    yield f"by {column} (intervals are in the JSON)"
    names = list(groups)
    width = 2 + max(8, *(len(name) for name in names))
    blocks = -(-len(names) // max(1, (WIDTH - _FIRST) // width))
    beside = -(-len(names) // blocks)
    metrics = [
        metric
        for metric in groups[names[0]]
        if any(groups[name][metric]["value"] is not None for name in names)
    ]
    for start in range(0, len(names), beside):
        block = names[start : start + beside]
        if start:
            yield ""
        yield f"{'metric':{_FIRST}}" + "".join(f"{name:>{width}}" for name in block)
        for metric in metrics:
            values = [groups[name][metric]["value"] for name in block]
            texts = ["-" if value is None else f"{value:.4f}" for value in values]
            yield f"{metric:{_FIRST}}" + "".join(f"{text:>{width}}" for text in texts)


def _legend(
    metrics: Mapping[str, Mapping[str, Any]], threshold: Mapping[str, Any]
) -> Iterator[str]:
    marked = ", ".join(name for name in THRESHOLDED if name in metrics)
    line = "Threshold-free, except frame_acc and video_acc (scores above 0.5)"
    if not marked or threshold["value"] is None:
        yield f"{line}."
        return
    origin = "from val" if threshold["rule"] == "val" else "fixed"
    yield f"{line} and"
    yield f"{marked} (maps above {threshold['value']:.3g}, {origin})."
