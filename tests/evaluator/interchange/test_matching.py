"""Predictions are matched to faces by name."""

from __future__ import annotations

import numpy as np
import pytest

from focus.data.index import Face, FaceIndex
from focus.errors import InputError
from tests.evaluator.interchange.making import KEYS, run_import, save


def test_predictions_are_matched_by_name_in_any_order(corpus):
    folder = corpus.parent / "theirs"
    save(folder, "b/000.png", 10)  # stem path
    save(folder, "a/000.png.png", 20)  # whole key
    save(folder, "001.npy", np.full((4, 4), 0.5))  # flat
    save(folder, "real/000.png", 40)
    save(folder, "zzz.png", 50)
    (folder / "list.csv").write_text("key,score\na/001.png,0.25\nb/000,1\n")
    reader = run_import(corpus, folder, scores=str(folder / "list.csv"))
    assert [round(float(reader[key][0, 0]) * 255) for key in KEYS] == [40, 20, 128, 10]
    np.testing.assert_array_equal(reader.scores, [np.nan, np.nan, 0.25, 1])


def test_ambiguous_predictions_are_reported(corpus):
    folder = corpus.parent / "theirs"
    save(folder, "a/001.png", 1)
    save(folder, "001.png", 2)
    with pytest.raises(InputError, match=r"a/001\.png matches .*001.* and .*001"):
        run_import(corpus, folder)
    (folder / "001.png").unlink()
    save(folder, "a/001.npy", np.zeros((4, 4)))
    with pytest.raises(InputError, match="predictions of the same face"):
        run_import(corpus, folder)
    (folder / "a/001.npy").unlink()
    faces = [Face("a/001.png"), Face("a/001.jpg")]
    FaceIndex.of(faces, corpus).write(corpus / "index.csv")
    with pytest.raises(InputError, match=r"a/001 matches a/001\.png and a/001\.jpg"):
        run_import(corpus, folder)
