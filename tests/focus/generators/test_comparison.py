"""Comparisons with the original against scikit-image, OpenCV and hand-computed pixels."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from focus.data.images import read_face
from focus.data.index import FaceIndex
from focus.errors import InputError
from focus.generators.comparison import (
    Dssim,
    Mask,
    Pixel,
    PixelAt,
    Ssim,
    dissimilarity,
    dissimilarity_torch,
    spread,
)
from tests.shared import SHARED

LFW = SHARED / "data" / "lfw-swap" / "index.csv"


def draw_pair(seed, size=(41, 56)):
    """Return a smooth noisy image and one that differs in a box that touches the border."""
    rng = np.random.default_rng(seed)
    real = cv2.GaussianBlur(rng.normal(128, 200, (*size, 3)), (0, 0), 2).clip(0, 255)
    fake = real.copy()
    fake[5:30, 20:] += rng.normal(20, 30, fake[5:30, 20:].shape)
    return fake.clip(0, 255).astype(np.uint8), real.astype(np.uint8)


def as_batch(*images):
    """Return uint8 (B, 3, H, W)."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()


def compare(generator, fakes, reals):
    """Return the maps (B, H, W) as generation gets them: from standardised images."""
    images = generator.input_spec.standardise(as_batch(*fakes))
    prediction = generator.compare(images, as_batch(*reals))
    assert torch.isnan(prediction.scores).all()
    assert prediction.scores.shape == (len(fakes),)
    assert prediction.maps.shape == (len(fakes), 1, *fakes[0].shape[:2])
    assert prediction.maps.dtype == torch.float32
    return prediction.maps[:, 0].numpy()


def dissimilar(fake, real):
    """Return the mean over channels of 1 - SSIM by scikit-image (H, W)."""
    _, similarity = structural_similarity(
        fake,
        real,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        channel_axis=-1,
        full=True,
    )
    return 1 - similarity.mean(axis=-1)


BLACK, WHITE = (np.full((16, 16, 3), level, np.uint8) for level in (0, 255))
CHECKED = (np.indices((16, 16)).sum(0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, 2)
PAIRS = {
    "drawn": draw_pair(0),
    "square": draw_pair(1, (64, 64)),
    "flat": (WHITE, BLACK),
    "bright": (WHITE, np.maximum(WHITE - CHECKED // 64, 250)),  # where float32 squares are coarse
    "inverted": (CHECKED, 255 - CHECKED),  # SSIM below 0
}


@pytest.mark.parametrize("path", [dissimilarity, dissimilarity_torch])
@pytest.mark.parametrize("name", PAIRS)
def test_ssim_is_scikit_images_up_to_the_border(name, path):
    fake, real = PAIRS[name]
    ours = path(as_batch(fake).float(), as_batch(real))
    np.testing.assert_allclose(ours[0, 0].numpy(), dissimilar(fake, real), atol=2e-4)


@pytest.mark.parametrize("name", PAIRS)
def test_ssim_is_clipped_and_dssim_is_half_of_it(name):
    fake, real = PAIRS[name]
    expected = dissimilar(fake, real)
    ssim, dssim = compare(Ssim(), [fake], [real])[0], compare(Dssim(), [fake], [real])[0]
    np.testing.assert_allclose(ssim, expected.clip(0, 1), atol=2e-4)
    np.testing.assert_allclose(dssim, np.abs(expected) / 2, atol=1e-4)
    assert 0 <= min(ssim.min(), dssim.min()) <= max(ssim.max(), dssim.max()) <= 1
    if name == "inverted":
        assert expected.max() > 1.5


def test_a_pair_of_the_corpus_is_as_scikit_image_has_it():
    if not LFW.is_file():
        pytest.skip(f"{LFW}: not here")
    index = FaceIndex.read(LFW)
    rows = np.flatnonzero(index.labels == 1)[[0, -1]]
    faces = [index[row] for row in rows]
    fakes = [read_face(index.root, face.path) for face in faces]
    reals = [read_face(index.root, face.original) for face in faces]
    expected = np.stack([dissimilar(*pair) for pair in zip(fakes, reals, strict=True)])
    assert expected.max() > 0.5
    np.testing.assert_allclose(compare(Ssim(), fakes, reals), expected.clip(0, 1), atol=1e-4)


@pytest.mark.parametrize("generator", [Ssim(), Dssim(), Pixel(), PixelAt()])
def test_identical_images_give_exactly_zero(generator):
    fake, real = draw_pair(0)
    maps = compare(generator, [real, fake, real], [real, real, real])
    assert not maps[[0, 2]].any()
    assert maps[1].any()
    assert not maps[1][:, :15].any()  # 5 px from the change, the window's radius
    assert not dissimilarity_torch(as_batch(real).float(), as_batch(real)).any()


def test_threads_share_a_batch_without_gaps(monkeypatch):
    pairs = [draw_pair(seed) for seed in range(5)]
    fakes, reals = zip(*pairs, strict=True)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    alone = compare(Ssim(), fakes, reals)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    np.testing.assert_array_equal(compare(Ssim(), fakes, reals), alone)
    runs = []
    spread(runs.append, 5)
    assert sorted((run.start, run.stop) for run in runs) == [(0, 1), (1, 3), (3, 5)]


def test_pixel_differences_by_hand():
    fake = np.array([[[10, 20, 30], [255, 255, 255], [7, 7, 7], [0, 0, 90]]], np.uint8)
    real = np.array([[[20, 0, 30], [0, 0, 0], [7, 7, 7], [0, 0, 0]]], np.uint8)
    # .299 * 10 + .587 * 20 = 14.73; .114 * 90 = 10.26
    expected = np.array([[15, 255, 0, 10]]) / 255
    np.testing.assert_allclose(compare(Pixel(), [fake], [real])[0], expected, atol=1e-7)


def test_pixel_difference_is_opencvs_grey_of_the_difference():
    rng = np.random.default_rng(0)
    fake, real = rng.integers(0, 256, (2, 200, 200, 3), dtype=np.uint8)
    expected = cv2.cvtColor(cv2.absdiff(fake, real), cv2.COLOR_RGB2GRAY)
    ours = compare(Pixel(), [fake], [real])[0]
    np.testing.assert_array_equal(np.rint(ours * 255), expected)


def test_pixel_threshold():
    levels = np.array([[0, 25, 26, 50, 52]], np.uint8)  # 25.5 is a tenth, 51 a fifth
    fake = levels[..., None].repeat(3, 2)
    real = np.zeros_like(fake)
    assert compare(PixelAt(), [fake], [real]).tolist() == [[[0, 0, 1, 1, 1]]]
    fifth = PixelAt.load(None, {"threshold": "0.2"})
    assert compare(fifth, [fake], [real]).tolist() == [[[0, 0, 0, 0, 1]]]
    assert fifth.describe() == {"image_size": 0, "threshold": 0.2}


def test_options_and_what_is_refused():
    assert Ssim.load(None, {}).input_spec.image_size == 0
    assert Ssim.load(None, {"image_size": "96"}).input_spec.image_size == 96
    with pytest.raises(InputError, match="image_size=-1"):
        Ssim.load(None, {"image_size": "-1"})
    with pytest.raises(InputError, match="threshold=1"):
        PixelAt.load(None, {"threshold": "1.5"})
    with pytest.raises(InputError, match="threshold"):
        Pixel.load(None, {"threshold": "0.1"})
    with pytest.raises(InputError, match="no weights"):
        Ssim.load(Path("run"), {})
    with pytest.raises(InputError, match="needs the original"):
        Ssim().predict(torch.zeros(1, 3, 8, 8))


def test_truth_masks_as_maps():
    masks = torch.tensor([[0, 255], [255, 0]], dtype=torch.uint8).view(1, 1, 2, 2)
    prediction = Mask().compare(torch.zeros(1, 3, 2, 2), masks)
    assert prediction.maps.tolist() == [[[[0, 1], [1, 0]]]]
    assert Mask.companion == "mask"
    with pytest.raises(InputError, match="needs the mask"):
        Mask().predict(torch.zeros(1, 3, 2, 2))
