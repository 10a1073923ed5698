"""A tiny untrained model, as a run folder and packed as a released one; and a browser."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from focus.data.demo import draw_face
from focus.model.packing import measure_features, pack_model
from focus.network.model import FoCus, FoCusConfig
from focus.released.contents import Calibration, Limits
from focus.released.features import FeatureStatistics
from focus.runs import write_run

TINY = FoCusConfig(
    encoder="mobilenetv2_035",
    encoder_weights="none",
    image_size=64,
    maps_per_class=4,
    normalise="image_minmax",
)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run folder of an untrained network."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    write_run(folder, "focus", FoCus(TINY), TINY)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a released model that finds signs of manipulation in every face."""
    faces = np.stack([draw_face(np.random.default_rng(seed), 64).image for seed in range(6)])
    batch = torch.from_numpy(faces).permute(0, 3, 1, 2)
    out = tmp_path_factory.mktemp("released") / "tiny.safetensors"
    pack_model(
        tiny_run,
        out,
        name="tiny",
        calibration=Calibration(bias=5.0, low=0.3, high=0.6, mark=0.7),
        limits=Limits(side=20),
        features=FeatureStatistics.fit(measure_features(tiny_run, [batch])),
        margin=1.45,
        trained_on="nothing",
        card="# Tiny\n\nNot trained.",
        figures={"frame_auc": 0.5},
    )
    return out


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Return a headless Chromium that logs its messages and requests; skip without one."""
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not chromedriver:
        pytest.skip("needs chromium and chromedriver")
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1200,900",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    common = pytest.importorskip("selenium.common", reason="needs selenium")
    try:
        driver = webdriver.Chrome(options, webdriver.ChromeService(executable_path=chromedriver))
        driver.get("data:text/html,<p>text</p>")  # without any font, the page crashes
        driver.get_screenshot_as_png()
    except common.WebDriverException as error:
        pytest.skip(f"chromium cannot show a page here: {error.msg.splitlines()[0]}")
    yield driver
    driver.quit()
