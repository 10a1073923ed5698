from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import lmdb
import numpy as np
import pytest

from focus.data.corpora.deepfakebench import CORPUS, LABELS
from focus.data.corpus import ScanOptions
from focus.data.faces import FaceDataset
from focus.data.images import read_face
from focus.data.index import FaceIndex
from focus.data.loading import build_loader
from focus.errors import InputError, UnreadableError

Plant = Callable[..., Path]
DEEPFAKES = "FaceForensics++/manipulated_sequences/Deepfakes"
YOUTUBE = "FaceForensics++/original_sequences/youtube"
FOREIGN = ("", "./datasets/rgb/", "D:\\deepfakes\\rgb\\", "/home/someone/FaceForensics++/rgb/")


def scan(root: Path, compression: str = "", *methods: str) -> FaceIndex:
    return CORPUS.scan(root, ScanOptions(compression, methods))


def record(label: str, folder: str, *frames: str, prefix: str = "", **more: object) -> Any:
    paths = [f"{prefix}{folder}/{frame}.png" for frame in frames]
    if "\\" in prefix:
        paths = [path.replace("/", "\\") for path in paths]
    return {"label": label, "frames": paths, **more}


def plant_json(plant: Plant, name: str, content: object) -> Path:
    return plant(f"preprocessing/dataset_json/{name}.json", text=json.dumps(content))


def forensics(prefix: str = "") -> dict[str, Any]:
    frames = ("1000", "002", "101")
    real = record("FF-real", f"{YOUTUBE}/c23/frames/071", *frames, prefix=prefix)
    fake = record("FF-DF", f"{DEEPFAKES}/c23/frames/071_054", *frames, prefix=prefix)
    worse = record("FF-DF", f"{DEEPFAKES}/c40/frames/071_054", *frames, prefix=prefix)
    return {
        "FaceForensics++": {
            "FF-real": {"train": {"c23": {"071": real}}, "val": {"c23": {}}, "test": {"c23": {}}},
            "FF-DF": {"train": {"c23": {"071_054": fake}, "c40": {"071_054": worse}}},
        }
    }


@pytest.fixture
def root(plant: Plant) -> Path:
    plant(*(f"rgb/{YOUTUBE}/c23/frames/071/{name}.png" for name in ("002", "101", "1000")))
    for level in ("c23", "c40"):
        folder = f"rgb/{DEEPFAKES}/{level}/frames/071_054"
        plant(*(f"{folder}/{name}.png" for name in ("002", "101", "1000")))
    plant(*(f"rgb/{DEEPFAKES}/c23/masks/071_054/{name}.png" for name in ("002", "101", "1000")))
    plant(f"rgb/{YOUTUBE}/c23/masks/071/002.png")
    return plant_json(plant, "FaceForensics++", forensics())


def celeb(root: Path, plant: Plant, **splits: list[str]) -> Path:
    """Write a Celeb-DF whose splits contain the named videos."""
    for name in {name for names in splits.values() for name in names}:
        plant(f"rgb/Celeb-DF-v2/Celeb-synthesis/frames/{name}/000.png")
    videos = {
        split: {
            name: record("CelebDFv2_fake", f"Celeb-DF-v2/Celeb-synthesis/frames/{name}", "000")
            for name in names
        }
        for split, names in splits.items()
    }
    return plant_json(plant, "Celeb-DF-v2", {"Celeb-DF-v2": {"CelebDFv2_fake": videos}})


@pytest.mark.parametrize("prefix", FOREIGN)
def test_rows_from_paths_of_another_machine(root: Path, plant: Plant, prefix: str) -> None:
    plant_json(plant, "FaceForensics++", forensics(prefix))
    real, fake = f"rgb/{YOUTUBE}/c23/frames/071", f"rgb/{DEEPFAKES}/c23/frames/071_054"
    masks = f"rgb/{DEEPFAKES}/c23/masks/071_054"
    index = scan(root)
    assert [(face.path, face.label, face.method, face.mask) for face in index] == [
        (f"{fake}/002.png", 1, "FF-DF", f"{masks}/002.png"),
        (f"{fake}/101.png", 1, "FF-DF", f"{masks}/101.png"),
        (f"{fake}/1000.png", 1, "FF-DF", f"{masks}/1000.png"),
        (f"{real}/002.png", 0, "", ""),
        (f"{real}/101.png", 0, "", ""),
        (f"{real}/1000.png", 0, "", ""),
    ]
    assert set(index.column("split")) == {"train"}
    assert set(index.column("video")) == {f"FF-DF/{fake}", f"FF-real/{real}"}
    assert all(read_face(index.root, key).shape == (8, 8, 3) for key in index.keys)


@pytest.mark.parametrize("folder", ["", "rgb/", "datasets/", "datasets/rgb/"])
def test_images_and_lists_in_any_of_the_usual_places(plant: Plant, folder: str) -> None:
    plant(f"{folder}UADFV/fake/frames/7/0.png")
    content = {
        "UADFV": {"UADFV_Fake": {"test": {"7": record("UADFV_Fake", "UADFV/fake/frames/7", "0")}}}
    }
    for place in ("dataset_json/", ""):
        root = plant(f"{place}UADFV.json", text=json.dumps(content))
        assert scan(root).keys == [f"{folder}UADFV/fake/frames/7/0.png"]
        assert scan(root / f"{place}UADFV.json").keys == [f"{folder}UADFV/fake/frames/7/0.png"]
        (root / f"{place}UADFV.json").unlink()


def test_absolute_paths_that_exist_are_kept(root: Path, plant: Plant) -> None:
    plant_json(plant, "FaceForensics++", forensics(f"{root}/elsewhere/"))
    (root / "rgb").rename(root / "elsewhere")
    (root / "lists").mkdir()
    (root / "preprocessing").rename(root / "lists" / "preprocessing")
    index = scan(root / "lists")
    assert index.keys[0] == f"{root}/elsewhere/{DEEPFAKES}/c23/frames/071_054/002.png"
    assert read_face(index.root, index.keys[0]).shape == (8, 8, 3)


def test_compression_and_the_masks_that_all_levels_share(root: Path) -> None:
    index = scan(root, "c40")
    assert {face.path.split("/")[4] for face in index} == {"c40"}
    assert index[0].mask == f"rgb/{DEEPFAKES}/c23/masks/071_054/002.png"
    with pytest.raises(InputError, match=r"FaceForensics\+\+.json: no video of compression raw"):
        scan(root, "raw")
    with pytest.raises(InputError, match="compression c1: use raw, c23 or c40"):
        scan(root, "c1")


def test_listed_masks_are_paired_by_stem(root: Path, plant: Plant) -> None:
    plant("rgb/drawn/by/hand/101.png", "rgb/drawn/by/hand/002.png")
    content = forensics()
    masks = ["drawn/by/hand/101.png", "drawn/by/hand/002.png"]
    fake = content["FaceForensics++"]["FF-DF"]["train"]["c23"]["071_054"]
    fake["masks"] = [f"x\\{mask}" for mask in masks]
    plant("rgb/x/drawn/by/hand/101.png")
    plant_json(plant, "FaceForensics++", content)
    found = {face.path[-8:]: face.mask for face in scan(root) if face.label == 1}
    assert found == {
        "/002.png": "rgb/x/drawn/by/hand/002.png",
        "/101.png": "rgb/x/drawn/by/hand/101.png",
        "1000.png": "",
    }


def test_only_the_last_folder_called_frames_becomes_masks(plant: Plant) -> None:
    folder = "frames/FaceForensics++/manipulated_sequences/Face2Face/c23"
    plant(f"rgb/{folder}/frames/1_2/5.png", f"rgb/{folder}/masks/1_2/5.png")
    fake = record("FF-F2F", f"{folder}/frames/1_2", "5", masks=[])
    root = plant("F2F.json", text=json.dumps({"F2F": {"FF-F2F": {"test": {"1_2": fake}}}}))
    assert scan(root)[0].mask == f"rgb/{folder}/masks/1_2/5.png"


def test_val_that_repeats_test_is_test_only(
    root: Path, plant: Plant, capsys: pytest.CaptureFixture[str]
) -> None:
    # As distributed: train holds everything, and val is a copy of test.
    celeb(root, plant, train=["a", "b", "c"], val=["b", "c"], test=["b", "c"])
    index = scan(root / "preprocessing/dataset_json/Celeb-DF-v2.json")
    splits = {face.path.split("/")[-2]: face.split for face in index}
    assert splits == {"a": "train", "b": "test", "c": "test"}
    noted = capsys.readouterr().err
    assert "CelebDFv2_fake val: 2 videos left out: they are in test too" in noted
    assert "CelebDFv2_fake train: 2 videos left out: they are in test too" in noted


def test_a_malformed_val_is_left_out_and_a_malformed_test_refused(
    root: Path, plant: Plant, capsys: pytest.CaptureFixture[str]
) -> None:
    plant("rgb/DFDC/test/frames/x/0.png")
    one = record("DFDC_Fake", "DFDC/test/frames/x", "0")
    plant_json(plant, "DFDC", {"DFDC": {"DFDC_Fake": {"val": one, "test": {"x": one}}}})
    index = scan(root, "", "DFDC_Fake").where(label=1)
    assert list(index.column("split")) == ["test"]
    assert "DFDC.json: DFDC_Fake val is left out" in capsys.readouterr().err
    plant_json(plant, "DFDC", {"DFDC": {"DFDC_Fake": {"test": one}}})
    with pytest.raises(InputError, match=r"DFDC.json: DFDC_Fake test label is not an object"):
        scan(root)


def test_files_that_repeat_each_other_give_each_frame_once(root: Path, plant: Plant) -> None:
    once = scan(root)
    content = {"FF-DF": forensics(FOREIGN[2])["FaceForensics++"]}
    plant_json(plant, "FF-DF", content)
    assert list(scan(root)) == list(once)
    content["FF-DF"]["FF-real"]["train"]["c23"]["071"]["label"] = "FF-DF"
    plant_json(plant, "FF-DF", content)
    with pytest.raises(InputError, match=r"FF-DF.json: FF-real train 071 is labelled FF-DF"):
        scan(root)
    content["FF-DF"] = {
        "FF-DF": {"train": {"x": record("FF-DF", f"{YOUTUBE}/c23/frames/071", "2")}}
    }
    plant_json(plant, "FF-DF", content)
    with pytest.raises(InputError, match="frames/071: labelled both real and fake: FF-"):
        scan(root)


def test_missing_datasets_are_noted_and_missing_frames_are_rows(
    root: Path, plant: Plant, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = {"1": record("UADFV_Real", "UADFV/real/frames/1", "0")}
    plant_json(plant, "UADFV", {"UADFV": {"UADFV_Real": {"test": absent}}})
    (root / f"rgb/{YOUTUBE}/c23/frames/071/002.png").unlink()
    assert f"rgb/{YOUTUBE}/c23/frames/071/002.png" in scan(root).keys
    noted = capsys.readouterr().err
    assert "UADFV.json: UADFV_Real test: 1 video left out: their folder is missing" in noted
    with pytest.raises(InputError, match=r"no folder listed .* they list UADFV/real/frames/1"):
        scan(root / "preprocessing/dataset_json/UADFV.json")


@pytest.mark.parametrize("separator", ["/", "\\"])
def test_images_in_an_lmdb_folder(root: Path, plant: Plant, separator: str) -> None:
    content = {"1": record("UADFV_Fake", "UADFV/fake/frames/1", "0", "1", prefix="D:\\rgb\\")}
    plant_json(plant, "UADFV", {"UADFV": {"UADFV_Fake": {"test": content}}})
    image = np.full((8, 8, 3), 77, np.uint8)
    (root / "lmdb").mkdir()
    with lmdb.open(str(root / "lmdb/UADFV_lmdb")) as folder, folder.begin(write=True) as view:
        key = separator.join(["UADFV", "fake", "frames", "1", "0.png"])
        view.put(key.encode(), cv2.imencode(".png", image)[1].tobytes())
    index = scan(root / "preprocessing/dataset_json/UADFV.json")
    assert [(face.path, face.label, face.split) for face in index] == [
        ("lmdb/UADFV_lmdb!/UADFV/fake/frames/1/0.png", 1, "test"),
        ("lmdb/UADFV_lmdb!/UADFV/fake/frames/1/1.png", 1, "test"),
    ]
    assert np.array_equal(read_face(index.root, index.keys[0]), image)
    with pytest.raises(UnreadableError, match="no such key"):
        read_face(index.root, index.keys[1])
    batches = build_loader(FaceDataset(index, 8), [[0], [0, 1]], workers=2)  # over a fork
    assert [len(batch.failures) for batch in batches] == [0, 1]


def test_a_damaged_lmdb_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "X_lmdb").mkdir()
    (tmp_path / "X_lmdb" / "data.mdb").write_bytes(b"nonsense" * 2000)
    with pytest.raises(UnreadableError, match="LMDB folder is damaged"):
        read_face(tmp_path, "X_lmdb!/a.png")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"D": {"my_real": {"test": {}}}}, "unknown label 'my_real' .known: ff-real"),
        ({"D": {"FF-DF": {"dev": {}}}}, "FF-DF has a split 'dev'; known: train, val, test"),
        ({"D": {"FF-DF": []}}, "FF-DF is not an object"),
        ([], "the file is not an object"),
        ({"D": {"FF-DF": {"test": {"v": {}}}}}, "FF-DF test v: frames and masks must be lists"),
        (
            {
                "D": {
                    "FF-DF": {
                        "test": {"v": {"frames": ["D/x/frames/1/0.png", "D/x/frames/2/0.png"]}}
                    }
                }
            },
            "FF-DF test v has frames in two folders",
        ),
    ],
)
def test_wrong_files_are_refused(root: Path, plant: Plant, content: object, message: str) -> None:
    plant_json(plant, "wrong", content)
    with pytest.raises(InputError, match=f"wrong.json: {message}"):
        scan(root)


def test_a_folder_without_lists_is_refused(root: Path) -> None:
    with pytest.raises(InputError, match=r"rgb: not DeepfakeBench: no dataset_json/\*.json"):
        scan(root / "rgb")


def test_polarity_of_every_label() -> None:
    assert {name: label for name, label in LABELS.items() if label == 0}.keys() == {
        name for name in LABELS if name.endswith("real")
    }
    assert LABELS["dfdcp_fakeb"] == LABELS["ff-sh"] == LABELS["dfd_fake"] == 1
    assert CORPUS.unit == "face"
