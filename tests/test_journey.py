"""One face from folder to table, by the commands a user types, and the mistakes users make."""

import json

import cv2
import h5py
import numpy as np
import pytest

from evaluator.cli import main as evaluator
from focus.cli import main as focus
from focus.mapstore import MapReader

SMALL = ["--image-size", "64", "--steps", "2", "--batch", "8", "--validate-every", "2", "--quiet"]


@pytest.fixture(scope="module")
def run(demo_corpus, tmp_path_factory):
    """Return the folder of a run of two steps."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    arguments = ["train", "demo", "--data", str(demo_corpus), "--out", str(folder), *SMALL]
    assert focus([*arguments, "--workers", "0"]) == 0
    return folder


@pytest.fixture(scope="module")
def maps(demo_corpus, run, tmp_path_factory):
    """Return a map file of the whole corpus."""
    out = tmp_path_factory.mktemp("maps") / "focus.h5"
    generate(demo_corpus, run, out, "--real-maps", "fake-class")
    return out


def generate(data, run, out, *more):
    arguments = ["generate", "--data", str(data), "--weights", str(run), "--out", str(out)]
    assert focus([*arguments, "--workers", "0", "--quiet", *more]) == 0


def test_from_folder_to_table(demo_corpus, maps, tmp_path, capsys):
    copy = tmp_path / "copy.csv"
    assert focus(["index", "--data", str(demo_corpus), "--out", str(copy), "--quiet"]) == 0
    assert "40 faces (20 real, 20 fake" in capsys.readouterr().out
    assert focus(["info", str(maps), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["faces"] == 40
    result = tmp_path / "score.json"
    score = ["score", "--maps", str(maps), "--split", "all", "--draws", "50", "--quiet"]
    assert evaluator([*score, "--json", str(result)]) == 0
    metrics = json.loads(result.read_text())["metrics"]
    assert 0 <= metrics["pixel_auc"]["value"] <= 1
    assert metrics["prior_pixel_auc"]["n"] == 20
    assert metrics["fp_area_real"]["value"] is not None
    capsys.readouterr()
    assert evaluator(["table", str(result), "--columns", "pixel_auc"]) == 0
    assert "place prior" in capsys.readouterr().out
    page = tmp_path / "report.html"
    assert focus(["view", str(maps), "--out", str(page), "--quiet"]) == 0
    assert page.stat().st_size > 50_000


def test_real_faces_are_zero_in_supervision(demo_corpus, run, tmp_path):
    generate(demo_corpus, run, tmp_path / "zero.h5")
    with MapReader(tmp_path / "zero.h5") as reader:
        assert reader.attributes["real_maps"] == "zero"
        levels = reader.read(np.arange(len(reader)))
        assert not levels[reader.labels == 0].any()
        assert levels[reader.labels == 1].any()


def test_maps_do_not_depend_on_the_batch(demo_corpus, run, maps, tmp_path):
    generate(demo_corpus, run, tmp_path / "same.h5", "--real-maps", "fake-class")
    generate(demo_corpus, run, tmp_path / "small.h5", "--real-maps", "fake-class", "--batch", "3")
    with h5py.File(maps) as whole, h5py.File(tmp_path / "same.h5") as same:
        assert np.array_equal(whole["maps"], same["maps"])
        assert np.array_equal(whole["score"], same["score"])
        with h5py.File(tmp_path / "small.h5") as small:
            scales = zip(whole["scale"][:], small["scale"][:], strict=True)
            assert all(first == second for first, second in scales)
            difference = np.abs(whole["maps"][:].astype(int) - small["maps"][:])
            assert difference.max() <= 256
            assert list(whole["key"]) == list(small["key"])


def test_one_image_one_video_and_a_folder(run, tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "faces").mkdir()
    for name in ("a.jpg", "b.png"):
        image = rng.integers(0, 255, (80, 60, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / "faces" / name), image)
    film = cv2.VideoWriter(
        str(tmp_path / "clip.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 25, (64, 48)
    )
    for _ in range(9):
        film.write(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
    film.release()
    keys = {}
    for name, data, more in (
        ("image", tmp_path / "faces" / "a.jpg", []),
        ("folder", tmp_path / "faces", []),
        ("video", tmp_path / "clip.mp4", ["--every", "4"]),
    ):
        generate(data, run, tmp_path / f"{name}.h5", *more)
        assert (
            focus(
                ["view", str(tmp_path / f"{name}.h5"), "--out", str(tmp_path / "x.html"), "--quiet"]
            )
            == 0
        )
        with MapReader(tmp_path / f"{name}.h5") as reader:
            keys[name] = list(reader.face_keys)
            assert reader.attributes["real_maps"] == "fake-class"  # unlabelled: Eq. 9
    assert keys == {
        "image": ["a.jpg"],
        "folder": ["a.jpg", "b.png"],
        "video": ["clip.mp4#0", "clip.mp4#4", "clip.mp4#8"],
    }


def test_gradcam_comes_through_the_same_door(demo_corpus, tmp_path):
    out = tmp_path / "classifier"
    arguments = [
        "train",
        "demo",
        "--model",
        "classifier",
        "--data",
        str(demo_corpus),
        "--out",
        str(out),
    ]
    assert focus([*arguments, *SMALL, "--workers", "0"]) == 0
    generate(demo_corpus, out, tmp_path / "cam.h5", "--method", "gradcam")
    with MapReader(tmp_path / "cam.h5") as reader:
        assert reader.attributes["generator"] == "gradcam"
        assert reader.shape == (8, 8)


def test_newest_finished_run_is_taken_and_named(demo_corpus, run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mine").symlink_to(run)
    assert focus(["generate", "--data", str(demo_corpus), "--split", "val", "--workers", "0"]) == 0
    assert "runs/mine, the newest finished run" in capsys.readouterr().err
    assert (tmp_path / "focus.h5").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generate", "--data", "nowhere"], "no such file, folder or corpus"),
        (["generate", "--data", "{corpus}", "--weights", "nowhere"], "no such run folder"),
        (["generate", "--data", "{corpus}", "--method", "gradcm"], "perhaps gradcam?"),
        (
            [
                "generate",
                "--data",
                "{corpus}",
                "--method",
                "gradcam",
                "--weights",
                "{run}",
                "--options",
                "layer=nowhere",
            ],
            "the network has no nowhere",
        ),
        (["generate", "--data", "{corpus}", "--batch", "many"], "--batch"),
        (
            [
                "generate",
                "--data",
                "{corpus}",
                "--precision",
                "fp16",
                "--device",
                "cpu",
                "--weights",
                "{run}",
            ],
            "fp16 needs a GPU",
        ),
        (["generate", "--data", "{maps}"], "use --maps for it"),
        (
            ["generate", "--data", "{corpus}", "--weights", "{run}", "--normalise", "most"],
            "--normalise most: use one of class_minmax",
        ),
        (["train", "huge"], "no recipe 'huge'"),
        (["train", "--data", "{corpus}", "--out", "{run}"], "holds a finished run"),
        (
            ["train", "demo", "--data", "{corpus}", "--out", "{new}", "--encoder", "resnt18"],
            "timm has no such model",
        ),
        (["view", "{maps}", "--data", "{run}/curve.png"], "no map of any of these faces"),
        (["info", "{corpus}"], "not an HDF5 file"),
        (["lok"], "no command 'lok'"),
    ],
)
def test_every_mistake_is_one_line(arguments, message, demo_corpus, run, maps, tmp_path, capsys):
    known = {"corpus": demo_corpus, "run": run, "maps": maps, "new": tmp_path / "new"}
    assert focus([argument.format(**known) for argument in arguments]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert message in said[0]


def test_help_has_an_example(capsys):
    from evaluator.cli import COMMANDS as EVALUATOR
    from focus.cli import COMMANDS as FOCUS

    for program, commands in ((focus, FOCUS), (evaluator, EVALUATOR)):
        for name, command in commands.items():
            with pytest.raises(SystemExit) as leaving:
                program([name, "--help"])
            assert leaving.value.code == 0
            shown = capsys.readouterr().out
            assert " ".join(command.example.split()[:3]) in " ".join(shown.split())
