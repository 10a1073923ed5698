"""The page as users open it: a server process, a browser, and no other host."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image

from tests.focus.making import photo

pytestmark = pytest.mark.skipif(find_spec("gradio") is None, reason="needs the extra app (Gradio)")
ROOT = Path(__file__).parents[3]
LIMIT = 1  # MB


@pytest.fixture(scope="module")
def address(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the tiny model; nothing may be left in the temporary folder at the end."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    temporary = tmp_path_factory.mktemp("temporary")
    words = ["app", "--weights", tiny_model, "--port", port, "--limit", LIMIT]
    process = subprocess.Popen(
        [sys.executable, "-m", "focus", *map(str, words)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert f"page: http://127.0.0.1:{port}/" in line
    yield f"http://127.0.0.1:{port}/"
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert not list(temporary.iterdir())


class App:
    """The page in the browser."""

    def __init__(self, driver, address: str, width: int) -> None:
        self.driver = driver
        driver.get_log("performance")
        sizes = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", sizes)
        driver.get(address)
        self.wait("document.querySelector('#upload input[type=file]')")

    def run(self, script: str, *arguments):
        return self.driver.execute_script(script, *arguments)

    def wait(self, condition: str):
        for _ in range(1500):
            if value := self.run(f"return {condition}"):
                return value
            time.sleep(0.02)
        raise AssertionError(f"never came true: {condition}")

    def give(self, path: Path) -> None:
        """Choose a file."""
        field = self.driver.find_element("css selector", "#upload input[type=file]")
        field.send_keys(str(path))

    def names(self) -> dict[str, list[str]]:
        """Return role -> accessible names, as a screen reader finds them, in the current frame."""
        nodes = self.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        found: dict[str, list[str]] = {}
        for node in nodes:
            role, name = (node.get(part, {}).get("value", "") for part in ("role", "name"))
            found.setdefault(role, []).append(name)
        return found

    def hosts(self) -> set[str]:
        """Return the hosts that were asked for anything since the page was opened."""
        entries = [
            json.loads(each["message"])["message"] for each in self.driver.get_log("performance")
        ]
        asked = [
            urlsplit(each["params"]["request"]["url"])
            for each in entries
            if each["method"] == "Network.requestWillBeSent"
        ]
        return {url.netloc for url in asked if url.scheme not in ("data", "blob", "chrome")}


@pytest.fixture
def open_app(browser, address: str):
    """Return a function that opens the page at a width in pixels."""
    yield lambda width: App(browser, address, width)
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.get("about:blank")
    browser.get_log("browser")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    Image.fromarray(photo()).save(folder / "photo.png")
    (folder / "notes.txt").write_text("no image")
    (folder / "large.png").write_bytes(b"0" * 1_500_000)
    return folder


@pytest.mark.parametrize("width", [1440, 390])
def test_a_photograph_is_examined(open_app, browser, address: str, files: Path, width: int) -> None:
    app = open_app(width)
    app.give(files / "photo.png")
    app.wait("document.querySelector('#result iframe.report')")
    names = app.names()
    assert "Report: photo.focus.html" in names["Iframe"]
    assert "Download the report" in names["button"]
    assert "Click to upload or drop files" in names["button"]
    assert any("signs of manipulation" in name for name in names["status"] + names["StaticText"])
    assert app.run("return document.documentElement.scrollWidth") <= width

    shown = "document.querySelector('iframe.report').contentDocument.querySelector('.layer')"
    app.wait(f"{shown} !== null")
    frame = browser.find_element("css selector", "iframe.report")
    assert app.run("return arguments[0].clientHeight > 600", frame)
    inside = "const page = document.querySelector('iframe.report').contentDocument; "
    opacity = inside + "return Number(getComputedStyle(page.querySelector('.layer')).opacity)"
    before = app.run(opacity)
    assert app.run(
        inside + "return page.documentElement.scrollHeight <= arguments[0].clientHeight", frame
    )
    browser.switch_to.frame(frame)
    slider = browser.find_element("id", "opacity")
    assert slider.accessible_name == "Map over the image"
    assert slider.aria_role == "slider"
    slider.send_keys("\ue012" * 10)  # the left arrow key
    browser.switch_to.default_content()
    assert app.run(opacity) == pytest.approx(before - 0.1)
    assert app.hosts() == {urlsplit(address).netloc}


def test_the_download_is_the_report(open_app, files: Path) -> None:
    app = open_app(1440)
    app.give(files / "photo.png")
    app.wait("document.querySelector('#result iframe.report')")
    app.run(
        "URL.createObjectURL = (blob) => { blob.text().then((text) => { window.kept = text; });"
        " return '#'; }; document.querySelector('#result .download').click()"
    )
    text = app.wait("window.kept")
    assert text.lstrip().startswith("<!doctype html>")
    assert "signs of manipulation" in text
    assert "http" not in text


def test_errors_are_a_line_on_the_page(open_app, files: Path) -> None:
    app = open_app(390)
    app.give(files / "notes.txt")
    text = app.wait("document.querySelector('#result .error')?.textContent")
    assert text.startswith("notes.txt: not an image or video")
    app.give(files / "large.png")
    text = app.wait("document.querySelector('#refused p').textContent")
    assert text == "large.png: 2 MB is too large; the limit is 1 MB"
    assert app.run("return document.querySelector('#result').offsetHeight") == 0
    app.give(files / "photo.png")
    app.wait("document.querySelector('#result iframe.report')")
    assert app.run("return document.querySelector('#refused p').textContent") == ""


SEND = """
const [kind, bytes] = arguments;
const canvas = document.createElement("canvas");
[canvas.width, canvas.height] = [200, 200];
canvas.getContext("2d").fillRect(0, 0, 200, 200);
canvas.toBlob((blob) => {
  const carried = new DataTransfer();
  const padding = new Uint8Array(bytes);
  carried.items.add(new File([blob, padding], `${kind}.png`, { type: "image/png" }));
  if (kind === "paste") {
    document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: carried, bubbles: true }));
  } else {
    const place = document.querySelector("#upload button");
    place.dispatchEvent(new DragEvent("drop", { dataTransfer: carried, bubbles: true }));
  }
});
"""


@pytest.mark.parametrize("kind", ["paste", "drop"])
def test_an_image_can_be_pasted_and_dropped(open_app, kind: str) -> None:
    app = open_app(1440)
    app.run(SEND, kind, 2_000_000)
    text = app.wait("document.querySelector('#refused p').textContent")
    assert text == f"{kind}.png: 2 MB is too large; the limit is 1 MB"
    app.run(SEND, kind, 0)
    text = app.wait("document.querySelector('#result [role=status]')?.textContent")
    assert text == "Done: no face found."
    assert (
        app.run("return document.querySelector('iframe.report').title")
        == f"Report: {kind}.focus.html"
    )
