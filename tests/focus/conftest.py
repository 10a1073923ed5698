"""A tiny untrained model, as a run folder and packed as a released one."""

from pathlib import Path

import numpy as np
import pytest
import torch

from focus.data.demo import draw_face
from focus.model.packing import measure_features, pack_model
from focus.network.model import FoCus, FoCusConfig
from focus.released.contents import Calibration, Limits
from focus.released.features import FeatureStatistics
from focus.runs import write_run

TINY = FoCusConfig(
    encoder="mobilenetv2_035",
    encoder_weights="none",
    image_size=64,
    maps_per_class=4,
    normalise="image_minmax",
)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run folder of an untrained network."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    write_run(folder, "focus", FoCus(TINY), TINY)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a released model that finds signs of manipulation in every face."""
    faces = np.stack([draw_face(np.random.default_rng(seed), 64).image for seed in range(6)])
    batch = torch.from_numpy(faces).permute(0, 3, 1, 2)
    out = tmp_path_factory.mktemp("released") / "tiny.safetensors"
    pack_model(
        tiny_run,
        out,
        name="tiny",
        calibration=Calibration(bias=5.0, low=0.3, high=0.6, mark=0.7),
        limits=Limits(side=20),
        features=FeatureStatistics.fit(measure_features(tiny_run, [batch])),
        margin=1.45,
        trained_on="nothing",
        card="# Tiny\n\nNot trained.",
        figures={"frame_auc": 0.5},
    )
    return out
