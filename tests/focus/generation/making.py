"""A generator without a network, and a run of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from focus.data.index import Face, FaceIndex
from focus.data.sources import Source
from focus.generation import GenerateCommand, GenerationConfig, generate
from focus.generators.contract import Generator
from focus.runtime import Runtime
from focus.types import InputSpec, Prediction

CPU = Runtime(device="cpu", quiet=True)
HERE = GenerationConfig(workers=0, batch=4)
COUNT, PART = 22, 8


class Stub(Generator):
    """The red channel, averaged over 8 x 8 pixels; its mean is the score."""

    input_spec = InputSpec(image_size=32)
    normalisation = "none"
    weights_sha256 = "feed"
    requires_weights = False
    pause = 0.0
    stop_after = 10**9

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    @classmethod
    def load(cls, weights: Path | None, options: Mapping[str, Any]) -> Stub:
        return cls()

    def describe(self) -> Mapping[str, Any]:
        return {"window": 8}

    def predict(self, images: Tensor) -> Prediction:
        time.sleep(self.pause)
        self.seen += len(images)
        if self.seen > self.stop_after:
            raise KeyboardInterrupt
        maps = F.avg_pool2d(images[:, :1], 8)
        return Prediction(maps.mean(dim=(1, 2, 3)), maps, {"raw": maps[:, 0].bfloat16()})


def with_faults(index: FaceIndex, folder: Path, rows: tuple[int, ...]) -> FaceIndex:
    faces = [
        Face(f"broken/{row}.png" if row in rows else str(index.root / face.path), face.label)
        for row, face in enumerate(index)
    ]
    return FaceIndex.of(faces, folder)


def run(index: FaceIndex, out: Path, config: GenerationConfig = HERE, **more: Any) -> Any:
    generator = more.pop("generator", None) or Stub()
    return generate(index, generator, out, config, more.pop("runtime", CPU), part_rows=PART, **more)


def command(index: FaceIndex, out: Path, **more: Any) -> GenerateCommand:
    source = Source(data=str(index.root / "index.csv"))
    settings = {"method": "stub", "workers": 0, "runtime": CPU, **more}
    return GenerateCommand(source=source, out=str(out), **settings)
