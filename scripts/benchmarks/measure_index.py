"""CPU time and memory to load and filter a face index of a million rows.

Should stay near two seconds and 250 MiB above the interpreter and its libraries. Takes 15 seconds
and writes only a CSV. See also ``measure_scale.py``.
"""

from __future__ import annotations

import argparse
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


def read_memory() -> tuple[int, int]:
    """Return the memory of this process in MiB, now and at its peak (Linux)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    sizes = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Vm")}
    return int(sizes["VmRSS"]) >> 10, int(sizes["VmHWM"]) >> 10


def main() -> None:
    """Write, load, filter and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index.csv"
        write_index(path, rows)
        bare = read_memory()[0]
        start = time.process_time()
        index = FaceIndex.read(path)
        loaded = time.process_time()
        kept, peak = read_memory()
        train = index.where("train", methods=("Deepfakes", "FaceSwap"))
        filtered = time.process_time()
        print(
            f"{len(index):,} rows: loaded in {loaded - start:.1f} s, {len(train):,} filtered in "
            f"{filtered - loaded:.1f} s; {kept - bare} MiB, {peak - bare} MiB while it was loaded"
        )


if __name__ == "__main__":
    main()
