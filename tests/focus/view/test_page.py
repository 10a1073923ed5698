"""Test the page as users open it: from the disk, in a browser without a network."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from focus.view import ViewCommand, resize_map, view_command
from tests.focus.view.making import HOSTILE, QUIET, SIDE, make_faces


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A page of twelve faces: a hostile one, an unreadable one, and one more without a map."""
    folder = tmp_path_factory.mktemp("small")
    maps = make_faces(folder, 12, hostile=True)
    (folder / "face-002.png").write_bytes(b"not an image")
    with (folder / "index.csv").open("a") as file:
        file.write("gone.png,0,test,,video9,\n")
    shutil.copy(folder / "face-003.png", folder / "unmapped.png")
    with (folder / "index.csv").open("a") as file:
        file.write("unmapped.png,0,test,,video9,\n")
    metrics = {"pixel_auc": {"value": 0.9, "low": 0.8, "high": 0.95, "n": 6}}
    result = {"metrics": metrics, "split": "test", "threshold": {"rule": "val", "value": 0.25}}
    (folder / "summary.json").write_text(json.dumps(result))
    out, summary = folder / "report.html", folder / "summary.json"
    view_command(ViewCommand(maps, out=out, summary=summary, runtime=QUIET))
    return out


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A page of 450 faces with its folder."""
    folder = tmp_path_factory.mktemp("large # 1")
    maps = make_faces(folder, 450)
    view_command(ViewCommand(maps, out=folder / "all faces.html", runtime=QUIET))
    return folder / "all faces.html"


class Page:
    """A gallery in the browser."""

    def __init__(self, driver, path: Path) -> None:
        self.driver = driver
        driver.get(path.as_uri())
        self.wait("document.querySelector('.card')")

    def run(self, script: str, *arguments):
        return self.driver.execute_script(script, *arguments)

    def wait(self, condition: str):
        for _ in range(400):
            if value := self.run(f"return {condition}"):
                return value
            time.sleep(0.02)
        raise AssertionError(f"never came true: {condition}")

    def set(self, control: str, value: str, event: str = "change") -> None:
        script = "const c = document.getElementById(arguments[0]); c.value = arguments[1];"
        before = self.run("return state.turn")
        self.run(script + "c.dispatchEvent(new Event(arguments[2]))", control, value, event)
        if event == "change":
            self.settle(before)

    def click(self, control: str) -> None:
        before = self.run("return state.turn")
        self.run("document.getElementById(arguments[0]).click()", control)
        self.settle(before)

    def settle(self, before: int) -> None:
        self.wait(f"state.turn > {before} && state.shown === state.turn")

    @property
    def keys(self) -> list[str]:
        return self.run("return [...document.querySelectorAll('.card')].map(c => c.dataset.key)")

    def text(self, selector: str) -> str:
        return self.run("return document.querySelector(arguments[0]).textContent", selector)

    def pixels(self, selector: str) -> np.ndarray:
        element = self.driver.find_element("css selector", selector)
        data = np.frombuffer(element.screenshot_as_png, np.uint8)
        return cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1].astype(int)


@pytest.fixture
def page(browser, small):
    page = Page(browser, small)
    yield page
    assert [line for line in browser.get_log("browser") if line["level"] == "SEVERE"] == []


FAKE = '[data-key="face-003.png"]'


def test_the_opacity_slider_changes_the_image(page):
    page.set("opacity", "0", "input")
    page.run("document.getElementById('outline').click()")
    plain = page.pixels(f"{FAKE} .frame:has(.heat)")
    page.set("opacity", "100", "input")
    covered = page.pixels(f"{FAKE} .frame:has(.heat)")
    side = plain.shape[0]
    assert np.abs(plain[side // 3, side // 2] - (105, 105, 105)).max() < 20  # the face
    assert covered[side // 3, side // 2].tolist() == [252, 255, 164]  # inferno's end: inside
    assert np.abs(covered[-5, -5] - plain[-5, -5]).max() < 3  # outside


def test_the_browser_resizes_maps_as_opencv_does(page):
    script = """
        const canvas = document.querySelector(arguments[0] + " .heat");
        const image = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return [canvas.width, [...image.data].filter((_, i) => i % 4 === 3)];"""
    width, alpha = page.run(script, FAKE)
    grid = np.zeros((8, 8), np.float32)
    grid[1:5, 2:6] = 1
    expected = resize_map(grid, (width, width)) * 255
    assert np.abs(np.reshape(alpha, expected.shape) - expected).max() <= 1


def test_the_threshold_hides_low_values(page):
    script = """
        const canvas = document.querySelector(arguments[0] + " .heat");
        const image = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return [...image.data].filter((value, i) => i % 4 === 3 && value > 0);"""
    assert min(page.run(script, FAKE)) < 100
    page.set("floor", "60", "input")
    page.wait("state.painted === state.floor")
    assert min(page.run(script, FAKE)) >= 153


def test_filters_hide_the_right_cards(page):
    page.set("label", "1")
    assert page.keys == [HOSTILE, *(f"face-{n:03d}.png" for n in (3, 5, 7, 9, 11))]
    page.set("split", "=test")
    assert page.keys == [f"face-{n:03d}.png" for n in (7, 9, 11)]
    page.set("method", "=blend")
    assert page.keys == ["face-007.png", "face-011.png"]
    page.click("reset")
    assert len(page.keys) == 13


def test_search_and_score_range(page):
    before = page.run("return state.turn")
    page.set("search", "VIDEO2", "input")
    page.settle(before)
    assert page.keys == ["face-004.png", "face-005.png"]
    page.click("reset")
    page.set("low", "0.8")
    assert page.keys == ["face-000.png", HOSTILE]
    page.set("low", "0.99")
    assert page.keys == []
    assert "No face" in page.wait("document.querySelector('#none:not([hidden])')").text


def test_sorting_orders_the_cards(page):
    page.set("sort", "score_up")
    assert page.keys[:2] == ["face-011.png", "face-010.png"]
    assert page.keys[-1] == "gone.png"  # no score: last
    page.set("sort", "score_down")
    assert page.keys[0] == "face-000.png"
    page.click("worst")
    assert page.keys[0] == "face-011.png"  # its map is the opposite of the truth
    page.click("best")
    assert page.keys[5] == "face-011.png"  # after the five other fakes, before those without truth


def test_hostile_text_stays_text(page):
    card = page.run("return document.querySelectorAll('.card')[1]")
    assert HOSTILE in page.keys
    assert "<b>swap</b>" in card.text
    page.run("arguments[0].querySelector('button').click()", card)
    assert page.wait("document.querySelector('#large[open] h2')").text == HOSTILE
    page.run("document.getElementById('large-close').click()")
    assert page.run("return window.hacked") is None


def test_unreadable_faces_are_shown_with_the_reason(page):
    broken = page.text('[data-key="face-002.png"]')
    assert "cannot be read" in broken
    assert "no such file" in page.text('[data-key="gone.png"]')
    notices = page.text("#notices")
    assert "without a map in this file: 2 (first: gone.png)" in notices
    assert "cannot be read: 2" in notices


def test_the_head_names_the_maps(page):
    assert page.text("h1") == "Manipulation maps: test"
    assert "13 (7 real, 6 fake)" in page.text("#facts")
    assert "Pixel AUC0.900 0.800 to 0.950, n 6" in page.text("#metrics")
    meaning = page.run("return document.querySelector('#metrics abbr').title")
    assert meaning.startswith("pixel_auc: share of (forged, untouched) pixel pairs")
    assert "split test, map threshold 0.250 (chosen on val)" in page.text("#metrics")


def test_the_large_view_and_its_keys(page):
    page.run(f"document.querySelector('{FAKE} .open').click()")
    page.wait("document.querySelector('#large[open]')")
    captions = page.run(
        "return [...document.querySelectorAll('#large figcaption')].map(c => c.textContent)"
    )
    assert captions == ["Face", "Map: test", "test, pixel AUC 1.00", "Truth"]
    body = page.driver.switch_to.active_element
    body.send_keys("\ue014")  # right
    page.wait("document.getElementById('large-key').textContent === 'face-004.png'")
    body.send_keys("\ue012")  # left
    page.wait("document.getElementById('large-key').textContent === 'face-003.png'")
    body.send_keys("\ue00c")  # escape
    page.wait("!document.getElementById('large').open")


def test_modalities_are_shown_next_to_the_maps(browser, tmp_path):
    maps = make_faces(tmp_path, 2)
    out = tmp_path / "views.html"
    views = ("sobel", "dct", "srm", "dct")
    view_command(ViewCommand(maps, out=out, modalities=views, runtime=QUIET))
    page = Page(browser, out)
    captions = "return [...document.querySelectorAll(arguments[0])].map(c => c.textContent)"
    card = '[data-key="face-001.png"]'
    assert page.run(captions, f"{card} figcaption")[2:] == ["sobel", "dct", "srm"]
    page.wait(f"[...document.querySelectorAll('{card} img')].every(i => i.naturalWidth === {SIDE})")
    assert "mid-grey" in page.run(f"return document.querySelectorAll('{card} figcaption')[4].title")
    page.run(f"document.querySelector('{card} .open').click()")
    page.wait("document.querySelector('#large[open]')")
    first = ["Face", "Truth", "test, pixel AUC 0.00", "Map: test"]
    assert page.run(captions, "#large figcaption") == [*first, "sobel", "dct", "srm"]


def test_a_comparison_says_whose_score_is_shown(browser, tmp_path):
    maps = make_faces(tmp_path, 4)
    other = shutil.copy(maps, tmp_path / "other.h5")
    out = tmp_path / "r.html"
    view_command(ViewCommand(maps, out=out, compare=(f"CAM={other}",), runtime=QUIET))
    page = Page(browser, out)
    assert page.text(".figures").startswith("score of test ")
    captions = page.run(
        "return [...document.querySelectorAll('.card figcaption')].map(c => c.title)"
    )
    assert captions[:3] == ["untouched", "test", "CAM"]
    assert page.text("#range legend") == "Score of test"
    orders = page.run("return [...document.querySelectorAll('#sort option')].map(o => o.text)")
    assert {"Score of test, highest first", "Pixel AUC of test, lowest first"} <= set(orders)


def test_nothing_is_fetched_from_a_network(page):
    resources = page.run("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [name for name in resources if not name.startswith(("data:", "file:"))] == []


def test_a_phone_needs_no_sideways_scrolling(page):
    metrics = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        assert page.run("return document.documentElement.scrollWidth") == 390
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_many_faces_are_paged_from_a_folder(browser, large):
    page = Page(browser, large)
    assert large.stat().st_size < 200_000
    assert page.keys == [f"face-{n:03d}.png" for n in range(60)]
    page.click("next")
    assert page.keys[0] == "face-060.png"
    page.set("page", "8")
    assert page.keys == [f"face-{n:03d}.png" for n in range(420, 450)]
    page.set("sort", "score_up")
    assert page.keys[:3] == ["face-449.png", "face-448.png", "face-447.png"]
    loaded = "[...document.querySelectorAll('.card img')].slice(0, 6).every(i => i.naturalWidth)"
    page.wait(loaded)
    assert browser.get_log("browser") == []


def test_a_page_without_its_folder_shows_an_error(browser, large, tmp_path):
    alone = shutil.copy(large, tmp_path / "alone.html")
    browser.get(alone.as_uri())
    page = object.__new__(Page)
    page.driver = browser
    assert "is missing" in page.wait("document.querySelector('#none:not([hidden])')").text
    browser.get_log("browser")
