"""The example distribution in docs/examples: installed, loaded, and used on a small stand-in."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from focus.errors import InputError
from focus.types import Batch

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "docs" / "examples" / "focus-benco"


class Small(nn.Module):
    """A model with the interface of the zoo."""

    labelled = True

    def __init__(self, pretrain_path=None):
        super().__init__()
        print("a line that the adapter silences")
        self.cells = nn.Conv2d(3, 1, 1)

    def forward(self, image, mask, label, edge_mask, **rest):
        self.given = {"mask": mask, "label": label, "edge_mask": edge_mask}
        drawn = self.cells(image)
        return {
            "backward_loss": F.binary_cross_entropy_with_logits(drawn, mask),
            "pred_mask": drawn.sigmoid(),
            "pred_label": drawn.sigmoid().mean(dim=(1, 2, 3)) if self.labelled else None,
        }


class Unlabelled(Small):
    labelled = False

    def __init__(self):
        super().__init__()


@pytest.fixture
def zoo(monkeypatch):
    """Return the example's module, with a stand-in for IMDL-BenCo."""
    registry = ModuleType("IMDLBenCo.registry")
    models = {"PSCC_Net": Small, "Mesorch": Unlabelled}
    registry.MODELS = SimpleNamespace(get=models.__getitem__)
    for module in (ModuleType("IMDLBenCo"), ModuleType("IMDLBenCo.model_zoo"), registry):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return load()


def load():
    spec = importlib.util.spec_from_file_location("focus_benco", EXAMPLE / "focus_benco.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["focus_benco"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def faces():
    maps = torch.zeros(2, 1, 32, 32)
    maps[1, :, 8:24, 8:24] = 1
    torch.manual_seed(0)
    return Batch(torch.randn(2, 3, 32, 32), torch.tensor([0, 1]), maps, ("a", "b"), torch.arange(2))


def test_the_loss_is_the_models_own_with_maps_and_the_scores_without(zoo, faces, capsys):
    network = zoo.PsccNet()
    assert capsys.readouterr().out == ""
    own = F.binary_cross_entropy_with_logits(network.network.cells(faces.images), faces.maps)
    torch.testing.assert_close(network.loss(faces), {"benco": own})
    around = network.network.given["edge_mask"]
    assert around[0].sum() == 0
    assert around[1, 0, 16].tolist() == [0.0] * 5 + [1.0] * 6 + [0.0] * 10 + [1.0] * 6 + [0.0] * 5
    scores, maps, _ = network.predict(faces.images)
    bare = network.loss(faces._replace(maps=None))
    expected = F.binary_cross_entropy(scores, faces.labels.float())
    torch.testing.assert_close(bare, {"classification": expected})
    assert not network.network.given["mask"].any()
    assert maps.shape == (2, 1, 32, 32)


def test_a_model_without_a_score_takes_the_maximum_or_mean_of_its_map(zoo, faces):
    network = zoo.Mesorch()
    scores, maps, _ = network.predict(faces.images)
    assert torch.equal(scores, maps.amax(dim=(1, 2, 3)))
    network.config = zoo.BencoConfig(score="mean")
    scores, maps, _ = network.predict(faces.images)
    torch.testing.assert_close(scores, maps.mean(dim=(1, 2, 3)))


def test_weights_come_from_a_safe_file(zoo, tmp_path):
    path, other = tmp_path / "model.pth", Small()
    torch.save({"model": other.state_dict()}, path)
    network = zoo.PsccNet(zoo.BencoConfig(weights=str(path)))
    assert torch.equal(network.network.cells.weight, other.cells.weight)
    torch.save({"model": other.state_dict(), "args": SimpleNamespace()}, path)
    with pytest.raises(InputError, match="tensors-only"):
        zoo.PsccNet(zoo.BencoConfig(weights=str(path)))
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(InputError, match="does not fit PSCC_Net"):
        zoo.PsccNet(zoo.BencoConfig(weights=str(tmp_path / "a.safetensors")))
    with pytest.raises(InputError, match="has no model SparseViT"):
        zoo.SparseVit()


def test_missing_packages_are_one_line_with_the_install_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "IMDLBenCo", None)
    with pytest.raises(InputError, match=r"pip install --no-deps imdlbenco==0\.1\.45"):
        load().PsccNet()


def test_the_distribution_is_installed_and_found(tmp_path):
    source = shutil.copytree(EXAMPLE, tmp_path / "source")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    install += ["--no-build-isolation", "--disable-pip-version-check", "--target"]
    subprocess.run([*install, str(tmp_path / "site"), str(source)], check=True)
    path = os.pathsep.join([str(tmp_path / "site"), str(ROOT)])
    call = [sys.executable, "-m", "evaluator", "models", "--json", "-"]
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(call, env=environment, capture_output=True, text=True, check=True)
    found = [m for m in json.loads(done.stdout) if m["distribution"] == "focus-benco"]
    names = {"imlvit", "mantranet", "mesorch", "objectformer", "pscc", "sparsevit"}
    assert {model["name"] for model in found} == {f"benco-{name}" for name in names}
    assert not any(model["error"] for model in found)


def test_pscc_net_of_the_zoo_itself():
    pytest.importorskip("IMDLBenCo.model_zoo")
    torch.manual_seed(0)
    network = load().PsccNet()
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(3.67, abs=0.005)
    maps = torch.zeros(2, 1, 256, 256)
    maps[1, :, 64:128, 64:128] = 1
    batch = Batch(
        torch.randn(2, 3, 256, 256), torch.tensor([0, 1]), maps, ("a", "b"), torch.arange(2)
    )
    loss = network.loss(batch)["benco"]
    loss.backward()
    learning = [p for p in network.parameters() if p.requires_grad]
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in learning)
    with torch.no_grad():
        scores, drawn, _ = network.eval().predict(batch.images)
    assert (scores.shape, drawn.shape) == ((2,), (2, 1, 256, 256))
    assert torch.isfinite(loss)
    assert 0 <= drawn.min() <= drawn.max() <= 1
