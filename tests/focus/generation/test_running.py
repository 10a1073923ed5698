"""One map a face for any batch, workers, shards, processes and interruptions."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from focus.data.index import Face, FaceIndex
from focus.data.sources import Source
from focus.errors import InputError
from focus.generation import GenerationConfig, pipeline
from focus.generation.command import load_generator
from focus.mapstore import MapReader, merge
from focus.types import InputSpec, Prediction
from tests.focus.generation.making import COUNT, PART, Stub, run


def truth(index: FaceIndex) -> np.ndarray:
    """The stub's maps computed with only OpenCV and NumPy, real faces zeroed."""
    planes = [cv2.imread(str(index.root / key))[:, :, 2] for key in index.keys]
    means = np.stack(planes).reshape(-1, 4, 8, 4, 8).mean(axis=(2, 4), dtype=np.float64)
    means[index.labels == 0] = 0
    return means


def same(first: Path, second: Path) -> bool:
    a, b = MapReader(first), MapReader(second)
    return a.face_keys == b.face_keys and all(
        np.array_equal(x, y)
        for x, y in [
            (a.read(slice(None)), b.read(slice(None))),
            (a.labels, b.labels),
            (a.scores, b.scores),
        ]
    )


def test_maps_labels_and_scores_reach_the_file(index: FaceIndex, tmp_path: Path) -> None:
    report = run(index, tmp_path / "x.h5", name="stub", source=Source("here", "there"))
    reader = MapReader(tmp_path / "x.h5")
    assert (report.faces, report.made, report.failures) == (COUNT, COUNT, ())
    assert list(reader) == list(index.keys)
    assert np.abs(reader.read(slice(None)) * 255 - truth(index)).max() <= 0.02
    np.testing.assert_array_equal(reader.labels, index.labels)
    fakes = index.labels != 0
    np.testing.assert_allclose(
        reader.scores[fakes], truth(index).mean(axis=(1, 2))[fakes] / 255, atol=1e-5
    )
    attributes = reader.attributes
    assert attributes["index_fingerprint"] == index.fingerprint()
    assert json.loads(str(attributes["config"]))["window"] == 8
    expected = ("stub", "feed", "here", "there", "zero")
    names = ("generator", "weights_sha256", "data", "root", "real_maps")
    assert tuple(attributes[name] for name in names) == expected
    assert os.listdir(tmp_path) == ["x.h5"]


def test_real_maps_are_kept_on_request_and_without_labels(index: FaceIndex, tmp_path: Path) -> None:
    run(index, tmp_path / "x.h5", GenerationConfig(workers=0, real_maps="fake-class"))
    assert MapReader(tmp_path / "x.h5").read(slice(None)).any(axis=(1, 2)).all()
    unknown = FaceIndex(index.columns, np.full(COUNT, -1), index.root)
    run(unknown, tmp_path / "y.h5")
    assert MapReader(tmp_path / "y.h5").attributes["real_maps"] == "fake-class"
    assert MapReader(tmp_path / "y.h5").read(slice(None)).any(axis=(1, 2)).all()


@pytest.mark.parametrize(("batch", "workers"), [(1, 2), (3, 0), (100, 1)])
def test_batch_and_workers_do_not_change_the_file(index, tmp_path, batch, workers) -> None:
    run(index, tmp_path / "x.h5")
    run(index, tmp_path / "y.h5", GenerationConfig(batch=batch, workers=workers))
    assert same(tmp_path / "x.h5", tmp_path / "y.h5")


class Network(Stub):
    """FoCus with random weights."""

    def __init__(self) -> None:
        from focus.network.model import FoCus, FoCusConfig

        super().__init__()
        torch.manual_seed(0)
        config = FoCusConfig(encoder="resnet10t", encoder_weights="none", image_size=64)
        self.network = FoCus(config)
        self.input_spec = self.network.input_spec

    def predict(self, images: Tensor) -> Prediction:
        return self.network.predict(images)


def test_batch_changes_no_map_of_a_network_by_more_than_a_level(index, tmp_path) -> None:
    for name, batch in (("x.h5", 22), ("y.h5", 3), ("z.h5", 22)):
        config = GenerationConfig(batch=batch, workers=0, real_maps="fake-class")
        run(index, tmp_path / name, config, generator=Network())
    first, second = (MapReader(tmp_path / name).read(slice(None)) for name in ("x.h5", "y.h5"))
    assert first.max() > 0
    np.testing.assert_allclose(first, second, atol=0.5 / 255)
    assert same(tmp_path / "x.h5", tmp_path / "z.h5")


def test_shards_merge_to_the_whole(index: FaceIndex, tmp_path: Path) -> None:
    run(index, tmp_path / "whole.h5")
    shards = []
    for number in (1, 2, 3):
        shards.append(tmp_path / f"{number}.h5")
        run(index, shards[-1], GenerationConfig(workers=0, shard=f"{number}/3"))
    merge(shards, tmp_path / "all.h5")
    assert same(tmp_path / "whole.h5", tmp_path / "all.h5")
    whole, merged = (MapReader(tmp_path / name).attributes for name in ("whole.h5", "all.h5"))
    assert {**whole, "created": ""} == {**merged, "created": ""}
    with pytest.raises(InputError, match="no face"):
        run(index, tmp_path / "y.h5", GenerationConfig(shard="1/100"))


class Clips(Stub):
    """The red channel of each frame of a clip as its map."""

    input_spec = InputSpec(image_size=8, frames=3)

    def predict(self, images: Tensor) -> Prediction:
        maps = images[:, :1]  # (B, 1, T, 8, 8)
        return Prediction(maps.mean(dim=(1, 2, 3, 4)), maps)


def test_a_face_keeps_the_map_of_its_own_frame_of_the_clip(tmp_path: Path) -> None:
    levels = [10, 60, 110, 160, 210]
    for row, level in enumerate(levels):
        cv2.imwrite(str(tmp_path / f"{row}.png"), np.full((8, 8, 3), level, np.uint8))
    faces = [Face(f"{row}.png", 1, video="v") for row in range(5)]
    out = tmp_path / "maps.h5"
    run(FaceIndex.of(faces, tmp_path), out, generator=Clips())
    maps = MapReader(out)
    kept = [float(maps[f"{row}.png"].mean()) * 255 for row in range(5)]
    assert kept == pytest.approx(levels, abs=0.5)


class Sided(Stub):
    """Sees less from left to right."""

    def predict(self, images: Tensor) -> Prediction:
        ramp = torch.tensor([1.0, 0.7, 0.4, 0.1])
        maps = super().predict(images).maps * ramp
        return Prediction(maps.mean(dim=(1, 2, 3)), maps)


def test_the_mirrored_face_is_joined_on_request(index: FaceIndex, tmp_path: Path) -> None:
    files = []
    for mirror in (False, True):
        files.append(tmp_path / f"{mirror}.h5")
        run(index, files[-1], GenerationConfig(workers=0, mirror=mirror), generator=Sided())
    plain, joined = map(MapReader, files)
    ramp = np.array([1.0, 0.7, 0.4, 0.1])
    expected = truth(index) / 255 * (ramp + ramp[::-1]) / 2
    assert np.abs(joined.read(slice(None)) - expected).max() < 1e-4
    fakes = index.labels != 0
    first = plain.scores[fakes]
    second = (truth(index)[fakes] / 255 * ramp[::-1]).mean(axis=(1, 2))
    odds = np.sqrt(first / (1 - first) * second / (1 - second))
    np.testing.assert_allclose(joined.scores[fakes], odds / (1 + odds), atol=1e-4)
    assert json.loads(str(joined.attributes["config"]))["mirror"] is True
    assert "mirror" not in json.loads(str(plain.attributes["config"]))
    masks, config = load_generator("mask"), GenerationConfig(workers=0, mirror=True)
    with pytest.raises(InputError, match="--mirror: these maps come from the mask of each face"):
        run(index, tmp_path / "z.h5", config, generator=masks)


def test_parts_behind_the_maps_are_kept_on_request(index: FaceIndex, tmp_path: Path) -> None:
    run(index, tmp_path / "x.h5", GenerationConfig(workers=0, parts=True))
    reader = MapReader(tmp_path / "x.h5")
    part = reader.part("raw", "01.png")
    assert part.dtype == np.float32  # NumPy has no bfloat16
    image = cv2.imread(str(index.root / "01.png"))[:, :, 2].reshape(4, 8, 4, 8)
    np.testing.assert_allclose(part, image.mean(axis=(1, 3)) / 255, atol=0.01)
    with pytest.raises(InputError, match="keep_parts"):
        run(index, tmp_path / "x.h5")


def test_a_complete_file_is_not_changed(index: FaceIndex, tmp_path: Path) -> None:
    run(index, tmp_path / "x.h5")
    before = (tmp_path / "x.h5").stat().st_mtime_ns
    report = run(index, tmp_path / "x.h5")
    assert str(report) == f"{tmp_path / 'x.h5'}: {COUNT} faces, already complete"
    assert (tmp_path / "x.h5").stat().st_mtime_ns == before
    run(index, tmp_path / "x.h5", GenerationConfig(workers=0, overwrite=True))
    assert (tmp_path / "x.h5").stat().st_mtime_ns != before


def test_an_interrupted_run_keeps_its_parts(index: FaceIndex, tmp_path: Path) -> None:
    generator = Stub()
    generator.stop_after = 18
    with pytest.raises(KeyboardInterrupt):
        run(index, tmp_path / "x.h5", generator=generator)
    report = run(index, tmp_path / "x.h5")
    assert (report.faces, report.made) == (COUNT, COUNT - 2 * PART)
    assert f"{COUNT} faces (16 were there)" in str(report)
    run(index, tmp_path / "whole.h5")
    assert same(tmp_path / "x.h5", tmp_path / "whole.h5")


ROOT = Path(__file__).parents[3]
RUN = """
import sys
sys.path.insert(0, sys.argv[1])
from focus.generation import generate
from focus.data.index import FaceIndex
from tests.focus.generation.making import CPU, HERE, PART, Stub
generator = Stub()
generator.pause = float(sys.argv[4])
index = FaceIndex.read(sys.argv[2])
report = generate(index, generator, sys.argv[3], HERE, CPU, part_rows=PART)
print("nothing" if report is None else report.made)
"""


def start(index: FaceIndex, out: Path, pause: float = 0.0, **environment: str) -> Any:
    table = str(index.root / "index.csv")
    command = [sys.executable, "-c", RUN, str(ROOT), table, str(out), str(pause)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)


def test_a_killed_run_resumes_to_the_same_file(index: FaceIndex, tmp_path: Path) -> None:
    out = tmp_path / "x.h5"
    with start(index, out, pause=0.5) as victim:
        deadline = time.monotonic() + 240
        while not list(out.with_name("x.h5.parts").glob("part-*")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        victim.kill()
    assert not out.exists()
    report = run(index, out)
    assert 0 < report.made < COUNT
    run(index, tmp_path / "whole.h5")
    assert same(out, tmp_path / "whole.h5")
    assert sorted(os.listdir(tmp_path)) == ["whole.h5", "x.h5"]


def test_two_processes_make_the_same_file_as_one(index: FaceIndex, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    ranks = [
        start(index, tmp_path / "x.h5", RANK=rank, LOCAL_RANK=rank, ACCELERATE_USE_CPU="1", **group)
        for rank in ("0", "1")
    ]
    said = [rank.communicate(timeout=240)[0].split()[-1:] for rank in ranks]
    assert said == [[str(COUNT)], ["nothing"]]
    run(index, tmp_path / "whole.h5")
    assert same(tmp_path / "x.h5", tmp_path / "whole.h5")


def test_compile_wraps_the_prediction(index: FaceIndex, tmp_path: Path, monkeypatch) -> None:
    compiled = []

    def note(function: Any) -> Any:
        compiled.append(function)
        return function

    monkeypatch.setattr(pipeline.torch, "compile", note)
    run(index, tmp_path / "x.h5", GenerationConfig(workers=0, compile=True))
    assert len(compiled) == 1
