"""The convex change masks, step by step against scikit-image and SciPy."""

import cv2
import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.metrics import structural_similarity as scikit_similarity
from skimage.morphology import convex_hull_image

from focus.data.images import read_image
from focus.errors import InputError
from focus.generators import annotation
from focus.generators.annotation import Annotation, annotate, outline, structural_similarity
from tests.shared import SHARED

FFPP = SHARED / "data" / "ffpp-example"


def draw_pair(seed=0, side=160):
    """Return a fake, its original, and the ellipse in which they differ."""
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.normal(0, 60, (side, side, 3)), (0, 0), 2) * 3
    real = (noise + 128).clip(1, 255).astype(np.uint8)
    ellipse = cv2.ellipse(np.zeros((side, side), np.uint8), (70, 85), (30, 42), 20, 0, 360, 1, -1)
    other = cv2.GaussianBlur(rng.normal(0, 60, (side, side, 3)), (0, 0), 2) * 3
    fake = np.where(ellipse[..., None] > 0, (other + 110).clip(1, 255), real).astype(np.uint8)
    return fake, real, ellipse > 0


def is_convex(mask):
    """Return whether the mask is one blob, and its own hull but for the edge's pixels."""
    return (
        cv2.connectedComponents(mask)[0] == 2
        and overlap(mask > 0, convex_hull_image(mask > 0)) > 0.98
    )


def overlap(one, other):
    """Return intersection over union."""
    return np.logical_and(one, other).sum() / np.logical_or(one, other).sum()


def annotate_slowly(fake, real):
    """Do the published steps with SciPy and scikit-image; return the mask as bool."""
    x, y = (cv2.cvtColor(face, cv2.COLOR_RGB2GRAY) / 255 for face in (fake, real))
    _, similarity = scikit_similarity(x, y, win_size=7, data_range=2.0, full=True)
    change = 1 - similarity
    change = (change - change.min()) / (change.max() - change.min())
    for axis in (0, 1):
        change = ndimage.convolve1d(change, np.array([1, 4, 6, 4, 1]) / 16, axis, mode="mirror")
    product = (255 * x * (change > 0.08)).astype(np.uint8)
    wide = ndimage.binary_dilation(product > 0, ELLIPSE_7, iterations=3)
    narrow = ndimage.binary_erosion(
        convex_hull_image(wide), ELLIPSE_5, iterations=3, border_value=1
    )
    soft = narrow.astype(float)
    for axis in (0, 1):
        weights = np.array([1, 3.5, 7, 9, 7, 3.5, 1]) / 32
        soft = ndimage.convolve1d(soft, weights, axis, mode="mirror")
    return (255 * soft).astype(np.uint8) > 0


ELLIPSE_7 = np.array([[0, 0, 0, 1, 0, 0, 0]] + [[0, 1, 1, 1, 1, 1, 0]] + [[1] * 7] * 3)
ELLIPSE_7 = np.concatenate([ELLIPSE_7, ELLIPSE_7[:2][::-1]]) > 0
ELLIPSE_5 = np.array([[0, 0, 1, 0, 0], [1] * 5, [1] * 5, [1] * 5, [0, 0, 1, 0, 0]]) > 0


def test_the_published_constants():
    assert (annotation.WINDOW, annotation.K1, annotation.K2) == (7, 0.01, 0.03)
    assert annotation.DATA_RANGE == 2.0
    assert (annotation.SMOOTHING, annotation.THRESHOLD) == ((5, 5), 0.08)
    assert (annotation.DILATION, annotation.EROSION, annotation.REPEATS) == ((7, 7), (5, 5), 3)
    assert (annotation.VERTICES, annotation.SOFTENING) == (5, (7, 7))


@pytest.mark.parametrize("data_range", [1.0, 2.0])
def test_similarity_is_scikit_images_up_to_the_border(data_range):
    fake, real, _ = draw_pair()
    x, y = (cv2.cvtColor(face, cv2.COLOR_RGB2GRAY) / 255 for face in (fake, real))
    _, expected = scikit_similarity(x, y, data_range=data_range, full=True)
    np.testing.assert_allclose(structural_similarity(x, y, data_range), expected, atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_the_steps_together(seed):
    fake, real, _ = draw_pair(seed)
    mask, ok = annotate(fake, real)
    assert ok
    # The two hulls may differ by a pixel's fraction along the edge.
    assert overlap(mask > 0, annotate_slowly(fake, real)) > 0.995


def test_a_change_is_wrapped_in_one_convex_region():
    fake, real, ellipse = draw_pair()
    mask, ok = annotate(fake, real)
    assert ok
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) == {0, 255}
    assert is_convex(mask)
    assert (mask[ellipse] == 255).all()
    grown = np.sqrt((mask > 0).sum() / ellipse.sum()) * np.sqrt(30 * 42) - np.sqrt(30 * 42)
    assert 6 < grown < 13  # 6 px of the outline, about 3 of the window and 2 of the smoothing


def test_two_changes_share_one_region():
    changed = np.zeros((200, 100), bool)
    changed[50:70, 20:40] = changed[130:150, 60:80] = True
    mask, ok = outline(changed)
    assert ok
    assert is_convex(mask)
    assert mask[100, 50] == 255
    assert mask[100, [10, 90]].tolist() == [0, 0]


def test_the_outline_of_a_disc_grows_by_six_pixels():
    y, x = np.indices((300, 300)) - 150
    mask, ok = outline(np.hypot(y, x) <= 80)
    assert ok
    assert np.sqrt((mask > 0).sum() / np.pi) == pytest.approx(86, abs=1)
    assert (np.flatnonzero(mask[150])[[0, -1]] - 150).tolist() == [-86, 86]


def test_the_data_range_hardly_matters():
    fake, real, _ = draw_pair()
    one, two = (annotate(fake, real, span).mask.sum() for span in (1.0, 2.0))
    assert one / two == pytest.approx(1, abs=0.02)


def test_black_pixels_of_the_fake_fall_out():
    _, real, ellipse = draw_pair()
    real[~ellipse] = 0
    assert not annotate(np.zeros_like(real), real).ok
    assert annotate(np.ones_like(real), real).ok


def test_what_cannot_be_outlined():
    _, real, _ = draw_pair()
    mask, ok = annotate(real, real)
    assert not ok
    assert not mask.any()
    whole = outline(np.ones((50, 60), bool))  # a rectangle has four corners
    assert not whole.ok
    assert not whole.mask.any()


def test_the_generator():
    fake, real, _ = draw_pair()
    generator = Annotation()
    faces = torch.from_numpy(np.stack([fake, real])).permute(0, 3, 1, 2).contiguous()
    originals = faces[[1, 1]]
    prediction = generator.compare(generator.input_spec.standardise(faces), originals)
    assert prediction.parts["ok"].tolist() == [True, False]
    assert torch.isnan(prediction.scores).all()
    expected = annotate(fake, real).mask / 255
    np.testing.assert_array_equal(prediction.maps[0, 0].numpy(), expected)
    assert not prediction.maps[1].any()


def test_options():
    generator = Annotation.load(None, {"data_range": "1", "image_size": "128"})
    assert generator.describe() == {"image_size": 128, "data_range": 1.0}
    assert generator.input_spec.image_size == 128
    with pytest.raises(InputError, match="data_range=0"):
        Annotation.load(None, {"data_range": "0"})


def test_a_pair_of_faceforensics():
    if not FFPP.is_dir():
        pytest.skip(f"{FFPP}: not here")
    names = ("ex_deepfakes.png", "ex_original.png", "ex_deepfakes_mask.png")
    fake, real, truth = (read_image(FFPP / name) for name in names)
    mask, ok = annotate(fake, real)
    assert ok
    assert is_convex(mask)
    assert overlap(mask > 0, truth.max(axis=-1) > 127) > 0.5
