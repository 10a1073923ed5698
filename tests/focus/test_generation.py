from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from threading import Timer
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from focus.data.index import Face, FaceIndex
from focus.data.sources import Source
from focus.errors import CheckFailedError, InputError
from focus.generation import GenerateCommand, GenerationConfig, generate, generate_command, pipeline
from focus.generation.processes import await_parts
from focus.generation.slots import SlotCollate
from focus.generators.contract import Generator
from focus.generators.registry import GENERATORS
from focus.mapstore import MapReader, MapWriter, merge
from focus.mapstore.rows import check_rows
from focus.runtime import Runtime
from focus.types import Failure, InputSpec, Prediction, Sample
from focus.view.gallery import ViewCommand, view_command

CPU = Runtime(device="cpu", quiet=True)
HERE = GenerationConfig(workers=0, batch=4)
COUNT, PART = 22, 8
NO_MORE: tuple[Any, ...] = (None, None, {})  # neither labels nor scores nor parts


class Stub(Generator):
    """The red channel, averaged over 8 x 8 pixels; its mean is the score."""

    input_spec = InputSpec(image_size=32)
    normalisation = "none"
    weights_sha256 = "feed"
    requires_weights = False
    pause = 0.0
    stop_after = 10**9

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    @classmethod
    def load(cls, weights: Path | None, options: Mapping[str, Any]) -> Stub:
        return cls()

    def describe(self) -> Mapping[str, Any]:
        return {"window": 8}

    def predict(self, images: Tensor) -> Prediction:
        time.sleep(self.pause)
        self.seen += len(images)
        if self.seen > self.stop_after:
            raise KeyboardInterrupt
        maps = F.avg_pool2d(images[:, :1], 8)
        return Prediction(maps.mean(dim=(1, 2, 3)), maps, {"raw": maps[:, 0].bfloat16()})


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> FaceIndex:
    root = tmp_path_factory.mktemp("faces")
    rng = np.random.default_rng(0)
    faces = []
    for row in range(COUNT):
        cv2.imwrite(str(root / f"{row:02d}.png"), rng.integers(0, 256, (32, 32, 3), np.uint8))
        faces.append(Face(f"{row:02d}.png", label=row % 3 - 1))
    made = FaceIndex.of(faces, root)
    made.write(root / "index.csv")
    return made


def with_faults(index: FaceIndex, folder: Path, rows: tuple[int, ...]) -> FaceIndex:
    faces = [
        Face(f"broken/{row}.png" if row in rows else str(index.root / face.path), face.label)
        for row, face in enumerate(index)
    ]
    return FaceIndex.of(faces, folder)


def run(index: FaceIndex, out: Path, config: GenerationConfig = HERE, **more: Any) -> Any:
    generator = more.pop("generator", None) or Stub()
    return generate(index, generator, out, config, more.pop("runtime", CPU), part_rows=PART, **more)


def truth(index: FaceIndex) -> np.ndarray:
    """The stub's maps computed with only OpenCV and NumPy, real faces zeroed."""
    pictures = [cv2.imread(str(index.root / key))[:, :, 2] for key in index.keys]
    means = np.stack(pictures).reshape(-1, 4, 8, 4, 8).mean(axis=(2, 4), dtype=np.float64)
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


def test_parts_behind_the_maps_are_kept_on_request(index: FaceIndex, tmp_path: Path) -> None:
    run(index, tmp_path / "x.h5", GenerationConfig(workers=0, parts=True))
    reader = MapReader(tmp_path / "x.h5")
    part = reader.part("raw", "01.png")
    assert part.dtype == np.float32  # NumPy has no bfloat16
    picture = cv2.imread(str(index.root / "01.png"))[:, :, 2].reshape(4, 8, 4, 8)
    np.testing.assert_allclose(part, picture.mean(axis=(1, 3)) / 255, atol=0.01)
    with pytest.raises(InputError, match="keep_parts"):
        run(index, tmp_path / "x.h5")


# Stopping and going on


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


RUN = """
import sys
sys.path.insert(0, sys.argv[1])
from test_generation import *
generator = Stub()
generator.pause = float(sys.argv[4])
index = FaceIndex.read(sys.argv[2])
report = generate(index, generator, sys.argv[3], HERE, CPU, part_rows=PART)
print("nothing" if report is None else report.made)
"""


def start(index: FaceIndex, out: Path, pause: float = 0.0, **environment: str) -> Any:
    table = str(index.root / "index.csv")
    command = [sys.executable, "-c", RUN, str(Path(__file__).parent), table, str(out), str(pause)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)


def test_a_killed_run_resumes_to_the_same_file(index: FaceIndex, tmp_path: Path) -> None:
    out = tmp_path / "x.h5"
    with start(index, out, pause=0.5) as victim:
        deadline = time.monotonic() + 240
        while not list(out.with_name("x.h5.parts").glob("part-*")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        victim.send_signal(signal.SIGKILL)
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


def test_waiting_for_other_processes_times_out(tmp_path: Path) -> None:
    run = {"generator": "stub", "index_fingerprint": "abc"}
    with MapWriter(tmp_path / "x.h5", run, 2, part_rows=1) as writer:
        writer.write_part(0, check_rows(["a"], np.zeros((1, 2, 2)), *NO_MORE))
        with pytest.raises(InputError, match=r"no part came .* 1 are missing"):
            await_parts(writer, [0, 1], patience=0.3)
        late = Timer(0.3, writer.write_part, (1, check_rows(["b"], np.ones((1, 2, 2)), *NO_MORE)))
        late.start()
        await_parts(writer, [0, 1], patience=30)


class Numbers(Dataset):
    """Images filled with their own number; one in five is unreadable."""

    def __len__(self) -> int:
        return 60

    def __getitem__(self, row: int) -> Sample | Failure:
        if row % 5 == 4:
            return Failure(row, str(row), "gone")
        image = torch.full((5, 4, 3), row, dtype=torch.uint8).permute(2, 0, 1)
        return Sample(row, image, row % 2, None, str(row))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_buffer_is_not_reused_while_it_is_held(workers: int) -> None:
    held = 2
    loader = DataLoader(
        Numbers(), batch_size=2, num_workers=workers, prefetch_factor=2 if workers else None
    )
    loader.collate_fn = SlotCollate(2, loader.prefetch_factor or 0, held)
    window: deque[Any] = deque(maxlen=held)
    addresses = set()
    for batch in loader:
        window.append(batch)
        time.sleep(0.01)
        for kept in window:
            assert kept.images[:, 0, 0, 0].tolist() == kept.rows.tolist()
            assert kept.images.shape[1:] == (3, 5, 4)
            addresses.add(kept.images.data_ptr())
    assert workers or len(addresses) == held + 1


# Faults


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


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        ({"batch": 0}, "--batch 0"),
        ({"workers": -2}, "--workers -2"),
        ({"shard": "3/2"}, "--shard 3/2"),
    ],
)
def test_bad_flags_are_named(arguments: dict[str, Any], flag: str) -> None:
    with pytest.raises(InputError, match=flag):
        GenerationConfig(**arguments)


def test_compile_wraps_the_prediction(index: FaceIndex, tmp_path: Path, monkeypatch) -> None:
    compiled = []

    def note(function: Any) -> Any:
        compiled.append(function)
        return function

    monkeypatch.setattr(pipeline.torch, "compile", note)
    run(index, tmp_path / "x.h5", GenerationConfig(workers=0, compile=True))
    assert len(compiled) == 1


# The command


def command(index: FaceIndex, out: Path, **more: Any) -> GenerateCommand:
    source = Source(data=str(index.root / "index.csv"))
    settings = {"method": "stub", "workers": 0, "runtime": CPU, **more}
    return GenerateCommand(source=source, out=str(out), **settings)


def test_command_prints_one_line(index: FaceIndex, tmp_path: Path, capsys) -> None:
    with GENERATORS.temporarily("stub", Stub):
        generate_command(command(index, tmp_path / "x.h5"))
    said = capsys.readouterr()
    assert said.out.startswith(f"{tmp_path / 'x.h5'}: {COUNT} faces, ")
    assert said.out.count("\n") == 1
    assert said.err == ""
    assert MapReader(tmp_path / "x.h5").attributes["data"] == str(index.root / "index.csv")


def test_view_finds_the_data_from_another_folder(index, tmp_path, monkeypatch) -> None:
    project = tmp_path / "project"
    (project / "faces").mkdir(parents=True)
    for key in index.keys:
        shutil.copy(index.root / key, project / "faces" / key)
    FaceIndex(index.columns, index.labels, project / "faces").write(project / "faces/index.csv")
    monkeypatch.chdir(project)
    settings = {"method": "stub", "workers": 0, "runtime": CPU}
    with GENERATORS.temporarily("stub", Stub):
        generate_command(GenerateCommand(source=Source(data="faces"), out="x.h5", **settings))
    monkeypatch.chdir(tmp_path)
    view_command(ViewCommand(maps="project/x.h5", out="page.html", runtime=CPU))
    project.rename(tmp_path / "moved")
    view_command(ViewCommand(maps="moved/x.h5", out="moved.html", runtime=CPU))
    for name in ("page.html", "moved.html"):
        assert all(key in (tmp_path / name).read_text(encoding="utf-8") for key in index.keys)


def test_command_fails_the_check_after_the_file_is_complete(index, tmp_path, capsys) -> None:
    with_faults(index, tmp_path, (4, 5)).write(tmp_path / "index.csv")
    broken = FaceIndex.read(tmp_path / "index.csv")
    with GENERATORS.temporarily("stub", Stub), pytest.raises(CheckFailedError) as caught:
        generate_command(command(broken, tmp_path / "x.h5", runtime=Runtime(device="cpu")))
    assert "2 of 22 faces could not be read" in str(caught.value)
    assert "x.h5.errors.csv" in str(caught.value)
    assert "broken/4.png: no such file" in capsys.readouterr().err
    assert len(MapReader(tmp_path / "x.h5")) == 20


class Weighted(Stub):
    requires_weights = True


def test_command_asks_for_weights(index: FaceIndex, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with GENERATORS.temporarily("stub", Weighted), pytest.raises(InputError, match="--weights"):
        generate_command(command(index, tmp_path / "x.h5"))


def test_command_prints_how_to_resume_after_ctrl_c(index, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(Stub, "stop_after", 0)
    with (
        GENERATORS.temporarily("stub", Stub),
        pytest.raises(KeyboardInterrupt, match="re-run the same command to resume"),
    ):
        generate_command(command(index, tmp_path / "x.h5", runtime=Runtime(device="cpu")))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_precision_reaches_the_generator(
    index: FaceIndex, tmp_path: Path, precision: Any
) -> None:
    seen = set()

    class Watching(Stub):
        def predict(self, images: Tensor) -> Prediction:
            enabled = torch.is_autocast_enabled("cpu")
            seen.add(torch.get_autocast_dtype("cpu") if enabled else torch.float32)
            return super().predict(images)

    runtime = Runtime(device="cpu", precision=precision, quiet=True)
    generate(index, Watching(), tmp_path / "maps.h5", HERE, runtime)
    assert seen == {{"fp32": torch.float32, "bf16": torch.bfloat16}[precision]}
