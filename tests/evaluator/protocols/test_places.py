"""Corpora are found below the root."""

from __future__ import annotations

from evaluator.protocols.places import find_faces
from evaluator.protocols.records import Faces


def test_corpora_are_found_by_either_name_and_prepared_faces_first(tmp_path):
    faces = Faces("x", "ffpp", "c23", ("Deepfakes",))
    lost = find_faces(faces, tmp_path)
    assert not lost.here
    assert (
        lost.missing
        == f"FaceForensics++: no folder {tmp_path}/ffpp, nor {tmp_path}/FaceForensics++"
    )
    (tmp_path / "FaceForensics++").mkdir()
    assert find_faces(faces, tmp_path).path == tmp_path / "FaceForensics++"
    (tmp_path / "ffpp-c23").mkdir()
    (tmp_path / "ffpp-c23" / "index.csv").touch()
    assert find_faces(faces, tmp_path).prepared
    part = find_faces(Faces("y", "monfap", part="Pixel_FFIW10K"), tmp_path)
    assert part.path == tmp_path / "monfap" / "Pixel_FFIW10K"
