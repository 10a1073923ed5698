"""What `focus generate` costs beside the arithmetic it is for.

Two ratios, each the median over repeats that alternate between the two rates it compares, so that
other load on the machine hits both alike:

1. maps per second from JPEG files to the finished map file, over the bare forward pass of the same
   network at the same batch and precision (should be at least 0.90 with two ViT-S on a CPU);
2. the same with a network that does nothing, over the rate at which as many processes as there are
   loader workers decode the same files with cv2 alone (should be at least 0.60 on two cores).

Costs a few minutes on two CPU cores with the defaults. Nothing is downloaded; weights are random.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from focus.data.index import Face, FaceIndex
from focus.data.loading import count_workers
from focus.generation import GenerationConfig, generate
from focus.generators.contract import Generator
from focus.network.model import FoCus, FoCusConfig
from focus.runtime import Runtime, note
from focus.types import InputSpec, Prediction

SIDE, QUALITY, PICTURES = 256, 92, 256


class RandomFocus(Generator):
    """FoCus with random weights."""

    requires_weights = False

    def __init__(self, encoder: str) -> None:
        super().__init__()
        self.network = FoCus(FoCusConfig(encoder=encoder, encoder_weights="none"))
        self.input_spec = self.network.input_spec

    @classmethod
    def load(cls, weights: Path | None, options: Mapping[str, Any]) -> RandomFocus:
        return cls(str(options["encoder"]))

    def describe(self) -> Mapping[str, Any]:
        return {"encoder": self.network.config.encoder}

    def predict(self, images: Tensor) -> Prediction:
        return self.network.predict(images)


class Nothing(Generator):
    """Empty maps, for the cost of all else."""

    input_spec = InputSpec(image_size=224)
    requires_weights = False

    @classmethod
    def load(cls, weights: Path | None, options: Mapping[str, Any]) -> Nothing:
        return cls()

    def describe(self) -> Mapping[str, Any]:
        return {}

    def predict(self, images: Tensor) -> Prediction:
        maps = images.new_zeros(len(images), 1, 14, 14)
        return Prediction(maps[:, 0, 0, 0], maps)


def draw_faces(folder: Path, count: int) -> FaceIndex:
    """Write JPEG files of a gradient under noise, about as heavy to decode as photographs."""
    rng = np.random.default_rng(0)
    slope = np.linspace(0, 180, SIDE)
    gradient = (slope[:, None, None] / 2 + slope[None, :, None] / 2).repeat(3, axis=2)
    pictures = []
    for _ in range(PICTURES):
        noise = cv2.GaussianBlur(rng.normal(0, 60, (SIDE, SIDE, 3)), (0, 0), 1.5) * 3
        picture = np.clip(gradient + 40 + noise, 0, 255).astype(np.uint8)
        pictures.append(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1])
    faces = [Face(f"{row:06d}.jpg") for row in range(count)]
    for row, face in enumerate(faces):
        (folder / face.path).write_bytes(pictures[row % PICTURES].tobytes())
    return FaceIndex.of(faces, folder)


def time_generate(
    index: FaceIndex, generator: Generator, folder: Path, batch: int, runtime: Runtime
) -> float:
    """Return faces per second from files to the map file, everything included."""
    start = time.perf_counter()
    config = GenerationConfig(batch=batch, overwrite=True)
    generate(index, generator, folder / "maps.h5", config, runtime)
    return len(index) / (time.perf_counter() - start)


def time_forward(generator: Generator, count: int, batch: int, runtime: Runtime) -> float:
    """Return faces per second of the network alone, on images that are there already."""
    accelerator = runtime.accelerator()
    side = generator.input_spec.image_size
    generator.to(accelerator.device).eval()
    images = torch.rand(batch, 3, side, side, device=accelerator.device)
    start = time.perf_counter()
    with torch.no_grad(), accelerator.autocast():
        for first in range(0, count, batch):
            generator.predict(images[: count - first])
        if accelerator.device.type == "cuda":
            torch.cuda.synchronize()
    return count / (time.perf_counter() - start)


def decode(path: str) -> int:
    """Read one file with OpenCV."""
    return len(cv2.imread(path))


def time_decode(paths: list[str], pool: Any, processes: int) -> float:
    """Return faces per second of decoding alone, in processes that run already."""
    start = time.perf_counter()
    pool.map(decode, paths, chunksize=-(-len(paths) // processes))
    return len(paths) / (time.perf_counter() - start)


def compare(title: str, repeats: int, ours: Callable[[], float], bare: Callable[[], float]) -> None:
    """Print the median ratio of two rates that are measured in turn, after one turn to warm up."""
    pairs = [(ours(), bare()) for _ in range(repeats + 1)][1:]
    ratios = sorted(mine / other for mine, other in pairs)
    mine, other = (statistics.median(rates) for rates in zip(*pairs, strict=True))
    print(
        f"{title}: {mine:.1f} of {other:.1f} faces/s, ratio {statistics.median(ratios):.3f} "
        f"(from {ratios[0]:.3f} to {ratios[-1]:.3f} in {repeats} repeats)",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--encoder", default="vit_small_patch16_224")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16", "fp16"))
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--faces", type=int, default=512, help="with the network")
    parser.add_argument("--decode-faces", type=int, default=12288, help="without it")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="auto")
    flags = parser.parse_args()
    runtime = Runtime(device=flags.device, precision=flags.precision, quiet=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        note("drawing faces")
        index = draw_faces(folder, max(flags.faces, flags.decode_faces))
        if flags.faces:
            faces = index.take(np.arange(flags.faces))
            network = RandomFocus(flags.encoder)
            compare(
                f"generate over bare forward ({flags.encoder}, {flags.precision}, {flags.batch})",
                flags.repeats,
                lambda: time_generate(faces, network, folder, flags.batch, runtime),
                lambda: time_forward(network, flags.faces, flags.batch, runtime),
            )
        if flags.decode_faces:
            faces = index.take(np.arange(flags.decode_faces))
            paths = [str(folder / key) for key in faces.keys]
            processes = count_workers(-1)
            with multiprocessing.Pool(processes, cv2.setNumThreads, (0,)) as pool:
                compare(
                    f"generate without network over bare decoding ({processes} processes)",
                    flags.repeats,
                    lambda: time_generate(faces, Nothing(), folder, flags.batch, runtime),
                    lambda: time_decode(paths, pool, processes),
                )


if __name__ == "__main__":
    main()
