from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from focus.cli import main
from focus.errors import InputError
from focus.look.inputs import find_inputs, page_path
from tests.focus.making import photo, write_clip


@pytest.fixture
def look(tiny_model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Return a function that runs the command with the tiny model, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: main(["look", *map(str, words), "--weights", str(tiny_model)])


def test_one_photo(look, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(photo()).save("photo.png")
    before = Path("photo.png").read_bytes()
    assert look("photo.png") == 0
    out, err = capsys.readouterr()
    first, page = out.splitlines()
    pattern = r"photo\.png: face 1 \(\d+ px at -?\d+,-?\d+\): signs of manipulation, P\(fake\) "
    assert re.match(pattern + r"[01]\.\d\d, look at: ", first)
    assert page == "page: photo.focus.html"
    assert "trained on nothing" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "photo.focus.html",
        "photo.focus.png",
        "photo.png",
    ]
    assert Path("photo.png").read_bytes() == before
    panels = np.asarray(Image.open("photo.focus.png"))
    assert panels.shape[1] > 2 * photo().shape[1]
    html = Path("photo.focus.html").read_text()
    assert "signs of manipulation" in html
    assert not re.search(r'(src|href)="(?!data:|#)', html)  # nothing from elsewhere
    assert "http" not in html


def test_a_folder_with_everything(look, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path("in")
    (folder / "sub").mkdir(parents=True)
    Image.fromarray(photo(2)).save(folder / "two.jpg")
    Image.fromarray(photo(0)).save(folder / "none.png")
    Image.fromarray(photo()).convert("L").save(folder / "grey.png")
    Image.fromarray(np.dstack([photo(), np.full(photo().shape[:2], 9, np.uint8)])).save(
        folder / "alpha.png"
    )
    deep = photo()[..., ::-1].astype(np.uint16) * 257
    cv2.imwrite(str(folder / "deep.png"), deep)
    Image.new("RGB", (1, 1)).save(folder / "sub" / "dot.png")
    Image.fromarray(cv2.resize(photo(), (3000, 2200))).save(folder / "sub" / "large.jpg")
    write_clip(folder / "clip.mp4")
    (folder / "notes.txt").write_text("no image")
    assert look(folder, "--out", "out", "--quiet") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        *("alpha.png", "clip.mp4", "deep.png", "grey.png", "none.png"),
        *("sub/dot.png", "sub/large.jpg", "two.jpg", "two.jpg", "7 faces and clips", "page"),
    ]
    for verdict in ("signs of", "cannot say", "no sign of"):
        count = sum(f": {verdict}" in line for line in lines[:-2])
        assert f"{count} {verdict}" in lines[-2]
    text = "\n".join(lines)
    assert "grey.png: face 1" in text
    assert "cannot say" in next(line for line in lines if line.startswith("grey"))
    assert "none.png: no face found" in text
    assert "clip.mp4: clip: signs of manipulation" in text
    names = sorted(path.name for path in Path("out").iterdir())
    assert names == sorted(
        [
            *(f"{name}.focus.png" for name in ("alpha", "deep", "dot", "grey", "large", "none")),
            *("two.focus.png", "clip.focus.mp4", "look.focus.html"),
        ]
    )
    html = Path("out/look.focus.html").read_text()
    assert html.count("<article") == 8
    assert "<polyline" in html
    video = cv2.VideoCapture("out/clip.focus.mp4")
    frames = 0
    while video.grab():
        frames += 1
    assert frames == 12
    assert look(folder, "--quiet") == 0  # beside the inputs, ...
    assert look(folder, "--quiet") == 0  # ... which does not add inputs
    assert len(capsys.readouterr().out.splitlines()) == 22


def test_one_unreadable_file_of_several(look, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(photo()).save("a.png")
    Path("b.jpg").write_bytes(b"\xff\xd8\xff broken")
    assert look("a.png", "b.jpg") == 1
    out, err = capsys.readouterr()
    assert "a.png: face 1" in out
    assert "1 of 2 files could not be read: b.jpg: " in err
    assert "cannot be read" in Path("look.focus.html").read_text()
    assert look("b.jpg") == 2
    assert capsys.readouterr().err.count("\n") == 2  # the model, and the error


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "missing: PATH"),
        (["nowhere.jpg"], "nowhere.jpg: no such file or folder"),
        (["empty"], "empty: contains no file"),
        (["notes.txt"], "notes.txt: not an image or video"),
        (["photo.png", "--out", "notes.txt"], "--out notes.txt: is a file"),
        (["photo.png", "--face-detector", "eyes"], "--face-detector eyes: use centerface"),
        (["photo.png", "--device", "abacus"], "--device abacus"),
    ],
)
def test_a_mistake_is_one_line(
    look, words: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty").mkdir()
    Path("notes.txt").write_text("no image")
    Image.new("RGB", (9, 9)).save("photo.png")
    assert look(*words) == 2
    err = capsys.readouterr().err
    assert reason in err
    assert err.count("\n") == 1


def test_hostile_names_stay_text(look) -> None:
    name = "a<img src=x onerror=hack()>{{ 7 * 7 }}.png"
    Image.fromarray(photo()).save(name)
    assert look(name, "--quiet") == 0
    html = next(Path().glob("*.html")).read_text()
    assert "<img src=x" not in html
    assert "{{ 7 * 7 }}" in html


def test_results_never_overwrite_an_input_or_each_other(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png", "a.focus.png", "b/a.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    given = [tmp_path / name for name in ("a.jpg", "a.png", "a.focus.png", "b/a.jpg")]
    for out in (None, tmp_path, tmp_path / "other"):
        inputs = find_inputs(given, out)
        results = [each.out for each in inputs]
        assert len(set(results)) == 4
        assert not {path.resolve() for path in results} & {Path(path) for path in given}
    folder = find_inputs([tmp_path], None)
    assert [each.path.name for each in folder] == ["a.jpg", "a.png", "a.jpg"]
    assert page_path(folder, None, [tmp_path]) == tmp_path / "look.focus.html"
    assert page_path(inputs[:1], None, given) == inputs[0].out.with_suffix(".html")
    with pytest.raises(InputError, match="is a file"):
        find_inputs(given, given[0])
