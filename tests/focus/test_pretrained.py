"""Detectors in folders and on a stand-in for the Hugging Face Hub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from focus.cli import main
from focus.errors import InputError
from focus.network.classifier import Classifier
from focus.network.encoder import EncoderConfig
from focus.network.model import FoCus
from focus.pretrained.card import write_card
from focus.runs import read_run
from plugins.pcl import PCL, PCLConfig
from tests.focus.hub_server import serve

CONFIG = EncoderConfig("test_byobnet", "none", image_size=64)
USE = """
import sys
from pathlib import Path

import numpy as np

import focus
from focus.cli import main
from focus.errors import InputError
from focus.network.classifier import Classifier

run = Path(sys.argv[1])
assert main(["push", str(run), "me/model", "--license", "cc-by-nc-4.0", "--private"]) == 0
ours = Classifier.from_pretrained(run).state_dict()
theirs = Classifier.from_pretrained("hf:me/model").state_dict()
assert all((ours[name] == value).all() for name, value in theirs.items())
face = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
one, two = (focus.load(w, crop="frame")(face).faces[0].score for w in (run, "hf:me/model@main"))
assert one == two
assert Classifier.from_pretrained(run).push_to_hub("me/second").endswith("me/second")
try:
    focus.load("hf:me/none")
except InputError as error:
    print(error)
"""


@pytest.fixture
def run(tmp_path):
    torch.manual_seed(0)
    Classifier(CONFIG).save_pretrained(tmp_path / "run")
    return tmp_path / "run"


def call(code, hub, home, *words):
    """Run code that may reach the stand-in, and nothing else."""
    settings = {"HF_ENDPOINT": hub, "HF_HUB_OFFLINE": "0", "HF_HOME": str(home)}
    more = {"HF_TOKEN": "hf_secret", "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        env={**os.environ, **settings, **more},
        capture_output=True,
        text=True,
    )


def test_a_run_goes_to_the_hub_and_comes_back(run, tmp_path):
    with serve() as hub:
        done = call(USE, hub.address, tmp_path / "home", str(run))
        assert done.returncode == 0, done.stderr
        assert f"{hub.address}/me/model" in done.stdout
        assert "hf:me/none: no such repository" in done.stdout
        files = hub.repositories["me/model"]
        assert hub.private == {"me/model": True, "me/second": False}
    assert set(files) == {"README.md", "best.safetensors", "config.json"}
    assert files["best.safetensors"] == (run / "best.safetensors").read_bytes()
    card = files["README.md"].decode()
    assert card.startswith("---\nlicense: cc-by-nc-4.0\nlibrary_name: focus-forgery\n")
    assert 'focus.load("hf:me/model")' in card


def test_damaged_weights_and_missing_access_are_one_line(run, tmp_path):
    code = (
        "from focus.cli import main\nimport os, sys\n"
        "assert main(['export', 'hf:me/model', '--out', 'x.onnx']) == 2\n"
        "os.environ['HF_TOKEN'] = 'hf_wrong'\n"
        "assert main(['push', sys.argv[1], 'me/model']) == 2\n"
    )
    with serve() as hub:
        hub.repositories["me/model"] = {
            "config.json": json.dumps({"weights_sha256": "0" * 64}).encode(),
            "best.safetensors": b"other",
        }
        done = call(code, hub.address, tmp_path / "home", str(run))
    assert done.returncode == 0, done.stderr
    assert "best.safetensors is damaged: SHA-256 is" in done.stderr
    assert "no access; log in with: hf auth login" in done.stderr


def test_offline_is_one_line_and_a_local_folder_goes_first(run, tmp_path, monkeypatch, capsys):
    assert main(["export", "hf:me/absent", "--out", "x.onnx"]) == 2
    assert "hf:me/absent: not in the cache, and the Hugging Face Hub" in capsys.readouterr().err
    with pytest.raises(InputError, match="give hf:owner/name"):
        read_run(Path("hf:absent"))
    monkeypatch.chdir(tmp_path)
    run.rename(tmp_path / "hf:me")
    assert read_run(Path("hf:me")).kind == "classifier"


def test_help_does_not_import_the_hub():
    code = "import sys; from focus.cli import main\ntry: main(['push', '--help'])\n"
    code += "except SystemExit: pass\nassert not {'torch', 'huggingface_hub'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_a_folder_gives_the_same_network(tmp_path):
    torch.manual_seed(0)
    config = PCLConfig(image_size=64, encoder="test_byobnet", encoder_weights="none")
    network, faces = PCL(config).eval(), torch.randn(2, 3, 64, 64)
    network.save_pretrained(tmp_path)
    again = PCL.from_pretrained(tmp_path, consistency_weight=2.0)
    with torch.no_grad():
        assert torch.equal(network.predict(faces).scores, again.predict(faces).scores)
    assert not again.training
    assert again.config.consistency_weight == 2.0
    with pytest.raises(InputError, match="is a pcl run, not of FoCus"):
        FoCus.from_pretrained(tmp_path)


def test_an_unregistered_detector_is_named(tmp_path):
    class Mine(Classifier):
        pass

    with pytest.raises(InputError, match=r"Mine: not registered; put @register\(NAME\)"):
        Mine(CONFIG).save_pretrained(tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_the_card_says_what_the_run_stores(run):
    trial = run.parent / "trial"
    run = run.rename(trial.mkdir() or trial / "seed-0")
    settings = json.loads((run / "config.json").read_text())
    stored = {**settings, "source": {"data": "faces/index.csv"}, "maps": "focus.h5"}
    (run / "config.json").write_text(json.dumps(stored))
    (run / "journal.csv").write_text("step,val/auc\n1,0.5\n2,0.875\n3,\n4,0.75\n")
    value = {"value": 0.7, "low": 0.6, "high": 0.8, "n": 9}
    result = {"tests": {"cdf": {"metrics": {"frame_auc": value, "frame_acc": value}}}}
    (trial / "result.json").write_text(json.dumps(result))
    card = write_card(read_run(run), "", "")
    assert "license" not in card
    assert "* data: faces/index.csv" in card
    assert "* supervision: focus.h5" in card
    assert "| validation | `frame_auc` | 0.875 |" in card
    assert "| cdf | `frame_auc` | 0.700 (0.600 to 0.800) |" in card
    assert "frame_acc" not in card
    (trial / "seed-1").mkdir()
    assert "| cdf |" not in write_card(read_run(run), "", "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["me"], "me: give hf:owner/name"),
        (["me/model", "--license", "My own"], "--license My own"),
        ([], "push"),
    ],
)
def test_bad_words_are_one_line(run, words, said, capsys):
    assert main(["push", str(run), *words]) == 2
    assert said in capsys.readouterr().err
