"""A trial as one HTML file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from evaluator.metrics import DETECTION, METRICS
from evaluator.pages import build_page, element, table
from evaluator.trial.data import EvaluationSet
from evaluator.trial.report.cases import Group, draw_case, draw_scale, find_cases
from evaluator.trial.report.charts import draw_charts
from evaluator.trial.report.curves import Scores
from evaluator.trial.report.values import draw_comparison, draw_metrics, draw_tiles
from focus.data.subject import list_mismatches
from focus.errors import count_of
from focus.files import replace_file
from focus.mapstore import MapReader

REPORT = "report.html"
MAPS = {
    "none": "labels only",
    "zeros": "labels and maps of zeros",
    "truth": "labels and truth masks",
}
DIGITS = 12  # shown of a hash
_APART = ("metrics", "tests", "notes", "format", "format_version")


def write_report(
    folder: Path,
    result: Mapping[str, Any],
    tests: Sequence[EvaluationSet],
    files: Mapping[str, list[Path]],
) -> Path:
    """Write ``report.html``, a self-contained page of a trial.

    Per test set: metrics with intervals and spread over seeds, ROC and precision curves,
    calibration, scores of each class, a breakdown by every column of ``by``, and at most 24 faces.
    The file has a few hundred kilobytes.

    Args:
        folder: folder of the trial.
        result: contents of ``result.json``.
        tests: the test sets of the result.
        files: test set -> the map file of every seed. Maps of a single pixel (a detector
            without maps) are not shown.

    Returns:
        Path of the file.

    Raises:
        InputError: the folder cannot be written, or a map file is damaged.
    """
    title = _title(result)
    sections = [
        _draw_test(f"set-{number}", test, result["tests"][test.name], files[test.name])
        for number, test in enumerate(tests)
    ]
    content = [*_draw_overview(result, tests), *sections, _draw_facts(result)]
    path = folder / REPORT
    with replace_file(path) as temporary:
        page = build_page(title, _subtitle(result), content, _footnote(result))
        temporary.write_text(page, encoding="utf-8")
    return path


def _title(result: Mapping[str, Any]) -> str:
    if "predictions" in result:
        return f"{result['model']}, judged"
    return f"{result['model']}, trained with {_supervision(result)}"


def _supervision(result: Mapping[str, Any]) -> str:
    source = str(result["maps"]["source"])
    return MAPS.get(source, f"the maps of {source}")


def _subtitle(result: Mapping[str, Any]) -> str:
    seeds = result.get("seeds") or []
    parts = [] if "predictions" in result else [count_of(len(seeds), "seed")]
    fit = result.get("fit") or {}
    if "steps" in fit:
        parts.append(f"{count_of(fit['steps'], 'step')} of {count_of(fit['batch'], 'face')}")
    return ", ".join([*parts, count_of(len(result["tests"]), "test set")])


def _draw_overview(result: Mapping[str, Any], tests: Sequence[EvaluationSet]) -> Iterator[Element]:
    """Yield notes, links to test sets, and a comparison of test sets."""
    yield from _draw_notes(result.get("notes") or [])
    if len(tests) < 2:
        return
    links = [element("a", test.name, href=f"#set-{place}") for place, test in enumerate(tests)]
    rows = {test.name: result["tests"][test.name]["metrics"] for test in tests}
    yield element("nav", *links, aria_label="Test sets")
    yield element(
        "section", element("h2", "Test sets side by side"), draw_comparison("test set", rows)
    )


def _draw_test(
    name: str, test: EvaluationSet, judged: Mapping[str, Any], files: list[Path]
) -> Element:
    scores = Scores.read(test.faces, files)
    charts = list(draw_charts(scores))
    with MapReader(files[0]) as reader:
        has_maps, settings = reader.shape != (1, 1), reader.settings
    shown = METRICS if has_maps else DETECTION
    mismatches = list_mismatches(settings.get("trained_images"), test.faces)
    notes = [*mismatches, *judged["notes"], *_limits(judged, scores, has_maps)]
    return element(
        "section",
        element("h2", test.name),
        element("p", _describe(judged, str(settings.get("trained_on", ""))), class_="quiet"),
        *_draw_notes(notes),
        *draw_tiles(judged["metrics"], shown),
        element("details", element("summary", "All metrics"), draw_metrics(judged["metrics"])),
        element("h3", "Scores of fakes and real faces") if charts else None,
        element("div", *charts, class_="charts") if charts else None,
        *_draw_breakdown(judged, shown),
        *_draw_cases(find_cases(test, scores, files[0]), len(files), has_maps),
        id=name,
    )


def _describe(judged: Mapping[str, Any], trained_on: str) -> str:
    faces, threshold = judged["faces"], judged["threshold"]
    text = f"{count_of(faces['total'], 'face')}: {faces['real']:,} real, {faces['fake']:,} fake."
    if threshold.get("value") is not None:
        origin = "chosen on val" if threshold["rule"] == "val" else "fixed"
        text += f" Maps are marked above {threshold['value']:.3g} ({origin})."
    if trained_on:
        text += f" The model was trained on {trained_on}."
    prior = judged.get("prior")
    if prior:
        source = {"train": "training fakes", "judged": "the other judged fakes"}[prior["masks_of"]]
        text += f" The place prior is the mean mask of {source}."
    return text


def _limits(judged: Mapping[str, Any], scores: Scores, has_maps: bool) -> Iterator[str]:
    """Yield limitations of the result."""
    if not has_maps:
        yield "This detector predicts no maps: pixel metrics use its score for every pixel."
    if not scores.has_both:
        yield "Scores of both classes are needed for curves, so there are no curves here."
    if judged["intervals"]["draws"] == 0:
        yield "No bootstrap: values have no intervals."


def _draw_notes(notes: Sequence[str]) -> Iterator[Element]:
    if notes:
        lines = [element("li", note[:1].upper() + note[1:]) for note in dict.fromkeys(notes)]
        yield element("ul", *lines, class_="notes")


def _draw_breakdown(judged: Mapping[str, Any], shown: Sequence[str]) -> Iterator[Element]:
    for column, groups in judged["by"].items():
        yield element("h3", f"By {column}")
        if judged["faces"]["real"]:
            yield element("p", "Real faces without a value count in every row.", class_="quiet")
        yield draw_comparison(column, groups, shown)


def _draw_cases(groups: Sequence[Group], seeds: int, has_maps: bool) -> Iterator[Element]:
    if not groups:
        return
    yield element("h3", "Worst and best faces")
    text = "Each group shows at most one face per video."
    if seeds > 1:
        text += " Scores are means over seeds" + (
            ", maps are the first seed's." if has_maps else "."
        )
    yield element("p", text, class_="quiet")
    if has_maps:
        yield draw_scale()
    shown = []
    for group in groups:
        kind = element("small", "worst" if group.worst else "best", class_="side")
        cases = element("div", *map(draw_case, group.cases), class_="cases", tabindex=0)
        wide = " wide" if "Maps" in group.title else ""
        shown.append(element("div", element("h4", kind, group.title), cases, class_="group" + wide))
    yield element("div", *shown, class_="groups")


def _draw_facts(result: Mapping[str, Any]) -> Element:
    facts = [
        element("div", element("dt", name), element("dd", element("bdi", text)))
        for name, text in _facts(result)
    ]
    settings = [[name, text] for name, text in _flatten(result)]
    return element(
        "section",
        element("h2", "Predictions" if "predictions" in result else "Training and data"),
        element("dl", *facts, class_="facts"),
        element(
            "details",
            element("summary", "All settings"),
            table(["setting", "value"], settings, numbers=2, class_="settings"),
        ),
    )


def _facts(result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "Predictions" if "predictions" in result else "Detector", str(result["model"])
    if "predictions" in result:
        yield "SHA-256", str(result["predictions"])[:DIGITS]
    else:
        digest = result["maps"].get("sha256")
        yield "Supervision", _supervision(result) + (f" ({digest[:DIGITS]})" if digest else "")
    for part, name in (("train", "Trained on"), ("val", "Selected on")):
        if part in result:
            found = result[part]
            yield name, f"{count_of(found['faces'], 'face')} ({str(found['fingerprint'])[:DIGITS]})"
    for name, test in result["tests"].items():
        yield "Tested on", f"{name}: {count_of(test['faces']['total'], 'face')}"
    fit = result.get("fit") or {}
    optimizer = fit.get("optimizer") or {}
    if "lr" in optimizer:
        yield "Optimiser", f"{optimizer['optimizer']}, {optimizer['lr']:g}, {optimizer['schedule']}"
    if "precision" in result:
        yield "Precision", str(result["precision"])
    if result.get("seeds") and "predictions" not in result:
        yield "Seeds", ", ".join(map(str, result["seeds"]))


def _flatten(result: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Yield dotted name and value of every setting."""
    for name, value in result.items():
        if not above and name in _APART:
            continue
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{above}{name}.")
        else:
            yield above + name, "none" if value in ("", None, []) else str(value)


def _footnote(result: Mapping[str, Any]) -> str:
    intervals = next(iter(result["tests"].values()))["intervals"]
    if not intervals["draws"]:
        return "The numbers are in result.json."
    text = (
        f"Intervals: {intervals['level']:.0%}, bootstrap over {intervals['over']}s, "
        f"{count_of(intervals['draws'], 'draw')}"
    )
    if len(result.get("seeds") or []) > 1:
        text += ", combined with the uncertainty of the mean over seeds"
    return f"{text}. The numbers are in result.json."
