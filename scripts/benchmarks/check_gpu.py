"""Checks that need a GPU: maps and counts equal the CPU's, precisions agree, training resumes.

Takes about two minutes on a GPU. Prints one Markdown table; exit code 1 if a check fails.
Run by ``scripts/gpu.sh checks``; use ``--device cpu --small`` to test the script without a GPU.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evaluator.metrics.counting import count_levels
from focus.data.demo import DemoConfig, write_demo_corpus
from focus.data.faces import FaceDataset
from focus.data.index import FaceIndex
from focus.data.loading import build_loader
from focus.data.sources import Source
from focus.generators.comparison import dissimilarity, dissimilarity_torch
from focus.network.model import FoCus, FoCusConfig
from focus.runs import RunFolder
from focus.runtime import Runtime
from focus.training.command import train_command
from focus.training.options import FitConfig
from focus.training.recipes import RECIPES, TrainCommand


def main() -> int:
    """Run the checks and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--encoder", default="deit_small_patch16_224")
    parser.add_argument("--small", action="store_true", help="small networks, few faces")
    given = parser.parse_args()
    device: str = given.device
    sizes: dict[str, Any] = {"image_size": 32} if given.small else {}
    rows: list[tuple[str, str, str, bool]] = []
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus"
        drawn = (
            DemoConfig(people=12, images_per_person=2, size=64)
            if given.small
            else DemoConfig(people=24, images_per_person=2)
        )
        index = write_demo_corpus(corpus, drawn, quiet=True)
        torch.manual_seed(0)
        network = FoCus(FoCusConfig(encoder=given.encoder, encoder_weights="none", **sizes)).eval()
        faces = FaceDataset(index, network.config.image_size)
        batch = next(iter(build_loader(faces, [list(range(32))], 2)))
        images = batch.standardised(network.input_spec).images
        network.calibrate(images)
        reference = predict(network, images, "cpu", torch.float32)
        same = predict(network, images, device, torch.float32)
        half = predict(network, images, device, torch.bfloat16)
        worst = (same - reference).abs().max().item()
        drift = (half - reference).abs().mean().item()
        rows.append(
            (
                "maps against the CPU, fp32, largest difference",
                f"{worst:.5f}",
                "1/255",
                worst <= 1 / 255,
            )
        )
        rows.append(
            ("maps in bf16 against fp32, mean difference", f"{drift:.5f}", "0.02", drift <= 0.02)
        )
        apart = compare_ssim(faces.index, device)
        rows.append(
            (
                "SSIM maps against the CPU's, largest difference",
                f"{apart:.5f}",
                "1/255",
                apart < 1 / 255,
            )
        )
        missed, pixels = compare_counts(device, 8 if given.small else 96)
        rows.append(
            (
                f"pixels counted otherwise than on the CPU, of {pixels / 1e6:.0f} million",
                f"{missed}",
                "0",
                not missed,
            )
        )
        precisions = ["fp32", "bf16"] + (["fp16"] if device.startswith("cuda") else [])
        for precision in precisions:
            done = train(corpus, Path(folder) / precision, device, precision, sizes)
            rows.append(
                (
                    f"training in {precision}: 20 steps, resumed at 10",
                    done,
                    "finished",
                    done == "finished",
                )
            )
    print(f"\n{torch.__version__}, {name_of(device)}\n")
    print("| check | figure | goal | holds |\n|---|---|---|---|")
    for check, figure, goal, holds in rows:
        print(f"| {check} | {figure} | {goal} | {'yes' if holds else 'NO'} |")
    return 0 if all(row[-1] for row in rows) else 1


@torch.no_grad()
def predict(network: FoCus, images: torch.Tensor, device: str, dtype: torch.dtype) -> torch.Tensor:
    """Compute maps on a device and return them on the CPU."""
    network.to(device)
    with torch.autocast(device.split(":")[0], dtype=dtype, enabled=dtype != torch.float32):
        maps = network.predict(images.to(device)).maps
    assert maps is not None
    return maps.float().cpu()


def compare_ssim(index: FaceIndex, device: str) -> float:
    """Return the largest difference between SSIM maps of fakes and their neighbours in the index.

    The neighbour takes the place of the original: any two images will do for the comparison.
    """
    faces = FaceDataset(index, 112)
    images = next(iter(build_loader(faces, [list(range(32))], 0))).images
    floats, others = images.float(), images.roll(1, 0)
    on_device = dissimilarity_torch(floats.to(device), others.to(device)).cpu()
    return (on_device - dissimilarity(floats, others)).abs().max().item()


def compare_counts(device: str, faces: int) -> tuple[int, int]:
    """Return the number of pixels whose level differs between a device and the CPU, and of all.

    Maps of 14, 37 and 224 px against masks of 224 px with regions, and a mean mask of 64 px.
    """
    draw = torch.Generator().manual_seed(0)
    masks, regions = (torch.rand(faces, 224, 224, generator=draw) < share for share in (0.3, 0.6))
    maps = [torch.randint(256, (faces, s, s), generator=draw).byte() for s in (14, 37, 224)]
    found = 0
    for drawn in (*maps, torch.rand(faces, 64, 64, generator=draw)):
        here = count_levels(drawn, masks, regions)
        there = count_levels(drawn.to(device), masks.to(device), regions.to(device))
        pairs = zip(here[:2], there[:2], strict=True)
        found += sum(int(np.abs(a.astype(int) - b).sum()) for a, b in pairs) // 2
    return found, 4 * masks.numel()


def train(corpus: Path, out: Path, device: str, precision: str, sizes: Mapping[str, Any]) -> str:
    """Train 10 steps, resume to 20, and return "finished" or "unfinished"."""
    network = replace(RECIPES["demo"][1], **sizes)
    for stop, resume in ((10, False), (0, True)):
        fit = FitConfig(steps=20, batch=16, validate_every=10, stop_after=stop, workers=2)
        runtime = Runtime(device=device, precision=precision, quiet=True)  # type: ignore[arg-type]
        source = Source(data=str(corpus / "index.csv"))
        train_command(
            TrainCommand(source, out, resume=resume, network=network, fit=fit, runtime=runtime)
        )
    return "finished" if RunFolder(out).is_finished() else "unfinished"


def name_of(device: str) -> str:
    """Return the name of the device."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else "CPU"


if __name__ == "__main__":
    sys.exit(main())
