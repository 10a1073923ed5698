"""The report of a trial: its numbers against other libraries, and unusual input."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torchmetrics.classification import BinaryCalibrationError

from evaluator.scoring.command import score_maps
from evaluator.trial.data import EvaluationSet
from evaluator.trial.judging import KEPT
from evaluator.trial.report import write_report
from evaluator.trial.report.cases import find_cases
from evaluator.trial.report.curves import (
    BINS,
    GRID,
    Scores,
    calibration_error,
    histogram,
    operating_point,
    precision_curve,
    receiver_curve,
    reliability,
)
from evaluator.trial.results import FORMAT, join_groups, join_seeds
from focus.data.index import Face, FaceIndex
from focus.mapstore import MapReader, MapWriter

SIDE, GRID_SIDE = 32, 8
HOSTILE = "x<script>window.hacked=1<img src=x onerror=window.hacked=2>&quot;.png"
EVIL = "<b onclick='x()'>swap</b>"


def draw_scores(count=4000, seed=0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, count)
    scores = 1 / (1 + np.exp(-generator.normal(labels - 0.3, 1.0)))
    return labels, scores


def test_areas_under_the_curves_equal_scikit_learn():
    labels, scores = draw_scores()
    area = np.trapezoid(receiver_curve(labels, scores), GRID)
    assert area == pytest.approx(roc_auc_score(labels, scores), abs=1e-3)
    precision = precision_curve(labels, scores)[1:].mean()
    assert precision == pytest.approx(average_precision_score(labels, scores), abs=5e-3)
    assert operating_point(np.array([0, 0, 1, 1]), np.array([0.6, 0.5, 0.7, 0.8])) == (0.5, 1.0)


def test_curves_of_perfect_and_of_tied_scores():
    labels = np.array([0, 0, 1, 1])
    assert (receiver_curve(labels, np.array([0.1, 0.2, 0.8, 0.9])) == 1).all()
    assert (precision_curve(labels, np.array([0.1, 0.2, 0.8, 0.9])) == 1).all()
    assert receiver_curve(labels, np.full(4, 0.5)) == pytest.approx(GRID)
    assert precision_curve(labels, np.full(4, 0.5)) == pytest.approx(np.full(len(GRID), 0.5))


def test_calibration_error_equals_torchmetrics():
    labels, scores = draw_scores()
    reference = BinaryCalibrationError(n_bins=BINS, norm="l1")
    expected = float(reference(torch.from_numpy(scores), torch.from_numpy(labels)))
    assert calibration_error(labels, scores) == pytest.approx(expected, abs=1e-6)
    (only,) = reliability(np.array([1, 0]), np.array([1.0, 0.95]))
    assert (only.share, only.score, only.fakes) == (1, pytest.approx(0.975), 0.5)
    assert histogram(scores).sum() == pytest.approx(1)


class Trial:
    """Synthetic faces in a folder, and files of scores and maps, scored as by ``evaluator run``.

    Real and fake faces take turns; of two neighbours each video has. Maps of fakes are their masks,
    of every third one the opposite. The scores fall, with noise of the seed.
    """

    def __init__(self, folder, count=16, seeds=1, labels=None, masks=True, grid=GRID_SIDE):
        self.folder = folder
        generator = np.random.default_rng(0)
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[8:24, 4:20] = 255
        cv2.imwrite(str(folder / "mask.png"), mask)
        faces = []
        for number in range(count):
            label = number % 2 if labels is None else labels
            name = HOSTILE if number == 1 else f"face-{number:03d}.png"
            image = generator.integers(90, 120, (SIDE, SIDE + 8, 3)).astype(np.uint8)
            (folder / name).write_bytes(cv2.imencode(".png", image)[1].tobytes())
            more = {"mask": "mask.png" if masks and label else "", "method": EVIL if label else ""}
            faces.append(Face(name, label, video=f"video{number // 2}", **more))
        self.index = FaceIndex.of(faces, folder)
        truth = cv2.resize(mask, (grid, grid), interpolation=cv2.INTER_AREA) / np.float32(255)
        maps = [(1 - truth if k % 3 == 0 else truth) * f.label for k, f in enumerate(faces)]
        self.files, found = [], []
        for seed in range(seeds):
            noise = np.random.default_rng(seed).uniform(-0.05, 0.05, count)
            scores = np.clip(np.linspace(0.95, 0.05, count) + noise, 0, 1)
            self.files.append(folder / f"seed-{seed}.h5")
            trained = {"whole": False, "drawn": True}
            config = {"trained_on": "demo <b>", "trained_images": trained}
            about = {"generator": "t", "real_maps": "fake-class", "config": config}
            with MapWriter(self.files[-1], about) as file:
                keys = [face.key for face in faces]
                file.append(keys, np.stack(maps).astype(np.float32), self.index.labels, scores)
            with MapReader(self.files[-1]) as reader:
                found.append(score_maps(self.index, reader, split="", draws=20, quiet=True))
        self.judged = {
            "metrics": join_seeds([seed["metrics"] for seed in found]),
            "by": join_groups([seed["by"] for seed in found]),
            "seeds": [seed["metrics"] for seed in found],
            **{name: found[0][name] for name in (*KEPT, "notes")},
        }

    def result(self, name="set"):
        part = {"faces": 8, "fingerprint": "ab" * 32}
        optimizer = {"optimizer": "adam", "lr": 1e-4, "schedule": "cosine", "betas": [0.9, 0.999]}
        facts = {
            "model": "probe",
            "settings": {"encoder_weights": ""},
            "fit": {"steps": 10, "batch": 4, "optimizer": optimizer},
            "precision": "fp32",
            "maps": {"source": "focus.h5", "sha256": "cd" * 32},
            "train": part,
            "val": part,
            "notes": ["2 of 9 fakes have an empty map in focus.h5: kept as it is"],
        }
        seeds = list(range(len(self.files)))
        judged = {name: self.judged}
        return {
            **FORMAT,
            **facts,
            "seeds": seeds,
            "metrics": self.judged["metrics"],
            "tests": judged,
        }

    def write(self, name="set"):
        result = json.loads(json.dumps(self.result(name), allow_nan=False))
        tests = [EvaluationSet(name, self.index)]
        return write_report(self.folder, result, tests, {name: self.files})


class Reader(HTMLParser):
    """Collect the tags, addresses and text of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.addresses, self.attributes, self.text = [], [], set(), ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attributes}
        self.addresses += [value for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data):
        self.text += f" {data}"


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """A trial of three seeds and twenty faces with masks."""
    return Trial(tmp_path_factory.mktemp("several"), 20, seeds=3)


def test_the_page_is_complete_and_self_contained(several):
    page = several.write(name="<set> & more").read_text(encoding="utf-8")
    found = Reader(page)
    assert "script" not in found.tags
    assert not {name for name in found.attributes if name.startswith("on")}
    assert all(address.startswith("data:image/jpeg") for address in found.addresses)
    assert "url(" not in page
    assert HOSTILE in found.text
    assert EVIL in found.text
    assert "<set> & more" in found.text
    assert "trained with the maps of focus.h5" in found.text
    assert "empty map in focus.h5" in found.text
    value = several.judged["metrics"]["frame_auc"]
    for text in (
        f"{value['value']:.3f}",
        f"{value['low']:.3f} to {value['high']:.3f}",
        f"± {value['spread']:.3f} over 3 seeds",
    ):
        assert text in found.text
    for title in ("ROC", "Precision and recall", "Calibration: ECE", "Distribution", "By method"):
        assert title in found.text
    assert page.count('class="thin"') >= 3 * 3
    assert several.write(name="<set> & more").read_text(encoding="utf-8") == page


def test_a_set_shows_24_faces_at_most(tmp_path):
    page = Trial(tmp_path, 200).write().read_text(encoding="utf-8")
    assert page.count('class="case"') == 24
    assert len(page) < 1_000_000


def test_the_worst_come_first_and_each_video_once(several):
    scores = Scores.read(several.index, several.files)
    groups = find_cases(EvaluationSet("set", several.index), scores, several.files[0])
    titles = [group.title for group in groups]
    assert titles[:2] == ["Fakes with the lowest scores", "Fakes with the highest scores"]
    lowest = groups[0].cases
    fakes = several.index.labels == 1
    assert lowest[0].score == pytest.approx(scores.values[:, fakes].mean(axis=0).min())
    assert [case.score for case in lowest] == sorted(case.score for case in lowest)
    assert lowest[0].spread > 0
    for group in groups:
        videos = [case.card.face.video for case in group.cases]
        assert len(set(videos)) == len(videos)
    worst, best = groups[-2:]
    assert worst.cases[0].pixel_auc == 0
    assert best.cases[0].pixel_auc == 1
    assert not {c.card.face.key for c in worst.cases} & {c.card.face.key for c in best.cases}


@pytest.mark.parametrize(
    ("kind", "said", "unsaid"),
    [
        ({"labels": 1}, "no curves", "ROC"),
        ({"labels": 0}, "no curves", "Maps that fit"),
        ({"grid": 1}, "predicts no maps", "Maps that fit"),
        ({"masks": False}, "no fake here has a truth mask", "Pixel AUC"),
        ({"count": 2}, "Fakes with the lowest", "Fakes with the highest"),
    ],
)
def test_missing_data_are_noted_and_not_drawn(tmp_path, kind, said, unsaid):
    text = Reader(Trial(tmp_path, **kind).write().read_text(encoding="utf-8")).text
    assert said.lower() in text.lower()
    assert unsaid not in text


def test_unreadable_images_are_skipped(tmp_path):
    trial = Trial(tmp_path, 8, masks=False)
    for key in trial.index.keys[:7]:
        (tmp_path / key).write_bytes(b"not an image")
    page = trial.write().read_text(encoding="utf-8")
    assert page.count('class="case"') == 1
    (tmp_path / trial.index.keys[7]).unlink()
    assert "Worst and best faces" not in trial.write().read_text(encoding="utf-8")


def test_faces_without_a_score_and_predictions_of_others(tmp_path):
    trial = Trial(tmp_path, 12)
    result = trial.result()
    for name in ("settings", "fit", "precision", "train", "val", "notes"):
        del result[name]
    result |= {"model": "theirs.csv", "predictions": "ef" * 32, "maps": {"source": ""}}
    short = tmp_path / "short.h5"
    with MapReader(trial.files[0]) as reader, MapWriter(short, {"generator": "t"}) as file:
        scores = np.where(np.arange(9) == 0, np.nan, reader.scores[:9])
        file.append(reader.face_keys[:9], reader.read(slice(9)), reader.labels[:9], scores)
    tests = [EvaluationSet("a", trial.index), EvaluationSet("b", trial.index)]
    result["tests"] = {"a": trial.judged, "b": trial.judged}
    files = {"a": [short], "b": trial.files}
    text = Reader(write_report(tmp_path, result, tests, files).read_text(encoding="utf-8")).text
    assert "theirs.csv, judged" in text
    assert "Test sets side by side" in text


def test_it_fits_wide_and_narrow_windows(several, tmp_path):
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not chromedriver:
        pytest.skip("needs chromium and chromedriver")
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(executable_path=chromedriver))
    try:
        for width in (1280, 420):
            sizes = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", sizes)
            driver.get(several.write().as_uri())
            assert driver.execute_script("return document.documentElement.scrollWidth") <= width
        assert driver.execute_script("return window.hacked") is None
        loaded = "return [...document.images].every(image => image.naturalWidth > 0)"
        assert driver.execute_script(loaded)
        assert driver.get_log("browser") == []
    finally:
        driver.quit()


def test_the_report_says_what_the_model_was_trained_on_and_warns(several):
    page = several.write().read_text(encoding="utf-8")
    assert "The model was trained on demo &lt;b&gt;." in page
    assert "Photographs are given to a model of drawn faces" in page


def test_charts_have_labels_and_heads_have_meanings(several):
    page = several.write().read_text(encoding="utf-8")
    assert 'aria-label="ROC: true positive rate against false positive rate"' in page
    assert '<abbr title="share of (fake, real) pairs of faces that the scores order' in page


def test_numbers_in_charts_are_numbers(several):
    page = several.write().read_text(encoding="utf-8")
    assert not re.search(r"\bnan\b|\binf\b", page, re.IGNORECASE)
