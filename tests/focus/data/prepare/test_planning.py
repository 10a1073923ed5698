"""Names of crops."""

from __future__ import annotations

import pytest

from focus.data.prepare.planning import name_crops
from focus.errors import InputError


def test_crops_of_two_files_never_meet():
    assert name_crops(["a/x.mp4", "b.tar.gz!/c/1.png"]) == ["a/x", "b.tar.gz/c/1"]
    assert name_crops(["x.mp4", "X.avi", "y.mp4"]) == ["x.mp4", "X.avi", "y"]
    assert name_crops(["v.mp4", "v/00007.png"]) == ["v", "v/00007.png"]
    assert name_crops(["/disk/faces/a/1.mp4", "/disk/faces/b/1.mp4"]) == ["a/1", "b/1"]
    assert name_crops(["../../faces/x.mp4"]) == ["x"]
    with pytest.raises(InputError, match=r"x\.mp4 and ./x\.mp4: their crops would share a name"):
        name_crops(["x.mp4", "./x.mp4"])
