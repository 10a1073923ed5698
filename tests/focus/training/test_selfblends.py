"""Trainings from real faces alone, and the settings of trainings without augmentation."""

import json
from dataclasses import replace

import torch
from safetensors.torch import load_file

from evaluator.trial.command import RunCommand, run_command
from focus.data.index import FaceIndex
from focus.data.sources import Source
from focus.data.transforms import Augmentation
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
        source, str(tmp_path / "a"), network=NetworkOptions(**TINY), fit=FIT, runtime=QUIET
    )
    train_command(command)
    part = replace(command, out=str(tmp_path / "b"), fit=replace(FIT, stop_after=1))
    train_command(part)
    train_command(replace(part, fit=FIT, resume=True))
    run_command(
        RunCommand(
            model="focus",
            source=source,
            fit=FIT,
            test=(f"drawn={demo_corpus}:test",),
            options=tuple(f"{name}={value}" for name, value in TINY.items()),
            out=str(tmp_path / "c"),
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
