"""Robustness curves: a panel per kind of corruption, with its strength on the x axis."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from evaluator.robustness.report import known_metrics

COLUMNS = 4


class Style(NamedTuple):
    """Line style of a metric."""

    colour: str
    marker: str
    line: str
    label: str


# Okabe and Ito's colours are distinct under colour blindness; markers and strokes in grey print.
STYLES = {
    "frame_auc": Style("#0072B2", "o", "-", "frame AUC"),
    "pixel_auc": Style("#009E73", "^", "-.", "pixel AUC of maps"),
    "pixel_auc_region": Style("#009E73", "^", "-.", "pixel AUC of maps in the region"),
    "map_overlap": Style("#D55E00", "s", "--", "overlap with clean maps"),
}


def draw_curves(result: Mapping[str, Any], path: Path) -> None:
    """Plot frame AUC, pixel AUC, and overlap with the clean map, where they have values.

    If the index has regions, the pixel AUC is that inside them, since over the whole face the
    place alone scores well. Bands are 95 % intervals. Curves start at the clean image, where the
    overlap is 1.

    Args:
        result: from :func:`evaluator.robustness.report.describe`.
        path: the PNG to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    kinds = list(result["kinds"])
    known = known_metrics(result)
    hidden = "pixel_auc" if "pixel_auc_region" in known else ""
    shown = [metric for metric in STYLES if metric in known and metric != hidden]
    columns = min(COLUMNS, len(kinds))
    rows = math.ceil(len(kinds) / columns)
    size = max(5.2, 2.4 * columns), 2.1 * rows + 0.5
    figure = Figure(figsize=size, dpi=200, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for panel, kind in zip(panels, kinds, strict=False):
        _draw_panel(panel, result["clean"], result["kinds"][kind], shown)
        panel.set_title(kind, fontsize=11, fontweight="bold", loc="left")
    panels[0].set_ylim(top=1.02)  # shared by all panels
    for panel in panels[len(kinds) :]:
        panel.set_axis_off()
    curves = panels[0].get_legend_handles_labels()
    beside = 2 if columns < 3 else len(curves[0])
    figure.legend(*curves, loc="outside upper left", ncols=beside, frameon=False, fontsize=10.5)
    figure.savefig(path, format="png")


def _draw_panel(
    panel: Any, clean: Mapping[str, Any], found: Mapping[str, Any], shown: list[str]
) -> None:
    """Plot one kind: clean at 0 and the levels from 1 on, labelled by their parameter."""
    levels = found["levels"]
    for metric in shown:
        style = STYLES[metric]
        start = clean.get(metric, {"value": 1.0, "low": 1.0, "high": 1.0})
        values = [start, *(level["metrics"][metric] for level in levels)]
        drawn = [(place, value) for place, value in enumerate(values) if value["value"] is not None]
        places = [place for place, _ in drawn]
        line = {"color": style.colour, "marker": style.marker, "linestyle": style.line}
        heights = [value["value"] for _, value in drawn]
        panel.plot(places, heights, label=style.label, markersize=4.5, linewidth=1.8, **line)
        ends = [
            [value["value"] if value[end] is None else value[end] for _, value in drawn]
            for end in ("low", "high")
        ]
        panel.fill_between(places, *ends, color=style.colour, alpha=0.16, linewidth=0)
    ticks = ["clean", *(f"{level['value']:g}".removeprefix("0") or "0" for level in levels)]
    panel.set_xticks(range(len(ticks)), ticks, fontsize=9)
    panel.set_xlabel(found["parameter"], fontsize=9.5, labelpad=2)
    panel.tick_params(axis="y", labelsize=9)
    panel.spines[["top", "right"]].set_visible(False)
    panel.axhline(0.5, color="0.5", linewidth=1, linestyle=":", label="AUC of chance")
    panel.grid(axis="y", alpha=0.25)
