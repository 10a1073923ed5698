"""Predictions of other systems to map files: exact, and never outside the folder."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from evaluator.interchange import (
    ImportCommand,
    import_maps,
)
from evaluator.interchange.reading import read_scores
from evaluator.scoring.command import score_maps
from focus.cells import write_rows
from focus.data.index import FaceIndex
from focus.errors import CheckFailedError, InputError
from focus.mapstore import MapReader
from tests.evaluator.interchange.making import (
    KEYS,
    SCORES,
    run_export,
    run_import,
    save,
    write_maps,
)


def same(first, second):
    assert list(first) == list(second)
    np.testing.assert_array_equal(first.read(slice(None)), second.read(slice(None)))
    np.testing.assert_array_equal(first.scores, second.scores)


def test_a_png_round_trip_is_exact(corpus):
    same(MapReader(corpus / "maps.h5"), run_import(corpus, run_export(corpus, "png")))


@pytest.mark.parametrize("form", ["imdl", "wsol", "png"])
def test_every_round_trip_is_exact_at_image_size(corpus, form):
    levels = np.random.default_rng(1).integers(0, 256, (4, 16, 16), dtype=np.uint8)
    for key in KEYS:
        cv2.imwrite(str(corpus / key), np.zeros((16, 16, 3), np.uint8))
    (corpus / "maps.h5").unlink()
    path = write_maps(corpus / "maps.h5", KEYS, levels, SCORES, data=str(corpus / "index.csv"))
    back = run_import(corpus, run_export(corpus, form))
    same(MapReader(path), back)
    np.testing.assert_array_equal(back.labels, [0, 1, 1, 1])
    assert back.attributes["real_maps"] == "fake-class"


def test_imported_maps_are_scored_without_giving_the_faces_again(corpus):
    reader = run_import(corpus, run_export(corpus, "png"))
    assert reader.attributes["data"] == str(corpus / "index.csv")
    result = score_maps(FaceIndex.read(corpus / "index.csv"), reader, draws=0, quiet=True)
    assert result["metrics"]["frame_auc"]["value"] == 1.0


def test_missing_and_unreadable_predictions_are_reported_and_the_rest_is_written(corpus):
    folder = corpus.parent / "theirs"
    save(folder, "a/001.png", 7)
    save(folder, "b/000.png", 8)
    (folder / "real").mkdir()
    (folder / "real/000.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(CheckFailedError) as error:
        run_import(corpus, folder)
    assert "2 of 4 faces" in str(error.value)
    assert "a/000.png (none found)" in str(error.value)
    assert "real/000.jpg (its header" in str(error.value)
    assert MapReader(corpus.parent / "back.h5").face_keys == ["a/001.png", "b/000.png"]


def test_maps_of_two_sizes_need_a_size(corpus):
    folder = corpus.parent / "theirs"
    for number, key in enumerate(KEYS):
        save(folder, f"{key}.png", 30 * number, (4 + number, 6))
    with pytest.raises(
        InputError, match="4 x 6 and 5 x 6 cannot be stored in one file; give --size"
    ):
        run_import(corpus, folder)
    reader = run_import(corpus, folder, size=8, overwrite=True)
    assert reader.shape == (8, 8)
    assert (reader["b/000.png"] == np.float32(90) / np.float32(255)).all()
    with pytest.raises(InputError, match="exists; --overwrite"):
        run_import(corpus, folder, size=8)


def test_maps_are_enlarged_bilinearly_and_shrunk_by_area(corpus):
    folder = corpus.parent / "theirs"
    for key in KEYS:
        path = folder / f"{key}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.array([[0.0, 1.0], [0.0, 1.0]], np.float32))
    reader = run_import(corpus, folder, size=4)
    np.testing.assert_allclose(reader[KEYS[0]], [[0, 0.25, 0.75, 1]] * 4, atol=1e-5)
    small = run_import(corpus, folder, size=1, overwrite=True)
    np.testing.assert_allclose(small[KEYS[0]], [[0.5]], atol=1e-5)


def test_faint_maps_survive_an_import(corpus):
    folder = corpus.parent / "theirs"
    values = np.linspace(0, 1e-5, 16, dtype=np.float32).reshape(4, 4)
    for key in KEYS:
        path = folder / f"{key}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, values)
    np.testing.assert_allclose(run_import(corpus, folder)[KEYS[0]], values, atol=1e-9)


def test_scores_belong_to_keys_and_not_to_lines(corpus):
    path = corpus.parent / "scores.csv"
    known = {key: 0.1 * (number + 1) for number, key in enumerate(KEYS)}
    lines = [f"{key},{score}\n" for key, score in reversed(known.items())]
    path.write_text("key,score\n" + "".join(lines))
    reader = run_import(corpus, None, scores=str(path))
    assert {key: reader.score(key) for key in reader} == pytest.approx(known)


def test_scores_only(corpus):
    path = corpus.parent / "scores.csv"
    path.write_text("key,score,note\n" + "".join(f"{key},0.5,x\n" for key in KEYS))
    reader = run_import(corpus, None, scores=str(path))
    assert reader.shape == (1, 1)
    assert set(reader.scores.tolist()) == {0.5}
    with pytest.raises(InputError, match="nothing to import"):
        ImportCommand()


def test_keys_that_look_like_formulas_survive_a_round_trip(tmp_path):
    path = tmp_path / "scores.csv"
    with path.open("w", newline="") as file:
        write_rows(file, ("key", "score"), [("=a.png", 0.25), ("-b.png", 0.75), ("-5", 1.0)])
    assert "'=a.png" in path.read_text()
    assert read_scores(path) == {"=a.png": 0.25, "-b.png": 0.75, "-5": 1.0}


def test_names_outside_the_folder_are_refused(corpus):
    folder = corpus.parent / "theirs"
    save(folder, "a/001.png", 1)
    (folder / "names.csv").write_text("name,key\n../001,a/001.png\n")
    with pytest.raises(InputError, match="is not a path below the folder"):
        run_import(corpus, folder)


def test_import_maps_returns_a_summary(corpus, tmp_path):
    folder = run_export(corpus, "png")
    found = import_maps(FaceIndex.read(corpus / "index.csv"), tmp_path / "b.h5", folder, quiet=True)
    assert found == (4, 3, (7, 5), [], [])


def test_a_row_with_line_breaks_is_named_by_its_first_line(tmp_path):
    (tmp_path / "s.csv").write_text('key,score\na,0.5\n\n"b\nc",2\n')
    with pytest.raises(InputError, match="line 4: score '2'"):
        read_scores(tmp_path / "s.csv")
