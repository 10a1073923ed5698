from __future__ import annotations

import builtins
import io
import pickle
from itertools import chain

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage.metrics import structural_similarity

from evaluator.perturbations import KINDS, SEVEN, Perturbation, compress_clip, mixture
from evaluator.perturbations.deeperforensics import BLOCK_VALUE
from focus.data.demo.drawing import draw_face
from focus.errors import InputError

ALL = [(kind, level) for kind, found in KINDS.items() for level in found.levels]
MONOTONE = [kind for kind in KINDS if kind not in ("block", "mix")]


def scene(height=256, width=256, seed=0):
    """An image with smooth areas, edges and texture."""
    generator = np.random.default_rng(seed)
    cells = generator.integers(40, 216, (9, 9, 3)).astype(np.uint8)
    clean = cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC)
    cv2.circle(clean, (width // 2, height // 2), height // 4, (200, 140, 110), -1)
    texture = generator.integers(-12, 13, clean.shape)
    return np.clip(clean.astype(int) + texture, 0, 255).astype(np.uint8)


def flat(value, size=(64, 64)):
    return np.full((*size, 3), value, dtype=np.uint8)


@pytest.mark.parametrize(("kind", "level"), ALL)
def test_every_kind_keeps_shape_input_and_draws(kind, level):
    clean = scene(61, 95)
    before = clean.copy()
    first = Perturbation(kind, level, 3)(clean, "clip.mp4#7")
    again = pickle.loads(pickle.dumps(Perturbation(kind, level, 3)))(clean, "clip.mp4#7")
    assert (first.dtype, first.shape) == (np.uint8, clean.shape)
    np.testing.assert_array_equal(clean, before)
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("kind", ["block-crop", "noise", "mix"])
def test_draws_differ_by_seed_and_key(kind):
    clean = scene()
    first = Perturbation(kind, 1)(clean, "a.png")
    assert (first != Perturbation(kind, 1)(clean, "b.png")).any()
    assert (first != Perturbation(kind, 1, 1)(clean, "a.png")).any()


@pytest.mark.parametrize("kind", MONOTONE)
def test_more_level_is_less_alike(kind):
    clean = scene()
    worse = [Perturbation(kind, level)(clean, "k") for level in KINDS[kind].levels]
    ssim = [structural_similarity(clean, one, channel_axis=2) for one in (clean, *worse)]
    psnr = [cv2.PSNR(clean, one) for one in worse]
    assert all(np.diff(ssim) < 0)
    assert all(np.diff(psnr) < 0)


def test_parameters_are_the_published_ones():
    assert {kind: KINDS[kind].parameters for kind in SEVEN} == {
        "saturation": (0.4, 0.3, 0.2, 0.1, 0.0),
        "contrast": (0.85, 0.725, 0.6, 0.475, 0.35),
        "block": (16, 32, 48, 64, 80),
        "noise": (0.001, 0.002, 0.005, 0.01, 0.05),
        "blur": (7, 9, 13, 17, 21),
        "pixel": (2, 3, 4, 5, 6),
        "compress": (30, 32, 35, 38, 40),
    }
    assert Perturbation("blur", 4).parameter == 17


def test_saturation_of_red_white_and_none():
    red = np.array([[[255, 0, 0]]], dtype=np.uint8)
    assert Perturbation("saturation", 1)(red, "")[0, 0].tolist() == [147, 45, 45]
    white = Perturbation("saturation", 3)(flat(255), "")
    assert white.min() >= 254
    grey = Perturbation("saturation", 5)(scene(), "").astype(int)
    assert np.ptp(grey, axis=2).max() == 0


def test_contrast_darkens_by_a_factor():
    assert (Perturbation("contrast", 5)(flat(200), "") == 70).all()
    assert (Perturbation("contrast", 1)(flat(99), "") == 84).all()  # 84.15, truncated


@pytest.mark.parametrize("level", [1, 5])
def test_block_rule_is_for_frames(level):
    small = scene(255, 400)
    np.testing.assert_array_equal(Perturbation("block", level)(small, "k"), small)
    frame = flat(0, (480, 640))
    share = (Perturbation("block", level)(frame, "k") == BLOCK_VALUE).all(axis=2).mean()
    whole = {1: 16, 5: 80}[level] * 64 / (480 * 640)
    assert 0.93 * whole < share <= whole  # blocks may overlap
    large = (Perturbation("block", level)(flat(0, (1080, 1920)), "k") > 0).mean()
    count = {1: 16, 5: 80}[level] * 4
    assert large == pytest.approx(count * 64 / (1080 * 1920), rel=0.05)


def test_blocks_on_a_crop_are_as_many_as_the_parameter_says():
    covered = Perturbation("block-crop", 1)(flat(0, (224, 224)), "k")[..., 0]
    assert set(np.unique(covered)) == {0, BLOCK_VALUE}
    assert 12 * 64 < (covered > 0).sum() <= 16 * 64
    everywhere = [Perturbation("block-crop", 5)(flat(0, (24, 24)), str(key)) for key in range(40)]
    assert (np.max(everywhere, axis=0) == BLOCK_VALUE).all()  # up to the last row and column


@pytest.mark.parametrize(
    ("level", "blue_green_red"),
    [
        (1, (18.8, 11.9, 15.9)),
        (2, (26.7, 16.8, 22.5)),
        (3, (42.1, 26.7, 35.6)),
        (4, (57.6, 37.5, 50.0)),
        (5, (93, 74, 87)),
    ],
)
def test_noise_has_the_measured_deviation_per_channel(level, blue_green_red):
    noisy = Perturbation("noise", level)(flat(128, (512, 512)), "k").astype(float)
    found = noisy.std(axis=(0, 1))[::-1]
    np.testing.assert_allclose(found, blue_green_red, rtol=0.02)
    # Two channels share the luma and nothing else but their chroma.
    assert np.corrcoef(noisy[..., 0].ravel(), noisy[..., 2].ravel())[0, 1] > 0.1


def test_blur_is_a_gaussian_of_a_sixth_of_its_kernel():
    point = np.zeros((41, 41, 3), dtype=np.uint8)
    point[20, 20] = 255
    spread = Perturbation("blur", 5)(point, "")[..., 0].astype(float)
    assert spread[20, 30] == spread[31, 20] == 0
    offsets = np.arange(-10, 11)
    weights = np.exp(-(offsets**2) / (2 * 3.5**2))
    assert spread[20, 20] == pytest.approx(255 / weights.sum() ** 2, abs=1)


def test_pixelation_leaves_the_small_image():
    clean = scene(120, 90)
    found = Perturbation("pixel", 2)(clean, "")
    small = cv2.resize(clean, (30, 40), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(cv2.resize(small, (90, 120)), found)
    assert Perturbation("pixel", 5)(scene(4, 3), "").shape == (4, 3, 3)


def test_compression_is_h264():
    av = pytest.importorskip("av")
    clean = scene(96, 128)
    found = Perturbation("compress", 5)(clean, "")
    # The same frame through a container and the library's own muxer.
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        options = {"crf": "40", "x264-params": "mbtree=0"}
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        frame = av.VideoFrame.from_ndarray(clean, format="rgb24")
        container.mux([*stream.encode(frame), *stream.encode(None)])
    file.seek(0)
    with av.open(file) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        (decoded,) = container.decode(video=0)
    np.testing.assert_allclose(found.astype(int), decoded.to_ndarray(format="rgb24"), atol=2)


def test_clips_are_coded_together_and_come_back_in_order():
    pytest.importorskip("av")
    still = scene(64, 64)
    clip = np.stack([np.roll(still, 4 * place, axis=1) for place in range(12)])
    found = compress_clip(clip, 35)
    assert found.shape == clip.shape
    for place, frame in enumerate(found):
        errors = [np.abs(frame.astype(int) - other).mean() for other in clip]
        assert int(np.argmin(errors)) == place
    alone = compress_clip(clip[5:6], 35)[0]
    assert (alone != found[5]).any()
    soft = cv2.GaussianBlur(still, (0, 0), 3)
    assert np.abs(compress_clip(soft[None], 0)[0].astype(int) - soft).mean() < 3


@pytest.mark.parametrize("crf", [30, 40])
def test_a_still_loses_as_much_as_a_frame_inside_a_clip(crf):
    pytest.importorskip("av")
    face = draw_face(np.random.default_rng(3), 256).image

    def move(time):
        turn = cv2.getRotationMatrix2D((128, 128), 2 * np.sin(time / 12), 1)
        turn[:, 2] += [4 * np.sin(time / 10), 3 * np.cos(time / 14)]
        return cv2.warpAffine(face, turn, (256, 256), borderMode=cv2.BORDER_REFLECT)

    clip = np.stack([move(time) for time in range(40)])
    places = range(6, 36, 6)
    coded = compress_clip(clip, crf)
    inside = np.mean([cv2.PSNR(coded[place], clip[place]) for place in places])
    alone = np.mean([cv2.PSNR(compress_clip(clip[[p]], crf)[0], clip[p]) for p in places])
    assert abs(alone - inside) < 1


def test_without_an_encoder_one_line_says_so(monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest, **more):
        if name == "av":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(InputError, match=r"pip install 'focus-forgery\[video\]'"):
        Perturbation("compress", 1)
    Perturbation("jpeg", 1)


def test_jpeg_is_that_of_its_quality():
    clean = scene()
    found = Perturbation("jpeg", 5)(clean, "")
    file = io.BytesIO()
    Image.fromarray(clean).save(file, "JPEG", quality=10, subsampling="4:2:0")
    other = np.asarray(Image.open(file))
    assert np.abs(found.astype(int) - other).mean() < 1


def test_resize_keeps_means_and_drops_detail():
    clean = scene()
    found = Perturbation("resize", 5)(clean, "")
    np.testing.assert_allclose(found.mean(axis=(0, 1)), clean.mean(axis=(0, 1)), atol=1)
    assert cv2.Laplacian(found, cv2.CV_64F).var() < 0.05 * cv2.Laplacian(clean, cv2.CV_64F).var()


@pytest.mark.parametrize("operation", [*chain(*mixture.COLOUR), *mixture.TEXTURE, *mixture.EFFECTS])
def test_every_operation_of_the_mix_changes_images_and_leaves_them_recognisable(operation):
    clean = scene(64, 80)
    for seed in range(8):
        found = operation(clean, np.random.default_rng(seed))
        assert (found.dtype, found.shape) == (np.uint8, clean.shape)
        assert (found != clean).any()
        grey = [cv2.cvtColor(one, cv2.COLOR_RGB2GRAY).ravel() for one in (found, clean)]
        assert np.corrcoef(*grey)[0, 1] > 0.5


def test_colour_takes_one_operation_from_each_of_some_groups_in_any_order(monkeypatch):
    seen: list[str] = []

    def note(name):
        return lambda image, _: seen.append(name) or image

    groups = [tuple(note(f"{name}{number}") for number in range(3)) for name in "hsbc"]
    monkeypatch.setattr(mixture, "COLOUR", groups)
    for seed in range(300):
        mixture._recolour(flat(0), np.random.default_rng(seed))
        seen.append("|")
    runs = [run.split() for run in " ".join(seen).split("|") if run.split()]
    assert {len(run) for run in runs} == {1, 2, 3}
    assert all(len({name[0] for name in run}) == len(run) for run in runs)
    pairs = {tuple(name[0] for name in run) for run in runs if len(run) == 2}
    assert {("h", "c"), ("c", "h"), ("s", "b"), ("b", "s")} <= pairs


def test_mix_draws_one_or_two_families():
    seen = []

    def note(name):
        return lambda image, _: seen.append(name) or image

    families = (note("colour"), note("texture"), note("effect"))
    for seed in range(60):
        generator = np.random.default_rng(seed)
        chosen = mixture._choose(families, generator, 2)
        mixture._apply(chosen, flat(0), generator)
        seen.append("|")
    runs = {tuple(run.split()) for run in " ".join(seen).split("|") if run.split()}
    assert {len(run) for run in runs} == {1, 2}
    assert len(runs) == 6  # three alone, three pairs, each in one order
    assert ("effect", "colour") not in runs


@pytest.mark.parametrize(
    ("kind", "level", "said"),
    [
        ("rain", 1, r"unknown corruption 'rain' \(choose from saturation"),
        ("blur", 6, r"blur has no level 6 \(available: 1 to 5\)"),
        ("mix", 2, r"mix has no level 2 \(available: only 1\)"),
    ],
)
def test_what_there_is_not_is_refused(kind, level, said):
    with pytest.raises(InputError, match=said):
        Perturbation(kind, level)


def test_only_rgb_bytes_are_taken():
    with pytest.raises(ValueError, match="float64"):
        Perturbation("blur", 1)(scene() / 255, "")
