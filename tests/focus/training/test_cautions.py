from __future__ import annotations

import cv2
import numpy as np
import pytest

from focus.data.index import Face, FaceIndex
from focus.data.transforms import Augmentation
from focus.training.cautions import list_cautions, measure_giveaways
from focus.training.options import FitConfig


def corpus(folder, fake_side=16, fake_quality=90, fake_source="a"):
    """Write 40 real and 40 fake grey JPEGs, alike unless told otherwise."""
    faces = []
    for label, side, quality in ((0, 16, 90), (1, fake_side, fake_quality)):
        for number in range(40):
            source = fake_source if label and number % 10 else "a"
            path = f"{source}/{label}-{number}.jpg"
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            options = [cv2.IMWRITE_JPEG_QUALITY, quality]
            cv2.imwrite(str(folder / path), np.full((side, side, 3), number, np.uint8), options)
            faces.append(Face(path, label))
    return FaceIndex.of(faces, folder)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, []),
        ({"fake_side": 20}, ["width", "height"]),
        ({"fake_quality": 60}, ["JPEG quality"]),
        ({"fake_source": "b"}, ["source"]),
    ],
)
def test_a_caution_names_what_tells_the_label(tmp_path, change, told):
    lines = list_cautions(corpus(tmp_path, **change), FitConfig())
    assert len(lines) == bool(told)
    for name in ("width", "height", "JPEG quality", "source", "format"):
        assert any(f"{name} (AUC" in line for line in lines) == (name in told)


def test_a_balance_by_source_hides_the_source(tmp_path):
    index = corpus(tmp_path, fake_source="b")
    assert measure_giveaways(index)["source"] == pytest.approx(0.95)
    lines = list_cautions(index, FitConfig(balance="source"))
    assert len(lines) == 1
    assert "leaves out 1 source" in lines[0]
    assert lines[0].endswith(": b")


def test_self_blends_alone_need_no_caution_on_the_fakes_of_the_index(tmp_path):
    alone = Augmentation(augment=("self-blend",), self_blend_share=1.0)
    assert list_cautions(corpus(tmp_path, 20), FitConfig(augmentation=alone)) == []


def test_pairs_without_an_original_are_counted(tmp_path):
    faces = list(corpus(tmp_path))
    fakes = [Face(f.path, 1, original="a/./0-3.jpg" if k else "") for k, f in enumerate(faces[40:])]
    lines = list_cautions(FaceIndex.of([*faces[:40], *fakes], tmp_path), FitConfig(balance="pair"))
    assert len(lines) == 1
    assert "--balance pair: 1 fake without an original" in lines[0]
