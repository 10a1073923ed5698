from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import pytest

from focus.data.centerface import WEIGHTS, CenterFaceDetector
from focus.data.demo import draw_face
from focus.data.face_detection import open_face_detector
from focus.data.images import read_image
from focus.data.sources import Source
from focus.errors import InputError

SHARED = Path(os.environ.get("FOCUS_SHARED", Path(__file__).parents[4] / "shared"))
PHOTOS = SHARED / "data" / "photos"


def drawn(seed: int, size: int = 112) -> np.ndarray:
    return draw_face(np.random.default_rng(seed), size).image


def scene(places: list[tuple[int, int, int]], size: tuple[int, int] = (480, 640)) -> np.ndarray:
    """Return a grey image with drawn faces at (left, top, side)."""
    image = np.full((*size, 3), 120, np.uint8)
    for seed, (left, top, side) in enumerate(places):
        image[top : top + side, left : left + side] = drawn(seed, side)
    return image


@pytest.fixture(scope="module")
def detector() -> CenterFaceDetector:
    return CenterFaceDetector()


def test_comes_along_and_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOCUS_DETECTOR_WEIGHTS", "/nowhere/yunet.onnx")  # of another detector
    assert Source().face_detector == "centerface"
    assert isinstance(open_face_detector(Source().face_detector), CenterFaceDetector)
    assert "MIT License" in files("focus.data.centerface").joinpath("LICENSE").read_text()
    assert WEIGHTS.stat().st_size < 4_000_000


@pytest.mark.parametrize("size", [64, 112, 224])
def test_finds_drawn_faces_with_points_in_order(detector: CenterFaceDetector, size: int) -> None:
    for seed in range(6):
        (face,) = detector.detect(drawn(seed, size))
        assert face.points is not None
        (eye, _), (other, eyes), (_, nose), (mouth, lips), (corner, _) = face.points
        assert face.left < eye < other < face.right
        assert eyes < nose < lips < face.bottom
        assert mouth < corner


def test_positions_are_in_pixels_of_the_image(detector: CenterFaceDetector) -> None:
    places = [(40, 60, 200), (420, 300, 120)]
    faces = detector.detect(scene(places))
    assert len(faces) == 2
    assert faces[0].area > faces[1].area
    for face, (left, top, side) in zip(faces, places, strict=True):
        x, y = (face.left + face.right) / 2, (face.top + face.bottom) / 2
        assert abs(x - left - side / 2) < 0.15 * side
        assert abs(y - top - side / 2) < 0.2 * side
        assert 0.4 * side < face.bottom - face.top < side


def test_a_large_image_gives_the_same_face_in_its_own_pixels(detector: CenterFaceDetector) -> None:
    small = scene([(200, 100, 240)])
    large = cv2.resize(small, None, fx=4, fy=4)
    ((one,), (four,)) = detector.detect(small), detector.detect(large)
    assert np.allclose(np.array(one[:4]) * 4, four[:4], atol=0.05 * 960)
    assert one.points is not None
    assert four.points is not None
    assert np.abs(one.points * 4 - four.points).max() < 0.05 * 960


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (60, 2000), (300, 400)])
def test_no_face_where_there_is_none(detector: CenterFaceDetector, shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert detector.detect(noise) == []
    assert detector.detect(np.zeros((*shape, 3), np.uint8)) == []


def test_another_file_must_be_the_same_network(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no network")
    with pytest.raises(InputError, match=r"bad\.onnx: not a CenterFace ONNX file; name the file's"):
        open_face_detector("centerface", str(tmp_path / "bad.onnx"))
    with pytest.raises(InputError, match=r"no detector weights at .*nope; leave it out"):
        open_face_detector("centerface", str(tmp_path / "nope"))


@pytest.mark.skipif(not PHOTOS.is_dir(), reason=f"no photographs in {SHARED}")
def test_finds_every_face_of_the_photographs(detector: CenterFaceDetector) -> None:
    found = [detector.detect(read_image(path)) for path in sorted(PHOTOS.iterdir())]
    assert all(found)
    assert sum(map(len, found)) == 28
