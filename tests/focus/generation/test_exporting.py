from __future__ import annotations

import json
import sys

import numpy as np
import onnxruntime
import pytest
import torch

from focus.cli import main as focus
from focus.errors import InputError
from focus.generation.exporting import Face, export_network
from focus.network.model import FoCus, FoCusConfig
from focus.runs import describe_run, save_weights

CONFIG = FoCusConfig(
    encoder="resnet10t", encoder_weights="none", image_size=64, stage=2, output_stride=8
)


@pytest.fixture
def run(tmp_path):
    torch.manual_seed(0)
    network = FoCus(CONFIG).eval()
    folder = tmp_path / "run"
    folder.mkdir()
    save_weights(network, folder / "best.safetensors")
    (folder / "config.json").write_text(json.dumps(describe_run("focus", CONFIG)))
    return folder, network


def test_onnx_runtime_predicts_the_same_as_torch(run, tmp_path, capsys):
    folder, network = run
    out = tmp_path / "focus.onnx"
    assert focus(["export", str(folder), "--out", str(out)]) == 0
    assert "uint8 (batch, 3, 64, 64)" in capsys.readouterr().out
    images = torch.randint(0, 256, (5, 3, 64, 64), dtype=torch.uint8)
    session = onnxruntime.InferenceSession(out)
    scores, maps = session.run(None, {"images": images.numpy()})
    with torch.no_grad():
        expected = Face(network)(images)
    np.testing.assert_allclose(scores, expected[0].numpy(), atol=1e-5)
    np.testing.assert_allclose(maps, expected[1].numpy(), atol=1e-5)
    assert session.get_modelmeta().custom_metadata_map["detector"] == "focus"


def test_a_fixed_batch_size_is_refused(tmp_path):
    class Fixed(FoCus):
        def predict(self, images):
            found = super().predict(images)
            return found._replace(maps=found.maps.reshape(len(images), -1, 8, 8))

    with pytest.raises(InputError, match="batch size is fixed"):
        export_network(Fixed(CONFIG).eval(), tmp_path / "fixed.onnx", {})
    assert not list(tmp_path.iterdir())


def test_a_failed_export_is_one_line(run, tmp_path, capsys, monkeypatch):
    folder, _ = run
    assert focus(["export", str(folder), "--out", "model.pt"]) == 2
    assert "must end in .onnx" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert focus(["export", str(folder), "--out", str(tmp_path / "x.onnx")]) == 2
    assert "pip install 'focus-forgery[onnx]'" in capsys.readouterr().err
