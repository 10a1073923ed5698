from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score, jaccard_score, roc_auc_score
from torchmetrics.classification import BinaryF1Score, BinaryJaccardIndex

from evaluator.metrics.counting import (
    EDGES,
    HALF,
    LEVELS,
    PixelPool,
    count_levels,
    resize_levels,
)
from evaluator.metrics.intervals import Resampling, effective, interval, resample
from evaluator.metrics.localization import choose_level, localization_metrics, prior_metrics
from evaluator.metrics.prior import MaskPrior

EMPTY = np.zeros((2, 2), dtype=bool)
LEFT = np.array([[1, 0], [1, 0]], dtype=bool)


def histograms(maps, masks, regions=None):
    stacks = [maps, masks, *([] if regions is None else [regions])]
    return count_levels(*(torch.from_numpy(np.stack(stack)) for stack in stacks))


def pool_of(maps, masks):
    pool = PixelPool()
    count_levels(*(torch.from_numpy(np.stack(stack)) for stack in (maps, masks)), pool=pool)
    return pool.average_precision([0])


def resize(map_, size):
    """Resize bilinearly to float64, by the matrix of weights of each axis."""
    weights = []
    for side, length in zip(map_.shape, size, strict=True):
        places = np.clip((np.arange(length) + 0.5) * side / length - 0.5, 0, side - 1)
        low = np.floor(places).astype(int)
        weights.append(np.zeros((length, side)))
        weights[-1][np.arange(length), low] += 1 - (places - low)
        weights[-1][np.arange(length), np.minimum(low + 1, side - 1)] += places - low
    resized = weights[0] @ map_.astype(np.float64) @ weights[1].T
    return resized.round(9)  # equal values stay equal in any order of the sums


def levels_of(maps, masks):
    return resize_levels(torch.from_numpy(np.stack(maps)), masks[0].shape).numpy()


def judge(maps, masks, labels=None, regions=None, draws=0, **options):
    labels = np.ones(len(maps), dtype=int) if labels is None else np.asarray(labels)
    resampling = Resampling(np.arange(len(maps)), draws)
    return localization_metrics(histograms(maps, masks, regions), labels, resampling, **options)


def random_faces(seed, count=12, size=(17, 23), fakes=8):
    generator = np.random.default_rng(seed)
    maps = generator.integers(0, 256, (count, 5, 6)).astype(np.uint8)
    masks = generator.random((count, *size)) < 0.3
    masks[fakes:] = False
    regions = generator.random((count, *size)) < 0.6
    return list(maps), list(masks), list(regions), (np.arange(count) < fakes).astype(int)


@pytest.mark.parametrize("seed", range(3))
def test_threshold_free_metrics_equal_scikit_learn(seed):
    maps, masks, regions, labels = random_faces(seed)
    found = judge(maps, masks, labels, regions)
    levels = [resize(map_, masks[0].shape) for map_ in maps]
    fakes = range(8)
    aucs = [roc_auc_score(masks[i].ravel(), levels[i].ravel()) for i in fakes]
    inside = [roc_auc_score(masks[i][regions[i]], levels[i][regions[i]]) for i in fakes]
    pixels = np.concatenate([masks[i].ravel() for i in fakes])
    values = np.concatenate([levels[i].ravel() for i in fakes])
    assert found["pixel_auc"].value == pytest.approx(np.mean(aucs), abs=1e-9)
    assert found["pixel_auc_region"].value == pytest.approx(np.mean(inside), abs=1e-9)
    pxap = average_precision_score(pixels, values)
    assert pool_of(maps[:8], masks[:8]) == pytest.approx(pxap, abs=1e-5)
    assert found["pxap"].value == pytest.approx(pxap, abs=0.01)  # without a pool
    energy = [levels[i][masks[i]].sum() / levels[i].sum(dtype=float) for i in fakes]
    pointing = [masks[i][levels[i] == levels[i].max()].mean() for i in fakes]
    assert found["energy_inside"].value == pytest.approx(np.mean(energy), abs=1e-7)
    assert found["pointing"].value == pytest.approx(np.mean(pointing), abs=1e-12)


@pytest.mark.parametrize("score", [0.9, 0.02, 0.001, 1e-5, 1e-8])
def test_threshold_free_metrics_do_not_depend_on_the_score(score):
    """Also not on the 8 bits of a screen: at 0.001 they would leave one level."""
    generator = np.random.default_rng(0)
    masks = generator.random((8, 28, 28)) < 0.3
    plain = generator.normal(size=(8, 28, 28)) + 1.81 * masks
    plain -= plain.min(axis=(1, 2), keepdims=True)
    plain /= plain.max(axis=(1, 2), keepdims=True)
    maps = (plain * score).astype(np.float32)
    found = judge(list(maps), list(masks), regions=list(np.ones_like(masks)))
    aucs = [roc_auc_score(masks[i].ravel(), maps[i].ravel()) for i in range(8)]
    assert found["pixel_auc"].value == pytest.approx(np.mean(aucs), abs=1e-9)
    assert found["pixel_auc_region"].value == pytest.approx(np.mean(aucs), abs=1e-9)
    pxap = average_precision_score(masks.ravel(), maps.ravel())
    assert pool_of(list(maps), list(masks)) == pytest.approx(pxap, abs=1e-5)
    energy = [plain[i][masks[i]].sum() / plain[i].sum() for i in range(8)]
    assert found["energy_inside"].value == pytest.approx(np.mean(energy), abs=1e-7)
    pointing = [masks[i].ravel()[plain[i].argmax()] for i in range(8)]
    assert found["pointing"].value == np.mean(pointing)


@pytest.mark.parametrize("level", [128, 40])
def test_thresholded_metrics_equal_scikit_learn_and_torchmetrics(level):
    maps, masks, _, labels = random_faces(5)
    found = judge(maps, masks, labels, level=int(np.searchsorted(EDGES, (level - 0.5) / 255)))
    marked = levels_of(maps, masks) >= level
    truth, guess = np.concatenate([*map(np.ravel, masks)]), np.concatenate([*map(np.ravel, marked)])
    assert found["pixel_f1_macro"].value == pytest.approx(f1_score(truth, guess, average="macro"))
    assert found["pixel_miou"].value == pytest.approx(jaccard_score(truth, guess, average="macro"))
    fakes = [torch.from_numpy(np.stack(part[:8])).int() for part in (marked, masks)]
    assert found["f1_fake"].value == pytest.approx(BinaryF1Score()(*fakes).item(), abs=1e-6)
    assert found["iou_fake"].value == pytest.approx(BinaryJaccardIndex()(*fakes).item(), abs=1e-6)
    per_frame = [BinaryJaccardIndex()(*(part[i] for part in fakes)).item() for i in range(8)]
    assert found["iou_frame"].value == pytest.approx(np.mean(per_frame), abs=1e-6)
    assert found["fp_area_real"].value == pytest.approx(np.mean([m.mean() for m in marked[8:]]))
    counts = {name: value.n for name, value in found.items()}
    assert (counts["pixel_f1_macro"], counts["f1_fake"], counts["fp_area_real"]) == (12, 8, 4)


def test_padding_counts_nowhere():
    generator = np.random.default_rng(4)
    maps, masks = generator.random((6, 20, 20)).astype(np.float32), np.zeros((6, 20, 20), bool)
    masks[:4] = generator.random((4, 20, 20)) < 0.3
    regions, padding = generator.random((2, 6, 20, 20)) < 0.6
    padding[:] = False
    padding[:, :5], padding[:, :, 17:] = True, True
    pools, labels, units = [PixelPool(), PixelPool()], np.array([1] * 4 + [0] * 2), np.arange(6)
    padded = count_levels(*map(torch.from_numpy, (maps, masks, regions, padding)), pools[0])
    cut = (np.ascontiguousarray(part[:, 5:, :17]) for part in (maps, masks, regions))
    whole = count_levels(*map(torch.from_numpy, cut), pool=pools[1])
    found, expected = (
        localization_metrics(part, labels, Resampling(units, 20), pxap=pool.average_precision([0]))
        for part, pool in zip((padded, whole), pools, strict=True)
    )
    assert found == expected
    plain = localization_metrics(histograms(maps, masks, regions), labels, Resampling(units, 20))
    assert all(found[name].value != plain[name].value for name in found if name != "pointing")


def test_by_hand():
    map_ = np.array([[1.0, 0.6], [0.2, 0.0]])
    found = judge([map_], [LEFT])
    assert found["f1_fake"].value == 0.5  # one hit, one false alarm, one miss
    assert found["iou_fake"].value == found["iou_frame"].value == pytest.approx(1 / 3)
    assert found["pixel_f1_macro"].value == 0.5
    assert found["pixel_miou"].value == pytest.approx(1 / 3)
    assert found["pixel_auc"].value == 0.75
    assert found["pxap"].value == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert found["pointing"].value == 1.0
    assert found["energy_inside"].value == pytest.approx((255 + 51) / (255 + 153 + 51))


def test_a_perfect_prediction_on_authentic_images_lowers_nothing():
    fake, real = LEFT.astype(float), np.zeros((2, 2))
    alone, mixed = judge([fake], [LEFT]), judge([fake, real, real], [LEFT, EMPTY, EMPTY], [1, 0, 0])
    for name in ("pixel_f1_macro", "pixel_miou", "f1_fake", "iou_fake", "iou_frame", "pxap"):
        assert alone[name].value == mixed[name].value == 1.0, name
    reals = judge([real], [EMPTY], [0])
    assert reals["pixel_f1_macro"].value == reals["pixel_miou"].value == 1.0
    assert reals["fp_area_real"].value == 0.0
    assert reals["f1_fake"].value is None
    assert reals["pxap"].value is None
    assert reals["f1_fake"].n == 0


def test_marking_a_real_face_touches_no_metric_of_the_fakes():
    fake, real = LEFT.astype(float), np.ones((2, 2))
    found = judge([fake, real], [LEFT, EMPTY], [1, 0])
    for name in ("f1_fake", "iou_fake", "iou_frame", "pxap", "pixel_auc", "pointing"):
        assert found[name].value == 1.0, name
    assert found["fp_area_real"].value == 1.0
    assert found["pixel_f1_macro"].value == pytest.approx((4 / 8 + 4 / 8) / 2)


def test_zeroed_real_maps_have_no_false_positive_area():
    found = judge([LEFT.astype(float), np.zeros((2, 2))], [LEFT, EMPTY], [1, 0], zeroed=True)
    assert found["fp_area_real"].value is None
    assert found["fp_area_real"].reason == "real maps were zeroed by label"


def test_an_empty_and_a_full_mask_on_a_fake():
    found = judge([np.zeros((2, 2))], [EMPTY])
    assert found["iou_frame"].value == 1.0
    for name in ("f1_fake", "iou_fake", "pixel_auc", "pxap", "pointing", "energy_inside"):
        assert found[name].value is None, name
        assert found[name].reason
    assert judge([np.ones((2, 2))], [EMPTY])["iou_frame"].value == 0.0
    assert judge([np.ones((2, 2))], [EMPTY])["f1_fake"].value == 0.0
    full = judge([np.eye(2)], [~EMPTY])
    assert full["pixel_auc"].value is None
    assert (full["pointing"].value, full["pxap"].value) == (1.0, 1.0)
    both = judge([np.zeros((2, 2)), LEFT.astype(float)], [EMPTY, LEFT])
    assert (both["pixel_auc"].n, both["iou_frame"].n, both["f1_fake"].n) == (1, 2, 2)


def test_a_constant_map_points_nowhere_and_scores_the_area():
    for value in (0.0, 0.3, 1.0):
        found = judge([np.full((4, 4), value)], [np.arange(16).reshape(4, 4) < 4])
        assert found["pixel_auc"].value == 0.5
        assert (
            found["pointing"].value == found["energy_inside"].value == found["pxap"].value == 0.25
        )


def test_a_region_outside_of_the_forgery_has_no_value():
    found = judge([LEFT.astype(float)], [LEFT], regions=[~LEFT])
    assert found["pixel_auc_region"].value is None
    assert found["pixel_auc"].value == 1.0


def test_without_a_threshold_only_threshold_free_metrics_have_values():
    found = judge([LEFT.astype(float)], [LEFT], level=None)
    assert found["f1_fake"].value is None
    assert found["f1_fake"].reason == "no threshold was asked for"
    assert found["pxap"].value == 1.0


def test_the_chosen_level_is_the_best_of_all_by_a_slow_search():
    maps, masks, _, _ = random_faces(7, fakes=12)
    maps = [(map_ // 3) for map_ in maps]
    chosen = choose_level(histograms(maps, masks))
    scores = {level: judge(maps, masks, level=level)["f1_fake"].value for level in range(1, LEVELS)}
    assert scores[chosen] == max(scores.values())
    assert chosen != HALF


def test_among_equal_levels_the_one_nearest_to_one_half_is_chosen():
    assert choose_level(histograms([LEFT.astype(float)], [LEFT])) == HALF
    assert choose_level(histograms([LEFT * 0.2], [LEFT])) == np.searchsorted(EDGES, 50.5 / 255)
    with pytest.raises(ValueError, match="no forged pixel"):
        choose_level(histograms([LEFT.astype(float)], [EMPTY]))


def test_intervals_equal_a_slow_loop_over_the_same_draws():
    maps, masks, _, labels = random_faces(2)
    units = np.array([0, 0, 1, 1, 2, 3, 4, 5, 0, 1, 2, 3])
    found = localization_metrics(histograms(maps, masks), labels, Resampling(units, 40, 1))
    slow: dict[str, list[float]] = {"pxap": [], "f1_fake": [], "pixel_auc": [], "pixel_miou": []}
    for counts in np.concatenate(list(resample(6, 40, 1))).astype(int):
        rows = np.repeat(np.arange(12), counts[units])
        drawn = judge([maps[i] for i in rows], [masks[i] for i in rows], labels[rows])
        for name, values in slow.items():
            values.append(drawn[name].value)
    for name, values in slow.items():
        videos = effective(units, labels == 1 if name != "pixel_miou" else labels >= 0)
        error = np.std(values) * np.sqrt(videos / (videos - 1))
        expected = interval(found[name].value, error, videos)
        assert (found[name].low, found[name].high) == pytest.approx(expected, abs=1e-12), name


def test_prior_is_the_mean_of_the_other_videos_masks():
    prior = MaskPrior()
    top, left = np.zeros((128, 128), dtype=bool), np.zeros((32, 32), dtype=bool)
    top[:64], left[:, :16] = True, True
    prior.add(top, "a")
    alone, others = prior.without(["a", "b"])
    assert others.tolist() == [False, True]
    assert not alone[0].any()
    prior.add(left, "b")
    prior.add(left, "b")
    found, others = prior.without(["b", "a", "c", "b"])
    assert others.all()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], np.kron([[1, 1], [0, 0]], np.ones((32, 32))))
    np.testing.assert_allclose(found[1], np.kron([[1, 0], [1, 0]], np.ones((32, 32))), atol=1e-6)
    assert found[2, 0, 0] == pytest.approx(1)
    assert found[2, 0, -1] == pytest.approx(1 / 3)
    np.testing.assert_array_equal(found[3], found[0])


def test_prior_metrics_are_the_ranking_metrics_under_their_own_names():
    maps, masks, regions, labels = random_faces(1)
    table, resampling = histograms(maps, masks, regions), Resampling(np.arange(12), 20)
    plain = localization_metrics(table, labels, resampling)
    prior = prior_metrics(table, labels, resampling)
    assert set(prior) == {"prior_pxap", "prior_pixel_auc", "prior_pixel_auc_region"}
    for name, value in prior.items():
        assert value == plain[name.removeprefix("prior_")]
