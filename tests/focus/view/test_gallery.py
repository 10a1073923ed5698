"""Faces and metrics of a page, and errors of the command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import pytest

from focus.data.index import Face, FaceIndex
from focus.data.sources import Source
from focus.errors import InputError
from focus.view import ViewCommand, view_command
from focus.view.gallery import open_collection, read_metrics
from tests.focus.view.making import QUIET, make_faces


def test_a_smaller_page_removes_the_old_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("focus.view.page.SINGLE_FILE_IMAGES", 7)
    maps, out = make_faces(tmp_path, 4), tmp_path / "r.html"
    view_command(ViewCommand(maps, out=out, modalities=("rgb",), runtime=QUIET))
    folder = tmp_path / "r_files"
    names = {f"face-{row}{view}.jpg" for row in range(4) for view in ("", "-0")}
    assert {path.name for path in folder.iterdir()} == {*names, "cards-0.js"}
    (folder / "mine.txt").touch()
    view_command(ViewCommand(maps, out=out, runtime=QUIET))
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]


def test_real_maps_that_were_zeroed_are_named(tmp_path):
    maps = make_faces(tmp_path, 4, real_maps="zero")
    collection = open_collection(ViewCommand(maps))
    assert any("set to zero" in notice for notice in collection.notices)


def test_limit_spreads_over_the_index(tmp_path):
    maps = make_faces(tmp_path, 9)
    keys = open_collection(ViewCommand(maps, limit=3)).index.keys
    assert list(keys) == ["face-000.png", "face-004.png", "face-008.png"]


def test_an_image_of_one_face_and_its_comparison(tmp_path):
    maps = make_faces(tmp_path, 4)
    other = shutil.copy(maps, tmp_path / "other.h5")
    command = ViewCommand(
        maps,
        key="face-001.png",
        png=tmp_path / "new" / "one.png",
        compare=(f"CAM={other}",),
        modalities=("srm",),
        runtime=QUIET,
    )
    view_command(command)
    sheet = cv2.imread(str(command.png))
    assert 6 * 224 > sheet.shape[1] > 5 * 224  # face, truth, two maps, a modality
    assert sheet.shape[0] < 2 * 224


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"maps": Path("none.h5")}, "none.h5: no such file"),
        ({"key": "stranger.png"}, "--key stranger.png: the data has no such face"),
        ({"compare": ("other.h5",)}, "--compare other.h5: write it as NAME=MAPS.h5"),
        ({"compare": ("test=maps.h5",)}, "the name 'test' is used twice"),
        ({"modalities": ("sobbel",)}, "--modalities sobbel: no such modality; perhaps sobel?"),
        ({"summary": Path("none.json")}, "--summary none.json: cannot read it"),
        ({"out": Path("reports")}, "--out reports: must end in .html"),
        ({"png": Path("x.none")}, "--png x.none: unknown image format"),
    ],
)
def test_errors_name_the_flag(tmp_path, monkeypatch, change, message):
    make_faces(tmp_path, 4)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        view_command(ViewCommand(**{"maps": Path("maps.h5"), "runtime": QUIET, **change}))


def test_data_of_other_faces_is_refused(tmp_path):
    maps = make_faces(tmp_path, 4)
    FaceIndex.of([Face("other.png")], tmp_path).write(tmp_path / "other.csv")
    command = ViewCommand(maps, Source(data=str(tmp_path / "other.csv")))
    with pytest.raises(InputError, match=r"first here: other.png; first there: face-000.png"):
        open_collection(command)


def test_maps_that_name_no_data_ask_for_it(tmp_path):
    maps = make_faces(tmp_path, 4, data="")
    with pytest.raises(InputError, match="give --data"):
        open_collection(ViewCommand(maps))


def test_metrics_without_a_value_give_their_reason(tmp_path):
    path = tmp_path / "summary.json"
    none = {"value": None, "low": None, "high": None, "n": 0, "reason": "no masks"}
    path.write_text(json.dumps({"metrics": {"pxap": none}}))
    (found,), basis = read_metrics(path)
    assert (found["name"], found["value"], found["note"]) == (
        "Pixel average precision",
        "none",
        "no masks",
    )
    assert found["meaning"].startswith("pxap: average precision over the pixels")
    assert basis == ""
    path.write_text("[]")
    with pytest.raises(InputError, match="not a JSON file with metrics"):
        read_metrics(path)


def test_a_negative_limit_is_refused():
    with pytest.raises(InputError, match="--limit -1"):
        ViewCommand(Path("maps.h5"), limit=-1)


def test_a_missing_folder_of_frames_is_refused(tmp_path):
    maps = make_faces(tmp_path, 2)
    command = ViewCommand(maps, out=tmp_path / "x.html", frames=Path("/nonexistent"))
    with pytest.raises(InputError, match="--frames /nonexistent: no such folder"):
        view_command(command)
    assert not (tmp_path / "x.html").exists()
