"""Overhead of `focus generate` over the computation itself, and its speed against alternatives.

Prints ratios, each the median over repeats that alternate between the two rates, so that other load
affects both equally. `--measure` selects them:

- `forward`: maps per second from JPEG files to the finished map file, over the bare forward pass of
  the same network at the same batch size and precision (goals: 0.95 on a CPU, 0.90 on a GPU);
- `decode`: the same with a no-op network, over decoding the same files with cv2 alone in as many
  processes as there are loader workers (goal: 0.60 on two cores);
- `walls`: not a ratio but three rates: bare decoding, transfer to the device, and the bare forward
  pass; the lowest is the bottleneck;
- `plain`: over the same network in a simple loop: cv2 in a DataLoader, fp32, one PNG per map;
- `cam`: over Grad-CAM by the pytorch-grad-cam package on *one* encoder of the same kind at its best
  batch size, with frozen weights, on images in memory. The package is not a dependency:
  pip install --target DIR --no-deps grad-cam ttach, then PYTHONPATH=DIR.

Takes about ten minutes on two CPU cores with the defaults. Nothing is downloaded; weights are
random.
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
import timm
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from focus.data.index import Face, FaceIndex
from focus.data.loading import count_workers
from focus.generation import GenerationConfig, generate
from focus.generators.contract import Generator
from focus.network.model import FoCus, FoCusConfig
from focus.runtime import Runtime, note
from focus.types import InputSpec, Prediction

SIDE, QUALITY, IMAGES = 256, 92, 256


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
    """Empty maps, to measure the cost of everything else."""

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
    images = []
    for _ in range(IMAGES):
        noise = cv2.GaussianBlur(rng.normal(0, 60, (SIDE, SIDE, 3)), (0, 0), 1.5) * 3
        image = np.clip(gradient + 40 + noise, 0, 255).astype(np.uint8)
        images.append(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1])
    faces = [Face(f"{row:06d}.jpg") for row in range(count)]
    for row, face in enumerate(faces):
        (folder / face.path).write_bytes(images[row % IMAGES].tobytes())
    return FaceIndex.of(faces, folder)


def time_generate(
    index: FaceIndex, generator: Generator, folder: Path, config: GenerationConfig, runtime: Runtime
) -> float:
    """Return faces per second from files to the map file, everything included."""
    start = time.perf_counter()
    generate(index, generator, folder / "maps.h5", config, runtime)
    return len(index) / (time.perf_counter() - start)


def time_forward(generator: Generator, count: int, batch: int, runtime: Runtime) -> float:
    """Return faces per second of the network alone, on images in memory."""
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
    image = cv2.imread(path)
    assert image is not None
    return len(image)


def time_decode(paths: list[str], pool: Any, processes: int) -> float:
    """Return faces per second of decoding alone, in running processes."""
    start = time.perf_counter()
    pool.map(decode, paths, chunksize=-(-len(paths) // processes))
    return len(paths) / (time.perf_counter() - start)


def time_transfer(generator: Generator, count: int, batch: int, runtime: Runtime) -> float:
    """Return faces per second of the transfer from pinned memory to the device, as bytes."""
    device = runtime.accelerator().device
    side = generator.input_spec.image_size
    images = torch.zeros(batch, 3, side, side, dtype=torch.uint8)
    images = images.pin_memory() if device.type == "cuda" else images
    start = time.perf_counter()
    for _ in range(0, count, batch):
        images.to(device, non_blocking=True, copy=True)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return count / (time.perf_counter() - start)


class PlainFaces(Dataset[tuple[str, Tensor]]):
    """Files read as in most scripts: decoded in full, resized, converted to float in the worker."""

    def __init__(self, index: FaceIndex, side: int) -> None:
        self.index, self.side = index, side

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, row: int) -> tuple[str, Tensor]:
        key = self.index.keys[row]
        image = cv2.imread(str(self.index.root / key))
        assert image is not None
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        image = cv2.resize(image, (self.side, self.side))
        return key, torch.from_numpy(image).permute(2, 0, 1).float() / 255


def time_plain(
    index: FaceIndex, generator: Generator, folder: Path, batch: int, runtime: Runtime
) -> float:
    """Return faces per second of a plain fp32 loop that writes a PNG for every map."""
    device = runtime.accelerator().device
    generator.to(device).eval()
    (folder / "plain").mkdir(exist_ok=True)
    start = time.perf_counter()
    faces = PlainFaces(index, generator.input_spec.image_size)
    loader = DataLoader(
        faces, batch, num_workers=count_workers(-1), pin_memory=device.type == "cuda"
    )
    with torch.no_grad():
        for keys, images in loader:
            maps = generator.predict(images.to(device, non_blocking=True)).maps
            assert maps is not None
            for key, map_ in zip(keys, (maps[:, 0] * 255).byte().cpu().numpy(), strict=True):
                cv2.imwrite(str(folder / "plain" / f"{key}.png"), map_)
    return len(index) / (time.perf_counter() - start)


def prepare_cam(encoder: str, device: torch.device, side: int) -> Callable[[int], float]:
    """Return a function that times pytorch-grad-cam at the best of three batch sizes."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    model: Any = timm.create_model(encoder, num_classes=2)
    model.to(device).eval().requires_grad_(False)
    model.blocks[-1].requires_grad_(True)  # the package needs a gradient at its layer
    grid = model.patch_embed.grid_size

    def to_planes(tokens: Tensor) -> Tensor:
        return tokens[:, 1:].transpose(1, 2).reshape(len(tokens), -1, *grid)

    cam = GradCAM(model, [model.blocks[-1].norm1], reshape_transform=to_planes)

    def rate(batch: int, count: int) -> float:
        images = torch.rand(batch, 3, side, side, device=device)
        start = time.perf_counter()
        for first in range(0, count, batch):
            part = images[: count - first]
            cam(part, [ClassifierOutputTarget(1)] * len(part))
        return count / (time.perf_counter() - start)

    best = max((8, 32, 64), key=lambda batch: rate(batch, 2 * batch))
    note(f"pytorch-grad-cam: batch {best}")
    return lambda count: rate(best, count)


def compare(title: str, repeats: int, ours: Callable[[], float], bare: Callable[[], float]) -> None:
    """Print the median ratio of two rates measured alternately, after one warm-up turn."""
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
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = ("walls", "forward", "decode", "plain", "cam")
    parser.add_argument("--measure", nargs="+", choices=known, default=known[:4])
    parser.add_argument("--encoder", default="vit_small_patch16_224")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16", "fp16"))
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--faces", type=int, default=512, help="with the network")
    parser.add_argument("--decode-faces", type=int, default=12288, help="without it")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--compile", action="store_true", help="our generate only")
    flags = parser.parse_args()
    runtime = Runtime(device=flags.device, precision=flags.precision, quiet=True)
    plain = Runtime(device=flags.device, quiet=True)
    setting = f"{flags.encoder}, {flags.precision}, {flags.batch}"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        note("drawing faces")
        index = draw_faces(folder, max(flags.faces, flags.decode_faces))
        faces, many = (index.take(np.arange(count)) for count in (flags.faces, flags.decode_faces))
        network = RandomFocus(flags.encoder)
        config = GenerationConfig(batch=flags.batch, overwrite=True, compile=flags.compile)

        def ours() -> float:
            return time_generate(faces, network, folder, config, runtime)

        paths = [str(folder / key) for key in many.keys]
        processes = count_workers(-1)
        if "walls" in flags.measure:
            with multiprocessing.Pool(processes, cv2.setNumThreads, (0,)) as pool:
                rates = {f"decoding in {processes}": time_decode(paths, pool, processes)}
            for walk, rate in (("transfer", time_transfer), ("forward", time_forward)):
                rate(network, flags.batch, flags.batch, runtime)
                rates[walk] = rate(network, flags.faces, flags.batch, runtime)
            said = ", ".join(f"{name} {rate:.0f}" for name, rate in rates.items())
            print(
                f"walls ({setting}), faces/s: {said}; lowest: {min(rates, key=rates.__getitem__)}"
            )
        if "forward" in flags.measure:
            compare(
                f"generate over bare forward ({setting})",
                flags.repeats,
                ours,
                lambda: time_forward(network, flags.faces, flags.batch, runtime),
            )
        if "plain" in flags.measure:
            compare(
                f"generate ({setting}) over a plain fp32 loop with PNG files",
                flags.repeats,
                ours,
                lambda: time_plain(faces, network, folder, flags.batch, plain),
            )
        if "cam" in flags.measure:
            cam = prepare_cam(
                flags.encoder, plain.accelerator().device, network.input_spec.image_size
            )
            compare(
                f"generate ({setting}) over pytorch-grad-cam on one encoder",
                flags.repeats,
                ours,
                lambda: cam(flags.faces),
            )
        if "decode" in flags.measure:
            with multiprocessing.Pool(processes, cv2.setNumThreads, (0,)) as pool:
                compare(
                    f"generate without network over bare decoding ({processes} processes)",
                    flags.repeats,
                    lambda: time_generate(many, Nothing(), folder, config, runtime),
                    lambda: time_decode(paths, pool, processes),
                )


if __name__ == "__main__":
    main()
