"""What a run did: a CSV, TensorBoard events, and a curve."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

JOURNAL = "journal.csv"


class Journal:
    """Rows of numbers by step, kept as ``journal.csv`` and TensorBoard events.

    Args:
        folder: the run's folder.
        resumed_at: rows after this step are dropped: the resumed run writes them again.
    """

    def __init__(self, folder: Path, resumed_at: int = 0) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.path = folder / JOURNAL
        self.rows: list[dict[str, float]] = []
        if self.path.exists():
            with self.path.open(newline="", encoding="utf-8") as file:
                rows = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
            self.rows = [{**row, "step": int(row["step"])} for row in rows]
            self.rows = [row for row in self.rows if row["step"] <= resumed_at]
        self._events = SummaryWriter(str(folder / "tensorboard"), purge_step=resumed_at + 1)

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """Add the numbers of a step."""
        self.rows.append({"step": step, **numbers})
        for name, value in numbers.items():
            self._events.add_scalar(name, value, step)

    def save(self) -> None:
        """Write the CSV and the curve."""
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        temporary = self.path.with_name(f".{self.path.name}")
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)
        temporary.replace(self.path)
        self._events.flush()
        draw_curve(self.rows, self.path.with_name("curve.png"))

    def close(self) -> None:
        """Close the event file."""
        self._events.close()


def draw_curve(rows: list[dict[str, float]], path: Path) -> None:
    """Draw losses on the left and the validation AUC on the right, over steps."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    terms = [name for name in _names(rows) if name.startswith("train/")]
    for name in [*terms, "val/loss"]:
        _line(left, rows, name, name.removeprefix("train/"))
    _line(right, rows, "val/auc", "validation")
    left.set(title="Loss", xlabel="step", yscale="log")
    right.set(title="Frame AUC", xlabel="step")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        if axes.lines:
            axes.legend(frameon=False, fontsize=8)
    temporary = path.with_name(f".{path.name}")
    figure.savefig(temporary, format="png")
    temporary.replace(path)


def _names(rows: list[dict[str, float]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _line(axes: Any, rows: list[dict[str, float]], name: str, label: str) -> None:
    points = [(row["step"], row[name]) for row in rows if name in row]
    if points:
        axes.plot(*zip(*points, strict=True), label=label, linewidth=1.5)
