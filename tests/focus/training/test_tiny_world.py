"""A network of two parameters on grey faces, whose result is known by hand."""

import numpy as np
import pytest
import torch

from focus.data.loading import TrainingPlan
from focus.optim import OptimizerConfig
from focus.runtime import seed_everything

# w after each step of these rates: 1, 2, 0, -2. On val bright faces are real: AUC 0, 0, 0.5, 1.
TURNING = OptimizerConfig(
    "sgd", lr=1.0, betas=(0.0, 0.0), schedule="steps", factors=((0.0, 1.0), (0.5, -2.0))
)
# and of these: -1, -2, 0, 2; AUC 1, 1, 0.5, 0.
FALLING = OptimizerConfig(
    "sgd", lr=1.0, betas=(0.0, 0.0), schedule="steps", factors=((0.0, -1.0), (0.5, 2.0))
)


def first_fakes(world, seed):
    """Return the brightness of the fakes of the first batch of two, by the plan alone."""
    train = world.index.where("train")
    (draws,) = list(TrainingPlan(train, 2, (0, 1), "label", seed))
    greys = [int(train.keys[d.row].split("-")[2][:-4]) for d in draws if train.labels[d.row]]
    return [world.greys["train", 1][number] / 255 for number in greys]


def test_a_step_by_hand_learns_from_train_alone(world):
    best, last = world.train(steps=1, batch=2)
    (fake,) = first_fakes(world, 0)
    # Both probabilities are 1/2: dL/dw = (0.5 * 0 - 0.5 * x) / 2, dL/db = 0.
    assert last["w"] == pytest.approx(0.25 * fake, abs=1e-6)
    assert last["b"] == pytest.approx(0, abs=1e-6)
    assert best["w"] == last["w"]


def test_the_selection_looks_at_val_alone(world):
    world.train(steps=1, batch=16)
    assert world.reports[0].best_auc == 0  # on train it would be 1, on test 0.5


@pytest.mark.parametrize(
    ("rates", "step", "best_w", "last_w"), [(TURNING, 4, -2, -2), (FALLING, 2, -2, 2)]
)
def test_the_best_weights_are_kept_and_the_rate_is_the_schedules(
    world, rates, step, best_w, last_w
):
    best, last = world.train(task="rise", steps=4, batch=2, optimizer=rates)
    assert (best["w"], last["w"]) == (best_w, last_w)
    report = world.reports[0]
    assert (report.best_auc, report.best_step, report.step) == (1.0, step, 4)


def test_an_average_is_updated_judged_and_kept(world):
    best, last = world.train(task="rise", steps=4, batch=2, optimizer=FALLING, ema=0.5)
    # w: -1, -2, 0, 2; its average: -1, -1.5, -0.75, 0.625; AUC of the average: 1, 1, 1, 0.
    assert (best["w"], last["w"]) == (-0.75, 0.625)
    assert world.reports[0].best_step == 3


@pytest.mark.parametrize("bound", [{"clip": 0.25}, {"clip_value": 0.25}])
def test_gradients_are_clipped(world, bound):
    optimizer = OptimizerConfig("sgd", lr=1.0, betas=(0.0, 0.0), schedule="constant", **bound)
    _, last = world.train(task="rise", steps=2, batch=2, optimizer=optimizer)
    assert last["w"] == pytest.approx(0.5, abs=1e-4)


def test_the_seed_draws_the_first_weights_the_faces_and_every_step(world):
    runs = {
        (task, seed, again): world.train(f"{task}{seed}{again}", task, seed, steps=1, batch=2)[1]
        for task in ("labels", "noise")
        for seed, again in ((0, 0), (0, 1), (1, 0))
    }
    for task in ("labels", "noise"):
        assert runs[task, 0, 0] == runs[task, 0, 1]
    for seed in (0, 1):
        (fake,) = first_fakes(world, seed)
        assert runs["labels", seed, 0]["w"] == pytest.approx(0.25 * fake, abs=1e-6)
        seed_everything(seed)
        assert runs["labels", seed, 0]["start"] == torch.rand(()).item()
        seed_everything(seed, 0, 0)
        assert runs["noise", seed, 0]["w"] == torch.rand(()).item()
    assert first_fakes(world, 0) != first_fakes(world, 1)


def test_validation_is_in_evaluation_mode_and_training_in_training_mode(world):
    world.train(steps=2, batch=2)
    assert [state[0] for state in world.detector.seen["predict"]] == [False] * 4
    assert [state[0] for state in world.detector.seen["loss"]] == [True] * 2


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_precision_reaches_loss_and_validation(world, precision):
    world.train(steps=1, batch=2, precision=precision)
    for _, enabled, dtype in world.detector.seen["loss"] + world.detector.seen["predict"]:
        assert enabled == (precision == "bf16")
        assert dtype == torch.bfloat16 or not enabled


def test_the_hooks_see_training_faces_and_the_best_weights(world):
    best, last = world.train(task="rise", steps=4, batch=2, optimizer=FALLING)
    fakes = np.array(world.greys["train", 1]) / 255
    assert best["mean"] == pytest.approx(fakes.sum() / 16, abs=1e-5)
    assert best["fakes"] == pytest.approx(fakes.sum(), abs=1e-5)
    assert last["fakes"] == 0  # measured once, on the best weights, in evaluation mode
    assert world.detector.seen["finish"] == [False, -2.0]


def test_settings_that_are_not_given_are_the_detectors_own(world):
    from focus.optim import OptimizerOptions
    from focus.training.options import FitOptions

    plain = FitOptions().complete(world.detector)
    assert (plain.steps, plain.batch, plain.optimizer) == (3, 4, world.sgd)
    # FoCus's own values, given: they stand, though another detector is trained.
    options = OptimizerOptions(optimizer="adam", lr=1e-4)
    given = FitOptions(steps=30_000, batch=128, optimizer=options).complete(world.detector)
    assert (given.steps, given.batch) == (30_000, 128)
    assert (given.optimizer.optimizer, given.optimizer.lr) == ("adam", 1e-4)
    assert given.optimizer.schedule == "constant"  # one flag leaves the others the detector's own
