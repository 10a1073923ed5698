import cv2
import numpy as np
import pytest
import torch

from focus.data.clips import SMALLEST_VIEW, ClipPlan
from focus.data.faces import Draw, FaceDataset
from focus.data.index import Face, FaceIndex
from focus.data.loading import collate
from focus.data.transforms import Augmentation, Geometry
from focus.types import Failure

SEED = (0, 0)


def plan(faces, frames, **options):
    return ClipPlan(FaceIndex.of(faces, "."), frames, **options)


def rows_of(clips, row):
    return [frame.row for frame in clips.frames_of(row, Geometry(), SEED)]


def write(folder, name, value, size=(32, 32)):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / name), np.broadcast_to(np.uint8(value), (*size, 3)))


def ramp(size=64):
    """Return a map (size, size) that rises to the right and downwards, 0 to 1."""
    steps = (np.arange(size) + 0.5) / size
    return ((steps[:, None] + 2 * steps) / 3).astype(np.float32)


# Which frames


def test_frames_come_by_the_numbers_in_their_names():
    names = ["v/frame10.png", "v/frame9.png", "v/frame100.png", "v/frame2.png"]
    clips = plan([Face(name, 0, video="v") for name in names], 4)
    assert rows_of(clips, 0) == [3, 1, 0, 2]


def test_letters_before_numbers_and_superscripts_are_ordered_too():
    names = ["1²2.png", "a/1.png", "1.png", "٣.png"]  # the last is an Arabic three
    clips = plan([Face(name, 0, video="v") for name in names], 4)
    assert rows_of(clips, 0) == [2, 0, 3, 1]


def test_frames_of_a_video_file_are_in_order():
    faces = [Face(f"v.mp4#{frame}", 1, video="v") for frame in (5, 40, 300)]
    assert rows_of(plan(faces, 3), 1) == [0, 1, 2]


@pytest.mark.parametrize(
    ("row", "expected"), [(0, 0), (1, 0), (2, 0), (3, 1), (5, 3), (7, 5), (8, 6), (9, 6)]
)
@pytest.mark.parametrize("frames", [4])
def test_window_stands_around_the_row_and_stops_at_the_ends(row, expected, frames):
    clips = plan([Face(f"{n}.png", 0, video="v") for n in range(10)], frames)
    assert rows_of(clips, row) == [*range(expected, expected + frames)]
    assert clips.place_of(row) == row - expected


@pytest.mark.parametrize("frames", [2, 5, 16])
@pytest.mark.parametrize("faces", [1, 3, 5, 15])
def test_short_videos_repeat_evenly_and_every_face_has_its_place(faces, frames):
    clips = plan([Face(f"{n}.png", 0, video="v") for n in range(faces)], frames)
    for row in range(faces):
        rows = rows_of(clips, row)
        assert len(rows) == frames
        assert rows == sorted(rows)
        assert rows[clips.place_of(row)] == row
        if faces <= frames:
            repeats = np.bincount(rows, minlength=faces)
            ends = repeats[[0, -1]]  # half of their share lies outside
            assert repeats.max() - repeats.min() <= repeats.max() / 2 + 1
            assert ends.min() >= 1


def test_three_faces_in_a_clip_of_five_by_hand():
    clips = plan([Face(f"{n}.png", 0, video="v") for n in range(3)], 5)
    assert rows_of(clips, 0) == [0, 0, 1, 2, 2]
    assert [clips.place_of(row) for row in range(3)] == [0, 2, 3]


def test_clips_never_mix_videos_labels_methods_or_nameless_ones():
    faces = [
        Face("a1.png", 0, video="a"),
        Face("a2.png", 1, "", "swap", "a"),
        Face("a3.png", 1, "", "reenact", "a"),
        Face("b1.png", 0, video="b"),
        Face("1.png", 0),
        Face("2.png", 0),
    ]
    clips = plan(faces, 3)
    for row in range(len(faces)):
        assert rows_of(clips, row) == [row] * 3


def test_persons_in_a_video_have_clips_of_their_own():
    tracked = [
        Face(f"v/{frame}.{place}.png", 0, video="v", extra={"track": str(place ^ (frame > 1))})
        for frame in range(3)
        for place in range(2)
    ]
    assert rows_of(plan(tracked, 3), 0) == [0, 2, 5]  # changed places in the last frame
    numbered = [Face(f"v.mp4#{n}.{face}", 0, video="v") for n in range(3) for face in range(2)]
    assert rows_of(plan(numbered, 3), 1) == [1, 3, 5]
    sources = [Face(f"{n}.png", 0, video="person", extra={"source": f"s{n % 2}"}) for n in range(4)]
    assert rows_of(plan(sources, 2), 0) == [0, 2]


# Motion of stills


def test_motion_of_stills_is_small_smooth_and_passes_the_whole_image():
    geometry = Geometry(0.1, 0.2, 0.5, True)
    clips = plan([Face("a.png", 0), Face("b.png", 0)], 16, stills=True)
    frames = clips.frames_of(1, geometry, SEED)
    assert [frame.row for frame in frames] == [1] * 16
    views = [frame.geometry for frame in frames]
    assert views[clips.place_of(1)] == geometry
    assert all(view.mirrored for view in views)
    corners = np.array([(view.top, view.left, view.side) for view in views])
    assert np.abs(np.diff(corners, axis=0)).max() < 0.5 * (1 - SMALLEST_VIEW) / 7
    assert corners[:, 2].min() >= 0.5 * SMALLEST_VIEW
    for axis, start in enumerate((0.1, 0.2)):
        assert (corners[:, axis] >= start - 1e-9).all()
        assert (corners[:, axis] + corners[:, 2] <= start + 0.5 + 1e-9).all()
    assert len(set(views)) == 16


def test_motion_is_of_the_draw_and_the_face():
    faces = [Face("a.png", 0), Face("b.png", 0)]
    clips, share = (plan(some, 4, stills=True) for some in (faces, faces[1:]))
    first = [f.geometry for f in clips.frames_of(1, Geometry(), (3, 7))]
    assert first == [f.geometry for f in clips.frames_of(1, Geometry(), (3, 7))]
    assert first == [f.geometry for f in share.frames_of(0, Geometry(), (3, 7))]  # row is another
    for row, seed in ((1, (3, 8)), (1, (4, 7)), (0, (3, 7))):
        assert first != [f.geometry for f in clips.frames_of(row, Geometry(), seed)]


@pytest.mark.parametrize("frames", [2, 3])
def test_shortest_clips_of_stills(frames):
    clips = plan([Face("a.png", 0)], frames, stills=True)
    seen = [frame.geometry for frame in clips.frames_of(0, Geometry(), SEED)]
    assert seen[clips.place_of(0)] == Geometry()
    assert len(set(seen)) == frames


def test_image_and_map_of_a_still_move_together(tmp_path):
    values = ramp(240)
    cv2.imwrite(
        str(tmp_path / "a.png"), np.repeat(np.uint8(np.rint(values * 255))[..., None], 3, 2)
    )
    index = FaceIndex.of([Face("a.png", 1)], tmp_path)
    maps = {"a.png": ramp(60)}
    augmentation = Augmentation(flip=True, smallest_crop=0.7)
    dataset = FaceDataset(index, 60, maps, augmentation, frames=6, stills=True)
    still = FaceDataset(index, 60, maps, augmentation)
    turned = set()
    for number in range(6):
        clip, again = (dataset[Draw(0, number)] for _ in range(2))
        assert torch.equal(clip.image, again.image)
        assert torch.equal(clip.map, again.map)
        assert clip.image.shape == (3, 6, 60, 60)
        assert clip.map.shape == (1, 6, 60, 60)
        pixels = clip.image.float() / 255
        inner = (..., slice(3, -3), slice(3, -3))  # beyond its border a map is its border
        assert (pixels - clip.map)[inner].abs().max() < 0.02  # the crop falls on whole pixels
        moved = (clip.map[:, 1:] - clip.map[:, :-1]).abs().amax(dim=(0, 2, 3))
        assert (moved > 1e-4).all()
        whole = still[Draw(0, number)]
        assert torch.equal(clip.image[:, 3], whole.image)
        assert torch.equal(clip.map[:, 3], whole.map)
        turned.add(bool(clip.map[0, 0, 0, 0] > clip.map[0, 0, 0, -1]))
    assert turned == {True, False}
    assert not torch.equal(dataset[Draw(0, 0)].image, dataset[Draw(0, 1)].image)


# Clips as samples


@pytest.fixture
def video(tmp_path):
    """Return six frames of a fake, frame n of value 10 n, in an order that is not theirs."""
    order = [3, 0, 5, 1, 4, 2]
    for number in order:
        write(tmp_path, f"v/{number}.png", 10 * number)
        write(tmp_path, f"o/{number}.png", 10 * number + 100)
    faces = [Face(f"v/{n}.png", 1, video="v", original=f"o/{n}.png") for n in order]
    return FaceIndex.of(faces, tmp_path)


def test_a_clip_has_the_images_and_maps_of_its_frames_in_order(video):
    maps = {key: np.full((4, 4), n / 10, np.float32) for n, key in enumerate(video.keys)}
    dataset = FaceDataset(video, 16, maps, Augmentation(flip=False), frames=4)
    sample = dataset[1]  # frame 0
    assert sample[:1] + sample[2:3] == (1, 1)
    assert sample.key == "v/0.png"
    assert sample.image.dtype == torch.uint8
    assert sample.image[:, :, 0, 0].tolist() == [[0, 10, 20, 30]] * 3
    assert sample.map[0, :, 0, 0].tolist() == pytest.approx([0.1, 0.3, 0.5, 0])
    batch = collate([dataset[Draw(1, 5)], dataset[0]])
    assert batch.images.shape == (2, 3, 4, 16, 16)
    assert batch.maps.shape == (2, 1, 4, 4, 4)
    assert batch.keys == ("v/0.png", "v/3.png")
    assert torch.equal(batch.images[0], sample.image)


def test_a_clip_with_a_frame_without_map_has_none(video):
    maps = {key: np.ones((4, 4), np.float32) for key in video.keys if key != "v/2.png"}
    dataset = FaceDataset(video, 16, maps, frames=3)
    assert dataset[2].map is not None  # frames 3 to 5
    assert dataset[1].map is None


def test_maps_of_real_clips_are_zero(tmp_path):
    write(tmp_path, "a.png", 50)
    index = FaceIndex.of([Face("a.png", 0)], tmp_path)
    for stills in (False, True):
        maps = {"a.png": np.ones((4, 4), np.float32)}
        sample = FaceDataset(index, 16, maps, frames=3, stills=stills)[0]
        assert sample.map.shape == (1, 3, 4, 4)
        assert not sample.map.any()


def test_an_unreadable_frame_is_named(video):
    (video.root / "v/1.png").write_bytes(b"nothing")
    failure = FaceDataset(video, 16, frames=3)[1]
    assert isinstance(failure, Failure)
    assert failure.key == "v/0.png"
    assert failure.reason.startswith("frame v/1.png: ")


def test_repeated_frames_are_decoded_once(video, monkeypatch):
    read = []
    dataset = FaceDataset(
        video.take(np.array([0, 1])),
        16,
        frames=8,
        perturb=lambda image, key: read.append(key) or image,
    )
    assert dataset[0].image[0, :, 0, 0].tolist() == [0] * 4 + [30] * 4
    assert sorted(read) == ["v/0.png", "v/3.png"]


def test_every_frame_has_its_companion(video):
    sample = FaceDataset(video, 16, frames=3, companion="original")[0]
    assert torch.equal(sample.companion, sample.image + 100)


# Companions


@pytest.fixture
def pairs(tmp_path):
    """Return a real face, a fake with original and mask, and one of unknown label."""
    real = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    fake, mask = real.copy(), np.zeros((40, 40), np.uint8)
    fake[10:20, 5:15] ^= 255
    mask[10:20, 5:15] = 255
    for name, image in (("real", real), ("fake", fake), ("mask", mask)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), image)
    cv2.imwrite(str(tmp_path / "copy.png"), fake)
    return [
        Face("real.png", 0),
        Face("fake.png", 1, original="real.png", mask="mask.png"),
        Face("copy.png", -1, original="real.png", mask="mask.png"),
    ], tmp_path


def test_companions_are_read_and_moved_with_the_face(pairs):
    faces, folder = pairs
    index = FaceIndex.of(faces, folder)
    augmentation = Augmentation(flip=True, smallest_crop=0.6)
    originals, masks = (
        FaceDataset(index, 40, augmentation=augmentation, companion=name)
        for name in ("original", "mask")
    )
    plain = FaceDataset(index, 40)[0].image
    for row in (1, 2):
        assert torch.equal(originals[row].companion, plain)
        changed = (masks[row].image != plain).any(dim=0, keepdim=True)
        assert torch.equal(masks[row].companion, 255 * changed.byte())
    for number in range(8):
        fake, masked = originals[Draw(1, number)], masks[Draw(1, number)]
        differs = (fake.image != fake.companion).any(dim=0)
        assert torch.equal(fake.image, masked.image)
        assert masked.companion.shape == (1, 40, 40)
        assert not (differs & (masked.companion[0] == 0)).any()
        assert differs[masked.companion[0] == 255].all()


def test_companions_of_real_faces(pairs):
    faces, folder = pairs
    index = FaceIndex.of(faces, folder)
    original = FaceDataset(index, 24, companion="original", perturb=_darken)[0]
    assert torch.equal(original.companion, original.image)
    mask = FaceDataset(index, 24, companion="mask")[0]
    assert mask.companion.shape == (1, 24, 24)
    assert not mask.companion.any()
    batch = collate([mask, FaceDataset(index, 24, companion="mask")[1]])
    assert batch.companions.shape == (2, 1, 24, 24)
    assert FaceDataset(index, 24)[0].companion is None


def _darken(image, key):
    return image // 2


@pytest.mark.parametrize("label", [1, -1])
@pytest.mark.parametrize("companion", ["original", "mask"])
def test_a_missing_companion_is_named(pairs, label, companion):
    _, folder = pairs
    index = FaceIndex.of([Face("fake.png", label)], folder)
    failure = FaceDataset(index, 24, companion=companion)[0]
    assert failure.reason == f"the index's column {companion} is empty for this face"
    index = FaceIndex.of([Face("fake.png", label, **{companion: "gone.png"})], folder)
    failure = FaceDataset(index, 24, companion=companion)[0]
    assert failure.key == "fake.png"
    assert failure.reason.startswith(f"{companion} gone.png: ")


@pytest.mark.parametrize("companion", ["original", "mask"])
def test_a_companion_of_another_size_is_named(pairs, companion):
    _, folder = pairs
    write(folder, "wide.png", 255, (40, 60))
    index = FaceIndex.of([Face("fake.png", 1, **{companion: "wide.png"})], folder)
    failure = FaceDataset(index, 24, companion=companion)[0]
    assert failure.reason == f"{companion} wide.png is 40 x 60, the face 40 x 40: not aligned"
