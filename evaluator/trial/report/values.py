"""Metrics as tiles and tables: value, interval, spread over seeds, and definition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from evaluator.metrics import HEADLINE, METRICS, PRIOR
from evaluator.pages import Content, element, table
from evaluator.trial.report.charts import draw_interval, draw_legend
from focus.errors import count_of
from focus.metric_names import describe_metric

COMPARED = ("frame_auc", "video_auc", "frame_acc", "pixel_auc", "pixel_auc_region", "iou_fake")
Metrics = Mapping[str, Mapping[str, Any]]


def known(metrics: Metrics, name: str) -> bool:
    """Return whether a metric has a value."""
    return metrics.get(name, {}).get("value") is not None


def prior_of(metrics: Metrics, name: str) -> Mapping[str, Any] | None:
    """Return the metric of the place prior (the mean mask as map), if measured."""
    prior = f"prior_{name}"
    return metrics[prior] if known(metrics, prior) else None


def draw_tiles(metrics: Metrics, shown: Sequence[str] = METRICS) -> Iterator[Element]:
    """Yield tiles of the headline metrics in ``shown`` that have a value, and a legend."""
    names = [name for name in HEADLINE if name in shown and known(metrics, name)]
    if names:
        yield element("dl", *(_draw_tile(name, metrics) for name in names), class_="tiles")
        several = len(metrics[names[0]].get("seeds") or []) > 1
        yield draw_legend(several, any(prior_of(metrics, name) for name in names))


def draw_metrics(metrics: Metrics) -> Element:
    """Return a table of every metric: definition, value, interval, spread and count."""
    names = [name for name in METRICS if name in metrics and name not in PRIOR]
    rows: list[Sequence[Content]] = []
    for name in names:
        about = describe_metric(name)
        title = element("span", about.name, element("small", f"{name}: {about.tooltip}"))
        found = metrics[name]
        if not known(metrics, name):
            rows.append([title, "", _absent(found), "", "", ""])
            continue
        prior = prior_of(metrics, name)
        bar = draw_interval(found, prior)
        usual = f"{prior['value']:.3f}" if prior else ""
        count = f"{found['n']:,}" if found.get("n") is not None else ""
        rows.append([title, bar, draw_value(found), spread_of(found), usual, count])
    head = ["metric", "0 to 1", "value and interval", "spread over seeds", "place prior", "n"]
    return table(head, rows, numbers=2, class_="metrics")


def draw_comparison(
    title: str, rows: Mapping[str, Metrics], shown: Sequence[str] = METRICS
) -> Element:
    """Return a table: a row per name, a column per metric of ``COMPARED`` with any value."""
    names = [
        name
        for name in COMPARED
        if name in shown and any(known(found, name) for found in rows.values())
    ]
    heads = [describe_metric(name) for name in names]
    explained = [element("abbr", about.name, title=about.tooltip) for about in heads]
    head: list[Content] = [title, *explained, "faces"]
    lines: list[Sequence[Content]] = [
        [
            element("bdi", name),
            *(draw_value(found.get(metric, {}), chart=True) for metric in names),
            f"{(found.get('frame_acc') or {}).get('n') or 0:,}",
        ]
        for name, found in rows.items()
    ]
    return table(head, lines)


def draw_value(found: Mapping[str, Any], chart: bool = False) -> Element:
    """Return a value with its interval below; ``chart`` adds a drawing between them."""
    if found.get("value") is None:
        return element("span", "-", title=_reason(found))
    drawn = draw_interval(found) if chart else None
    interval = element("small", interval_of(found)) if interval_of(found) else None
    return element("span", f"{found['value']:.3f}", drawn, interval, class_="value")


def interval_of(found: Mapping[str, Any]) -> str:
    """Return the interval as text, or the reason it is missing; empty if not computed."""
    if found.get("low") is None or found.get("high") is None:
        return str(found.get("reason") or "")
    return f"{found['low']:.3f} to {found['high']:.3f}"


def spread_of(found: Mapping[str, Any]) -> str:
    """Return the standard deviation over seeds as text; empty for one seed."""
    return "" if found.get("spread") is None else f"± {found['spread']:.3f}"


def _absent(found: Mapping[str, Any]) -> Element:
    return element("span", "-", element("small", _reason(found)), class_="absent")


def _reason(found: Mapping[str, Any]) -> str:
    return str(found.get("reason") or "not measured")


def _draw_tile(name: str, metrics: Metrics) -> Element:
    found = metrics[name]
    prior = prior_of(metrics, name)
    spread = spread_of(found)
    notes = [interval_of(found)] if interval_of(found) else []
    notes += [f"{spread} over {count_of(len(found['seeds']), 'seed')}"] if spread else []
    notes += [f"place prior {prior['value']:.3f}"] if prior else []
    about = describe_metric(name)
    notes += ["lower is better"] if about.lower_is_better else []
    return element(
        "div",
        element("dt", element("abbr", about.name, title=about.tooltip)),
        element("dd", f"{found['value']:.3f}", draw_interval(found, prior)),
        *(element("dd", note, class_="note") for note in notes),
    )
