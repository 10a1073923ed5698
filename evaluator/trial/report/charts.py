"""Charts as inline SVG, coloured by the page's style sheet to support light and dark mode.

Curves of seeds are thin, their mean is bold. Classes differ by colour and by stroke.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from evaluator.pages import Content, element
from evaluator.trial.report.curves import (
    BARS,
    GRID,
    Scores,
    calibration_error,
    histogram,
    operating_point,
    precision_curve,
    receiver_curve,
    reliability,
)
from focus.errors import count_of
from focus.types import FAKE, REAL

WIDTH, HEIGHT = 320, 280
LEFT, RIGHT, TOP, BOTTOM = 56, 10, 10, 42
LARGEST_DOT = 8.0
SPAN, BAR = 160, 18  # width and height of an interval chart, in pixels
_NAMES = {REAL: "real", FAKE: "fake"}


def draw_charts(scores: Scores) -> Iterator[Element]:
    """Yield ROC, precision and recall, calibration, and the scores of each class.

    Only the last if one class is missing; nothing if no face has a score.
    """
    seeds = scores.seeds()
    if scores.has_both:
        yield _draw_receiver(seeds)
        yield _draw_precision(seeds)
        yield _draw_calibration(seeds, scores.pooled())
    if len(scores.pooled()[0]):
        yield _draw_scores(*scores.pooled())


def draw_interval(found: Mapping[str, Any], prior: Mapping[str, Any] | None = None) -> Element:
    """Return a line from 0 to 1 with value, interval, seeds and place prior of a metric.

    Args:
        found: a metric with a value.
        prior: metric of the place prior, drawn as a diamond.
    """
    middle = BAR / 2

    def at(value: float) -> float:
        return round(4 + value * (SPAN - 8), 1)

    def stroke(low: float, high: float, top: float, bottom: float, kind: str) -> Element:
        return element("line", x1=at(low), x2=at(high), y1=top, y2=bottom, class_=kind)

    marks = [stroke(0, 1, middle, middle, "rail")]
    marks += [stroke(tick, tick, middle - 3, middle + 3, "rail") for tick in (0, 0.5, 1)]
    if found.get("low") is not None:
        marks.append(stroke(found["low"], found["high"], middle, middle, "whisker"))
    seeds = found.get("seeds") or []
    if len(seeds) > 1:
        marks += [stroke(seed, seed, middle - 6, middle + 6, "tick") for seed in seeds]
    if prior is not None and prior.get("value") is not None:
        x = at(prior["value"])
        diamond = f"M{x - 5} {middle}L{x} {middle - 5}L{x + 5} {middle}L{x} {middle + 5}Z"
        marks.append(element("path", d=diamond, class_="diamond"))
    marks.append(element("circle", cx=at(found["value"]), cy=middle, r=3.5, class_="dot"))
    return element(
        "svg", *marks, viewBox=f"0 0 {SPAN} {BAR}", class_="interval", aria_hidden="true"
    )


def draw_legend(seeds: bool, prior: bool) -> Element:
    """Return the legend of :func:`draw_interval`."""
    marks = {"dot": "value", "whisker": "interval"}
    marks |= {"tick": "each seed"} if seeds else {}
    marks |= {"diamond": "place prior (mean mask as map)"} if prior else {}
    return element("p", *(_key(kind, text) for kind, text in marks.items()), class_="keys")


Seeds = Sequence[tuple[np.ndarray, np.ndarray]]


def _draw_receiver(seeds: Seeds) -> Element:
    curves = np.array([receiver_curve(*seed) for seed in seeds])
    # Curves start at (0, 0), where no face is called fake, and may rise vertically there.
    marks = [_line([(0, 0), (1, 1)], "chance")]
    marks += _thin_lines([[(0, 0), *zip(GRID, curve, strict=True)] for curve in curves])
    mean = curves.mean(axis=0)
    marks.append(_line([(0, 0), *zip(GRID, mean, strict=True)], "bold"))
    point = np.mean([operating_point(*seed) for seed in seeds], axis=0)
    marks.append(_circle(point[0], point[1], 4.5, "open"))
    keys = [
        _key("bold", _mean_of(seeds)),
        _key("open", "scores above 0.5"),
        _key("chance", "chance"),
    ]
    plot = _frame("false positive rate", "true positive rate", marks)
    return _figure("ROC", plot, _thin_key(seeds, keys))


def _draw_precision(seeds: Seeds) -> Element:
    curves = np.array([precision_curve(*seed) for seed in seeds])
    share = float(np.mean([(labels == FAKE).mean() for labels, _ in seeds]))
    marks = [_line([(0, share), (1, share)], "chance")]
    marks += _thin_lines([list(zip(GRID, curve, strict=True)) for curve in curves])
    marks.append(_line(zip(GRID, curves.mean(axis=0), strict=True), "bold"))
    keys = [_key("bold", _mean_of(seeds)), _key("chance", f"all faces called fake ({share:.2f})")]
    return _figure(
        "Precision and recall", _frame("recall", "precision", marks), _thin_key(seeds, keys)
    )


def _draw_calibration(seeds: Seeds, pooled: tuple[np.ndarray, np.ndarray]) -> Element:
    marks = [_line([(0, 0), (1, 1)], "chance")]
    marks += _thin_lines(
        [[(part.score, part.fakes) for part in reliability(*seed)] for seed in seeds]
    )
    bins = reliability(*pooled)
    largest = max(part.share for part in bins)
    for part in bins:
        size = max(2.0, LARGEST_DOT * (part.share / largest) ** 0.5)
        text = f"{part.share:.1%} of faces: mean score {part.score:.2f}, {part.fakes:.0%} fake"
        marks.append(_circle(part.score, part.fakes, size, "filled", text))
    errors = np.array([calibration_error(*seed) for seed in seeds])
    spread = f" ± {errors.std(ddof=1):.3f}" if len(errors) > 1 else ""
    keys = [_key("filled", "area: share of faces"), _key("chance", "perfect")]
    plot = _frame("mean score", "share of fakes", marks)
    title = f"Calibration: ECE {errors.mean():.3f}{spread}"
    return _figure(title, plot, _thin_key(seeds, keys))


def _draw_scores(labels: np.ndarray, scores: np.ndarray) -> Element:
    shares = {kind: histogram(scores[labels == kind]) for kind in (REAL, FAKE)}
    top = max(float(max(share.max() for share in shares.values())), 1e-9)
    step = next(step for step in (0.05, 0.1, 0.2, 0.25, 0.5, 1.0) if 4 * step >= top)
    ceiling = step * -(-top // step)
    marks, keys = [], []
    for kind, share in shares.items():
        if not (labels == kind).any():
            continue
        outline = [(0.0, 0.0)]
        for place, height in enumerate(share):
            outline += [(place / BARS, height / ceiling), ((place + 1) / BARS, height / ceiling)]
        outline.append((1.0, 0.0))
        marks += [_line(outline, f"area {_NAMES[kind]}"), _line(outline, f"step {_NAMES[kind]}")]
        keys.append(_key(f"step {_NAMES[kind]}", f"{_NAMES[kind]} faces"))
    marks.append(_line([(0.5, 0), (0.5, 1)], "chance"))
    count = round(ceiling / step)
    ticks = [(number / count, f"{number * step:.0%}") for number in range(count + 1)]
    return _figure(
        "Distribution", _frame("score, P(fake)", "share of the class", marks, ticks), keys
    )


def _thin_lines(curves: Sequence[Sequence[tuple[float, float]]]) -> list[Element]:
    """Return a line per seed; none for one seed."""
    return [_line(curve, "thin") for curve in curves] if len(curves) > 1 else []


def _mean_of(seeds: Seeds) -> str:
    return f"mean of {count_of(len(seeds), 'seed')}" if len(seeds) > 1 else "one seed"


def _thin_key(seeds: Seeds, keys: list[Element]) -> list[Element]:
    return [*keys, _key("thin", "each seed")] if len(seeds) > 1 else keys


def _figure(title: str, plot: Element, keys: Sequence[Element]) -> Element:
    plot.set("aria-label", f"{title}: {plot.get('aria-label')}")
    caption = element("figcaption", element("h4", title), element("p", *keys, class_="keys"))
    return element("figure", caption, plot, class_="chart")


def _key(kind: str, text: str) -> Element:
    """Return a legend entry: mark and text."""
    if kind in ("open", "filled", "dot"):
        mark = element("circle", cx=12, cy=6, r=4, class_=kind)
    elif kind == "diamond":
        mark = element("path", d="M7 6L12 1L17 6L12 11Z", class_=kind)
    elif kind == "tick":
        mark = element("line", x1=12, x2=12, y1=0, y2=12, class_=kind)
    else:
        mark = element("line", x1=1, x2=23, y1=6, y2=6, class_=kind)
    return element("span", element("svg", mark, viewBox="0 0 24 12", aria_hidden="true"), text)


def _frame(
    across: str, up: str, marks: Sequence[Content], ticks: Sequence[tuple[float, str]] = ()
) -> Element:
    """Return a chart of [0, 1] x [0, 1] with axes; ``ticks`` are those of the vertical axis."""
    usual = [(place / 4, f"{place / 4:g}") for place in range(5)]
    parts: list[Content] = []
    for height, text in ticks or usual:
        parts.append(_line([(0, height), (1, height)], "grid"))
        parts.append(_text(_x(0) - 7, _y(height) + 4, text, "end"))
    for place, text in usual:
        parts.append(_line([(place, 0), (place, 1)], "grid"))
        parts.append(_text(_x(place), _y(0) + 16, text, "middle"))
    turned = f"rotate(-90 11 {_y(0.5)})"
    parts.append(_text(_x(0.5), HEIGHT - 6, across, "middle"))
    parts.append(element("text", up, x=11, y=_y(0.5), text_anchor="middle", transform=turned))
    return element(
        "svg",
        *parts,
        *marks,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=f"{up} against {across}",
    )


def _x(share: float) -> float:
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)


def _y(share: float) -> float:
    return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)


def _line(points: Any, kind: str) -> Element:
    path = "M" + "L".join(f"{_x(across)} {_y(up)}" for across, up in points)
    return element("path", d=path, class_=kind)


def _circle(across: float, up: float, radius: float, kind: str, text: str = "") -> Element:
    title = element("title", text) if text else None
    return element("circle", title, cx=_x(across), cy=_y(up), r=round(radius, 1), class_=kind)


def _text(x: float, y: float, text: str, anchor: str) -> Element:
    return element("text", text, x=x, y=y, text_anchor=anchor)
