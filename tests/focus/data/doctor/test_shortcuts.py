"""Features that separate the classes without looking at a face."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from focus.data.doctor import examine
from focus.data.doctor.shortcuts import score_feature
from focus.data.index import FaceIndex
from tests.focus.data.doctor.making import draw_image, found, pairs, pairs_rows, save


@pytest.mark.parametrize(
    ("quality", "severity"), [((92, 75), "serious"), ((92, 92), None), ((92, 91), "serious")]
)
def test_another_jpeg_quality_of_fakes_is_a_shortcut(quality, severity, tmp_path):
    examination = examine(FaceIndex.of(pairs(tmp_path, 12, quality), tmp_path))
    if severity is None:
        assert "JPEG quantisation" not in examination.facts["file_alone"]
        return
    finding = found(examination, "shortcut", "JPEG quantisation")
    assert finding.severity == severity
    assert "AUC 1.00" in finding.message
    sums = [
        sum(sum(table) for table in Image.open(tmp_path / name).quantization.values())
        for name in ("a/v0.jpg", "b/v0x.jpg")
    ]
    for value in sums:
        assert f"{value} in 100%" in finding.message


def test_formats_and_exif_are_shortcuts(tmp_path):
    faces = pairs(tmp_path, 12)
    for face in faces[::2]:
        save(tmp_path / face.path.replace(".jpg", ".png"), draw_image(int(face.video[1:])))
    faces = [
        replace(f, path=f.path.replace("a/", "a/").replace(".jpg", ".png"))
        if f.label == 0
        else replace(f, original=f.original.replace(".jpg", ".png"))
        for f in faces
    ]
    alone = examine(FaceIndex.of(faces, tmp_path)).facts["file_alone"]
    assert alone["format"]["auc"] == 1
    assert (alone["format"]["real"], alone["format"]["fake"]) == ("PNG in 100%", "JPEG in 100%")
    exif = Image.Exif()
    exif[0x10F] = "camera"
    for face in pairs(tmp_path, 12)[1::2]:
        with Image.open(tmp_path / face.path) as image:
            image.load()
        image.save(tmp_path / face.path, quality=90, exif=exif)
    alone = examine(FaceIndex.of(pairs_rows(tmp_path), tmp_path)).facts["file_alone"]
    assert alone["presence of EXIF"]["auc"] == 1


def test_one_of_several_methods_is_enough_for_a_shortcut(tmp_path):
    faces = pairs(tmp_path, 30)
    methods = ["one", "two", "three"]
    fakes = [face for face in faces if face.label]
    for number, face in enumerate(fakes):
        faces[faces.index(face)] = replace(face, method=methods[number % 3])
        if number % 3 == 2:
            save(tmp_path / face.path, draw_image(2000 + number), 40)
    shortcut = examine(FaceIndex.of(faces, tmp_path)).facts["file_alone"]["JPEG quantisation"]
    assert (shortcut["auc"], shortcut["among"], shortcut["faces"]) == (1, "three", 40)


def test_scores_of_features():
    fake = np.repeat([False, True], 50)
    steps = np.arange(100.0)
    assert score_feature(steps, fake) == 1
    assert score_feature(-steps, fake) == 1
    # In the middle of the real ones: no order of three levels tells, their shares do.
    levels = np.concatenate([np.repeat([0.0, 2.0], 25), np.ones(50)])
    assert score_feature(levels, fake) == 1
    assert score_feature(np.random.default_rng(0).normal(size=100), fake) == 0.5
    assert score_feature(steps[:3], np.array([False, True, True])) == 0.5
    assert score_feature(steps, np.ones(100, bool)) == 0.5
    # 30 of 50 fakes above all real faces, the others below: 0.6 + nothing.
    shares = np.concatenate([np.zeros(500), np.repeat([0.0, 1.0], [200, 300])])
    assert score_feature(shares, np.repeat([False, True], 500)) == pytest.approx(0.8)
