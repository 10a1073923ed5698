"""Devices and launchers: available ones are used, errors are one line."""

import pytest
import torch

from focus.errors import InputError
from focus.runtime import Runtime, find_device, local_processes


@pytest.mark.parametrize("name", ["gpu", "CPU", "0", "nonsense", "", "cpu:x", "meta"])
def test_a_device_that_torch_does_not_have_is_refused(name):
    with pytest.raises(InputError, match=f"--device {name}: "):
        Runtime(device=name).accelerator()


def test_a_device_that_is_missing_here_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for name in ("cuda", "cuda:1", "mps", "xpu"):
        with pytest.raises(InputError, match=f"--device {name}: no such device here"):
            find_device(name)
    assert find_device("auto") == torch.device("cpu")


def test_available_devices_are_used(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "device_count", lambda: 1)
    assert find_device("auto").type == "cuda"
    for name in ("cpu", "cpu:0", "cuda", "cuda:1", "mps"):
        assert find_device(name) == torch.device(name)
    with pytest.raises(InputError, match="--device cuda:2"):
        find_device("cuda:2")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ACCELERATE_USE_DEEPSPEED", "true", "ACCELERATE_USE_DEEPSPEED=true: not supported"),
        ("ACCELERATE_MIXED_PRECISION", "fp64", "ACCELERATE_MIXED_PRECISION=fp64: unset it"),
        ("RANK", "q", "RANK=q: not a whole number"),
        ("ACCELERATE_USE_FSDP", "1", "ACCELERATE_USE_FSDP=1: not supported"),
        ("ACCELERATE_USE_CPU", "maybe", "unset these variables: .*ACCELERATE_USE_CPU=maybe"),
        ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "x", "ACCUMULATION_STEPS=x"),
        ("ACCELERATE_DYNAMO_BACKEND", "nope", "ACCELERATE_DYNAMO_BACKEND=nope"),
        ("WORLD_SIZE", "abc", "WORLD_SIZE=abc"),
        ("LOCAL_RANK", "x", "LOCAL_RANK=x"),
    ],
)
def test_a_broken_launcher_variable_is_one_line(monkeypatch, name, value, message):
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=message) as error:
        Runtime(device="cpu").accelerator()
    assert "\n" not in str(error.value)


def test_a_broken_count_of_processes_is_one_line(monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "two")
    with pytest.raises(InputError, match="LOCAL_WORLD_SIZE=two"):
        local_processes()
