"""The trainer behind every command, and its run folder."""

import csv
import json
from dataclasses import replace
from typing import get_type_hints

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from evaluator.trial.command import RunCommand, run_command
from focus.cli import main as focus
from focus.data.index import Face, FaceIndex
from focus.data.sources import Source
from focus.data.transforms import Augmentation
from focus.detectors import DETECTORS
from focus.errors import InputError
from focus.network.model import FoCusConfig
from focus.optim import OptimizerOptions
from focus.runs import RunFolder, read_run
from focus.runtime import Runtime
from focus.training.command import TrainCommand, train_command
from focus.training.options import FitConfig, FitOptions, NetworkOptions, list_settings

TINY = {
    "encoder": "resnet10t",
    "encoder_weights": "none",
    "image_size": 64,
    "stage": 2,
    "output_stride": 8,
}


FIT = FitOptions(steps=2, batch=8, validate_every=2, workers=0)


QUIET = Runtime(device="cpu", quiet=True)


def test_both_commands_train_the_same_network(demo_corpus, tmp_path):
    source = Source(str(demo_corpus))
    network = NetworkOptions(**TINY)
    train_command(TrainCommand(source, tmp_path / "a", network=network, fit=FIT, runtime=QUIET))
    options = tuple(f"{name}={value}" for name, value in TINY.items())
    trial = {"options": options, "out": tmp_path / "b", "draws": 0, "runtime": QUIET}
    run_command(RunCommand(model="focus", source=source, fit=FIT, **trial))
    for name in ("best.safetensors", "last.safetensors"):
        one, other = (load_file(tmp_path / run / name) for run in ("a", "b/seed-0"))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one), name
    best = load_file(tmp_path / "a/best.safetensors")
    assert not torch.equal(best["second_mean"], best["first_mean"])  # calibrated
    assert best["map_scale"] != 1  # measured
    stored = json.loads((tmp_path / "b/seed-0/config.json").read_text())["train"]
    assert (stored["steps"], stored["batch"]) == (2, 8)
    assert stored["optimizer"]["lr"] == 1e-4


def test_the_effective_settings_are_printed(world, capsys):
    world.index.write(world.folder / "index.csv")
    arguments = ["train", "--model", "line", "--data", str(world.folder / "index.csv")]
    arguments += ["--lr", "0.0001", "--batch", "6", "--workers", "0", "--device", "cpu"]
    assert focus([*arguments, "--out", str(world.folder / "run")]) == 0
    said = capsys.readouterr().err
    assert "training line on 16 faces, selecting on 4" in said
    assert "\nsteps 3, batch 6" in said
    assert "optimizer sgd, lr 0.0001" in said


def test_flags_of_focus_are_refused_for_another_detector_even_at_their_default(world):
    world.index.write(world.folder / "index.csv")
    source = Source(str(world.folder / "index.csv"))
    given = NetworkOptions(maps_per_class=FoCusConfig().maps_per_class)
    with pytest.raises(InputError, match="--maps-per-class: not a setting of line"):
        train_command(TrainCommand(source, world.folder / "r", "line", network=given))


def test_val_faces_that_are_trained_on_are_refused(world):
    index = FaceIndex.of([world.index[row] for row in range(len(world.index))], world.folder)
    train, val = (index.column("split").index(split) for split in ("train", "val"))
    (world.folder / index.keys[val]).write_bytes((world.folder / index.keys[train]).read_bytes())
    index.write(world.folder / "index.csv")
    source = Source(str(world.folder / "index.csv"))
    with pytest.raises(InputError, match=r"split val: 1 of its faces is trained on.*same bytes"):
        train_command(TrainCommand(source, world.folder / "r", "line", runtime=QUIET))
    assert not (world.folder / "r").exists()


def test_the_flags_of_the_network_are_its_settings():
    hints, flags = get_type_hints(FoCusConfig), get_type_hints(NetworkOptions)
    assert flags == {name: hints[name] | None for name in hints}


def command_for(corpus, out, **network):
    return TrainCommand(
        Source(str(corpus)),
        out,
        network=NetworkOptions(**{**TINY, **network}),
        fit=FIT,
        runtime=QUIET,
    )


def test_a_failed_start_leaves_the_folder_free(demo_corpus, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(InputError, match="cannot read weights"):
        train_command(command_for(demo_corpus, out, encoder_weights=str(tmp_path / "no.pth")))
    assert not RunFolder(out).is_begun()
    body = DETECTORS.get("focus")(FoCusConfig(**TINY)).encoders[0].body
    weights = tmp_path / "yes.safetensors"
    save_file({name: value.contiguous() for name, value in body.state_dict().items()}, weights)
    train_command(command_for(demo_corpus, out, encoder_weights=str(weights)))
    assert RunFolder(out).is_finished()
    assert json.loads((out / "config.json").read_text())["network"]["encoder_weights"] == str(
        weights
    )


@pytest.mark.parametrize(
    ("files", "resume", "message"),
    [
        ({"config.json": '{"format": "focus-run", "fingerprint": "other"}'}, False, ""),
        ({"config.json": '{"format": "focus-run", "fingerprint": "other"}'}, True, ""),
        ({"config.json": '{"model_type": "vit"}'}, False, "not written by focus train"),
        ({"config.json": "]"}, False, "not written by focus train"),
        ({"best.safetensors": ""}, True, "started with other settings"),
        ({"best.safetensors": ""}, False, "add --resume"),
        ({"notes.txt": ""}, True, "no run to resume"),
        ({"finished": ""}, True, "holds a finished run"),
    ],
)
def test_a_run_exists_from_its_first_kept_state(tmp_path, files, resume, message):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    run = RunFolder(tmp_path, {"format": "focus-run", "fingerprint": "mine"})
    accelerator = QUIET.accelerator()
    if message:
        with pytest.raises(InputError, match=message), run.claim(accelerator, resume):
            pass
        return
    with run.claim(accelerator, resume) as finished:
        assert not finished
        run.create()
    assert json.loads(run.settings.read_text())["fingerprint"] == "mine"


def draw_faces(folder, count=200):
    """Draw ovals on plain grounds, every second one with a patch of noise, and index them."""
    rng, faces = np.random.default_rng(0), []
    for number in range(count):
        ground, skin = rng.integers(40, 200, (2, 3))
        face = np.full((32, 32, 3), ground, np.uint8)
        cv2.ellipse(face, (16, 16), (10, 14), 0, 0, 360, skin.tolist(), -1)
        if number % 2:
            top, left = rng.integers(4, 18, 2)
            face[top : top + 10, left : left + 10] = rng.integers(0, 256, (10, 10, 3))
        cv2.imwrite(str(folder / f"{number}.png"), face)
        faces.append(Face(f"{number}.png", number % 2, "val" if number >= 140 else "train"))
    FaceIndex.of(faces, folder).write(folder / "index.csv")
    return folder / "index.csv"


def test_a_short_training_beats_chance(tmp_path):
    command = command_for(draw_faces(tmp_path), tmp_path / "run", image_size=32)
    optimizer = OptimizerOptions("adamw", lr=2e-3, warmup=0.1)
    fit = FitOptions(steps=30, batch=16, validate_every=30, workers=0, optimizer=optimizer)
    train_command(replace(command, fit=fit))
    header, *rows = csv.reader((tmp_path / "run/journal.csv").open())
    # Chance: 0.5, with a standard deviation of 0.075 over 30 real and 30 fake faces.
    assert float(rows[-1][header.index("val/auc")]) > 0.8


def test_settings_given_as_weights_are_one_clear_line(world):
    world.train(steps=1, batch=2)
    path = world.folder / "run/config.json"
    with pytest.raises(InputError, match=r"config\.json: this is the settings file, not weights"):
        read_run(path)


TINY = {
    "encoder": "resnet10t",
    "encoder_weights": "none",
    "image_size": 64,
    "stage": 2,
    "output_stride": 8,
}


QUIET = Runtime(device="cpu", quiet=True)


FIT = FitOptions(
    steps=2,
    batch=8,
    validate_every=1,
    workers=0,
    augmentation=Augmentation(augment=("self-blend", "photometric"), edits=("blend", "splice")),
)


def test_real_faces_alone_train_alike_in_both_commands_and_in_two_parts(demo_corpus, tmp_path):
    faces = FaceIndex.read(demo_corpus).where(label=0).relocated(tmp_path)
    faces.write(tmp_path / "real.csv")
    source = Source(str(tmp_path / "real.csv"))
    command = TrainCommand(
        source, tmp_path / "a", network=NetworkOptions(**TINY), fit=FIT, runtime=QUIET
    )
    train_command(command)
    part = replace(command, out=tmp_path / "b", fit=replace(FIT, stop_after=1))
    train_command(part)
    train_command(replace(part, fit=FIT, resume=True))
    run_command(
        RunCommand(
            model="focus",
            source=source,
            fit=FIT,
            test=(f"drawn={demo_corpus}:test",),
            options=tuple(f"{name}={value}" for name, value in TINY.items()),
            out=tmp_path / "c",
            draws=0,
            runtime=QUIET,
        )
    )
    weights = [load_file(tmp_path / run / "best.safetensors") for run in ("a", "b", "c/seed-0")]
    for other in weights[1:]:
        assert all(torch.equal(weights[0][name], other[name]) for name in weights[0])
    assert weights[0]["map_scale"] != 1  # measured on self-blends
    stored = json.loads((tmp_path / "a/config.json").read_text())["train"]["augmentation"]
    assert stored["edits"] == ["blend", "splice"]


def test_settings_without_augmentation_are_as_before_there_was_any():
    assert list_settings(FitConfig())["augmentation"] == {"flip": True, "smallest_crop": 1.0}
    light = list_settings(FitConfig(augmentation=Augmentation(augment=("photometric",))))
    assert light["augmentation"]["augment"] == ["photometric"]
    assert "edits" not in light["augmentation"]
    blends = list_settings(FitConfig(augmentation=Augmentation(augment=("self-blend",))))
    assert blends["augmentation"]["self_blend_share"] == 0.5


def test_a_training_starts_from_a_trained_network(demo_corpus, tmp_path):
    first = command_for(demo_corpus, tmp_path / "first")
    train_command(first)
    still = replace(FIT, steps=1, optimizer=OptimizerOptions("sgd", lr=1e-12))  # moves nothing
    further = replace(first, network=NetworkOptions(), fit=still, init=tmp_path / "first")
    train_command(replace(further, out=tmp_path / "second"))
    one, other = read_run(tmp_path / "first"), read_run(tmp_path / "second")
    assert other.network == one.network
    assert other.config["init"]
    before, after = load_file(one.weights), load_file(other.weights)
    moved = {name for name in before if not torch.allclose(before[name], after[name], atol=1e-6)}
    statistics = ("running_mean", "running_var", "num_batches_tracked", "map_scale")
    assert moved
    assert all(name.endswith(statistics) for name in moved)


def test_a_start_must_be_of_the_same_detector(demo_corpus, tmp_path):
    train_command(command_for(demo_corpus, tmp_path / "one"))
    plain = replace(command_for(demo_corpus, tmp_path / "two"), init=tmp_path / "one")
    with pytest.raises(InputError, match="is a focus; --model is classifier"):
        train_command(replace(plain, model="classifier"))
    with pytest.raises(InputError, match="keeps its own settings"):
        train_command(plain)
