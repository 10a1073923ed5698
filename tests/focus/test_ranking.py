import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from focus.ranking import count_levels, score_auc


@pytest.mark.parametrize("levels", [2, 7, 0])
def test_the_area_is_that_of_scikit_learn(levels):
    rng = np.random.default_rng(levels)
    labels = rng.integers(0, 2, 300)
    scores = rng.random(300) * 0.7 + 0.3 * labels
    scores = np.round(scores * levels) / levels if levels else scores
    assert score_auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def test_one_class_has_no_area_and_unknown_labels_do_not_count():
    assert np.isnan(score_auc(np.array([1, 1]), np.array([0.2, 0.3])))
    labels, scores = np.array([0, 1, -1, 1]), np.array([0.2, 0.2, 0.9, 0.7])
    fakes, reals = count_levels(labels, scores)
    assert (fakes.tolist(), reals.tolist()) == ([1, 1, 0], [1, 0, 0])
    assert score_auc(labels, scores) == 0.75
