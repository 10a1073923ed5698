"""Cost of an SSIM map compared with scikit-image's of the same window, one thread each.

Pairs of a face and its original are read once, resized to each side, and compared by both in turn.
Times are process CPU times, which other load hardly affects. The ratio is the median over the
repeats and should be at least 5. Ours starts from uint8 batches, as in generation, scikit-image
from uint8 images. The largest difference between both maps is also printed (should be below 0.001).

Needs an index with an ``original`` column, and scikit-image. Takes about a minute.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np
import torch
from skimage.metrics import structural_similarity

from focus.data.images import read_face
from focus.data.sources import Source, open_source
from focus.generators.comparison import Ssim
from focus.runtime import keep_freed_memory
from focus.types import FAKE

Pair = tuple[np.ndarray, np.ndarray]  # a fake and its original, uint8 (H, W, 3)


def read_pairs(data: str, count: int) -> list[Pair]:
    """Return the first fakes that have an original, each with it."""
    index = open_source(Source(data=data), quiet=True)
    faces = [face for face in index if face.label == FAKE and face.original][:count]
    if not faces:
        raise SystemExit(f"{data}: no fake has an original")
    read = [[read_face(index.root, path) for path in (f.path, f.original)] for f in faces]
    return [(fake, real) for fake, real in read]


def compare_scikit(pairs: list[Pair]) -> np.ndarray:
    """Return scikit-image's maps, (N, H, W)."""
    maps = []
    for fake, real in pairs:
        _, similarity = structural_similarity(
            fake,
            real,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=255,
            channel_axis=-1,
            full=True,
        )
        maps.append(1 - similarity.mean(axis=-1))
    return np.clip(maps, 0, 1)


def compare_ours(
    generator: Ssim, fakes: torch.Tensor, reals: torch.Tensor, batch: int
) -> np.ndarray:
    """Return our maps, (N, H, W), in batches."""
    maps = []
    for images, companions in zip(fakes.split(batch), reals.split(batch), strict=True):
        prediction = generator.compare(generator.input_spec.standardise(images), companions)
        assert prediction.maps is not None
        maps.append(prediction.maps)
    return torch.cat(maps)[:, 0].numpy()


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", required=True, help="an index with originals")
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--sides", type=int, nargs="+", default=[112, 224])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=9)
    flags = parser.parse_args()
    keep_freed_memory()  # as every command on a CPU does; helps both
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    pairs, generator = read_pairs(flags.data, flags.pairs), Ssim()
    for side in flags.sides:
        sized = [(cv2.resize(x, (side, side)), cv2.resize(y, (side, side))) for x, y in pairs]
        fakes, reals = (
            torch.from_numpy(np.stack(faces)).permute(0, 3, 1, 2).contiguous()
            for faces in zip(*sized, strict=True)
        )

        def ours(fakes: torch.Tensor = fakes, reals: torch.Tensor = reals) -> np.ndarray:
            return compare_ours(generator, fakes, reals, flags.batch)

        def theirs(sized: list[Pair] = sized) -> np.ndarray:
            return compare_scikit(sized)

        apart = np.abs(ours() - theirs()).max()
        times = [(seconds(ours), seconds(theirs)) for _ in range(flags.repeats)]
        mine, other = (
            statistics.median(part) / len(pairs) * 1e3 for part in zip(*times, strict=True)
        )
        ratios = sorted(their / our for our, their in times)
        print(
            f"{side} px, {len(pairs)} pairs: {mine:.3f} ms a pair, scikit-image {other:.3f} ms, "
            f"{statistics.median(ratios):.1f} times as fast (from {ratios[0]:.1f} to "
            f"{ratios[-1]:.1f} in {flags.repeats} repeats); maps at most {apart:.1e} apart",
            flush=True,
        )


if __name__ == "__main__":
    main()
