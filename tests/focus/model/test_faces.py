from __future__ import annotations

import doctest
import math
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import focus
from focus.data.demo import draw_face
from focus.errors import InputError
from focus.model import faces as faces_module
from focus.network.classifier import Classifier
from focus.network.encoder import EncoderConfig
from focus.runs import load_network, read_run, write_run


def photo(faces: int = 1, side: int = 200) -> np.ndarray:
    """Return a photograph of drawn faces in a row on grey."""
    image = np.full((side + 60, faces * (side + 40) + 40, 3), 128, np.uint8)
    for number in range(faces):
        left = 40 + number * (side + 40)
        face = draw_face(np.random.default_rng(number), side).image
        image[30 : 30 + side, left : left + side] = face
    return image


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> focus.FaceModel:
    return focus.load(tiny_model, device="cpu")


def test_a_face_has_score_verdict_box_and_map(model: focus.FaceModel) -> None:
    image = photo(2)
    result = model(image)
    assert len(result.faces) == 2
    for face in result.faces:
        left, top, right, bottom = face.box
        assert right - left == bottom - top
        assert face.verdict == "signs of manipulation"
        assert face.reason == ""
        assert 0.6 <= face.score <= 1
        assert (face.map.shape, face.map.dtype) == ((4, 4), np.float32)
        assert face.map_at((50, 30)).shape == (50, 30)
        assert 0 <= face.map_at((50, 30)).min() <= face.map_at((50, 30)).max() <= 1
        assert face.distance > 0
        assert face.detection is not None
        box = face.detection
        assert abs((right - left) / max(box.right - box.left, box.bottom - box.top) - 1.45) < 0.02
    assert result.verdict == "signs of manipulation"
    assert result.map.shape == image.shape[:2]
    outside = result.map.copy()
    for left, top, right, bottom in (face.box for face in result.faces):
        outside[max(top, 0) : bottom, max(left, 0) : right] = 0
    assert outside.max() == 0
    drawn = np.asarray(result.overlay())
    assert drawn.shape == image.shape
    assert (drawn != image).any()
    assert np.array_equal(result.image, image)
    shown = np.asarray(result.overlay(0))  # the outline stays
    assert 0 < (shown != image).any(axis=2).mean() < (drawn != image).any(axis=2).mean()


def test_every_kind_of_input_gives_the_same_result(model: focus.FaceModel, tmp_path: Path) -> None:
    image = photo()
    path = tmp_path / "photo.png"
    Image.fromarray(image).save(path)
    results = model([path, str(path), Image.open(path), image])
    assert [result.source for result in results] == [str(path)] * 3 + [""]
    for result in results:
        assert result.faces[0].box == results[0].faces[0].box
        assert result.faces[0].score == results[0].faces[0].score
        assert np.array_equal(result.faces[0].map, results[0].faces[0].map)
    alpha = np.dstack([image, np.full(image.shape[:2], 7, np.uint8)])
    assert np.array_equal(model(Image.fromarray(alpha)).image, image)
    turned = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(np.rot90(image).copy()).save(turned, exif=exif, quality=95)
    assert model(Image.open(turned)).image.shape == model(turned).image.shape == image.shape


def test_the_face_is_standardised_as_in_generate(model: focus.FaceModel, tiny_model: Path) -> None:
    image = photo()
    (face,) = model(image).faces
    left, top, right, bottom = face.box
    whole = focus.load(tiny_model, crop="frame", device="cpu")
    (again,) = whole(image[top:bottom, left:right]).faces
    assert again.box == (0, 0, right - left, bottom - top)
    assert again.score == pytest.approx(face.score, abs=1e-6)
    assert np.allclose(again.map, face.map, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda face: cv2.GaussianBlur(face, (0, 0), 7), "blurred"),
        (lambda face: face // 6, "too dark"),
        (lambda face: np.repeat(face.mean(2, keepdims=True), 3, 2).astype(np.uint8), "no colour"),
        (lambda face: cv2.GaussianBlur(face, (0, 0), 2) // 48 * 48 + 24, "drawn"),
    ],
)
def test_cannot_say_has_a_reason(model: focus.FaceModel, change, reason: str) -> None:
    face = model(change(photo())).faces[0]
    assert face.verdict == "cannot say"
    assert reason in face.reason


def test_a_small_face_cannot_be_judged(tiny_run: Path, tmp_path: Path) -> None:
    from focus.model.packing import pack_model

    pack_model(tiny_run, tmp_path / "m.safetensors", name="m", calibration={}, limits={"side": 90})
    face = focus.load(tmp_path / "m.safetensors")(photo(side=80)).faces[0]
    assert face.verdict == "cannot say"
    assert "too small" in face.reason
    assert "at least 90" in face.reason


def test_an_image_unlike_the_training_ones_cannot_be_judged(
    tiny_model: Path, tmp_path: Path
) -> None:
    from dataclasses import replace

    from focus.released.format import read_released, write_released

    content = read_released(tiny_model)
    model = replace(content.model, limits=replace(content.model.limits, distance=1e-6))
    write_released(tmp_path / "m.safetensors", model, content.network, content.features)
    face = focus.load(tmp_path / "m.safetensors")(photo()).faces[0]
    assert face.verdict == "cannot say"
    assert "unlike" in face.reason


def test_a_run_gives_scores_but_no_verdict(tiny_run: Path) -> None:
    face = focus.load(tiny_run)(photo()).faces[0]
    assert face.verdict == "cannot say"
    assert "not calibrated" in face.reason
    assert 0 <= face.score <= 1


def test_a_detector_without_maps_is_explained(tiny_run: Path, tmp_path: Path) -> None:
    values = vars(load_network(read_run(tiny_run)).config)
    config = EncoderConfig(**{each.name: values[each.name] for each in fields(EncoderConfig)})
    write_run(tmp_path / "run", "classifier", Classifier(config), config)
    face = focus.load(tmp_path / "run")(photo()).faces[0]
    assert face.map.shape == (4, 4)
    assert np.isfinite(face.map).all()


@pytest.mark.parametrize("shape", [(1, 1), (3, 900), (40, 40)])
def test_no_face(model: focus.FaceModel, shape: tuple[int, int]) -> None:
    result = model(np.zeros((*shape, 3), np.uint8))
    assert result.faces == ()
    assert result.verdict == "no face found"
    assert result.overlay().size == shape[::-1]
    assert result.map.shape == shape


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.zeros((9, 9), np.uint8), r"shape \(9, 9\): give \(H, W, 3\)"),
        (np.zeros((9, 9, 4), np.uint8), r"shape \(9, 9, 4\)"),
        (np.zeros((0, 9, 3), np.uint8), r"shape \(0, 9, 3\)"),
        (np.zeros((9, 9, 3), np.float32), r"float32: give uint8 in \[0, 255\]; multiply"),
        (np.zeros((9, 9, 3), np.uint16), "of uint16: give uint8"),
        (torch.zeros(3, 9, 9), "Tensor: give a path, a PIL image"),
        (None, "NoneType: give a path"),
        ("nowhere.jpg", "nowhere.jpg: no such file"),
        ("clip.mp4", "clip.mp4: a video; use watch"),
        (Image.new("F", (9, 9)), "mode F, of unknown range"),
    ],
)
def test_wrong_input_is_one_line(model: focus.FaceModel, image: object, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        model(image)
    assert "\n" not in str(caught.value)


def test_wrong_options_are_one_line(model: focus.FaceModel, tiny_model: Path) -> None:
    (face,) = model(photo()).faces
    for size in ((0, 3), 5, ("a", 1)):
        with pytest.raises(InputError, match="map_at"):
            face.map_at(size)
    with pytest.raises(InputError, match="opacity 2"):
        model(photo()).overlay(2)
    with pytest.raises(InputError, match="crop 'face'"):
        focus.load(tiny_model, crop="face")
    with pytest.raises(InputError, match="no such run folder or weights file, nor a released"):
        focus.load("runs/nowhere")
    with pytest.raises(InputError, match="give a name, a file or a run folder"):
        focus.load(5)
    with pytest.raises(InputError, match="every -1"):
        model.watch("x.mp4", every=-1)


def test_the_default_model_by_name(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from focus.released import catalogue

    monkeypatch.setattr(catalogue, "PACKAGED", tmp_path / "package")
    monkeypatch.setenv("FOCUS_WEIGHTS", str(tmp_path))
    for weights in (None, "focus-small"):
        with pytest.raises(InputError, match="model focus-small: this copy of"):
            focus.load(weights)
    (tmp_path / "focus-small.safetensors").write_bytes(tiny_model.read_bytes())
    assert focus.load().name == focus.load("focus-small").name == "tiny"


def test_importing_focus_stays_light() -> None:
    heavy = "{'torch', 'cv2'} & set(sys.modules)"
    code = f"import sys, focus; focus.__version__; sys.exit(bool({heavy}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_examples_run(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mine").symlink_to(tiny_run)
    Image.fromarray(photo()).save("photo.jpg")
    found = doctest.testmod(faces_module, optionflags=doctest.ELLIPSIS)
    assert found.failed == 0
    assert found.attempted >= 4
    assert (tmp_path / "out.png").is_file()


def test_a_mirrored_model_judges_a_face_and_its_mirror_image_alike(
    tiny_run: Path, tmp_path: Path
) -> None:
    from focus.model.packing import pack_model

    image = photo()
    found = {}
    for mirror in (False, True):
        path = tmp_path / f"{mirror}.safetensors"
        pack_model(tiny_run, path, name="m", mirror=mirror)
        model = focus.load(path, crop="frame")
        found[mirror] = [
            model(np.ascontiguousarray(view)).faces[0] for view in (image, image[:, ::-1])
        ]
    plain, mirrored = found[False], found[True]
    assert mirrored[0].score == pytest.approx(mirrored[1].score, abs=1e-6)
    assert np.allclose(mirrored[0].map, mirrored[1].map[:, ::-1], atol=1e-5)
    assert plain[0].score != pytest.approx(plain[1].score, abs=1e-6)
    logits = [math.log(face.score / (1 - face.score)) for face in (*plain, mirrored[0])]
    assert logits[2] == pytest.approx((logits[0] + logits[1]) / 2, abs=1e-3)
