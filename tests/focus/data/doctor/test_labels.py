"""Labels and splits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from focus.data.doctor import examine
from focus.data.index import Face, FaceIndex
from tests.focus.data.doctor.making import draw_image, found, pairs, save


@pytest.mark.parametrize("label", [0, 1, -1])
def test_one_class_and_no_val_are_named(label, tmp_path):
    faces = [replace(face, label=label) for face in pairs(tmp_path, 2)]
    examination = examine(FaceIndex.of(faces, tmp_path))
    assert found(examination, "splits").severity == "warning"
    if label >= 0:
        finding = found(examination, "one class")
        assert (finding.severity, finding.count) == ("warning", 4)
    else:
        assert found(examination, "labels", "without").count == 4


def test_names_against_all_labels_are_serious(tmp_path):
    faces = []
    for number in range(4):
        kind = "real" if number % 2 else "fake"
        save(tmp_path / kind / f"{number}.jpg", draw_image(number))
        faces.append(Face(f"{kind}/{number}.jpg", number % 2))
    finding = found(examine(FaceIndex.of(faces, tmp_path)), "label polarity")
    assert finding.severity == "serious"
    assert "AUC 0.00" in finding.message
