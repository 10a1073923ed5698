"""One table of names behind pages, tables and the glossary."""

from __future__ import annotations

import re
from pathlib import Path

from evaluator.metrics import METRICS
from evaluator.robustness.report import _METRICS as ROBUSTNESS
from evaluator.tables import Row, to_html
from focus.metric_names import METRIC_NAMES, describe_metric

ROOT = Path(__file__).parents[2]
GLOSSARY = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")


def entries() -> dict[str, tuple[str, str, dict[str, str]]]:
    """Return short name -> heading, meaning and facts of the glossary."""
    found = {}
    for heading, body in re.findall(r"^### (.+)\n((?:(?!#).*\n?)+)", GLOSSARY, re.MULTILINE):
        short, meaning = re.match(r"`(\w+)`: (.+)\.\n", body).groups()
        facts = dict(re.findall(r"^\* (\w+): (.+)$", body, re.MULTILINE))
        found[short] = heading, meaning, facts
    return found


def test_every_metric_has_a_name():
    shown = {name.removeprefix("prior_") for name in (*METRICS, *ROBUSTNESS)}
    assert shown <= set(METRIC_NAMES)
    assert len({metric.name for metric in METRIC_NAMES.values()}) == len(METRIC_NAMES)


def test_the_glossary_has_the_names_and_meanings_of_the_table():
    assert {short: entry[:2] for short, entry in entries().items()} == {
        short: (metric.name, metric.meaning) for short, metric in METRIC_NAMES.items()
    }


def test_the_glossary_names_formula_range_direction_code_and_source():
    for short, (_, _, facts) in entries().items():
        assert list(facts) == ["Formula", "Range", "Code", "Source"], short
        direction = "lower" if METRIC_NAMES[short].lower_is_better else "higher"
        assert facts["Range"].startswith(f"0 to 1, {direction} is better"), short
        path, name = re.fullmatch(r"`([\w/.]+)`, `(\w+)`", facts["Code"]).groups()
        code = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^(def |class )?{name}\b", code, re.MULTILINE), short


def test_heads_of_html_tables_are_plain_names_with_their_meaning():
    value = {"value": 0.1, "low": 0.0, "high": 0.2, "n": 9}
    page = to_html([Row("<a>", {"fp_area_real": value})], ["fp_area_real"])
    assert ">False area on real faces</abbr></th>" in page
    assert 'title="share of a real face that is marked as manipulated' in page
    assert "lower is better" in page
    assert "fp_area_real" not in page


def test_the_place_prior_and_unknown_metrics_have_names_too():
    assert describe_metric("prior_pxap").name == "Place prior: Pixel average precision"
    assert describe_metric("new_metric").name == "new_metric"
