"""The loop: schedules, batches, resuming, and one-line errors."""

import csv
import gc
import json
import multiprocessing
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from focus.config import from_json, given_values, to_json
from focus.data.faces import Draw, FaceDataset
from focus.data.index import FaceIndex
from focus.data.loading import TrainingPlan, build_loader
from focus.data.sources import Source
from focus.data.transforms import Augmentation, Geometry
from focus.errors import CheckFailedError, InputError
from focus.network.model import FoCus, FoCusConfig
from focus.optim import OptimizerConfig, learning_rate
from focus.runtime import Runtime, seed_everything
from focus.training.command import train_command
from focus.training.options import FitConfig
from focus.training.recipes import RECIPES, TrainCommand

NETWORK = FoCusConfig(
    encoder="resnet10t", encoder_weights="none", image_size=64, stage=2, output_stride=8
)


def command_for(corpus, out, **changes):
    fit = {"steps": 4, "batch": 8, "validate_every": 2, "workers": 0, **changes.pop("fit", {})}
    optimizer = OptimizerConfig(lr=1e-3)
    return TrainCommand(
        source=Source(data=str(corpus)),
        out=out,
        network=NETWORK,
        fit=FitConfig(optimizer=optimizer, **fit),
        runtime=Runtime(device="cpu", quiet=True),
        **changes,
    )


def test_learning_rate_rises_then_falls_to_zero():
    config = OptimizerConfig(lr=1.0, warmup=0.2)
    rates = [learning_rate(step, 100, config) for step in range(100)]
    assert rates[:3] == pytest.approx([0.05, 0.1, 0.15])
    assert max(rates) == rates[20] == 1.0
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 80)
    for step in range(20, 100):  # torch's own cosine
        assert rates[step] == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        optimizer.step()
        cosine.step()


def plan_index():
    labels = np.array([0] * 6 + [1] * 4)
    methods = [""] * 6 + ["a", "a", "a", "b"]
    paths = [str(k) for k in range(10)]
    return FaceIndex({"path": paths, "method": methods}, labels, ".")


def test_plan_balances_labels_and_methods_and_repeats_nothing_early():
    index = plan_index()
    for balance, methods in (("label", None), ("method", {"a": 6, "b": 6})):
        plan = TrainingPlan(index, 8, (0, 3), balance)
        draws = [draw for batch in plan for draw in batch]
        rows = [draw.row for draw in draws]
        assert sum(index.labels[rows]) == 12
        real = [row for row in rows if index.labels[row] == 0]
        assert sorted(real) == sorted([0, 1, 2, 3, 4, 5] * 2)  # all once before any twice
        if methods:
            found = [index.column("method")[row] for row in rows]
            assert {name: found.count(name) for name in "ab"} == methods
    assert len({draw.number for draw in draws}) == 24


def test_plan_is_the_same_resumed_split_and_accumulated():
    index = plan_index()
    whole = [draw for batch in TrainingPlan(index, 8, (0, 4), "label") for draw in batch]
    resumed = [draw for batch in TrainingPlan(index, 8, (2, 4), "label") for draw in batch]
    assert whole[16:] == resumed
    micro = list(TrainingPlan(index, 8, (0, 4), "label", accumulation=2))
    assert [len(batch) for batch in micro] == [4] * 8
    assert [draw for batch in micro for draw in batch] == whole
    parts = [
        [d for b in TrainingPlan(index, 8, (0, 4), "label", process=(rank, 2)) for d in b]
        for rank in range(2)
    ]
    assert sorted(parts[0] + parts[1]) == sorted(whole)
    with pytest.raises(InputError, match="--batch 8"):
        TrainingPlan(index, 8, (0, 4), process=(0, 3))


def test_geometry_moves_image_and_map_together():
    image = np.zeros((64, 64, 3), np.uint8)
    image[16:32, 32:48] = 255
    values = (image[..., 0] / 255).astype(np.float32)
    rng = np.random.default_rng(3)
    for _ in range(20):
        geometry = Augmentation(smallest_crop=0.5).draw(rng)
        moved = geometry.apply(image, 64)[..., 0] / 255
        map_moved = geometry.apply(values)
        assert map_moved.shape == (64, 64)
        assert np.abs(moved - map_moved).mean() < 0.02
    mirrored = Geometry(mirrored=True).apply(image)
    assert np.array_equal(mirrored, image[:, ::-1])


def test_draws_do_not_depend_on_the_worker(demo_corpus):
    index = FaceIndex.read(demo_corpus)
    faces = FaceDataset(index, 64, augmentation=Augmentation(smallest_crop=0.7), seed=5)
    rows = [[Draw(k, 7 * k) for k in range(4)], [Draw(k, k) for k in range(4, 8)]]
    alone = list(build_loader(faces, rows, workers=0))
    shared = list(build_loader(faces, rows, workers=2))
    for one, other in zip(alone, shared, strict=True):
        assert torch.equal(one.images, other.images)
        assert one.keys == other.keys
    again = faces[Draw(0, 1)]
    assert not torch.equal(again.image, faces[Draw(0, 2)].image)


def test_resuming_is_bit_exact(demo_corpus, tmp_path):
    fit = {"steps": 20, "validate_every": 5, "ema": 0.9}
    train_command(command_for(demo_corpus, tmp_path / "whole", fit=fit))
    train_command(command_for(demo_corpus, tmp_path / "halves", fit={**fit, "stop_after": 10}))
    assert not (tmp_path / "halves" / "finished").exists()
    with pytest.raises(InputError, match="add --resume"):
        train_command(command_for(demo_corpus, tmp_path / "halves", fit=fit))
    train_command(command_for(demo_corpus, tmp_path / "halves", fit=fit, resume=True))
    for name in ("best.safetensors", "last.safetensors"):
        whole, halves = (load_file(tmp_path / run / name) for run in ("whole", "halves"))
        assert whole.keys() == halves.keys()
        assert all(torch.equal(whole[key], halves[key]) for key in whole)
    journals = [(tmp_path / run / "journal.csv").read_text() for run in ("whole", "halves")]
    timeless = [[line.rsplit(",", 1)[0] for line in text.splitlines()] for text in journals]
    assert timeless[0] == timeless[1]
    assert (tmp_path / "whole" / "curve.png").stat().st_size > 1000
    with pytest.raises(InputError, match="finished run"):
        train_command(command_for(demo_corpus, tmp_path / "whole", fit=fit))


def test_accumulation_changes_memory_not_the_result(demo_corpus, tmp_path):
    # Batch norm sees micro-batches, so the comparison needs a network without it.
    network = FoCusConfig(encoder="vit_tiny_patch16_224", encoder_weights="none", image_size=32)
    weights = []
    for accumulation in (1, 4):
        out = tmp_path / str(accumulation)
        command = command_for(demo_corpus, out, fit={"steps": 1, "accumulation": accumulation})
        swap_free = FoCusConfig(**{**to_json(network), "swap": "maximum"})
        train_command(from_fields(command, network=swap_free))
        weights.append(load_file(out / "last.safetensors"))
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], atol=2e-3, rtol=0)


def from_fields(command, **changes):
    from dataclasses import replace

    return replace(command, **changes)


@pytest.mark.parametrize("change", [{"fit": {"batch": 16}}, {"stills": True}])
def test_other_settings_are_not_resumed(demo_corpus, tmp_path, change):
    train_command(command_for(demo_corpus, tmp_path / "run", fit={"stop_after": 2}))
    other = command_for(demo_corpus, tmp_path / "run", resume=True, **change)
    with pytest.raises(InputError, match="started with other settings"):
        train_command(other)


def test_a_batch_without_a_readable_face_names_it(demo_corpus, tmp_path):
    index = FaceIndex.read(demo_corpus)
    first, *others = index.where("train")
    train = [first, *(from_fields(face, path=f"gone/{face.path}") for face in others)]
    faces = FaceIndex.of([*train, *index.where("val")], index.root)
    faces.write(tmp_path / "index.csv")
    fit = {"batch": 1, "balance": "none"}
    command = command_for(tmp_path / "index.csv", tmp_path / "run", fit=fit)
    source = Source(str(tmp_path / "index.csv"), root=index.root)
    with pytest.raises(InputError, match=r"no face of a batch can be read: gone/\S+: no such file"):
        train_command(from_fields(command, source=source))


def test_broken_resume_file_is_refused(demo_corpus, tmp_path):
    train_command(command_for(demo_corpus, tmp_path / "run", fit={"stop_after": 2}))
    path = tmp_path / "run" / "resume.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot resume from this checkpoint"):
        train_command(command_for(demo_corpus, tmp_path / "run", resume=True))


def test_infinite_loss_is_one_line_and_keeps_the_last_state(demo_corpus, tmp_path):
    command = command_for(demo_corpus, tmp_path / "run", fit={"steps": 8})
    hot = from_fields(command.fit, optimizer=OptimizerConfig(optimizer="sgd", lr=1e12))
    with pytest.raises(InputError, match=r"not finite at step 2 .*--lr"):
        train_command(from_fields(command, fit=hot))


def test_scores_that_are_not_finite_are_not_validated(demo_corpus, tmp_path, monkeypatch):
    found = np.array([0.1, np.nan, 0.9]), np.array([0, 0, 1]), []
    monkeypatch.setattr("focus.training.loop.predict_scores", lambda *_: found)
    with pytest.raises(InputError, match=r"not finite at step 2 \(val/loss\)"):
        train_command(command_for(demo_corpus, tmp_path / "run"))
    assert not list(tmp_path.rglob("best.safetensors"))


def test_unreadable_faces_are_named_and_the_run_goes_on(demo_corpus, tmp_path):
    index = FaceIndex.read(demo_corpus)
    broken = index.columns["path"] = list(index.columns["path"])
    broken[0] = "missing.jpg"
    index.relocated(tmp_path).write(tmp_path / "index.csv")
    command = command_for(
        tmp_path / "index.csv", tmp_path / "run", fit={"steps": 40, "validate_every": 40}
    )
    with pytest.raises(CheckFailedError, match="1 face could not be read"):
        train_command(command)
    assert (tmp_path / "run" / "finished").exists()
    stopping = command_for(
        tmp_path / "index.csv", tmp_path / "other", fit={"steps": 40, "on_error": "stop"}
    )
    with pytest.raises(InputError, match=r"missing.jpg: .*--on-error skip"):
        train_command(stopping)


def test_the_end_of_a_training_is_said(demo_corpus, tmp_path, capsys):
    command = command_for(demo_corpus, tmp_path / "run", fit={"stop_after": 2})
    command = from_fields(command, runtime=Runtime(device="cpu"))
    train_command(command)
    said = capsys.readouterr()
    assert "stopped after step 2; add --resume to resume" in said.err
    assert not said.out
    train_command(from_fields(command, fit=from_fields(command.fit, stop_after=0), resume=True))
    assert re.search(r"run: best val AUC \d\.\d{4} at step \d of 4", capsys.readouterr().out)


def test_the_loader_ends_with_the_training(demo_corpus, tmp_path):
    """Not at a garbage collection, which closes the workers' queues and then waits for them."""
    gc.collect()
    before = multiprocessing.active_children()
    gc.disable()
    try:
        train_command(command_for(demo_corpus, tmp_path / "run", fit={"steps": 2, "workers": 1}))
        assert set(multiprocessing.active_children()) <= set(before)
    finally:
        gc.enable()


def test_recipes_are_what_documents_say():
    """Grid and loss of the small networks; the paper's has the defaults (test_paper_size)."""
    networks = {name: FoCusConfig(**given_values(recipe[1])) for name, recipe in RECIPES.items()}
    assert networks["paper"] == FoCusConfig()
    free = {name: from_fields(each, encoder_weights="none") for name, each in networks.items()}
    small, demo = (FoCus(free[name]) for name in ("small", "demo"))
    assert (small.grid, demo.grid) == ((14, 14), (14, 14))
    assert (small.encoders[0].dim, demo.encoders[0].dim) == (96, 128)
    assert (networks["small"].loss_weight, networks["demo"].loss_weight) == (1.0, 0.5)
    steps = {name: (recipe[2].steps, recipe[2].batch) for name, recipe in RECIPES.items()}
    assert (steps["small"], steps["demo"]) == ((1000, 32), (300, 32))


def test_config_survives_json():
    command = TrainCommand(source=Source(data="x"), out=Path("y"), fit=RECIPES["demo"][2])
    assert from_json(TrainCommand, json.loads(json.dumps(to_json(command)))) == command


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
    _, last = world.train(steps=1, batch=16)
    assert world.reports[0].best_auc == 0  # on train it would be 1, on test 0.5
    with (world.folder / "run/journal.csv").open(newline="") as file:
        (row,) = (row for row in csv.DictReader(file) if row["val/loss"])
    faces = [
        (grey, label)
        for (split, label), own in world.greys.items()
        for grey in own
        if split == "val"
    ]
    fake = [1 / (1 + np.exp(-last["w"] * grey / 255 - last["b"])) for grey, _ in faces]
    loss = [-np.log(p if label else 1 - p) for p, (_, label) in zip(fake, faces, strict=True)]
    assert float(row["val/loss"]) == pytest.approx(np.mean(loss), abs=1e-4)


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
