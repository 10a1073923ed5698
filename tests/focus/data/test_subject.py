"""What images show, and warnings where a model meets others."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from focus.cli import main
from focus.data.index import Face, FaceIndex
from focus.data.subject import Subject, describe_subject, list_mismatches
from focus.mapstore import MapReader
from focus.runs import read_run
from tests.focus.making import photo


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of one photograph whose faces are small in it."""
    folder = tmp_path_factory.mktemp("photographs")
    canvas = np.full((700, 800, 3), 120, np.uint8)
    canvas[300:520, 300:540] = photo()
    Image.fromarray(canvas).save(folder / "a.png")
    return folder


def test_photographs_are_whole_and_crops_are_not(photographs: Path, demo_corpus: Path) -> None:
    index = FaceIndex.of([Face("a.png")], photographs)
    assert describe_subject(index) == Subject(whole=True, drawn=False)
    boxed = FaceIndex.of([Face("a.png", extra={"box": "300 300 540 520"})], photographs)
    assert describe_subject(boxed) == Subject(whole=False, drawn=False)
    assert describe_subject(FaceIndex.read(demo_corpus)) == Subject(whole=False, drawn=True)


@pytest.mark.parametrize(
    ("trained", "expected"),
    [
        (None, []),
        ({}, []),
        ({"whole": False, "drawn": False}, ["whole images are given to a model of face crops"]),
        ({"whole": True, "drawn": False}, []),
        ({"whole": True, "drawn": True}, ["photographs are given to a model of drawn faces"]),
    ],
)
def test_a_mismatch_is_a_warning(
    photographs: Path, trained: dict[str, bool] | None, expected: list[str]
) -> None:
    found = list_mismatches(trained, FaceIndex.of([Face("a.png")], photographs))
    assert [line.partition(":")[0] for line in found] == expected


def test_drawn_faces_before_a_model_of_photographs(demo_corpus: Path) -> None:
    (line,) = list_mismatches({"whole": False, "drawn": False}, FaceIndex.read(demo_corpus))
    assert "drawn faces are given to a model of photographs" in line


def test_a_training_records_it_and_maps_and_the_gallery_say_so(
    demo_corpus: Path,
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["train", "small", "--data", str(demo_corpus), "--out", "run", "--device", "cpu"]
    words += ["--encoder", "mobilenetv2_035", "--encoder-weights", "none", "--image-size", "64"]
    words += ["--steps", "1", "--batch", "4", "--validate-every", "1", "--workers", "0", "--quiet"]
    assert main(words) == 0
    run = read_run(Path("run"))
    assert run.images == {"whole": False, "drawn": True}
    assert run.trained_on == f"{demo_corpus} (drawn faces)"

    words = ["generate", "--data", str(photographs), "--crop", "frame", "--weights", "run"]
    assert main([*words, "--out", "maps.h5", "--device", "cpu", "--workers", "0"]) == 0
    printed = capsys.readouterr()
    assert "warning: whole images are given to a model of face crops" in printed.err
    assert "warning: photographs are given to a model of drawn faces" in printed.err
    assert main(["view", "maps.h5", "--out", "page.html"]) == 0
    page = Path("page.html").read_text()
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    assert ["Trained on", f"{demo_corpus} (drawn faces)"] in data["facts"]
    assert [line.partition(":")[0] for line in data["notices"]] == [
        "Whole images are given to a model of face crops",
        "Photographs are given to a model of drawn faces",
    ]


def test_generate_crops_with_the_margin_of_the_model(
    photographs: Path, tiny_model: Path, tmp_path: Path
) -> None:
    boxes = {}
    for name, more in {"own": [], "1.3": ["--margin", "1.3"]}.items():
        out = tmp_path / f"{name}.h5"
        words = ["generate", "--data", str(photographs), "--crop", "faces", "--out", str(out)]
        words += ["--weights", str(tiny_model), "--device", "cpu", "--workers", "0", "--quiet"]
        assert main([*words, *more]) == 0
        with MapReader(out) as reader:
            boxes[name] = json.loads(str(reader.attributes["source"]))
            assert reader.settings["trained_margin"] == 1.45
    assert boxes["own"]["margin"] == 1.45
    assert boxes["1.3"]["margin"] == 1.3
