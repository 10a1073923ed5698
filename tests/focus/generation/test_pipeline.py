"""Unreadable faces, invalid maps and errors of threads."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from focus.data.index import FaceIndex
from focus.errors import InputError
from focus.generation import GenerationConfig
from focus.mapstore import MapReader, MapWriter
from focus.types import Prediction
from tests.focus.generation.making import COUNT, Stub, run, with_faults


def test_unreadable_faces_are_left_out_and_reported(index: FaceIndex, tmp_path: Path) -> None:
    rows = (0, *range(8, 16), 21)  # the second part is empty
    broken = with_faults(index, tmp_path, rows)
    report = run(broken, tmp_path / "x.h5")
    assert [failure.key for failure in report.failures] == [f"broken/{row}.png" for row in rows]
    assert all("no such file" in failure.reason for failure in report.failures)
    reader = MapReader(tmp_path / "x.h5")
    assert len(reader) == COUNT - len(rows)
    assert not any(key.startswith("broken") for key in reader)
    with (tmp_path / "x.h5.errors.csv").open(newline="") as file:
        assert [row["path"] for row in csv.DictReader(file)] == [f.key for f in report.failures]


def test_the_first_unreadable_face_stops_on_request(index: FaceIndex, tmp_path: Path) -> None:
    config = GenerationConfig(workers=0, on_error="stop")
    with pytest.raises(InputError, match=r"broken/9\.png: no such file"):
        run(with_faults(index, tmp_path, (9, 10)), tmp_path / "x.h5", config)


def test_no_readable_face_gives_no_file(index: FaceIndex, tmp_path: Path) -> None:
    broken = with_faults(index, tmp_path, tuple(range(COUNT)))
    with pytest.raises(InputError, match="no face could be read"):
        run(broken, tmp_path / "x.h5")
    assert os.listdir(tmp_path) == []


class Broken(Stub):
    """Set one pixel of the map of the sixth face to a value, or remove its score."""

    def __init__(self, value: float, score: bool = False) -> None:
        super().__init__()
        self.value, self.score = value, score

    def predict(self, images: Tensor) -> Prediction:
        scores, maps, _ = super().predict(images)
        if self.seen >= 6 > self.seen - len(images):
            place = 5 - (self.seen - len(images))
            (scores if self.score else maps[:, 0, 1, 1])[place] = self.value
        return Prediction(scores, maps)


@pytest.mark.parametrize("generator", [Broken(np.nan), Broken(1.2), Broken(np.nan, score=True)])
def test_an_invalid_map_or_score_names_its_face(index, tmp_path, generator) -> None:
    with pytest.raises(InputError, match=r"^05\.png: the generator's (map|score) is NaN"):
        run(index, tmp_path / "x.h5", generator=generator)


class Scoreless(Stub):
    def predict(self, images: Tensor) -> Prediction:
        scores, maps, _ = super().predict(images)
        return Prediction(torch.full_like(scores, torch.nan), maps)


def test_a_generator_without_scores_stores_nan(index: FaceIndex, tmp_path: Path) -> None:
    run(index, tmp_path / "x.h5", generator=Scoreless())
    assert np.isnan(MapReader(tmp_path / "x.h5").scores).all()


@pytest.mark.parametrize("block", [0, 2])
def test_an_error_in_the_writer_thread_stops_the_run(index, tmp_path, monkeypatch, block) -> None:
    write_part = MapWriter.write_part

    def fail(self: MapWriter, number: int, *rest: Any) -> None:
        if number == block:
            raise InputError("no room on the disk")
        write_part(self, number, *rest)

    monkeypatch.setattr(MapWriter, "write_part", fail)
    with pytest.raises(InputError, match="no room"):
        run(index, tmp_path / "x.h5")
    assert not (tmp_path / "x.h5").exists()
