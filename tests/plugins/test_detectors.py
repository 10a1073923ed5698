"""Every built-in detector, small: the contract checks, and maps from its run."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from focus.cli import main
from focus.generators.registry import GENERATORS
from focus.mapstore import MapReader
from focus.runs import describe_run, save_weights
from plugins import get, names
from plugins.conformance import CHECKS, check_detector, plain_config

LTTD = {"image_size": 64, "frames": 3, "width": 32, "heads": 2, "depth": 1, "channels": 4}
CADDM = {"backbone": "resnet34", "image_size": 64, "adm_width": 16}
SMALL = {
    "caddm": CADDM,
    "caddm-mfs": {**CADDM, "mode": "mfs"},
    "classifier": {"encoder": "resnet10t", "image_size": 64},
    "focus": {"encoder": "vit_tiny_patch16_224", "image_size": 64},
    "gffd": {"image_size": 64},
    "lttd": LTTD,
    "lttd-head": {**LTTD, "integrity_head": True, "position_embedding": True},
    "madd": {"encoder": "tf_efficientnet_b0", "image_size": 64},
    "monfap": {"image_size": 64, "drop_path": 0.0},
    "msccnet": {"encoder": "resnet10t", "image_size": 64, "width": 64},
    "patches": {"image_size": 64},
    "patches-convolutional": {"encoder": "mobilenetv2_100", "image_size": 64, "stage": 3},
    "patches-max": {"image_size": 64, "reduction": "max"},
    "patches-mean": {"image_size": 64, "reduction": "mean"},
    "patches-transformer": {"encoder": "vit_tiny_patch16_224", "image_size": 64},
    "pcl": {"encoder": "resnet10t", "image_size": 64},
    "probe": {"encoder": "resnet10t", "image_size": 64, "channels": 16},
    "telltales": {"image_size": 64},
    "uiavit": {"encoder": "vit_tiny_patch16_224", "image_size": 64},
}


def find(variant):
    return get(variant.partition("-")[0])


def test_every_detector_is_here():
    assert {variant.partition("-")[0] for variant in SMALL} == set(names())


@pytest.mark.parametrize("variant", SMALL)
def test_it_keeps_the_contract(variant, monkeypatch):
    monkeypatch.delitem(CHECKS, "two processes")  # the same for all, and half of the time
    found = {finding.check: finding for finding in check_detector(find(variant), SMALL[variant])}
    assert set(found) == set(CHECKS)
    assert {name: f.detail for name, f in found.items() if not f.passed} == {}


@pytest.mark.parametrize("name", ["gffd", "madd", "uiavit"])
def test_a_run_makes_a_map_file_that_records_the_normalisation(name, demo_corpus, tmp_path):
    torch.manual_seed(0)
    config = plain_config(get(name), SMALL[name])
    network, run = get(name)(config).eval(), tmp_path / "run"
    run.mkdir()
    save_weights(network, run / "best.safetensors")
    (run / "config.json").write_text(json.dumps(describe_run(name, config)))
    out = tmp_path / "maps.h5"
    assert name not in GENERATORS.names()  # it has no generator class
    command = ["generate", "--method", name, "--weights", str(run), "--data", str(demo_corpus)]
    code = main([*command, "--parts", "--quiet", "--real-maps", "fake-class", "--out", str(out)])
    assert code == 0
    with MapReader(out) as reader:
        assert reader.attributes["normalisation"] == "class_minmax"
        assert reader.part_names == ("raw",)
        scores, peaks = reader.scores, np.array([reader[key].max() for key in reader])
    assert abs(peaks - scores).max() < 0.01  # stretched, then times P(fake)
    stretched = tmp_path / "stretched.h5"
    code = main(["renormalise", str(out), "--normalise", "image_minmax", "--out", str(stretched)])
    assert code == 0
    with MapReader(stretched) as reader:
        assert reader.attributes["normalisation"] == "image_minmax"
        assert all(reader[key].max() == 1 for key in reader)
