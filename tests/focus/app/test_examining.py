"""Examination of an upload, and the words beside it, without Gradio."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from focus.app import examining
from focus.app.about import describe_limits, describe_model, describe_privacy, plain_card
from focus.app.examining import Report, check_file, examine_file
from focus.app.interface import WAITING, examine_upload, frame_report
from focus.model.faces import FaceModel, load
from focus.released.contents import Calibration, ReleasedModel
from tests.focus.making import photo, write_clip


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> FaceModel:
    return load(tiny_model)


def quietly(*_: object) -> None:
    """Show no progress."""


def test_a_photograph_gives_the_page_of_focus_look(model: FaceModel, tmp_path: Path) -> None:
    Image.fromarray(photo(2)).save(tmp_path / "two <faces>.png")
    report = examine_file(model, tmp_path / "two <faces>.png", 1, quietly)
    assert report.name == "two <faces>.focus.html"
    assert report.verdict == "signs of manipulation"
    assert report.html.startswith("<!doctype html>")
    assert report.html.count('<section class="face signs"') == 2
    assert "two &lt;faces&gt;.png" in report.html
    assert str(tmp_path) not in report.html
    shown = frame_report(report)
    assert 'title="Report: two &lt;faces&gt;.focus.html"' in shown
    assert "<section" not in shown  # the report is quoted as an attribute


@pytest.mark.parametrize(("most", "film"), [(3000, True), (5, False)])
def test_a_long_clip_is_shown_without_its_film(
    model: FaceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, film: bool
) -> None:
    pytest.importorskip("av", reason="browsers play only what PyAV writes")
    monkeypatch.setattr(examining, "MOST_FRAMES", most)
    steps: list[float] = []
    path = write_clip(tmp_path / "clip.mp4")
    report = examine_file(model, path, 1, lambda share, _: steps.append(share))
    assert steps == sorted(steps)
    assert 0 < steps[0] < steps[-1] <= 1
    assert "<polyline" in report.html
    assert ("<video" in report.html) == film
    assert ("Without the marked clip" in report.html) != film
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("notes.txt", b"text", "notes.txt: not an image or video; use .jpg"),
        ("empty.jpg", b"", "empty.jpg: the file is empty"),
        ("large.mp4", b"0" * 1_000_001, "large.mp4: 1 MB is too large; the limit is 1 MB"),
        ("broken.jpg", b"\xff\xd8\xff broken", "broken.jpg: "),
        ("broken.mp4", b"broken", "broken.mp4: "),
    ],
)
def test_a_bad_file_is_one_line_and_is_deleted(
    model: FaceModel, tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    shown = examine_upload(model, str(path), 1, quietly)
    assert shown.startswith(f'<p class="error" role="alert">{reason}')
    assert shown.count("<") == 2
    assert str(tmp_path) not in shown
    assert not path.exists()


def test_an_upload_is_deleted_after_its_report(model: FaceModel, tmp_path: Path) -> None:
    Image.fromarray(photo()).save(tmp_path / "a.png")
    assert "<iframe" in examine_upload(model, str(tmp_path / "a.png"), 1, quietly)
    assert not list(tmp_path.iterdir())
    assert examine_upload(model, None, 1, quietly) == WAITING


def test_a_file_of_exactly_the_limit_passes(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"0" * 1_000_000)
    check_file(tmp_path / "a.jpg", 1)


def test_a_hostile_name_stays_text() -> None:
    shown = frame_report(Report('"><script>hack()</script>', "cannot say", "<b>"))
    assert "<script" not in shown


def test_words_about_a_calibrated_model_and_another() -> None:
    thresholds = Calibration(low=0.25, high=0.9)
    card = "# Title\n\nSee [the study](study.md) and [x](y).\n"
    model = ReleasedModel("a_b", "focus", {}, 1.3, False, thresholds, trained_on="c*d", card=card)
    text = describe_model(model)
    assert r"**a\_b**, trained on c\*d." in text
    assert "below 0.25: no sign of manipulation" in text
    assert "from 0.9 on: signs of manipulation" in text
    assert "under 48 pixels" in describe_limits(model)
    assert plain_card(model) == "See the study and x."
    bare = ReleasedModel("run", "focus", {})
    assert "not calibrated" in describe_model(bare)
    assert "not recorded" in describe_model(bare)
    assert "this machine" in describe_privacy(True, 20)
    assert "the machine that serves this page" in describe_privacy(False, 20)
