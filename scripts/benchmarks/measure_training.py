"""Overhead of the training loop over a bare training step.

Seconds per step of `focus train`'s loop, from JPEG files, over a bare hand-written loop: the same
network, optimiser and batch size, with forward, loss, backward and step on one batch in memory. So
the ratio includes reading, decoding and augmentation (goal: at most 1.03). The two alternate, a few
steps each, so that other load affects both equally; the first steps of every turn are a warm-up and
are not counted.

Takes about four minutes on two CPU cores with the defaults. Nothing is downloaded; weights are
random.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from measure_overhead import draw_faces

from focus.data.faces import FaceDataset
from focus.data.index import FaceIndex
from focus.network.model import FoCus, FoCusConfig
from focus.optim import build_optimizer
from focus.runs import RunFolder
from focus.runtime import Runtime, note
from focus.training.loop import Fit
from focus.training.options import FitConfig
from focus.types import Batch

WARM_UP = 3


class TimedFit(Fit):
    """The training loop, recording the time at which each step ended."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.ends: list[float] = []

    def _step(self, *arguments: object) -> dict[str, torch.Tensor]:
        terms = super()._step(*arguments)  # type: ignore[arg-type]
        _wait(self.accelerator.device)
        self.ends.append(time.perf_counter())
        return terms


def time_loop(index: FaceIndex, config: FoCusConfig, fit: FitConfig, runtime: Runtime) -> float:
    """Return seconds per step of our loop, after the warm-up."""
    network = FoCus(config)
    faces = FaceDataset(index, config.image_size, augmentation=fit.augmentation)
    judged = FaceDataset(index.take(np.arange(8)), config.image_size)
    with tempfile.TemporaryDirectory() as folder:
        timed = TimedFit(network, faces, judged, fit, runtime, RunFolder(Path(folder)))
        timed.run()
    return (timed.ends[-1] - timed.ends[WARM_UP - 1]) / (len(timed.ends) - WARM_UP)


def time_bare(config: FoCusConfig, fit: FitConfig, runtime: Runtime) -> float:
    """Return seconds per step of a bare loop on one batch, after the warm-up."""
    accelerator = runtime.accelerator()
    device = accelerator.device
    network = FoCus(config).to(device).train()
    optimizer = build_optimizer(network, fit.optimizer)
    side = config.image_size
    images = torch.rand(fit.batch, 3, side, side, device=device)
    labels = torch.arange(fit.batch, device=device) % 2
    batch = Batch(images, labels, None, (), torch.arange(fit.batch))
    kind = torch.bfloat16 if runtime.precision == "bf16" else torch.float16
    start = 0.0
    for step in range(fit.steps):
        if step == WARM_UP:
            _wait(device)
            start = time.perf_counter()
        with torch.autocast(device.type, kind, enabled=runtime.precision != "fp32"):
            loss = sum(network.loss(batch).values())
        assert isinstance(loss, torch.Tensor)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    _wait(device)
    return (time.perf_counter() - start) / (fit.steps - WARM_UP)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--encoder", default="vit_small_patch16_224")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=8, help="steps per turn, including warm-up")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=-1)
    parser.add_argument("--device", default="auto")
    flags = parser.parse_args()
    runtime = Runtime(device=flags.device, precision=flags.precision, quiet=True)
    network = FoCusConfig(encoder=flags.encoder, encoder_weights="none")
    fit = FitConfig(
        steps=flags.steps, batch=flags.batch, validate_every=flags.steps, workers=flags.workers
    )
    with tempfile.TemporaryDirectory() as name:
        note("drawing faces")
        drawn = draw_faces(Path(name), max(flags.steps * flags.batch, 8))
        index = FaceIndex(drawn.columns, np.arange(len(drawn)) % 2, drawn.root)
        pairs = [
            (time_loop(index, network, fit, runtime), time_bare(network, fit, runtime))
            for _ in range(flags.repeats)
        ]
    ratios = sorted(ours / bare for ours, bare in pairs)
    ours, bare = (statistics.median(seconds) for seconds in zip(*pairs, strict=True))
    print(
        f"training step over bare step ({flags.encoder}, {flags.precision}, {flags.batch}): "
        f"{ours:.3f} of {bare:.3f} s, ratio {statistics.median(ratios):.3f} "
        f"(from {ratios[0]:.3f} to {ratios[-1]:.3f} in {flags.repeats} repeats)"
    )


if __name__ == "__main__":
    main()
