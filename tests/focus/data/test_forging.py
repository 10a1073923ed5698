"""Forgeries of real faces: exact masks, reproducible bytes, and no shortcuts."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage.transform import SimilarityTransform

from focus.data.cropping import crop
from focus.data.demo import draw_face
from focus.data.face_detection import YuNetDetector, enlarge
from focus.data.forging import (
    METHODS,
    ForgeCommand,
    Portrait,
    forge_command,
    forge_face,
    making,
    processes,
)
from focus.data.forging.areas import FAINTEST, soften
from focus.data.forging.command import assign_split, name_faces
from focus.data.forging.swapping import match_colours, measure_mismatch, warp_donor
from focus.data.images import read_image
from focus.data.index import Face, FaceIndex
from focus.data.landmarks import FaceShape, LandmarkModel
from focus.data.sources import Source
from focus.errors import CheckFailedError, InputError, UnreadableError
from focus.runtime import Runtime

SHARED = Path(os.environ.get("FOCUS_SHARED", Path(__file__).resolve().parents[4] / "shared"))
WEIGHTS = SHARED / "weights" / "pfld68.onnx"
DETECTOR, PHOTOS = SHARED / "weights" / "yunet.onnx", SHARED / "data" / "photos"
QUIET = Runtime(quiet=True)


def circle(x, y, across, down, count):
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.stack([x + across * np.cos(turn), y + down * np.sin(turn)], axis=1)


def flat_landmarks():
    """Return the 68 points of a drawn face, in half head heights."""
    fall = np.linspace(0, np.pi, 17)
    jaw = np.stack([-0.7 * np.cos(fall), 0.95 * np.sin(fall)], axis=1)
    brows = np.stack([np.linspace(-0.5, 0.5, 10), np.full(10, -0.2)], axis=1)
    nose = np.stack([np.linspace(-0.1, 0.1, 9), np.linspace(0, 0.35, 9)], axis=1)
    eyes = [circle(x, 0.03, 0.12, 0.05, 6) for x in (-0.3, 0.3)]
    return np.concatenate([jaw, brows, nose, *eyes, circle(0, 0.66, 0.22, 0.1, 20)])


def draw_portrait(seed, size=96):
    drawn = draw_face(np.random.default_rng(seed), size)
    there = np.stack([drawn.face_x, drawn.face_y], axis=-1).reshape(-1, 2)
    points = [np.linalg.norm(there - point, axis=1).argmin() for point in flat_landmarks()]
    places = np.array([(at % size, at // size) for at in points], np.float32)
    return Portrait(drawn.image, FaceShape.from_points(places))


class StubModel:
    """A fake landmark network: the points of a face in the middle of the image."""

    def __init__(self, weights):
        self.weights = weights

    def find(self, image):
        height, width = image.shape[:2]
        middle = np.array([width / 2, 0.45 * height])
        return (middle + 0.35 * height * flat_landmarks()).astype(np.float32)


@pytest.fixture
def stub(monkeypatch, tmp_path):
    monkeypatch.setattr(making, "LandmarkModel", StubModel)
    monkeypatch.setattr("focus.data.forging.command.LandmarkModel", StubModel)
    weights = tmp_path / "points.onnx"
    weights.write_bytes(b"replaces a network")
    return str(weights)


@pytest.fixture(autouse=True)
def no_model(monkeypatch):
    monkeypatch.delenv("FOCUS_LANDMARKS", raising=False)


def command(data, out, **options):
    source = options.pop("source", Source(data=str(data)))
    defaults = {"workers": 1, "runtime": QUIET}
    return ForgeCommand(source=source, out=str(out), **(defaults | options))


def forge(data, out, **options):
    forge_command(command(data, out, **options))
    return FaceIndex.read(out / "index.csv")


def contents(folder):
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def is_on(root, path):
    return cv2.imread(str(root / path), cv2.IMREAD_GRAYSCALE) > 0


# One forgery


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_forgery_changes_the_image_inside_its_mask_only(method, seed):
    portrait, donor = draw_portrait(seed), draw_portrait(seed + 10)
    before = portrait.image.copy()
    forgery = forge_face(portrait, method, np.random.default_rng(seed), donor)
    change = np.abs(forgery.image.astype(int) - before)
    assert np.array_equal(portrait.image, before)
    assert change[~forgery.mask].max() == 0
    assert change[forgery.mask].mean() >= making.LEAST_CHANGE
    assert 0.005 < forgery.mask.mean() < 0.6


def test_parts_are_where_they_should_be():
    portrait = draw_portrait(3)
    middle_of = {}
    for part in ("eyes", "mouth", "half"):
        masks = [
            forge_face(portrait, f"partial-{part}", np.random.default_rng(seed)).mask
            for seed in range(12)
        ]
        middle_of[part] = [np.argwhere(mask).mean(axis=0) for mask in masks]
    shape = portrait.shape
    rows = {part: np.median([place[0] for place in middle_of[part]]) for part in middle_of}
    assert rows["eyes"] == pytest.approx(shape.eyes[:, 1].mean(), abs=0.1 * shape.size)
    assert rows["mouth"] == pytest.approx(shape.mouth[:, 1].mean(), abs=0.1 * shape.size)
    sides = [np.sign(place[1] - shape.outline[:, 0].mean()) for place in middle_of["half"]]
    assert {-1, 1} == set(sides)


def test_weights_are_zero_or_above_the_threshold():
    square = np.array([[20, 20], [60, 20], [60, 60], [20, 60]], np.float32)
    area = soften(square, 0.05, 0.5, (80, 80))
    weight = np.zeros((80, 80), np.float32)
    weight[area.window] = area.weight
    assert np.all((weight == 0) | (weight >= FAINTEST))
    assert weight.max() == pytest.approx(0.5)
    # The rim fades inwards: 0 outside the square, above 0 inside except for a thin rim.
    inside = np.zeros((80, 80), bool)
    inside[20:61, 20:61] = True
    assert not weight[~inside].any()
    assert np.count_nonzero(weight) > 0.85 * np.count_nonzero(inside)


def test_blank_image_is_refused():
    blank = np.full((64, 64, 3), 255, np.uint8)
    blank[0] = 0
    tiny = FaceShape.from_box(64, 64).moved(200, 0)
    with pytest.raises(UnreadableError, match="no visible change by blend"):
        forge_face(Portrait(blank, tiny), "blend", np.random.default_rng(0))


def test_wrong_methods_are_refused():
    for method, reason in (("blur", "known: blend"), ("swap", "needs a donor")):
        with pytest.raises(InputError, match=reason):
            forge_face(draw_portrait(0), method, np.random.default_rng(0))


# Swaps


def test_mismatch_agrees_with_the_residual_of_another_library():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(68, 2))
    other = points @ [[0.8, 0.6], [-0.6, 0.8]] * 3 + 5 + rng.normal(size=(68, 2))
    rest = SimilarityTransform.from_estimate(other, points)(other) - points
    left = np.sqrt((rest**2).sum() / ((points - points.mean(0)) ** 2).sum())
    assert measure_mismatch(other, points) == pytest.approx(left)
    assert measure_mismatch(2 * points[:, ::-1] * [1, -1] + 3, points) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("stiffness", [0.05, 5.0])
def test_donor_is_warped_to_the_landmarks(stiffness):
    """An affine move needs no bending, so any stiffness undoes it."""
    image = cv2.GaussianBlur(draw_portrait(4, 128).image, (0, 0), 2)
    matrix = np.array([[0.9, 0.15, 5], [-0.1, 1.05, 4]])
    moved = cv2.warpAffine(image, matrix, (128, 128), borderMode=cv2.BORDER_REFLECT_101)
    points = 64 + 40 * flat_landmarks()
    donor = points @ matrix[:, :2].T + matrix[:, 2]
    window = slice(30, 101), slice(25, 99)
    warped = warp_donor(moved, donor, points, window, stiffness)
    difference = np.abs(warped.astype(int) - image[window])
    assert warped.shape == (71, 74, 3)
    assert difference.mean() < 1.5


def test_colours_are_matched_in_lab():
    below, content = draw_portrait(5).image, draw_portrait(6).image
    weight = np.zeros(below.shape[:2], np.float32)
    weight[30:70, 30:70] = 1
    matched = match_colours(content, below, weight)
    means = [
        cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)[30:70, 30:70].mean((0, 1))
        for image in (matched, below)
    ]
    assert np.allclose(means[0], means[1], atol=1.5)


def test_swap_inserts_the_other_face(monkeypatch):
    target, donor = draw_portrait(7), draw_portrait(8)
    unlike = forge_face(target, "swap", np.random.default_rng(0), donor).image
    itself = forge_face(target, "swap", np.random.default_rng(0), target).image
    mask = forge_face(target, "swap", np.random.default_rng(0), donor).mask
    far, near = (
        np.abs(image.astype(int) - target.image)[mask].mean() for image in (unlike, itself)
    )
    assert far > 3 * near


# The command


def test_index_keeps_splits_and_videos_and_balances_the_classes(demo_corpus, tmp_path, capsys):
    source = FaceIndex.read(demo_corpus)
    index = forge(demo_corpus, tmp_path / "out", forgery=("partial",))
    given = [(face.split, face.video) for face in source.where(label=0)]
    real, fake = list(index.where(label=0)), list(index.where(label=1))
    assert [(face.split, face.video) for face in real] == given
    assert [(face.split, face.video) for face in fake] == given
    assert [face.original for face in fake] == [face.path for face in real]
    assert {face.method for face in fake} <= set(METHODS[1:-1])
    assert len({face.method for face in fake}) > 1
    assert not any(face.method or face.mask for face in real)
    printed = capsys.readouterr().out
    assert f"{len(real)} real and {len(fake)} forged faces" in printed


def test_saved_masks_are_exact(demo_corpus, tmp_path):
    root = tmp_path / "out"
    index = forge(demo_corpus, root, png=True, per_face=2)
    for face in index.where(label=1):
        original, forged = read_image(root / face.original), read_image(root / face.path)
        mask, region = is_on(root, face.mask), is_on(root, face.region)
        change = np.abs(original.astype(int) - forged).max(axis=2)
        assert not change[~mask].any()
        assert change[mask].mean() > 2
        assert np.count_nonzero(mask & ~region) < 0.4 * np.count_nonzero(mask)
    given, saved = FaceIndex.read(demo_corpus).where(label=0)[0], index.where(label=0)[0]
    as_it_was = read_image(demo_corpus.parent / given.path)
    assert np.array_equal(as_it_was, read_image(root / saved.path))


def test_files_of_both_classes_have_the_same_format(demo_corpus, tmp_path):
    root = tmp_path / "out"
    index = forge(demo_corpus, root, size=80, quality=71)
    traces = set()
    for face in index:
        with Image.open(root / face.path) as image:
            traces.add((image.format, image.size, str(image.quantization)))
    assert len(traces) == 1
    assert "(80, 80)" in str(traces)


def test_same_bytes_in_one_process_and_in_two(demo_corpus, tmp_path, monkeypatch):
    forge(demo_corpus, tmp_path / "one")
    monkeypatch.setattr(processes, "_CHUNK", 4)
    forge(demo_corpus, tmp_path / "two", workers=2)
    one, two = contents(tmp_path / "one"), contents(tmp_path / "two")
    assert one.pop("forge.json") != two.pop("forge.json")  # they name the folder
    assert len(one) == 20 * 4 + 1
    assert one == two


def test_order_of_the_faces_does_not_matter(demo_corpus, tmp_path):
    shutil.copytree(demo_corpus.parent, tmp_path / "copy")
    index = FaceIndex.read(demo_corpus)
    index.take(np.arange(len(index))[::-1]).write(tmp_path / "copy" / "index.csv")
    forge(demo_corpus, tmp_path / "one")
    forge(tmp_path / "copy", tmp_path / "two")
    one, two = contents(tmp_path / "one"), contents(tmp_path / "two")
    for name in ("forge.json", "index.csv"):
        one.pop(name), two.pop(name)
    assert one == two


def test_another_seed_gives_other_masks(demo_corpus, tmp_path):
    forge(demo_corpus, tmp_path / "one")
    forge(demo_corpus, tmp_path / "two", runtime=replace(QUIET, seed=1))
    masks = [
        [data for path, data in contents(tmp_path / name).items() if path.startswith("mask/")]
        for name in ("one", "two")
    ]
    assert not set(masks[0]) & set(masks[1])


def test_killed_run_is_resumed(demo_corpus, tmp_path):
    root = tmp_path / "out"
    index = forge(demo_corpus, root)
    whole = contents(root)
    lost = [index[1].path, index[4].path, index[7].mask, "index.csv"]
    for path in lost:
        (root / path).unlink()
    kept = {path: (root / path).stat().st_mtime_ns for path in whole if (root / path).exists()}
    forge(demo_corpus, root)
    assert contents(root) == whole
    untouched = [path for path, time in kept.items() if (root / path).stat().st_mtime_ns == time]
    assert len(whole) - len(untouched) <= 3 * 4 + 1


def test_folder_of_another_command_is_refused(demo_corpus, tmp_path):
    forge(demo_corpus, tmp_path / "out")
    with pytest.raises(InputError, match="another command or other faces"):
        forge(demo_corpus, tmp_path / "out", quality=50)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="is not empty"):
        forge(demo_corpus, tmp_path / "full")


def test_out_inside_a_folder_of_photographs_is_refused(demo_corpus, tmp_path):
    shutil.copytree(demo_corpus.parent / "real", tmp_path / "photos")
    with pytest.raises(InputError, match="is inside"):
        forge(tmp_path / "photos", tmp_path / "photos" / "forged")


def test_unlabelled_photographs_are_split_by_video(demo_corpus, tmp_path):
    photos = tmp_path / "photos"
    for number, path in enumerate(sorted((demo_corpus.parent / "real").iterdir())):
        folder = photos / f"person {number // 4}"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / f"{number % 4}.jpg")
    index = forge(photos, tmp_path / "out")
    assert Counter(index.labels.tolist()) == {0: 20, 1: 20}
    assert {face.video for face in index} == {f"person {number}" for number in range(5)}
    assert len({(face.video, face.split) for face in index}) == 5
    assert (tmp_path / "out" / "real" / "person 3" / "2.jpg").is_file()


def test_splits_have_the_usual_shares():
    counts = Counter(assign_split(f"clip {number}") for number in range(4000))
    shares = [counts[split] / 4000 for split in ("train", "val", "test")]
    assert np.allclose(shares, [0.7, 0.1, 0.2], atol=0.03)


def test_faces_of_one_photograph_stay_together(demo_corpus, tmp_path):
    photo = cv2.imread(str(demo_corpus.parent / "real" / "0000-0.jpg"))
    cv2.imwrite(str(tmp_path / "two.png"), np.hstack([photo, photo[:, ::-1]]))
    boxes = {"0": "0 0 64 64", "1": "64 0 128 64"}
    faces = [Face(f"two.png#0.{face}", extra={"box": box}) for face, box in boxes.items()]
    FaceIndex.of(faces, tmp_path).write(tmp_path / "index.csv")
    index = forge(tmp_path / "index.csv", tmp_path / "out")
    assert {face.video for face in index} == {"two.png"}
    assert [face.path for face in index.where(label=0)] == ["real/two-0-0.jpg", "real/two-0-1.jpg"]
    assert "box" not in index.columns


def test_black_borders_of_a_crop_stay_black(demo_corpus, tmp_path):
    photo = read_image(demo_corpus.parent / "real" / "0000-0.jpg")
    for number in range(6):
        black = photo.copy()
        black[:, 32 + number :] = 0
        cv2.imwrite(str(tmp_path / f"{number}.png"), black[..., ::-1])
    faces = [Face(f"{number}.png") for number in range(6)]
    FaceIndex.of(faces, tmp_path).write(tmp_path / "index.csv")
    index = forge(tmp_path / "index.csv", tmp_path / "out", forgery=("blend",), png=True)
    assert {read_image(tmp_path / "out" / face.path).shape for face in index} == {(64, 64, 3)}
    for number, face in enumerate(index.where(label=1)):
        assert not read_image(tmp_path / "out" / face.path)[:, 32 + number :].any()
        assert not is_on(tmp_path / "out", face.mask)[:, 32 + number :].any()
        assert not is_on(tmp_path / "out", face.region)[:, 32 + number :].any()


def test_unreadable_source_is_reported_and_left_out(demo_corpus, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(demo_corpus.parent, folder)
    index = FaceIndex.read(folder / "index.csv").where(label=0)
    (folder / index[2].path).write_bytes(b"not an image")
    index.write(folder / "index.csv")
    with pytest.raises(CheckFailedError, match=f"1 of 20 faces left out: {index[2].path}: not an"):
        forge(folder, tmp_path / "out")
    made = FaceIndex.read(tmp_path / "out" / "index.csv")
    assert len(made) == 2 * 19
    assert not [path for path in contents(tmp_path / "out") if Path(index[2].path).stem in path]


def test_fakes_are_left_out_and_counted(demo_corpus, tmp_path, capsys):
    forge(demo_corpus, tmp_path / "out", runtime=Runtime())
    assert "skipping 20 fakes" in capsys.readouterr().err
    index = FaceIndex.read(demo_corpus).where(label=1)
    index.relocated(tmp_path).write(tmp_path / "fakes.csv")
    with pytest.raises(InputError, match="contains fakes only"):
        forge(tmp_path / "fakes.csv", tmp_path / "none")


def test_whole_videos_are_refused(tmp_path):
    FaceIndex.of([Face("a/clip.MP4", 0)], tmp_path).write(tmp_path / "index.csv")
    with pytest.raises(InputError, match="focus prepare"):
        forge(tmp_path / "index.csv", tmp_path / "out")


def test_columns_of_the_source_are_passed_through(demo_corpus, tmp_path):
    faces = [replace(face, extra={"light": "red"}) for face in FaceIndex.read(demo_corpus)]
    FaceIndex.of(faces, demo_corpus.parent).relocated(tmp_path).write(tmp_path / "index.csv")
    index = forge(tmp_path / "index.csv", tmp_path / "out")
    assert set(index.column("light")) == {"red"}


def test_names_are_safe_and_never_the_same():
    keys = ["/a/b/x.jpg", "/a/b/x.png", "/a/b/X.jpg", "/a/b/c/../x+1.jpg", "/a/b/v.mp4#12.1"]
    names = name_faces([*keys, "/a/b/s.tar.gz!/m/x.jpg"])
    assert names[4:] == ["v-12-1", "s/m/x"]
    assert len({name.casefold() for name in names}) == 6
    assert not any(".." in name or "+" in name or "#" in name for name in names)
    assert name_faces(["../photos/one.jpg"]) == ["one"]


# Swaps by the command


def test_swaps_are_of_another_video_in_the_same_split(demo_corpus, tmp_path, stub):
    # Of ten people, only one is in val.
    index = FaceIndex.read(demo_corpus)
    people = [face for face in index if face.split != "val"]
    FaceIndex.of(people, index.root).relocated(tmp_path).write(tmp_path / "index.csv")
    made = forge(tmp_path / "index.csv", tmp_path / "out", forgery=("swap",), landmarks=stub)
    faces = {face.path: face for face in made}
    fakes = list(made.where(label=1))
    assert len(fakes) == 18
    for fake in fakes:
        donor = faces[fake.extra["donor"]]
        assert donor.split == fake.split
        assert donor.video != fake.video
    whole = contents(tmp_path / "out")
    (tmp_path / "out" / "index.csv").unlink()
    forge(tmp_path / "index.csv", tmp_path / "out", forgery=("swap",), landmarks=stub)
    assert contents(tmp_path / "out") == whole


def test_swap_without_a_partner_is_refused(demo_corpus, tmp_path, stub):
    with pytest.raises(InputError, match="split val has only one video"):
        forge(demo_corpus, tmp_path / "out", forgery=("blend", "swap"), landmarks=stub)
    assert not (tmp_path / "out").exists()


def test_swap_without_a_landmark_model_is_one_clear_line(demo_corpus, tmp_path):
    with pytest.raises(InputError, match="--landmarks FILE or") as caught:
        forge(demo_corpus, tmp_path / "out", forgery=("swap",))
    assert "\n" not in str(caught.value)


def test_wrong_landmark_model_is_reported(demo_corpus, tmp_path):
    with pytest.raises(InputError, match="no landmark model at"):
        forge(demo_corpus, tmp_path / "out", landmarks=str(tmp_path / "none.onnx"))
    (tmp_path / "text.onnx").write_text("not a network")
    with pytest.raises(InputError, match="not an ONNX model of 68 points"):
        forge(demo_corpus, tmp_path / "out", landmarks=str(tmp_path / "text.onnx"))


def test_without_a_model_the_face_is_an_ellipse_in_the_middle(demo_corpus, tmp_path):
    shape = FaceShape.from_box(90, 130)
    middle, radii, _ = cv2.fitEllipse(shape.outline)
    assert middle == pytest.approx((64.5, 47.3), abs=0.5)
    assert radii == pytest.approx((0.74 * 90 / 1.3, 0.94 * 90 / 1.3), abs=0.5)
    index = forge(demo_corpus, tmp_path / "out")
    regions = {(tmp_path / "out" / face.region).read_bytes() for face in index}
    assert len(regions) == 1


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        ({"forgery": ()}, "--forgery"),
        ({"forgery": ("blend", "blend")}, "--forgery"),
        ({"per_face": 0}, "--per-face"),
        ({"size": 8}, "--size"),
        ({"quality": 101}, "--quality"),
        ({"workers": -2}, "--workers"),
    ],
)
def test_bad_flags_are_reported(options, flag):
    with pytest.raises(InputError, match=flag):
        ForgeCommand(**options)


# With the real landmark network


@pytest.mark.skipif(
    not (WEIGHTS.is_file() and DETECTOR.is_file() and PHOTOS.is_dir()),
    reason="needs pfld68.onnx, yunet.onnx and photographs in $FOCUS_SHARED",
)
@pytest.mark.parametrize("margin", [1.0, 1.3, 2.2])
def test_landmarks_agree_with_the_points_of_a_detector(margin):
    model, detector = LandmarkModel(WEIGHTS), YuNetDetector(DETECTOR)
    far = []
    for path in sorted(PHOTOS.glob("real_*.jpg"))[:8]:
        photo = read_image(path)
        face = detector.detect(photo)[0]
        box = enlarge(face, margin)
        points = model.find(crop(photo, box)) + box[:2]
        mine = [points[36:42].mean(0), points[42:48].mean(0), points[48], points[54]]
        distance = np.linalg.norm(np.array(mine) - face.points[[0, 1, 3, 4]], axis=1)
        far.append(distance.mean() / FaceShape.from_points(points).size)
    assert np.median(far) < 0.06


@pytest.mark.skipif(not WEIGHTS.is_file(), reason="needs pfld68.onnx in $FOCUS_SHARED")
def test_swaps_are_the_same_in_one_process_and_in_two(demo_corpus, tmp_path, monkeypatch):
    options = {"source": Source(data=str(demo_corpus), split="train"), "landmarks": str(WEIGHTS)}
    monkeypatch.setattr(processes, "_CHUNK", 4)
    for name, workers in (("one", 1), ("two", 2)):
        forge(demo_corpus, tmp_path / name, forgery=("swap",), workers=workers, **options)
    one, two = contents(tmp_path / "one"), contents(tmp_path / "two")
    assert one.pop("forge.json") != two.pop("forge.json")
    assert one == two
