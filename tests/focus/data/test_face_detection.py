from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from focus.data.cropping import FaceBox
from focus.data.face_detection import RetinaFaceDetector, YuNetDetector, enlarge, open_face_detector
from focus.data.images import read_image
from focus.errors import InputError
from tests.shared import SHARED

WEIGHTS = SHARED / "weights" / "yunet.onnx"
PHOTOS = SHARED / "data" / "photos"
needs_material = pytest.mark.skipif(
    not (WEIGHTS.is_file() and PHOTOS.is_dir()), reason=f"no photographs and weights in {SHARED}"
)


@pytest.fixture(autouse=True)
def _no_weights_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FOCUS_DETECTOR_WEIGHTS", raising=False)


def overlap(a: FaceBox, b: FaceBox, scale: float = 1.0) -> float:
    """Intersection over union, ``a`` scaled first."""
    left, top, right, bottom = (side * scale for side in a[:4])
    width = min(right, b.right) - max(left, b.left)
    height = min(bottom, b.bottom) - max(top, b.top)
    both = max(width, 0) * max(height, 0)
    return both / (a.area * scale**2 + b.area - both)


@needs_material
def test_yunet_finds_the_face_of_every_photograph() -> None:
    detector = open_face_detector("yunet", str(WEIGHTS))
    for path in sorted(PHOTOS.iterdir()):
        image = read_image(path)
        faces = detector.detect(image)
        assert faces, path.name
        assert [face.area for face in faces] == sorted((f.area for f in faces), reverse=True)
        x, y = image.shape[1] / 2, image.shape[0] / 2
        assert any(f.left < x < f.right and f.top < y < f.bottom for f in faces), path.name


@needs_material
def test_points_are_eyes_nose_and_mouth_from_left_to_right() -> None:
    face = YuNetDetector(WEIGHTS).detect(read_image(PHOTOS / "lfw_real_1002.jpg"))[0]
    assert face.points is not None
    assert face.points.shape == (5, 2)
    (eye_x, eye_y), (other_x, other_y), (_, nose_y), (mouth_x, mouth_y), (end_x, _) = face.points
    assert face.left < eye_x < other_x < face.right
    assert max(eye_y, other_y) < nose_y < mouth_y < face.bottom
    assert mouth_x < end_x


@needs_material
@pytest.mark.parametrize("side", [1500, 2600])
def test_a_large_image_gives_the_same_face_in_its_own_pixels(side: int) -> None:
    image = read_image(PHOTOS / "real_00011.jpg")
    detector = YuNetDetector(WEIGHTS)
    small = detector.detect(image)[0]
    large = detector.detect(cv2.resize(image, (side, side)))[0]
    scale = side / image.shape[0]
    assert overlap(small, large, scale) > 0.75
    assert small.points is not None
    assert large.points is not None
    assert np.abs(small.points * scale - large.points).max() < 0.05 * side


@needs_material
def test_yunet_takes_rgb_and_finds_no_face_where_there_is_none() -> None:
    detector = YuNetDetector(WEIGHTS)
    image = read_image(PHOTOS / "real_00611.jpg")
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    raw = cv2.FaceDetectorYN.create(str(WEIGHTS), "", bgr.shape[1::-1], 0.7)
    row = raw.detect(bgr)[1][0]
    face = detector.detect(image)[0]
    assert np.allclose((face.left, face.top, face.score), (row[0], row[1], row[14]), atol=1e-3)
    assert detector.detect(np.full((60, 2000, 3), 127, np.uint8)) == []


def test_weights_are_asked_for_by_name_and_flag(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"yunet_2023mar\.onnx.*--face-detector-weights"):
        open_face_detector("yunet")
    with pytest.raises(InputError, match=r"no detector weights at .*nope.*--face-detector-weights"):
        open_face_detector("yunet", str(tmp_path / "nope.onnx"))
    (tmp_path / "bad.onnx").write_bytes(b"no network")
    with pytest.raises(InputError, match="not a YuNet ONNX file"):
        open_face_detector("yunet", str(tmp_path / "bad.onnx"))
    with pytest.raises(InputError, match="use centerface or yunet or"):
        open_face_detector("mtcnn")


def test_weights_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FOCUS_DETECTOR_WEIGHTS", str(tmp_path / "elsewhere.onnx"))
    with pytest.raises(InputError, match=r"elsewhere\.onnx"):
        open_face_detector("yunet")


class RetinaFaceStandIn:
    """Answers as retinaface-pytorch 0.0.8 does (read from its source)."""

    def __init__(self, max_size: int, device: str) -> None:
        self.state: dict[str, torch.Tensor] = {}
        self.answers = [
            {"bbox": [1.0, 2.0, 11.0, 12.0], "score": 0.9, "landmarks": [[1, 2]] * 5},
            {"bbox": [0.0, 0.0, 50.0, 40.0], "score": 0.8, "landmarks": [[3, 4]] * 5},
        ]

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        if "weight" not in state:
            raise RuntimeError("Error(s) in loading state_dict for RetinaFace:\n\tMissing key(s)")

    def eval(self) -> None:
        pass

    def predict_jsons(self, image: np.ndarray, confidence_threshold: float) -> list[dict]:
        if image.max() == 0:
            return [{"bbox": [], "score": -1, "landmarks": []}]
        return [answer for answer in self.answers if answer["score"] > confidence_threshold]


@pytest.fixture
def retinaface(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("retinaface.pre_trained_models")
    release = SimpleNamespace(url="https://example.invalid/retinaface.zip", model=RetinaFaceStandIn)
    module.models = {"resnet50_2020-07-20": release}
    monkeypatch.setitem(sys.modules, "retinaface", ModuleType("retinaface"))
    monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.mark.usefixtures("retinaface")
def test_retinaface_boxes(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(1)}, tmp_path / "weights.pth")
    detector = open_face_detector("retinaface", str(tmp_path / "weights.pth"))
    faces = detector.detect(np.ones((60, 60, 3), np.uint8))
    assert [face[:5] for face in faces] == [(0, 0, 50, 40, 0.8), (1, 2, 11, 12, 0.9)]
    assert np.array_equal(faces[0].points, np.array([[3, 4]] * 5))
    assert detector.detect(np.zeros((60, 60, 3), np.uint8)) == []


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("sprung",)


@pytest.mark.usefixtures("retinaface")
def test_retinaface_weights_are_never_unpickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": Trap()}, "trap.pth")
    torch.save({"other": torch.zeros(1)}, "other.pth")
    Path("text.pth").write_text("no weights")
    for name in ("trap.pth", "other.pth", "text.pth"):
        with pytest.raises(InputError, match=f"{name}: not RetinaFace weights") as caught:
            RetinaFaceDetector(Path(name))
        assert "\n" not in str(caught.value)
    assert not Path("sprung").exists()


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "retinaface", None)
    with pytest.raises(InputError, match=r"pip install 'focus-forgery\[retinaface\]'"):
        open_face_detector("retinaface")


def test_enlarge_keeps_the_centre_and_makes_a_square() -> None:
    assert enlarge(FaceBox(10, 20, 30, 60, 0.9), 1.5) == (-10, 10, 50, 70)
    assert enlarge((0, 0, 10, 10), 1.3) == (-2, -2, 11, 11)
    left, top, right, bottom = enlarge((3.4, 8.1, 71.9, 60.2))
    assert right - left == bottom - top == round(68.5 * 1.3)
    assert abs((left + right) / 2 - 37.65) <= 1
    assert abs((top + bottom) / 2 - 34.15) <= 1
