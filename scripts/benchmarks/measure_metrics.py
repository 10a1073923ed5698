"""Our pixel metrics against torchmetrics and against a loop over faces, in one run.

First the computation: maps of 14, 56 and 224 px against masks of 224 px, in memory; per face the
AUC over its pixels and F1 above one half. We count whole batches; torchmetrics (binary_auroc and
binary_f1_score, exact) and a loop of cv2.resize and numpy.bincount process one face at a time, with
all given threads. Then the whole path: maps from a map file against masks from PNG files, compared
with decoding the masks alone and with the loop, both in the same threads. All alternate, so that
other load affects them equally; ratios are medians over the turns. Goals: never slower than the
loop, and reading and counting in no more than twice the time of decoding alone.

Maps are smooth noise, masks are blobs. Takes about two minutes on two CPU cores.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn.functional import interpolate
from torchmetrics.functional.classification import binary_auroc, binary_f1_score

from evaluator.metrics.counting import count_levels
from evaluator.scoring.measure import TruthReader, measure
from focus.data.index import Face, FaceIndex
from focus.mapstore import MapReader, MapWriter
from focus.ranking import auc
from focus.runtime import available_cores, keep_freed_memory

GRIDS = (14, 56, 224)
Found = tuple[np.ndarray, np.ndarray]  # pixel AUC and F1 of every face, float64 (N,)


def draw_smooth(count: int, side: int, coarse: int, seed: int) -> np.ndarray:
    """Return smooth noise, float32 (count, side, side) in [0, 1]."""
    noise = torch.rand(count, 1, coarse, coarse, generator=torch.Generator().manual_seed(seed))
    return interpolate(noise, (side, side), mode="bicubic").clamp(0, 1)[:, 0].numpy()


def judge_ours(maps: np.ndarray, masks: np.ndarray, device: str) -> Found:
    """Count whole batches."""
    found = count_levels(torch.from_numpy(maps).to(device), torch.from_numpy(masks).to(device))
    return found.pixel_auc, summarise(found.inside, found.outside)[1]


def summarise(inside: np.ndarray, outside: np.ndarray) -> Found:
    """Return AUC and F1 from counts, whose upper 128 levels are above 0.5."""
    true, false = (part[:, -128:].sum(axis=1) for part in (inside, outside))
    return auc(inside, outside), 2 * true / (true + false + inside.sum(axis=1))


def judge_torchmetrics(maps: np.ndarray, masks: np.ndarray, device: str) -> Found:
    """Evaluate face by face with torchmetrics."""
    found = []
    for map_, mask in zip(maps, masks, strict=True):
        values = torch.from_numpy(map_).to(device)[None, None].float()
        values = interpolate(values, mask.shape, mode="bilinear").flatten()
        values = values / 255
        truth = torch.from_numpy(mask).to(device).flatten().int()
        found.append([float(f(values, truth)) for f in (binary_auroc, binary_f1_score)])
    areas, scores = np.array(found, dtype=np.float64).T
    return areas, scores


def count_face(map_: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Count one face by cv2.resize and numpy.bincount, int64 (2, 256)."""
    values: np.ndarray = map_.astype(np.float32)
    if values.shape != mask.shape:
        values = cv2.resize(values, mask.shape[::-1], interpolation=cv2.INTER_LINEAR)
    levels = np.clip(np.ceil(values - 0.5), 0, 255).astype(np.int64)
    return np.bincount((levels + 256 * mask).ravel(), minlength=512).reshape(2, 256)


def judge_loop(maps: np.ndarray, masks: np.ndarray) -> Found:
    """Count face by face, in threads."""
    with ThreadPoolExecutor(available_cores()) as pool:
        counts = np.stack(list(pool.map(count_face, maps, masks)))
    return summarise(counts[:, 1], counts[:, 0])


def take_turns(ways: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Return the seconds of every way in every turn, after one warm-up turn."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(-1, repeats):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if turn >= 0:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def write_rows(title: str, faces: int, seconds: Mapping[str, list[float]], first: str) -> None:
    """Print a row for every way: faces per second, and its time relative to ``first``."""
    for name, values in seconds.items():
        ratios = [mine / theirs for mine, theirs in zip(values, seconds[first], strict=True)]
        rate, spread = faces / statistics.median(values), f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(f"| {title} | {name} | {rate:,.0f} | {statistics.median(ratios):.2f} ({spread}) |")


def measure_arithmetic(faces: int, side: int, repeats: int, device: str) -> None:
    """Print the table of the computation alone, and the differences of the results."""
    masks = draw_smooth(faces, side, 5, 0) > 0.7
    print("| map | way | faces/s | time as a multiple of ours |\n|---|---|---|---|")
    apart: dict[str, float] = {}
    for grid in GRIDS:
        maps = (255 * draw_smooth(faces, grid, min(grid, 14), 1)).round().astype(np.uint8)
        ways: dict[str, Callable[[], Found]] = {
            "ours, a batch at once": partial(judge_ours, maps, masks, device),
            "torchmetrics, face by face": partial(judge_torchmetrics, maps, masks, device),
            "a loop of cv2.resize and numpy.bincount": partial(judge_loop, maps, masks),
        }
        ours, *_ = ways
        write_rows(f"{grid} to {side}", faces, take_turns(ways, repeats), ours)
        found = {name: way() for name, way in ways.items()}
        for name, values in found.items():
            pairs = zip(values, found[ours], strict=True)
            differ = max(float(np.nanmax(np.abs(a - b))) for a, b in pairs)
            apart[name] = max(apart.get(name, 0.0), differ)
    for name, value in list(apart.items())[1:]:
        print(f"largest difference of an AUC or F1 from {name}: {value:.1e}")


def decode(masks: TruthReader, pool: ThreadPoolExecutor, rows: np.ndarray) -> int:
    """Decode every mask, in threads; return the number of pixels."""
    return sum(pool.map(lambda row: masks.read(row)[0].size, rows))


def read_and_count(
    index: FaceIndex,
    reader: MapReader,
    masks: TruthReader,
    pool: ThreadPoolExecutor,
    rows: np.ndarray,
) -> np.ndarray:
    """Decode and count face by face, in threads."""

    def work(row: int) -> np.ndarray:
        return count_face(reader[index.keys[row]] * 255, masks.read(row)[0])

    return np.stack(list(pool.map(work, rows)))


def measure_files(folder: Path, faces: int, side: int, repeats: int, device: str) -> None:
    """Print the table of reading and counting."""
    truths = draw_smooth(faces, side, 5, 2) > 0.7
    rows = []
    for number, mask in enumerate(truths):
        cv2.imwrite(str(folder / f"{number}.png"), mask.astype(np.uint8) * 255)
        rows.append(Face(f"{number}.jpg", 1, video=f"{number // 10}", mask=f"{number}.png"))
    index, every = FaceIndex.of(rows, folder), np.arange(faces)
    masks = TruthReader(index)
    print("\n| map | way | faces/s | time as a multiple of decoding |\n|---|---|---|---|")
    for grid in GRIDS:
        file = folder / f"{grid}.h5"
        with MapWriter(file, generator="noise") as writer:
            maps = draw_smooth(faces, grid, min(grid, 14), 3)
            writer.append(index.keys, maps, index.labels, np.full(faces, 0.5))
        with MapReader(file) as reader, ThreadPoolExecutor(min(8, available_cores())) as pool:
            ways: dict[str, Callable[[], object]] = {
                "decoding alone": partial(decode, masks, pool, every),
                "ours": partial(measure, index, every, reader, device=device, quiet=True),
                "the loop in threads": partial(read_and_count, index, reader, masks, pool, every),
            }
            write_rows(f"{grid} to {side}", faces, take_turns(ways, repeats), "decoding alone")


def main() -> None:
    """Measure both, and print two tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of torch")
    parser.add_argument("--faces", type=int, default=256, help="faces of the computation")
    parser.add_argument("--files", type=int, default=2048, help="faces of reading and counting")
    parser.add_argument("--side", type=int, default=224, help="side of the masks")
    parser.add_argument("--repeats", type=int, default=5)
    flags = parser.parse_args()
    torch.set_num_threads(flags.threads)
    keep_freed_memory()
    print(f"torch {torch.__version__}, {flags.device}, {flags.threads} torch threads,", end=" ")
    print(f"{available_cores()} cores, load {os.getloadavg()[0]:.1f}, {flags.repeats} turns\n")
    measure_arithmetic(flags.faces, flags.side, flags.repeats, flags.device)
    with tempfile.TemporaryDirectory() as folder:
        measure_files(Path(folder), flags.files, flags.side, flags.repeats, flags.device)


if __name__ == "__main__":
    main()
