from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from focus.data.face_detection import open_face_detector
from focus.data.images import read_image
from focus.data.retinaface import (
    RetinaFaceMobileNet,
    RetinaFaceMobileNetDetector,
    decode,
    list_anchors,
)
from focus.errors import InputError
from tests.shared import SHARED

WEIGHTS = SHARED / "weights" / "retinaface_mobilenet0.25_Final.pth"
YUNET = SHARED / "weights" / "yunet.onnx"
PHOTOS = SHARED / "data" / "photos"
needs_material = pytest.mark.skipif(
    not (WEIGHTS.is_file() and YUNET.is_file() and PHOTOS.is_dir()),
    reason=f"no photographs and weights in {SHARED}",
)


def overlap(a, b):
    width = min(a.right, b.right) - max(a.left, b.left)
    height = min(a.bottom, b.bottom) - max(a.top, b.top)
    both = max(width, 0) * max(height, 0)
    return both / (a.area + b.area - both)


@needs_material
@pytest.mark.parametrize("name", ["lfw_real_1006.jpg", "lfw_real_1011.jpg", "real_00305.jpg"])
def test_finds_the_faces_that_yunet_finds(name):
    image = read_image(PHOTOS / name)
    ours = open_face_detector("retinaface-mobilenet", str(WEIGHTS)).detect(image)
    theirs = open_face_detector("yunet", str(YUNET)).detect(image)
    assert len(ours) == len(theirs) > 0
    assert [face.area for face in ours] == sorted((face.area for face in ours), reverse=True)
    for face, other in zip(ours, theirs, strict=True):
        assert overlap(face, other) > 0.5
        side = other.right - other.left
        assert np.abs(face.points - other.points).max() < 0.15 * side


@needs_material
def test_an_image_without_a_face_has_none():
    detector = RetinaFaceMobileNetDetector(WEIGHTS)
    assert detector.detect(np.full((50, 90, 3), 127, np.uint8)) == []


def test_anchors_stand_in_the_middle_of_their_cells():
    anchors = list_anchors(40, 72)
    cells = [math.ceil(40 / stride) * math.ceil(72 / stride) for stride in (8, 16, 32)]
    assert len(anchors) == 2 * sum(cells)
    assert anchors[:3].tolist() == [[4, 4, 16], [4, 4, 32], [12, 4, 16]]
    assert anchors[2 * cells[0]].tolist() == [8, 8, 64]
    assert anchors[-1].tolist() == [80, 48, 512]


def test_the_network_says_one_thing_of_each_anchor():
    network = RetinaFaceMobileNet().eval()
    with torch.inference_mode():
        scores, offsets, places = network(torch.zeros(1, 3, 40, 72))
    count = len(list_anchors(40, 72))
    assert scores.shape == (1, count)
    assert offsets.shape == (1, count, 4)
    assert places.shape == (1, count, 10)


def test_decoding_by_hand():
    anchors = torch.tensor([[100.0, 50.0, 20.0]])
    offsets = torch.tensor([[1.0, -2.0, 0.0, 5 * math.log(2)]])
    places = torch.tensor([[0.0, 0, 5, 5, -5, 5, 0, 10, 10, 0]])
    boxes, points = decode(anchors, offsets, places)
    assert boxes[0].tolist() == pytest.approx([92, 26, 112, 66])
    expected = [[100, 50], [110, 60], [90, 60], [100, 70], [120, 50]]
    assert points[0].flatten().tolist() == pytest.approx(np.ravel(expected))


def test_weights_of_a_parallel_network_load_and_others_are_refused(tmp_path):
    state = RetinaFaceMobileNet().state_dict()
    torch.save({f"module.{name}": value for name, value in state.items()}, tmp_path / "a.pth")
    detector = open_face_detector("retinaface-mobilenet", str(tmp_path / "a.pth"))
    assert isinstance(detector, RetinaFaceMobileNetDetector)
    state.popitem()
    torch.save(state, tmp_path / "b.pth")
    torch.save(torch.zeros(3), tmp_path / "c.pth")
    (tmp_path / "d.pth").write_text("no weights")
    for name in ("b.pth", "c.pth", "d.pth"):
        with pytest.raises(InputError, match=f"{name}: not RetinaFace mobilenet") as caught:
            open_face_detector("retinaface-mobilenet", str(tmp_path / name))
        assert "\n" not in str(caught.value)


def test_missing_weights_say_which_to_get(monkeypatch):
    monkeypatch.delenv("FOCUS_DETECTOR_WEIGHTS", raising=False)
    with pytest.raises(InputError, match=r"needs a weights file; download mobilenet0\.25_Final"):
        open_face_detector("retinaface-mobilenet")
