"""Calibrate a trained run on validation people, and pack it as a released model.

    python scripts/pack_release.py RUN INDEX.csv OUT.safetensors [--more EDITS.csv ...]

INDEX is that of the training, with a column ``corpus``; the model is calibrated on its val split
alone. Every val face is examined as `focus look` examines a photograph: the face is detected, cut
out with the margin of the training crops, and scored. Of the faces that can be judged, at most 2 %
of the real ones of each corpus are above the threshold of *signs of manipulation*, and at most a
tenth of the forgeries below that of *no sign*, unless more than 15 % of the real ones would be
between. ``--more`` are other val faces, forged or real; they are reported, and not calibrated on;
the first of them also under compression and at smaller sizes. Prints the tables of the model card,
with 95 % intervals over people.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch

from evaluator.metrics.image import image_metrics
from evaluator.metrics.intervals import Estimate, Resampling, estimate, mean
from focus.data.degrading import recompress
from focus.data.faces import FaceDataset
from focus.data.images import read_image
from focus.data.index import FaceIndex
from focus.data.loading import build_loader
from focus.detectors import Trainable
from focus.model.calibration import choose_mark, choose_thresholds, fit_calibration
from focus.model.faces import FaceModel, load
from focus.model.packing import measure_features, pack_model
from focus.model.quality import Quality, fit_limits
from focus.model.results import Face
from focus.model.verdicts import SIGNS, UNSURE, find_obstacle
from focus.released.contents import Calibration, Limits
from focus.released.features import FeatureStatistics
from focus.runs import load_network, read_run
from focus.runtime import track
from focus.types import FAKE, REAL

MARGIN = 1.3
"""Side of a crop divided by the detected box: the training faces have 1.40 to 1.52 (medians), of
which a random crop keeps 0.87 on average."""
FEATURE_FACES = 1500
FALSE_ALARMS, MISSES = 0.02, 0.1
"""Largest share of real faces that are called manipulated, of every corpus, and of forgeries
without a sign."""
TRAINED_ON = (
    "Labelled Faces in the Wild, real faces and graphics-based swaps of them, and 222 portraits "
    "(Face Research Lab London, CC0 interfaces, members of congress, photographs of open-source "
    "packages), with local edits made on the fly; labels only"
)


def shrink(image: np.ndarray, factor: float) -> np.ndarray:
    """Return an image of a fraction of its size."""
    return np.asarray(cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA))


Change = Callable[[np.ndarray], np.ndarray]
CONDITIONS: Mapping[str, Change] = {
    "JPEG of quality 50": partial(recompress, quality=50),
    "JPEG of quality 30": partial(recompress, quality=30),
    "half of the size": partial(shrink, factor=1 / 2),
    "a third of the size": partial(shrink, factor=1 / 3),
}
CONDITION_FACES = 240
"""Faces examined under each condition, evenly spaced."""


class Examined(NamedTuple):
    """A validation face as the model sees it."""

    corpus: str
    kind: str
    label: int
    person: str
    face: Face


def main() -> None:
    """Measure, calibrate, pack and report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("index", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--more", type=Path, nargs="*", default=[])
    parser.add_argument("--card", type=Path, help="the model card, Markdown")
    given = parser.parse_args()
    index = FaceIndex.read(given.index)
    features = fit_features(given.run, index.where("train"))
    kept = {
        "name": given.out.stem,
        "margin": MARGIN,
        "mirror": True,
        "trained_on": TRAINED_ON,
        "card": given.card.read_text(encoding="utf-8") if given.card else "",
    }
    pack_model(given.run, given.out, features=features, **kept)
    model = load(given.out)
    val = list(examine(model, index.where("val")))
    real = [each.face for each in val if each.label == REAL]
    qualities: list[Quality] = [face.quality for face in real]
    limits = fit_limits(qualities, [face.distance for face in real])
    calibration = calibrate(val, limits)
    val = [each._replace(face=each.face.judged(limits, calibration)) for each in val]
    pack_model(
        given.run,
        given.out,
        features=features,
        calibration=calibration,
        limits=limits,
        figures={"val": tabulate(val)},
        **kept,
    )
    print(calibration, limits, sep="\n")
    report(val)
    model = load(given.out)
    for number, path in enumerate(given.more):
        more = FaceIndex.read(path)
        report(list(examine(model, more)))
        if number == 0:
            report_conditions(model, more)


def fit_features(run: Path, train: FaceIndex) -> FeatureStatistics:
    """Return the statistics of training faces, evenly spaced."""
    rows = np.linspace(0, len(train) - 1, min(FEATURE_FACES, len(train))).astype(int)
    network: Trainable = load_network(read_run(run))
    faces = FaceDataset(train, network.input_spec.image_size)
    batches = [rows[k : k + 32].tolist() for k in range(0, len(rows), 32)]

    def images() -> Iterator[torch.Tensor]:
        for batch in track(build_loader(faces, batches, 1), len(batches), "features", "batches"):
            yield batch.images

    return FeatureStatistics.fit(measure_features(run, images()))


def examine(model: FaceModel, index: FaceIndex, change: Change | None = None) -> Iterator[Examined]:
    """Yield the largest face of every image; an image without one is left out."""
    corpora, people = index.column("corpus"), index.column("video")
    for row, face in enumerate(track(iter(index), len(index), "examining", "faces")):
        path = index.root / face.path
        found = model(path if change is None else change(read_image(path))).faces
        if found:
            person = people[row] or face.path
            yield Examined(corpora[row] or "edits", face.method, face.label, person, found[0])


def calibrate(val: list[Examined], limits: Limits) -> Calibration:
    """Return temperature, bias, thresholds and mark, from the faces that can be judged.

    The upper threshold and the mark are the strictest of all corpora.
    """
    maps: dict[str, list[np.ndarray]] = {}
    for each in val:
        if each.label == REAL:
            maps.setdefault(each.corpus, []).append(each.face.map)
    mark = max(choose_mark(own) for own in maps.values())
    faces = [e for e in val if not find_obstacle(e.face.quality, e.face.distance, limits)]
    scores = np.array([each.face.score for each in faces])
    labels = np.array([each.label for each in faces])
    corpora = np.array([each.corpus for each in faces])
    calibration = fit_calibration(
        scores, labels, false_alarms=FALSE_ALARMS, misses=MISSES, mark=mark
    )
    probabilities = calibration.probability(scores)
    highs = [calibration.high]
    for corpus in np.unique(corpora):
        own = ((corpora == corpus) & (labels == REAL)) | (labels == FAKE)
        highs.append(choose_thresholds(probabilities[own], labels[own], FALSE_ALARMS)[1])
    return dataclasses.replace(calibration, high=max(highs))


def report(found: list[Examined]) -> None:
    """Print the shares of the verdicts, by corpus and kind of forgery."""
    print("| corpus | kind | faces | signs | cannot say | marked area | AUC |")
    print("|---|---|---|---|---|---|---|")
    for row in tabulate(found):
        print("| " + " | ".join(map(str, row)) + " |")


def report_conditions(model: FaceModel, index: FaceIndex) -> None:
    """Print verdicts on a part of the faces as they are, compressed and at smaller sizes."""
    rows = np.unique(np.linspace(0, len(index) - 1, CONDITION_FACES).astype(int))
    for name, change in {"as they are": None, **CONDITIONS}.items():
        print(f"\n{name}:\n")
        seen = list(examine(model, index.take(rows), change))
        report([each._replace(kind="edited" if each.label == FAKE else "") for each in seen])


def tabulate(found: list[Examined]) -> list[list[object]]:
    """Return rows of the card: verdicts, and the AUC of a kind against real faces beside it."""
    rows: list[list[object]] = []
    for corpus, kind in sorted({(each.corpus, each.kind) for each in found}):
        own = [each for each in found if (each.corpus, each.kind) == (corpus, kind)]
        real = [each for each in found if each.corpus == corpus and each.label == REAL]
        shares = [share(own, verdict) for verdict in (SIGNS, UNSURE)]
        area = np.mean([each.face.marked.mean() for each in own])
        auc = write(separate(real + own)) if kind and real else ""
        rows.append([corpus, kind or "real", len(own), *shares, f"{area:.4f}", auc])
    return rows


def share(found: list[Examined], verdict: str) -> str:
    """Return the share of faces with a verdict, in words."""
    values = np.array([each.face.verdict == verdict for each in found], np.float64)
    people = Resampling.over([each.person for each in found])
    return write(estimate([mean("share", values, "", counted=True)], people)["share"])


def separate(found: list[Examined]) -> Estimate:
    """Return the AUC of the scores."""
    scores, labels = np.array([[each.face.score, each.label] for each in found]).T
    people = Resampling.over([each.person for each in found])
    return image_metrics(scores, labels.astype(int), people.units, people)["frame_auc"]


def write(found: Estimate) -> str:
    """Return an estimate as text: value and interval."""
    if found.value is None or found.low is None or found.high is None:
        return "-" if found.value is None else f"{found.value:.3f}"
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


if __name__ == "__main__":
    main()
