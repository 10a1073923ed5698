from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from focus.data.corpora.dfdc import CORPUS, PREVIEW
from focus.data.corpus import Corpus, ScanOptions
from focus.data.index import Face
from focus.errors import InputError
from tests.shared import SHARED

Plant = Callable[..., Path]
FAKE = {"label": "FAKE", "split": "train", "original": "real.mp4"}
REAL = {"label": "REAL", "split": "train", "original": None}


def scan(root: Path, corpus: Corpus = CORPUS) -> dict[str, Face]:
    return {face.path: face for face in corpus.scan(root, ScanOptions())}


def plant_part(plant: Plant, part: str, records: dict[str, object], below: str = "") -> Path:
    plant(*(f"{part}/{below}{name}" for name in records))
    return plant(f"{part}/metadata.json", text=json.dumps(records))


@pytest.fixture
def root(plant: Plant) -> Path:
    plant_part(plant, "dfdc_train_part_0", {"fake.mp4": FAKE, "real.mp4": REAL})
    plant_part(plant, "dfdc_train_part_10", {"fake.mp4": {**FAKE, "original": "else.mp4"}})
    plant_part(
        plant, "dfdc_train_part_9", {"else.mp4": REAL, "lone.mp4": {**FAKE, "original": "x"}}
    )
    plant("test/aa.mp4", "test/bb.mp4")
    return plant("test/labels.csv", text="filename,label\naa.mp4,1\nbb.mp4,0\n")


def test_rows_of_parts_and_test(root: Path) -> None:
    faces = scan(root)
    assert {path: (face.label, face.split, face.original) for path, face in faces.items()} == {
        "dfdc_train_part_0/fake.mp4": (1, "train", "dfdc_train_part_0/real.mp4"),
        "dfdc_train_part_0/real.mp4": (0, "train", ""),
        "dfdc_train_part_10/fake.mp4": (1, "train", "dfdc_train_part_9/else.mp4"),
        "dfdc_train_part_9/else.mp4": (0, "train", ""),
        "dfdc_train_part_9/lone.mp4": (1, "train", ""),
        "test/aa.mp4": (1, "test", ""),
        "test/bb.mp4": (0, "test", ""),
    }
    assert [path.split("/")[0] for path in faces][3] == "dfdc_train_part_9"
    assert faces["dfdc_train_part_0/fake.mp4"].video == "dfdc_train_part_0/fake"
    assert len({face.video for face in faces.values()}) == 7
    targets = {path: face.extra["target"] for path, face in faces.items()}
    assert targets["dfdc_train_part_10/fake.mp4"] == "else"
    assert targets["dfdc_train_part_9/else.mp4"] == "else"
    assert targets["dfdc_train_part_9/lone.mp4"] == "x"
    assert targets["test/aa.mp4"] == ""


def test_an_original_is_looked_for_in_its_part_first(root: Path, plant: Plant) -> None:
    plant_part(plant, "dfdc_train_part_11", {"real.mp4": REAL})
    assert scan(root)["dfdc_train_part_0/fake.mp4"].original == "dfdc_train_part_0/real.mp4"


def test_a_merged_list_next_to_the_parts_is_ignored(root: Path, plant: Plant) -> None:
    before = scan(root)
    plant("metadata.json", text=json.dumps({"fake.mp4": FAKE, "real.mp4": REAL}))
    assert scan(root) == before


def test_variants_of_the_layout(plant: Plant) -> None:
    plant_part(plant, "train/dfdc_train_part_1", {"fake.mp4": FAKE, "real.mp4": REAL}, "videos/")
    plant("test/videos/aa.mp4")
    root = plant("labels.csv", text="filename,label\naa.mp4,0\n")
    faces = scan(root)
    fake = faces["train/dfdc_train_part_1/videos/fake.mp4"]
    assert fake.original == "train/dfdc_train_part_1/videos/real.mp4"
    assert faces["test/videos/aa.mp4"].label == 0


def test_a_part_alone_with_missing_and_unlisted_videos(plant: Plant) -> None:
    root = plant_part(plant, ".", {"fake.mp4": FAKE, "real.mp4": REAL})
    plant("more.mp4")
    (root / "real.mp4").unlink()
    faces = scan(root)
    assert {path: (face.label, face.split) for path, face in faces.items()} == {
        "fake.mp4": (1, "train"),
        "more.mp4": (-1, ""),
        "real.mp4": (0, "train"),
    }


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (
            {**FAKE, "label": "fakes"},
            "metadata.json: fake.mp4 has label 'fakes'; known: real, fake",
        ),
        ({**FAKE, "split": "dev"}, "metadata.json: fake.mp4 has split 'dev'; known: train"),
        ("FAKE", "metadata.json: the record of fake.mp4 is not a JSON object"),
    ],
)
def test_wrong_metadata_is_refused(plant: Plant, record: object, message: str) -> None:
    root = plant_part(plant, "dfdc_train_part_0", {"fake.mp4": record})
    with pytest.raises(InputError, match=message):
        scan(root)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "filename,label\naa.mp4,1\nbb.mp4,FAKE\n",
            "line 3: label must be 0 .real. or 1 .fake.: bb",
        ),
        ("filename,label\naa.mp4,1\naa.mp4,1\n", "line 3 repeats aa.mp4"),
        ('filename,label\n"a\na.mp4",1\n\n"b\nb",x\n', "line 5: label must be 0"),
        ("name,is_fake\naa.mp4,1\n", "line 1 must be filename,label, not name,is_fake"),
    ],
)
def test_wrong_labels_are_refused(root: Path, plant: Plant, text: str, message: str) -> None:
    plant("test/labels.csv", text=text)
    with pytest.raises(InputError, match=f"labels.csv: {message}"):
        scan(root)


def test_missing_lists_are_reported(root: Path, plant: Plant) -> None:
    plant("dfdc_train_part_10/metadata.json", text="{\n'fake.mp4': 1}")
    with pytest.raises(InputError, match=r"dfdc_train_part_10/metadata.json: line 2 is not JSON"):
        scan(root)
    (root / "dfdc_train_part_10/metadata.json").unlink()
    with pytest.raises(InputError, match=r"dfdc_train_part_10/metadata.json: cannot be read"):
        scan(root)
    with pytest.raises(InputError, match="test: not DFDC: no dfdc_train_part"):
        scan(root / "test")
    with pytest.raises(InputError, match=r"not the DFDC preview: no dataset.json"):
        scan(root, PREVIEW)


def test_the_metadata_that_dfdc_ships() -> None:
    folder = SHARED / "data" / "clips"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    faces = scan(folder)
    assert (faces["abofeumbvv.mp4"].label, faces["abarnvbtwb.mp4"].label) == (1, 0)
    assert faces["abqwwspghj.mp4"].extra["target"] == "qzimuostzz"
    assert faces["deeperforensics_perturbation_input.mp4"].label == -1


PREVIEW_RECORDS = {
    "original_videos/12/12_1.mp4": {"label": "real", "set": "train", "target_id": "12"},
    "method_A/12/12_C/12_C_34.mp4": {
        "label": "fake",
        "set": "train",
        "target_id": "12",
        "swapped_id": "34",
        "augmentations": [],
    },
    "method_B/56/56_B/1.mp4": {"label": "fake", "set": "test"},
}


def plant_preview(plant: Plant, below: str = "", **more: object) -> Path:
    records = PREVIEW_RECORDS | more
    plant(*(f"{below}{name}" for name in records))
    return plant(f"{below}dataset.json", text=json.dumps(records))


@pytest.mark.parametrize("below", ["", "dfdc_preview_set/"])
def test_rows_of_the_preview(plant: Plant, below: str) -> None:
    faces = scan(plant_preview(plant, below), PREVIEW)
    assert {
        path.removeprefix(below): (face.label, face.split, face.method)
        for path, face in faces.items()
    } == {
        "original_videos/12/12_1.mp4": (0, "train", ""),
        "method_A/12/12_C/12_C_34.mp4": (1, "train", "method_A"),
        "method_B/56/56_B/1.mp4": (1, "test", "method_B"),
    }
    fake = faces[f"{below}method_A/12/12_C/12_C_34.mp4"]
    assert fake.extra == {"target": "12", "source": "34"}
    assert fake.video == f"{below}method_A/12/12_C/12_C_34"


def test_a_preview_with_missing_and_unlisted_parts(plant: Plant) -> None:
    root = plant_preview(plant)
    (root / "method_B/56/56_B/1.mp4").unlink()
    assert scan(root, PREVIEW)["method_B/56/56_B/1.mp4"].label == 1
    for folder in ("method_B/56/56_B", "method_B/56", "method_B"):
        (root / folder).rmdir()
    plant("method_A/99/new.mp4")
    faces = scan(root, PREVIEW)
    assert [(path, face.label) for path, face in faces.items()] == [
        ("method_A/12/12_C/12_C_34.mp4", 1),
        ("method_A/99/new.mp4", -1),
        ("original_videos/12/12_1.mp4", 0),
    ]


@pytest.mark.parametrize(
    ("name", "record", "message"),
    [
        ("method_C/1.mp4", {"label": "fake", "set": "test"}, "method_C/1.mp4 is in no known fold"),
        ("method_A/1.mp4", {"label": "1", "set": "test"}, "method_A/1.mp4 has label '1'; known"),
        ("method_A/1.mp4", {"label": "fake"}, "method_A/1.mp4 has set None; known: train"),
    ],
)
def test_a_wrong_preview_is_refused(plant: Plant, name: str, record: object, message: str) -> None:
    root = plant_preview(plant, **{name: record})
    with pytest.raises(InputError, match=f"dataset.json: {message}"):
        scan(root, PREVIEW)


def test_published_counts() -> None:
    assert CORPUS.published == {"test": 5000}
    assert CORPUS.unit == PREVIEW.unit == "video"
