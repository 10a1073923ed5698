"""The info command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from focus.mapstore import (
    InfoCommand,
    MapWriter,
    info,
    info_command,
)
from tests.focus.mapstore.making import RUN


def test_info_counts_faces_and_values(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with MapWriter(path, RUN | {"index_fingerprint": ""}) as writer:
        writer.append(["r1", "r2"], np.zeros((2, 2, 2)), [0, 0], [0.25, 0.75])
        writer.append(["f"], np.array([[[1.0, 0.6], [0.2, 0.0]]]), [1], [np.nan])
    summary = info(path)
    assert summary["faces"] == 3
    assert summary["grid"] == [2, 2]
    assert summary["bytes"] == path.stat().st_size
    assert summary["attributes"]["config"] == {"k": 1}
    real, fake = summary["labels"]["real"], summary["labels"]["fake"]
    assert (real["faces"], real["zero"], real["mean"]) == (2, 2, 0)
    assert real["score"] == {"lowest": 0.25, "mean": 0.5, "highest": 0.75}
    assert (fake["coverage"], fake["mean"], fake["score"]) == (0.5, 0.45, None)
    assert fake["mean_map"] == [[1.0, 0.6], [0.2, 0.0]]
    assert "unknown" not in summary["labels"]


def test_info_prints_for_people_or_programs(maps: Path, tmp_path: Path, capsys) -> None:
    info_command(InfoCommand(maps))
    page = capsys.readouterr().out
    assert "maps of 10 faces, 14x14" in page
    assert "mean map, fake" in page
    info_command(InfoCommand(maps, json="-"))
    assert json.loads(capsys.readouterr().out)["faces"] == 10
    info_command(InfoCommand(maps, json=str(tmp_path / "i.json")))
    assert json.loads((tmp_path / "i.json").read_text())["faces"] == 10


def test_info_starts_without_torch(maps: Path) -> None:
    code = (
        "import sys; from focus.mapstore import InfoCommand, info_command;"
        f"from pathlib import Path; info_command(InfoCommand(Path({str(maps)!r})));"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
