"""Borders, swatches and lines of charts on every page: a contrast of at least 3:1 (WCAG 1.4.11)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from focus.look.clip import _GROUND, LINES
from focus.look.drawing import _DARK, PAINTS

ROOT = Path(__file__).parent.parent
LOOK, GALLERY, REPORT, APP = (
    ROOT / path
    for path in (
        "focus/look/page.css",
        "focus/view/gallery.css",
        "evaluator/pages/page.css",
        "focus/app/app.css",
    )
)
BORDERS = {"line", "accent", "truth", "signs", "none", "unsure", "app-line", "app-accent"}
MARKS = {
    LOOK: ("line", "accent", "signs", "none", "unsure", "empty"),
    GALLERY: ("line", "accent"),
    REPORT: ("line", "accent", "real", "fake", "curve", "thin", "prior"),
}


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def schemes(path: Path) -> dict[str, dict[str, str]]:
    """Return the colours of the light and the dark scheme of a style sheet, by name."""
    text = path.read_text(encoding="utf-8")
    blocks = re.findall(r"(?::root(?:\.dark)?[^{]*)\{([^}]*)\}", text)[:2]
    light, dark = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)) for block in blocks)
    return {"light": light, "dark": {**light, **dark}}


def hexed(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


@pytest.mark.parametrize("path", [LOOK, GALLERY, REPORT], ids=lambda path: path.parent.name)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_marks_stand_out_from_the_page(path: Path, scheme: str) -> None:
    colours = schemes(path)[scheme]
    for name in MARKS[path]:
        for ground in ("surface", "ground"):
            assert contrast(colours[name], colours[ground]) >= 3, (name, ground)
    if "truth" in colours:  # a line with a casing: on any image, one of the two stands out
        assert contrast(colours["truth"], colours["casing"]) >= 3
        both = [contrast(colours[name], colours["surface"]) for name in ("truth", "casing")]
        assert max(both) >= 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_states_of_a_verdict_stand_out(scheme: str) -> None:
    colours = schemes(LOOK)[scheme]
    for name in ("signs", "none", "unsure", "empty"):  # text and border on their own ground
        assert contrast(colours[name], colours[f"{name}-ground"]) >= 4.5, name


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_app_stands_out_from_gradio(scheme: str) -> None:
    colours, ground = schemes(APP)[scheme], {"light": "#ffffff", "dark": "#27272a"}[scheme]
    assert contrast(colours["app-line"], ground) >= 3
    assert contrast(colours["app-accent"], ground) >= 4.5
    assert contrast(colours["app-quiet"], ground) >= 4.5
    assert contrast(colours["app-error"], colours["app-error-ground"]) >= 4.5


@pytest.mark.parametrize("path", [LOOK, GALLERY, REPORT, APP], ids=lambda path: path.parent.name)
def test_no_border_has_the_colour_of_a_rule(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    used = re.findall(r"(?<![\w-])border: [^;]*var\(--([\w-]+)\)", text)
    assert used
    assert set(used) <= BORDERS


def test_colours_on_photographs_and_plots_stand_out() -> None:
    for paint in PAINTS.values():
        assert contrast(hexed(paint), hexed(_DARK)) >= 3
    for line in LINES:
        assert contrast(hexed(line), hexed(_GROUND)) >= 3
    text = LOOK.read_text(encoding="utf-8")
    ground = re.search(r"\.plot svg \{[^}]*background: (#\w{6})", text)[1]
    assert ground == hexed(_GROUND)
    bound = re.search(r"\.plot \.bound \{ stroke: (#\w{6})", text)[1]
    assert contrast(bound, ground) >= 3
