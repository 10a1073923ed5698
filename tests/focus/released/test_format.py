from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from focus.config import to_json
from focus.errors import InputError
from focus.model.packing import pack_model
from focus.released.contents import Calibration, ReleasedModel
from focus.released.format import is_released, read_released, write_released
from focus.released.record import read_record
from focus.runs import load_network, read_run, write_run


def rewrite(source: Path, out: Path, tensors: dict | None = None, **changes: object) -> Path:
    """Write a copy with other tensors, or with changes to its record."""
    with safe_open(source, "np") as file:
        record = json.loads(file.metadata()["focus"])
    save_file(
        {**load_file(source), **(tensors or {})}, out, {"focus": json.dumps(record | changes)}
    )
    return out


def test_a_packed_model_is_the_run_in_half_precision(tiny_run: Path, tiny_model: Path) -> None:
    ours, theirs = load_network(read_run(tiny_model)), load_network(read_run(tiny_run))
    assert tiny_model.stat().st_size < 0.6 * (tiny_run / "best.safetensors").stat().st_size
    for name, value in theirs.state_dict().items():
        found = ours.state_dict()[name]
        assert found.dtype == value.dtype
        assert torch.allclose(found.float(), value.float(), rtol=1e-3, atol=1e-6), name
        if value.ndim < 2:  # statistics of normalisation layers stay exact
            assert torch.equal(found, value), name
    model = read_record(tiny_model)
    assert (model.name, model.detector, model.margin) == ("tiny", "focus", 1.45)
    assert model.calibration == Calibration(bias=5.0, low=0.3, high=0.6, mark=0.7)
    assert model.figures == {"frame_auc": 0.5}
    assert model.layer == "fusion.block.norm1"
    features = read_released(tiny_model).features
    assert features is not None
    assert features.mean.shape == (load_network(read_run(tiny_run)).encoders[0].dim,)


def test_a_file_is_read_wherever_weights_are_named(tiny_run: Path, tiny_model: Path) -> None:
    assert is_released(tiny_model)
    assert not is_released(tiny_run / "best.safetensors")
    assert not is_released(tiny_run)
    run = read_run(tiny_model)
    assert (run.kind, run.source) == ("focus", tiny_model)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": "other"}, "not a record of a released model"),
        ({"format_version": 2}, "format version 2; update"),
        ({"format_version": "1"}, "no format version"),
        ({"surprise": 1}, "has no field surprise"),
        ({"detector": 5}, "5 is not a valid value of detector"),
        ({"network": [1]}, "network and figures must be JSON objects"),
        ({"margin": 1e9}, "margin 1000000000.0 must be in"),
        ({"calibration": {"temperature": 0}}, "temperature 0 must be above 0"),
        ({"calibration": {"low": 0.9, "high": 0.1}}, "must rise within"),
        ({"calibration": {"bias": float("nan")}}, "bias is not a finite number"),
        ({"limits": {"side": -1}}, "side must not be negative"),
        ({"card": {"a": "b"}}, "not a valid value of card"),
    ],
)
def test_a_hostile_record_is_one_line(
    tiny_model: Path, tmp_path: Path, changes: dict, reason: str
) -> None:
    path = rewrite(tiny_model, tmp_path / "bad.safetensors", **changes)
    with pytest.raises(InputError, match=reason) as caught:
        read_released(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_hostile_tensors_are_one_line(tiny_model: Path, tmp_path: Path) -> None:
    name = "network.fusion.block.norm1.weight"
    bad = torch.full_like(load_file(tiny_model)[name], torch.nan)
    with pytest.raises(InputError, match="not finite"):
        read_released(rewrite(tiny_model, tmp_path / "nan.safetensors", {name: bad}))
    other = rewrite(tiny_model, tmp_path / "shape.safetensors", {name: torch.zeros(3)})
    with pytest.raises(InputError, match=r"shape\.safetensors: does not fit"):
        load_network(read_run(other))
    for value in (torch.zeros(()), torch.ones(4, 4)):
        wrong = {"features.mean": value}
        with pytest.raises(InputError, match="damaged statistics of features"):
            read_released(rewrite(tiny_model, tmp_path / "f.safetensors", wrong))
    unknown = rewrite(tiny_model, tmp_path / "u.safetensors", detector="unheard-of")
    with pytest.raises(InputError, match="no detector 'unheard-of'"):
        load_network(read_run(unknown))


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x04K\x01.", struct.pack("<Q", 2**60), struct.pack("<Q", 2) + b"[]"]
)
def test_other_files_are_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    assert not is_released(path)
    with pytest.raises(InputError, match=r"x\.safetensors: cannot read weights") as caught:
        read_released(path)
    assert "\n" not in str(caught.value)


def test_a_truncated_file_is_one_line(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.safetensors"
    path.write_bytes(tiny_model.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"cut\.safetensors"):
        read_released(path)


def test_packing_refuses_what_could_not_be_read(tiny_run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must end in"):
        pack_model(tiny_run, tmp_path / "x.bin", name="x")
    with pytest.raises(InputError, match="has no field warmth"):
        pack_model(tiny_run, tmp_path / "x.safetensors", name="x", calibration={"warmth": 1})
    large = {"weight": torch.full((2, 2), 1e6)}
    with pytest.raises(InputError, match="not finite in half precision"):
        write_released(tmp_path / "x.safetensors", ReleasedModel("x", "focus", {}), large)
    assert not list(tmp_path.iterdir())


def test_a_path_of_initial_weights_is_not_released(tiny_run: Path, tmp_path: Path) -> None:
    network = load_network(read_run(tiny_run))
    config = network.config
    record = to_json(config) | {"encoder_weights": "/home/someone/weights.safetensors"}
    write_run(tmp_path / "run", "focus", network, config)
    settings = tmp_path / "run" / "config.json"
    settings.write_text(json.dumps({"format": "focus-run", "kind": "focus", "network": record}))
    pack_model(tmp_path / "run", tmp_path / "x.safetensors", name="x")
    assert b"someone" not in (tmp_path / "x.safetensors").read_bytes()
