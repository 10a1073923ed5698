"""A run of any detector makes a map file."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from focus.cli import main
from focus.generators.registry import GENERATORS
from focus.mapstore import MapReader
from focus.runs import describe_run, save_weights
from plugins import get
from plugins.conformance import plain_config
from tests.plugins.small_detectors import SMALL


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
