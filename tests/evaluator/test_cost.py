"""Costs of networks whose parameters and multiplications can be counted by hand."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from evaluator.cost import CostCommand, cost_command, load_subject, measure_cost
from focus.detectors import DETECTORS, Trainable
from focus.errors import InputError
from focus.runs import describe_run, save_weights
from focus.runtime import Runtime
from focus.types import InputSpec, Prediction

SIDE, WIDTH = 16, 4
PARAMETERS = WIDTH * (3 * 9 + 1) + 2 * (WIDTH + 1)
MACS = SIDE * SIDE * WIDTH * 3 * 9 + 2 * WIDTH
CPU = Runtime(device="cpu", quiet=True)


@dataclass(frozen=True)
class TinyConfig:
    image_size: int = SIDE
    encoder_weights: str = "timm"
    frames: int = 1
    ballast: int = 0
    attention: bool = False


class Tiny(Trainable):
    """A convolution, attention if asked for, and a linear layer; offline it cannot download."""

    def __init__(self, config: TinyConfig = TinyConfig()) -> None:
        super().__init__()
        assert config.encoder_weights == "none"
        self.config = config
        self.input_spec = InputSpec(config.image_size, config.frames)
        self.convolution = nn.Conv2d(3, WIDTH, 3, padding=1)
        self.head = nn.Linear(WIDTH, 2)

    def loss(self, batch):
        return {}

    def predict(self, images):
        if self.config.ballast:
            torch.ones(self.config.ballast * 2**20, dtype=torch.uint8)
        images = images.mean(dim=2) if images.ndim == 5 else images
        planes = self.convolution(images)
        if self.config.attention:
            tokens = planes.flatten(2).transpose(1, 2)
            planes = F.scaled_dot_product_attention(tokens, tokens, tokens).mT
        logits = self.head(planes.flatten(2).mean(dim=2))
        return Prediction(logits.float().softmax(dim=1)[:, 1], None)


@pytest.fixture(autouse=True)
def tiny():
    with DETECTORS.temporarily("tiny", Tiny):
        yield


def measure(batch=2, **options):
    subject = load_subject("tiny", "", {name: str(value) for name, value in options.items()})
    return measure_cost(subject, batch, 0, CPU)


def test_parameters_and_macs_equal_a_count_by_hand():
    found = measure()
    assert found["parameters"] == PARAMETERS
    assert found["macs"] == MACS
    assert found["input"] == [3, SIDE, SIDE]
    assert (found["batch"], found["precision"]) == (2, "fp32")
    assert found["device"].startswith("cpu")
    assert found["throughput"] > 0


def test_macs_are_per_face_and_include_attention():
    assert measure(batch=5)["macs"] == MACS
    tokens = SIDE * SIDE
    assert measure(attention=True)["macs"] == MACS + 2 * tokens * tokens * WIDTH
    assert measure(image_size=32)["macs"] == 4 * SIDE * SIDE * WIDTH * 27 + 2 * WIDTH
    assert measure(frames=3)["input"] == [3, 3, SIDE, SIDE]


def test_peak_memory_includes_temporary_tensors():
    without = measure()["peak_memory"]
    if without is None:
        pytest.skip("this system does not tell")
    assert measure(ballast=300)["peak_memory"] - without > 250 * 2**20


def test_generators_without_weights_are_measured_on_pairs():
    for name, size in (("ssim", 224), ("mask", 224), ("pixel@0.2", 224)):
        found = measure_cost(load_subject(name), 1, 0, CPU)
        assert found["parameters"] == 0
        assert found["macs"] is None
        assert found["throughput"] > 0
        assert found["input"] == [3, size, size]


@pytest.mark.parametrize("name", ["gradcam", "focus-max", "focus-attention"])
def test_generators_of_networks_get_random_weights(name):
    if name == "focus-attention":
        options = {"encoder": "test_vit", "image_size": "160"}
    else:
        options = {"encoder": "test_resnet", "image_size": "64"}
    found = measure_cost(load_subject(name, "", options), 1, 0, CPU)
    assert found["parameters"] > 1000
    assert found["macs"] > 1000
    assert found["input"][1] == int(options["image_size"])


def test_a_run_is_measured_as_it_was_configured(tmp_path):
    config = TinyConfig(image_size=24, encoder_weights="none")
    save_weights(Tiny(config), tmp_path / "best.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(describe_run("tiny", config)))
    found = measure_cost(load_subject("tiny", str(tmp_path)), 1, 0, CPU)
    assert found["input"] == [3, 24, 24]
    with pytest.raises(InputError, match="is a tiny run, not a classifier run"):
        load_subject("classifier", str(tmp_path))
    with pytest.raises(InputError, match="--options image_size"):
        load_subject("tiny", str(tmp_path), {"image_size": "32"})


def test_only_json_is_printed(capsys, tmp_path):
    cost_command(CostCommand("tiny", seconds=0, json="-", runtime=CPU))
    found = json.loads(capsys.readouterr().out)
    assert found["name"] == "tiny"
    assert (found["kind"], found["weights"]) == ("detector", "random")
    assert (found["parameters"], found["macs"]) == (PARAMETERS, MACS)
    path = tmp_path / "cost.json"
    cost_command(CostCommand("ssim", seconds=0, json=str(path), runtime=CPU))
    assert json.loads(path.read_text())["kind"] == "generator"
    assert "not counted" in capsys.readouterr().out


def test_errors_are_specific():
    with pytest.raises(InputError, match=r"no detector or generator 'tinny'; known: .*tiny"):
        load_subject("tinny")
    with pytest.raises(InputError, match="no such setting; perhaps image_size"):
        load_subject("tiny", "", {"image_sice": "3"})
    with pytest.raises(InputError, match="--batch -1"):
        CostCommand("tiny", batch=-1)
