"""The generate command."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from focus.data.index import FaceIndex
from focus.data.sources import Source
from focus.errors import CheckFailedError, InputError
from focus.generation import GenerateCommand, generate, generate_command
from focus.generators.registry import GENERATORS
from focus.mapstore import MapReader
from focus.runtime import Runtime
from focus.types import Prediction
from focus.view.gallery import ViewCommand, view_command
from tests.focus.generation.making import COUNT, CPU, HERE, Stub, command, with_faults


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
    view_command(ViewCommand(maps=Path("project/x.h5"), out=Path("page.html"), runtime=CPU))
    project.rename(tmp_path / "moved")
    view_command(ViewCommand(maps=Path("moved/x.h5"), out=Path("moved.html"), runtime=CPU))
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
