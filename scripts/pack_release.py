"""Calibrate a trained run on validation people, and pack it as a released model.

    python scripts/pack_release.py RUN INDEX.csv OUT.safetensors [--more EDITS.csv ...]

INDEX is that of the training, with a column ``corpus``; the model is calibrated on its val split
alone. Every val face is examined as `focus look` examines a photograph: the face is detected, cut
out with the margin of the training crops, and scored. The threshold of *signs of manipulation*
leaves at most 2 % of the real faces of each corpus above it. ``--more`` are forged val faces of
other kinds; they are reported, and not calibrated on. Prints the table of the model card.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from focus.data.faces import FaceDataset
from focus.data.index import FaceIndex
from focus.data.loading import build_loader
from focus.detectors import Trainable
from focus.model.calibration import choose_mark, choose_thresholds, fit_calibration
from focus.model.faces import FaceModel, load
from focus.model.packing import measure_features, pack_model
from focus.model.quality import Quality, fit_limits
from focus.model.results import Face
from focus.model.verdicts import SIGNS, UNSURE
from focus.released.contents import Calibration
from focus.released.features import FeatureStatistics
from focus.runs import load_network, read_run
from focus.runtime import track
from focus.types import FAKE, REAL

MARGIN = 1.3
"""Side of a crop divided by the detected box: the training faces have 1.40 to 1.52 (medians), of
which a random crop keeps 0.87 on average."""
FEATURE_FACES = 1500
FALSE_ALARMS = 0.02
TRAINED_ON = (
    "Labelled Faces in the Wild, real faces and graphics-based swaps of them, and 147 portraits "
    "(Face Research Lab London, CC0 interfaces, members of congress), with local edits made on the "
    "fly; labels only"
)


class Examined(NamedTuple):
    """A validation face as the model sees it."""

    corpus: str
    kind: str
    label: int
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
    calibration = calibrate(val)
    real = [each.face for each in val if each.label == REAL]
    qualities: list[Quality] = [face.quality for face in real]
    limits = fit_limits(qualities, [face.distance for face in real])
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
    for path in given.more:
        report(list(examine(model, FaceIndex.read(path))))


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


def examine(model: FaceModel, index: FaceIndex) -> Iterator[Examined]:
    """Yield the largest face of every image; an image without one is left out."""
    corpora = index.column("corpus")
    for row, face in enumerate(track(iter(index), len(index), "examining", "faces")):
        found = model(str(index.root / face.path)).faces
        if found:
            yield Examined(corpora[row] or "edits", face.method, face.label, found[0])


def calibrate(val: list[Examined]) -> Calibration:
    """Return temperature, bias and thresholds; the strictest mark and upper one of all corpora."""
    scores = np.array([each.face.score for each in val])
    labels = np.array([each.label for each in val])
    corpora = np.array([each.corpus for each in val])
    maps: dict[str, list[np.ndarray]] = {}
    for each in val:
        if each.label == REAL:
            maps.setdefault(each.corpus, []).append(each.face.map)
    mark = max(choose_mark(own) for own in maps.values())
    calibration = fit_calibration(scores, labels, false_alarms=FALSE_ALARMS, mark=mark)
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


def tabulate(found: list[Examined]) -> list[list[object]]:
    """Return rows of the card: verdicts, and the AUC of a kind against real faces beside it."""
    rows: list[list[object]] = []
    for corpus, kind in sorted({(each.corpus, each.kind) for each in found}):
        own = [e.face for e in found if (e.corpus, e.kind) == (corpus, kind)]
        real = [e.face.score for e in found if e.corpus == corpus and e.label == REAL]
        auc = ""
        if kind and real:
            labels = [REAL] * len(real) + [FAKE] * len(own)
            auc = f"{roc_auc_score(labels, [*real, *(face.score for face in own)]):.3f}"
        signs, unsure = (
            np.mean([face.verdict == verdict for face in own]) for verdict in (SIGNS, UNSURE)
        )
        area = np.mean([face.marked.mean() for face in own])
        name = kind or "real"
        rows.append([corpus, name, len(own), f"{signs:.3f}", f"{unsure:.3f}", f"{area:.4f}", auc])
    return rows


if __name__ == "__main__":
    main()
