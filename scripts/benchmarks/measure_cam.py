"""Our class activation maps against the pytorch-grad-cam package, in one run on one ViT-S.

Grad-CAM and Score-CAM of a timm classifier with a class-token head, at blocks.-1.norm1, of the same
images in the same process: maps per second of both, each at its best batch size, and the Pearson
correlation of every pair of maps. The two alternate, so that other load affects both equally; the
ratio is the median over the turns. Goals: Grad-CAM at least 2.5 times as fast and every correlation
above 0.999; Score-CAM at least 2 times as fast, with the masked images in bf16 (reported, together
with the correlation with our own fp32 map).

Weights are random; blocks and head are scaled up, since otherwise attention and gradients would be
almost constant over the image. Takes about eight minutes on two CPU cores. The package is not a
dependency: pip install --target DIR --no-deps grad-cam ttach, then PYTHONPATH=DIR.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["TQDM_DISABLE"] = "1"  # the package shows a progress bar for every image

import cv2
import numpy as np
import timm
import torch
from torch import Tensor

from focus.generators.cam import ActivationMap, GradCam, ScoreCam
from focus.runs import save_weights
from focus.runtime import keep_freed_memory

try:
    from pytorch_grad_cam import GradCAM, ScoreCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
except ImportError as error:
    sys.exit(
        f"{error}: pip install --target DIR --no-deps grad-cam ttach, then run with PYTHONPATH=DIR"
    )

LAYER = "blocks.-1.norm1"
Maps = np.ndarray  # float32 (B, h, w)
Maker = Callable[[Tensor], Maps]
Entrants = dict[str, dict[int, tuple[Maker, int]]]  # name -> size tried -> maker, images at once


def get(model: torch.nn.Module, name: str) -> Any:
    """Return a part of a network whose type only timm knows."""
    return getattr(model, name)


def build_classifier(name: str, gain: float) -> torch.nn.Module:
    """Return a two-class timm classifier with scaled-up random weights."""
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=2)
    with torch.no_grad():
        for block in get(model, "blocks"):
            block.attn.qkv.weight.mul_(gain)
            block.mlp.fc2.weight.mul_(gain)
        get(model, "head").weight.mul_(10 * gain)
    return model.eval()


def draw_images(count: int, side: int) -> Tensor:
    """Return blurred noise (B, 3, H, W), as smooth as photographs and all different."""
    coarse = torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    fine = torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(2))
    return torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic") + 0.3 * fine


def make_ours(generator: ActivationMap, precision: str) -> Maker:
    """Return our maker of maps on the network's own grid."""

    @torch.no_grad()
    def make(images: Tensor) -> Maps:
        kind, half = images.device.type, precision == "bf16"
        with torch.autocast(kind, dtype=torch.bfloat16, enabled=half):
            maps = generator.predict(images).maps
        assert maps is not None
        return maps[:, 0].float().cpu().numpy()

    return make


def make_theirs(kind: type, model: torch.nn.Module, masked: int = 0) -> Maker:
    """Return the package's maker of maps, used for a ViT as in its documentation."""
    side: int = get(model, "patch_embed").grid_size[0]

    def to_planes(tokens: Tensor) -> Tensor:
        return tokens[:, 1:].transpose(1, 2).reshape(len(tokens), -1, side, side)

    cam = kind(model, [get(model, "blocks")[-1].norm1], reshape_transform=to_planes)
    if masked:
        cam.batch_size = masked
    return lambda images: cam(images, [ClassifierOutputTarget(1)] * len(images))


def correlate(first: Maps, second: Maps) -> float:
    """Return the lowest Pearson correlation of two sets of maps, enlarged to the larger size."""
    side = max(first.shape[1], second.shape[1])
    flat = [
        np.stack([cv2.resize(plane, (side, side)).ravel() for plane in maps])
        for maps in (first, second)
    ]
    return min(float(np.corrcoef(a, b)[0, 1]) for a, b in zip(*flat, strict=True))


def time_maps(make: Maker, images: Tensor, batch: int) -> tuple[float, Maps]:
    """Return maps per second, and the maps."""
    start = time.perf_counter()
    maps = [make(images[first : first + batch]) for first in range(0, len(images), batch)]
    return len(images) / (time.perf_counter() - start), np.concatenate(maps)


def compare(title: str, images: Tensor, entrants: Entrants, repeats: int, warm_up: int = 0) -> None:
    """Print each entrant's best batch size and rate, and the ratio of the others to the first.

    Args:
        title: name of the comparison.
        images: the input images.
        entrants: the implementations to compare.
        repeats: number of measured turns.
        warm_up: number of earlier turns that are not measured.
    """
    rates: dict[tuple[str, int], list[float]] = {}
    maps: dict[str, Maps] = {}
    for turn in range(-warm_up, repeats):
        for name, sizes in entrants.items():
            for size, (make, at_once) in sizes.items():
                rate, maps[name] = time_maps(make, images, at_once)
                if turn >= 0:
                    rates.setdefault((name, size), []).append(rate)
    print(f"\n{title}, {len(images)} images, {repeats} turns")
    best = {}
    for name, sizes in entrants.items():
        medians = {size: statistics.median(rates[name, size]) for size in sizes}
        best[name] = max(medians, key=lambda size: medians[size])
        tried = ", ".join(f"{rate:.3g} at {size}" for size, rate in medians.items())
        print(f"  {name}: {medians[best[name]]:.3g} maps/s at {best[name]} (tried: {tried})")
    reference, exact, *_ = entrants
    theirs = rates[reference, best[reference]]
    for name in list(entrants)[1:]:
        ours = rates[name, best[name]]
        ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
        line = f"  {name}: {statistics.median(ratios):.2f} times the {reference}"
        line += f" (from {min(ratios):.2f} to {max(ratios):.2f}); least correlation "
        line += f"{correlate(maps[name], maps[reference]):.5f}"
        if name != exact:
            line += f", with {exact} {correlate(maps[name], maps[exact]):.5f}"
        print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--encoder", default="deit_small_patch16_224", help="a ViT of timm")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--faces", type=int, default=64, help="of Grad-CAM")
    parser.add_argument("--score-faces", type=int, default=1, help="faces for Score-CAM; 0: skip")
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 16, 32, 64])
    parser.add_argument("--masked", type=int, nargs="+", default=[8, 16, 32])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--gain", type=float, default=3.0, help="scale of the random weights")
    flags = parser.parse_args()
    torch.set_num_threads(flags.threads)
    keep_freed_memory()
    model = build_classifier(flags.encoder, flags.gain).to(flags.device)
    side: int = get(model, "patch_embed").img_size[0]
    options = {"encoder": flags.encoder, "layer": LAYER}
    print(f"{flags.encoder} at {LAYER}, {flags.device}, {flags.threads} threads,", end=" ")
    print(f"torch {torch.__version__}, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "classifier.safetensors"
        save_weights(model, file)
        if flags.faces:
            generator = GradCam.load(file, options).to(flags.device)
            makers = {
                "package": make_theirs(GradCAM, model),
                "gradcam": make_ours(generator, "fp32"),
                "gradcam in bf16": make_ours(generator, "bf16"),
            }
            entrants: Entrants = {
                name: {size: (make, size) for size in flags.batches}
                for name, make in makers.items()
            }
            images = draw_images(flags.faces, side).to(flags.device)
            compare("Grad-CAM", images, entrants, flags.repeats, warm_up=1)
        if flags.score_faces:
            entrants = {"package": {}, "scorecam": {}, "scorecam in bf16": {}}
            for size in flags.masked:
                scored = ScoreCam.load(file, {**options, "masked": str(size)}).to(flags.device)
                entrants["package"][size] = make_theirs(ScoreCAM, model, size), 1
                entrants["scorecam"][size] = make_ours(scored, "fp32"), 1
                entrants["scorecam in bf16"][size] = make_ours(scored, "bf16"), 1
            images = draw_images(flags.score_faces, side).to(flags.device)
            compare("Score-CAM", images, entrants, flags.repeats)
    print(f"load at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
