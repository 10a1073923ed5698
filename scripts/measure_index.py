"""What a face index of a million rows costs: seconds and memory to load and to filter it.

Should stay under ten seconds and 1 GiB. Takes about half a minute; nothing but a CSV is written.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

from focus.data.index import FaceIndex

METHODS = ("", "Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
SPLITS = ("train",) * 8 + ("val", "test")


def write_index(path: Path, rows: int) -> None:
    """Write rows like those of FaceForensics++: ten frames of each video, masks on fakes."""
    with path.open("w", encoding="utf-8") as file:
        file.write("path,label,split,method,video,mask,original\n")
        for row in range(rows):
            video, frame = divmod(row, 10)
            method = METHODS[video % len(METHODS)]
            name = f"crops/{method or 'youtube'}/{video:06d}/{frame:05d}.0"
            mask = f"masks/{name}.png" if method else ""
            original = f"crops/youtube/{video:06d}/{frame:05d}.0.jpg" if method else ""
            split = SPLITS[video % len(SPLITS)]
            label = int(bool(method))
            file.write(f"{name}.jpg,{label},{split},{method},{video:06d},{mask},{original}\n")


def main() -> None:
    """Write, load, filter and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index.csv"
        write_index(path, rows)
        start = time.perf_counter()
        index = FaceIndex.read(path)
        loaded = time.perf_counter()
        train = index.where("train", methods=("Deepfakes", "FaceSwap"))
        filtered = time.perf_counter()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"{len(index):,} rows: loaded in {loaded - start:.1f} s, {len(train):,} filtered in "
            f"{filtered - loaded:.1f} s, peak {peak:.2f} GiB with the interpreter"
        )


if __name__ == "__main__":
    main()
