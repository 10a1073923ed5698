"""Maps to other formats and back: exact, matched by name, never outside the folder."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from evaluator.interchange import (
    ExportCommand,
    ImportCommand,
    encode_rle,
    export_command,
    export_maps,
    import_command,
    import_maps,
)
from evaluator.interchange.names import flat_names, kept_paths
from evaluator.interchange.reading import read_prediction, read_scores
from evaluator.scoring.command import score_maps
from focus.cells import write_rows
from focus.data.index import Face, FaceIndex
from focus.data.sources import Source
from focus.errors import CheckFailedError, InputError, UnreadableError
from focus.mapstore import MapReader, MapWriter
from focus.runtime import Runtime

QUIET = Runtime(quiet=True)
KEYS = ("real/000.jpg", "a/000.png", "a/001.png", "b/000.png")
SIZES = ((20, 30), (20, 30), (40, 16), (16, 16))
SCORES = (0.1, 1 / 3, np.nan, 0.9)


@pytest.fixture
def corpus(tmp_path):
    """Four faces of three sizes with an index, and a map file of 7 x 5 levels."""
    root = tmp_path / "corpus"
    faces = []
    for key, (height, width) in zip(KEYS, SIZES, strict=True):
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / key), np.full((height, width, 3), 90, np.uint8))
        faces.append(Face(key, int(not key.startswith("real")), "test"))
    FaceIndex.of(faces, root).write(root / "index.csv")
    levels = np.random.default_rng(0).integers(0, 256, (4, 7, 5), dtype=np.uint8)
    write_maps(root / "maps.h5", KEYS, levels, SCORES, data=str(root / "index.csv"))
    return root


def write_maps(path, keys, levels, scores=None, **more):
    with MapWriter(path, generator="mine", **more) as writer:
        writer.append(keys, levels, scores=scores)
    return path


def run_export(root, form, **more):
    out = root.parent / form
    command = ExportCommand(str(root / "maps.h5"), str(out), form, runtime=QUIET, **more)
    export_command(command)
    return out


def run_import(root, predictions, out="back.h5", **more):
    source = Source(str(root / "index.csv"))
    path = root.parent / out
    folder = str(predictions) if predictions else ""
    import_command(ImportCommand(folder, source, str(path), runtime=QUIET, **more))
    return MapReader(path)


def same(first, second):
    assert list(first) == list(second)
    np.testing.assert_array_equal(first.read(slice(None)), second.read(slice(None)))
    np.testing.assert_array_equal(first.scores, second.scores)


# Run-length encoding


def test_rle_by_hand():
    # Column by column 0 0 1 1 1 1: runs 2, 4, as characters 2 + 48 and 4 + 48.
    assert encode_rle(np.array([[0, 1, 1], [0, 1, 1]], bool)) == "24"
    assert encode_rle(np.zeros((2, 2), bool)) == "4"
    # Begins with a one: no zeros first. 32 pixels need two groups of five bits: 00000, then 1.
    assert encode_rle(np.ones((8, 4), bool)) == "0P1"


def test_rle_counts_are_differences_from_the_fourth_on():
    pixels = np.repeat([0, 1, 0, 1, 0], [3, 2, 5, 1, 9]).astype(bool)
    # 3, 2, 5, then 1 - 2 = -1 (all five bits set: 31 + 48) and 9 - 5 = 4.
    assert encode_rle(pixels.reshape(-1, 1)) == "325O4"


def test_rle_equals_pycocotools():
    reference = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    generator = np.random.default_rng(3)
    for height, width in ((1, 1), (7, 300), (64, 64), (500, 3)):
        for share in (0.0, 0.02, 0.5, 0.98, 1.0):
            mask = generator.random((height, width)) < share
            theirs = reference.encode(np.asfortranarray(mask.astype(np.uint8)))
            assert encode_rle(mask) == theirs["counts"].decode()


# Export


def test_imdl_has_image_sizes_and_unique_names(corpus):
    out = run_export(corpus, "imdl")
    names = sorted(path.name for path in (out / "pred").iterdir())
    assert len(names) == 4
    assert "001.png" in names  # a unique name
    assert not any(name == "000.png" for name in names)  # three faces share it
    keys = dict(line.split(",") for line in (out / "names.csv").read_text().splitlines()[1:])
    assert sorted(keys.values()) == sorted(KEYS)
    for name, key in keys.items():
        image = cv2.imread(str(out / "pred" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        assert image.shape == SIZES[KEYS.index(key)]
        assert image.dtype == np.uint8
    probabilities = json.loads((out / "pred_label_combined.json").read_text())
    found = {keys[name]: value for name, value in probabilities.items()}
    assert found == {
        "real/000.jpg": np.float32(0.1),
        "a/000.png": np.float32(1 / 3),
        "b/000.png": np.float32(0.9),
    }


def test_wsol_keeps_the_path_of_the_id(corpus):
    out = run_export(corpus, "wsol")
    reader = MapReader(corpus / "maps.h5")
    for key, size in zip(KEYS, SIZES, strict=True):
        values = np.load(out / f"{key}.npy", allow_pickle=False)
        assert values.shape == size
        assert values.dtype == np.float32
        expected = cv2.resize(reader[key], size[::-1], interpolation=cv2.INTER_LINEAR)
        np.testing.assert_allclose(values, expected, atol=1e-6)


def test_coco_masks_are_above_the_recorded_threshold(corpus):
    out = run_export(corpus, "coco", threshold=0.25)
    results = json.loads((out / "results.json").read_text())
    assert [entry["image_id"] for entry in results] == list(KEYS)
    assert {entry["threshold"] for entry in results} == {0.25}
    assert "score" not in results[2]
    entry, level = results[3], MapReader(corpus / "maps.h5")["b/000.png"]
    assert entry["segmentation"]["size"] == [16, 16]
    resized = cv2.resize(level * 255, (16, 16), interpolation=cv2.INTER_LINEAR)
    mask = np.ceil(resized - 0.5) > 0.25 * 255
    assert entry["segmentation"]["counts"] == encode_rle(mask)


def test_png_needs_no_faces(tmp_path):
    levels = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    write_maps(tmp_path / "maps.h5", ["nowhere/x.jpg"], levels)
    export_maps(MapReader(tmp_path / "maps.h5"), tmp_path / "out", quiet=True)
    read = cv2.imread(str(tmp_path / "out/nowhere/x.jpg.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(read, levels[0] * np.uint16(257))


@pytest.mark.parametrize(
    "key", ["../x.png", "/tmp/x.png", "a/../../x.png", "..\\x.png", "C:\\x.png", "C:x.png", "a//b"]
)
def test_hostile_keys_are_refused(tmp_path, key):
    path = write_maps(tmp_path / "maps.h5", [key], np.zeros((1, 2, 2), np.uint8))
    for form in ("png", "wsol"):
        with pytest.raises(InputError, match="refused"):
            export_command(ExportCommand(str(path), str(tmp_path / "out" / form), form))
    assert not (tmp_path / "out").exists()
    name = flat_names([key])[key]
    assert not set(name) & set("/\\:")
    assert not name.startswith(".")


def test_a_full_folder_unknown_faces_and_unreadable_images(corpus):
    (corpus.parent / "png").mkdir()
    (corpus.parent / "png" / "old.png").touch()
    with pytest.raises(InputError, match="not an empty folder"):
        run_export(corpus, "png")
    (corpus / "a/000.png").write_bytes(b"nothing")
    with pytest.raises(CheckFailedError, match=r"1 image .* a/000\.png: not an image"):
        run_export(corpus, "wsol")
    assert (corpus.parent / "wsol/b/000.png.npy").exists()
    assert "a/000" not in (corpus.parent / "wsol/scores.csv").read_text()
    FaceIndex.of([Face("other.png")], corpus).write(corpus / "index.csv")
    with pytest.raises(InputError, match=r"4 of its 4 faces are not in the index"):
        run_export(corpus, "imdl")


def test_names_that_differ_only_in_case():
    names = flat_names(["x/A.png", "y/a.png", "z/b.png", "x/-c?.png"])
    assert names["z/b.png"] == "b"
    assert len({name.casefold() for name in names.values()}) == 4
    assert flat_names(["z/" + "é" * 300])["z/" + "é" * 300].encode()[200:] == b""
    with pytest.raises(InputError, match="would be the same file"):
        kept_paths(["x/A.png", "x/a.png"], "rename one")


# Import, and round trips


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


def save(folder, name, value, size=(4, 4)):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, value)
    else:
        cv2.imwrite(str(path), np.full(size, value, np.uint8))


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


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("key;score\n", "has no column 'key'"),
        ("key,score\nb/000.png,1.5\n", r"line 2: score '1\.5' of 'b/000\.png' is not in \[0, 1\]"),
        ("key,score\nb/000.png,\n", "line 2: score ''"),
        ("key,score\nb/000.png,nan\n", "line 2: score 'nan'"),
        ("key,score\nb/000.png,1\nb/000.png,0\n", "line 3: 'b/000.png' occurs twice"),
        ("key,score\nother.png,1\n", "none of its predictions, such as other, matches a face"),
    ],
)
def test_wrong_scores_are_reported(corpus, text, fault):
    path = corpus.parent / "theirs.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=fault):
        run_import(corpus, None, scores=str(path))


@pytest.mark.parametrize("text", ["[1]", "{", '{"b/000.png": "high"}', "[" * 100_000])
def test_wrong_json_is_reported(corpus, text):
    path = corpus.parent / "theirs.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"theirs\.json: "):
        run_import(corpus, None, scores=str(path))


def test_names_outside_the_folder_are_refused(corpus):
    folder = corpus.parent / "theirs"
    save(folder, "a/001.png", 1)
    (folder / "names.csv").write_text("name,key\n../001,a/001.png\n")
    with pytest.raises(InputError, match="is not a path below the folder"):
        run_import(corpus, folder)


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        (np.zeros((2, 3, 4)), "shape"),
        (np.full((2, 2), 1.01), "outside"),
        (np.full((2, 2), np.nan), "outside"),
        (np.zeros((2, 2), np.int64), "int64"),
        (np.array([{}]), "numbers"),
    ],
)
def test_arrays_that_are_not_maps(tmp_path, values, fault):
    np.save(tmp_path / "x.npy", values, allow_pickle=True)
    with pytest.raises(UnreadableError, match=fault):
        read_prediction(tmp_path / "x.npy")


def test_images_as_maps(tmp_path):
    cv2.imwrite(str(tmp_path / "deep.png"), np.array([[0, 65535, 32768]], np.uint16))
    expected = np.array([[0, 1, 32768 / 65535]], np.float32)
    np.testing.assert_array_equal(read_prediction(tmp_path / "deep.png"), expected)
    cv2.imwrite(str(tmp_path / "hot.png"), np.array([[[1, 2, 3]]], np.uint8))
    with pytest.raises(UnreadableError, match="colour image"):
        read_prediction(tmp_path / "hot.png")
    header = (
        b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (99999, 99999), }"
    )
    (tmp_path / "lying.npy").write_bytes(header.ljust(127) + b"\n")
    with pytest.raises(UnreadableError, match="not an NPY file"):
        read_prediction(tmp_path / "lying.npy")


def test_import_maps_returns_a_summary(corpus, tmp_path):
    folder = run_export(corpus, "png")
    found = import_maps(FaceIndex.read(corpus / "index.csv"), tmp_path / "b.h5", folder, quiet=True)
    assert found == (4, 3, (7, 5), [], [])
