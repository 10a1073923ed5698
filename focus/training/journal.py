"""The log of a run: a CSV, TensorBoard events and other trackers, and a plot."""

from __future__ import annotations

import csv
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from focus.files import replace_file, unwritable
from focus.training.trackers import Trackers

JOURNAL = "journal.csv"


class Journal:
    """Rows of numbers by step, kept as ``journal.csv`` and sent to trackers.

    Args:
        folder: the run's folder.
        resumed_at: rows after this step are dropped; the resumed run writes them again.
        events: write TensorBoard events.
        trackers: further trackers; a resumed run starts a new run there.
    """

    def __init__(
        self,
        folder: Path,
        resumed_at: int = 0,
        events: bool = True,
        trackers: Trackers | None = None,
    ) -> None:
        self.path = folder / JOURNAL
        self.rows: list[dict[str, float]] = []
        if self.path.exists():
            with self.path.open(newline="", encoding="utf-8") as file:
                rows = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
            self.rows = [{**row, "step": int(row["step"])} for row in rows]
            self.rows = [row for row in self.rows if row["step"] <= resumed_at]
        self._events = _Events(folder / "tensorboard", resumed_at + 1) if events else None
        self._trackers = trackers

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """Add the numbers of a step."""
        self.rows.append({"step": step, **numbers})
        if self._events is not None:
            for name, value in numbers.items():
                self._events.add(name, value, step)
        if self._trackers is not None:
            self._trackers.write(step, numbers)

    def save(self) -> None:
        """Write the CSV, the events and the curve.

        Raises:
            InputError: see :func:`~focus.files.replace_file`.
        """
        names = _names(self.rows)
        with (
            replace_file(self.path) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, names, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)
        if self._events is not None:
            self._events.save()
        draw_curve(self.rows, self.path.with_name("curve.png"))

    def close(self) -> None:
        """End the run in the trackers."""
        if self._trackers is not None:
            self._trackers.close()


class _Events:
    """Writer of TensorBoard events; TensorBoard's own prints a traceback when the disk is full.

    Args:
        folder: folder of the event files, one per start of the run.
        first: first step from which events of earlier files are void.
    """

    def __init__(self, folder: Path, first: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        # TensorBoard reads files in name order; timestamps fail if the clock is set back.
        number = len(list(folder.glob("*.tfevents.*")))
        self.path = folder / f"events.out.tfevents.{number:010d}.{socket.gethostname()}"
        start = SessionLog(status=SessionLog.START)
        self._waiting = [
            Event(wall_time=time.time(), file_version="brain.Event:2"),
            Event(wall_time=time.time(), step=first, session_log=start),
        ]

    def add(self, name: str, value: float, step: int) -> None:
        """Add a number of a step."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        summary = Summary(value=[Summary.Value(tag=name, simple_value=value)])
        self._waiting.append(Event(wall_time=time.time(), step=step, summary=summary))

    def save(self) -> None:
        """Write the events added since the last save.

        Raises:
            InputError: the file cannot be written.
        """
        from tensorboard.summary.writer.record_writer import RecordWriter

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                for event in self._waiting:
                    RecordWriter(file).write(event.SerializeToString())
        except OSError as error:
            raise unwritable(self.path, error) from None
        self._waiting.clear()


def draw_curve(rows: list[dict[str, float]], path: Path) -> None:
    """Plot losses (left) and validation AUC (right) over steps."""
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
    with replace_file(path) as temporary:
        figure.savefig(temporary, format="png")


def _names(rows: list[dict[str, float]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _line(axes: Any, rows: list[dict[str, float]], name: str, label: str) -> None:
    points = [(row["step"], row[name]) for row in rows if name in row]
    if points:
        axes.plot(*zip(*points, strict=True), label=label, linewidth=1.5)
