"""Landmarks agree with the points of a detector."""

from __future__ import annotations

import numpy as np
import pytest

from focus.data.cropping import crop
from focus.data.face_detection import YuNetDetector, enlarge
from focus.data.images import read_image
from focus.data.landmarks import FaceShape, LandmarkModel
from tests.focus.data.forging.making import SHARED, WEIGHTS

DETECTOR, PHOTOS = SHARED / "weights" / "yunet.onnx", SHARED / "data" / "photos"


@pytest.mark.skipif(
    not (WEIGHTS.is_file() and DETECTOR.is_file() and PHOTOS.is_dir()),
    reason="needs pfld68.onnx, yunet.onnx and photographs in $FOCUS_SHARED",
)
@pytest.mark.parametrize("margin", [1.0, 1.3, 2.2])
def test_landmarks_agree_with_the_points_of_a_detector(margin):
    model, detector = LandmarkModel(WEIGHTS), YuNetDetector(DETECTOR)
    far = []
    for path in sorted(PHOTOS.glob("real_*.jpg"))[:8]:
        photo = read_image(path)
        face = detector.detect(photo)[0]
        box = enlarge(face, margin)
        points = model.find(crop(photo, box)) + box[:2]
        mine = [points[36:42].mean(0), points[42:48].mean(0), points[48], points[54]]
        distance = np.linalg.norm(np.array(mine) - face.points[[0, 1, 3, 4]], axis=1)
        far.append(distance.mean() / FaceShape.from_points(points).size)
    assert np.median(far) < 0.06
