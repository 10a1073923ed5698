"""Time and memory of each step at a million faces, from the index to the map file.

Each step runs in a separate process. Memory is that of the process and its children together, with
shared pages counted once (the kernel's proportional set size, sampled every 0.2 s): the peak of
all memory, and the peak without file pages (heap and shared memory) minus that of a process with
the same imports. No model is loaded. Goals:

- the memory of `focus generate` hardly grows with the rows, below 2 GiB, at a constant rate;
- any map by key in less than a millisecond, in every process; at most 1 kB a face at 14x14.

The network is a no-op. Images are a few 64 px JPEG files under many names: hard links in folders
of a thousand, or the members of one tar. Linux only. The defaults take about an hour on two idle
cores and 8 GB of disk; `--rows 10000 --workers 2` two minutes. Seconds are CPU time, since the
machine may have other load; faces per second are wall-clock rates.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import pickle
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF
from typing import Any, NamedTuple

import cv2
import numpy as np
from measure_overhead import Nothing

from focus.data.archives import read_member
from focus.data.index import FaceIndex
from focus.generation import GenerationConfig, generate
from focus.mapstore import MapReader, MapWriter, info, merge
from focus.types import InputSpec

BEGAN = time.process_time()
SIDE, IMAGES, FOLDER, LINKS = 64, 64, 1000, 60_000
METHODS = ("", "Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
OTHERS = ("masks", "originals", "regions")
SHARDS, LOOKUPS, INTERVAL = 4, 2000, 0.2
ROOT = Path(__file__).parents[2]


def name_face(row: int) -> str:
    """Return a path of 50 characters."""
    video, frame = divmod(row, FOLDER)
    return f"crops/manipulated_sequences/c23/{video:06d}/{frame:07d}.jpg"


def write_index(path: Path, rows: int, prefix: str = "") -> None:
    """Write an index with all eight columns."""
    with path.open("w", encoding="utf-8") as file:
        file.write("path,label,split,method,video,mask,original,region\n")
        for row in range(rows):
            name, video = name_face(row), row // 10
            method = METHODS[video % len(METHODS)]
            others = (f"{kind}/{name}" for kind in OTHERS)
            rest = ",".join(others) if method else ",,"
            split = ("train", "val", "test")[video % 10 % 3]
            file.write(f"{prefix}{name},{int(bool(method))},{split},{method},{video:06d},{rest}\n")


def draw_images() -> list[bytes]:
    """Return a few small JPEG files."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (IMAGES, 8, 8, 3), dtype=np.uint8)
    images = [cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for image in coarse]
    return [cv2.imencode(".jpg", image)[1].tobytes() for image in images]


def index_only(folder: Path, rows: int) -> None:
    """Write an index without its images."""
    write_index(folder / "index.csv", rows)


def nothing(_: Path, __: int) -> None:
    """Write nothing: the steps write their own files."""


def link_faces(folder: Path, rows: int) -> None:
    """Write an index and its images, as hard links (the number of links per file is limited)."""
    images, sources = draw_images(), []
    for row in range(rows):
        if row % (LINKS * IMAGES) == 0:
            sources = [folder / f"{row}-{number}.jpg" for number in range(IMAGES)]
            for source, image in zip(sources, images, strict=True):
                source.write_bytes(image)
        path = folder / name_face(row)
        if row % FOLDER == 0:
            path.parent.mkdir(parents=True)
        os.link(sources[row % IMAGES], path)
    write_index(folder / "index.csv", rows)


def pack_faces(folder: Path, rows: int) -> None:
    """Write an index and its images, as members of one tar."""
    images = draw_images()
    with tarfile.open(folder / "faces.tar", "w") as archive:
        for row in range(rows):
            member, image = tarfile.TarInfo(name_face(row)), images[row % IMAGES]
            member.size = len(image)
            archive.addfile(member, io.BytesIO(image))
            archive.members.clear()  # type: ignore[attr-defined]
    write_index(folder / "index.csv", rows, "faces.tar!/")


# Steps: each runs in a separate process and returns the text to print.


@dataclass(frozen=True)
class Setting:
    """Settings of a step."""

    folder: Path
    rows: int
    workers: int

    def place(self, name: str) -> Path:
        """Return the path of a file."""
        return self.folder / name


def start(_: Setting) -> str:
    return "imports, for comparison"


def read(at: Setting) -> str:
    index = FaceIndex.read(at.place("index.csv"))
    return f"{len(index):,} rows of 8 columns in {time.process_time() - BEGAN:.1f} s"


def use(at: Setting) -> str:
    index = FaceIndex.read(at.place("index.csv"))
    work: dict[str, Callable[[], Any]] = {
        "where": lambda: index.where("train", METHODS[1:3]),
        "take a quarter": lambda: index.take(np.arange(len(index) // 4)),
        "fingerprint": index.fingerprint,
        "relocated": lambda: index.relocated("/"),
        "pickle": lambda: pickle.dumps(index),
        "write": lambda: index.write(at.place("copy.csv")),
    }
    return ", ".join(f"{name} {clock(call):.2f} s" for name, call in work.items())


def walk_forked(at: Setting) -> str:
    index = FaceIndex.read(at.place("index.csv"))

    def walk(_: int) -> None:
        assert sum(len(face.path) + len(face.mask) for face in index)

    run_forked(at.workers, walk)
    return "every row read in every worker"


def write(at: Setting) -> str:
    writer = MapWriter(at.place("maps.h5"), generator="noise", overwrite=True)
    append, finish = clock(lambda: fill(writer, range(at.rows))), clock(writer.finish)
    size = at.place("maps.h5").stat().st_size / at.rows
    return f"append {append:.1f} s, finish {finish:.1f} s, {size:.0f} bytes a face"


def write_shards(at: Setting) -> str:
    for number in range(SHARDS):
        attributes = {"generator": "noise", "shard": f"{number + 1}/{SHARDS}"}
        with MapWriter(at.place(f"{number}.h5"), attributes, overwrite=True) as writer:
            fill(writer, range(number * at.rows // SHARDS, (number + 1) * at.rows // SHARDS))
    return f"{SHARDS} shards"


def join_shards(at: Setting) -> str:
    shards = [at.place(f"{number}.h5") for number in range(SHARDS)]
    return f"merge {clock(lambda: merge(shards, at.place('merged.h5'), overwrite=True)):.1f} s"


def look_up(at: Setting) -> str:
    reader = MapReader(at.place("maps.h5"))
    first = clock(lambda: reader[name_face(0)])
    return f"first {first:.2f} s, then {spread(at.rows, 1, reader.__getitem__)}"


def look_up_forked(at: Setting) -> str:
    reader = MapReader(at.place("maps.h5"))
    assert name_face(0) in reader
    said = run_forked(at.workers, lambda number: spread(at.rows, number, reader.__getitem__))
    return f"keys read before the fork: {max(said)} in the slowest worker"


def summarise(at: Setting) -> str:
    return f"info {clock(lambda: info(at.place('maps.h5'))):.2f} s"


def read_tar(at: Setting) -> str:
    archive = at.place("faces.tar")
    first = clock(lambda: read_member(archive, name_face(0)))
    return f"first {first:.1f} s, then {spread(at.rows, 1, partial(read_member, archive))}"


def run_generate(at: Setting) -> str:
    network = Nothing()
    network.input_spec = InputSpec(image_size=SIDE)
    index, out = FaceIndex.read(at.place("index.csv")), at.place("generated.h5")
    began = time.perf_counter()
    report = generate(index, network, out, GenerationConfig(workers=at.workers, overwrite=True))
    rate = at.rows / (time.perf_counter() - began)
    assert report is not None
    assert report.faces == at.rows
    used = sum(sum(resource.getrusage(who)[:2]) for who in (RUSAGE_SELF, RUSAGE_CHILDREN)) - BEGAN
    size = out.stat().st_size / at.rows
    each = f"{used / at.rows * 1e6:.0f} us of CPU a face, {size:.0f} bytes a face"
    return f"{rate:,.0f} faces/s, {each}"


GROUPS = {
    "index": (index_only, (read, use, walk_forked)),
    "maps": (
        nothing,
        (
            write,
            look_up,
            look_up_forked,
            summarise,
            write_shards,
            join_shards,
        ),
    ),
    "links": (link_faces, (run_generate,)),
    "tar": (pack_faces, (read_tar, run_generate)),
}
PARALLEL = (walk_forked, look_up_forked, run_generate)
STEPS = {step.__name__: step for _, steps in GROUPS.values() for step in (start, *steps)}


def fill(writer: MapWriter, rows: range) -> None:
    """Append maps of noise."""
    levels = np.random.default_rng(0).integers(0, 256, (2048, 14, 14), dtype=np.uint8)
    for begin in range(0, len(rows), 2048):
        some = rows[begin : begin + 2048]
        ones = np.ones(len(some))
        writer.append([name_face(row) for row in some], levels[: len(some)], ones, ones / 2)


def spread(rows: int, seed: int, fetch: Callable[[str], Any]) -> str:
    """Return the time to fetch faces in random order, as text."""
    some = np.random.default_rng(seed).integers(0, rows, LOOKUPS).tolist()
    times = sorted(clock(partial(fetch, name_face(row))) * 1e6 for row in some)
    return f"{times[LOOKUPS // 2]:4.0f} us (99 of 100 within {times[LOOKUPS * 99 // 100]:.0f})"


def clock(call: Callable[[], Any]) -> float:
    """Return the CPU seconds that a call takes."""
    began = time.process_time()
    call()
    return time.process_time() - began


def run_forked(workers: int, work: Callable[[int], Any]) -> list[Any]:
    """Call in several forked processes, which stay until all are done; return the results."""
    context = multiprocessing.get_context("fork")
    barrier, answers = context.Barrier(workers), context.SimpleQueue()

    def answer(number: int) -> None:
        answers.put(work(number))
        barrier.wait()
        time.sleep(2 * INTERVAL)

    processes = [context.Process(target=answer, args=(number,)) for number in range(workers)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [answers.get() for _ in processes]


# Around the steps


class Cost(NamedTuple):
    """Memory in MiB: in total, and without file pages."""

    all: float
    own: float

    @classmethod
    def of(cls, process: int) -> Cost:
        """Return the memory of a process and its descendants; zero if it has ended."""
        try:
            folder = Path("/proc") / str(process)
            lines = (folder / "smaps_rollup").read_text().splitlines()[1:]
            tasks = list((folder / "task").iterdir())
            children = " ".join((task / "children").read_text() for task in tasks).split()
        except (FileNotFoundError, ProcessLookupError):
            return cls(0, 0)
        sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines}
        rest = [cls.of(int(child)) for child in children]
        own = sizes.get("Pss_Anon", 0) + sizes.get("Pss_Shmem", 0)
        return cls(
            sizes.get("Pss", 0) + sum(cost.all for cost in rest),
            own + sum(cost.own for cost in rest),
        )


def run_step(name: str, at: Setting) -> tuple[str, float, Cost]:
    """Run a step; return its text, its seconds and its memory peaks."""
    began = time.monotonic()
    flags = ["--step", name, "--folder", str(at.folder), "--rows", str(at.rows)]
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", __file__, *flags, "--workers", str(at.workers)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        peak = Cost(0, 0)
        while process.poll() is None:
            peak = Cost(*map(max, peak, Cost.of(process.pid)))
            time.sleep(INTERVAL)
        assert process.stdout is not None
        said = process.stdout.read().strip()
    if process.returncode:
        raise SystemExit(f"{name} of {at.rows} rows ended with {process.returncode}")
    return said, time.monotonic() - began, peak


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 8])
    parser.add_argument("--groups", nargs="+", choices=GROUPS, default=[*GROUPS])
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="where there is room")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.step:
        print(STEPS[flags.step](Setting(Path(flags.folder), flags.rows[0], flags.workers[0])))
        return
    base = run_step(start.__name__, Setting(Path(flags.folder), 0, 0))[2]
    print(f"A process that only imports: {base.all:.0f} MiB, {base.own:.0f} of them no file\n")
    print("| rows | of | step | workers | s | peak MiB | above start | |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for group in flags.groups:
        prepare, steps = GROUPS[group]
        for rows in flags.rows:
            with tempfile.TemporaryDirectory(dir=flags.folder) as name:
                prepare(Path(name), rows)
                for step in steps:
                    for workers in flags.workers if step in PARALLEL else (0,):
                        at = Setting(Path(name), rows, workers)
                        said, seconds, peak = run_step(step.__name__, at)
                        figures = f"{seconds:.0f} | {peak.all:.0f} | {peak.own - base.own:.0f}"
                        what = f"{group} | {step.__name__} | {workers or ''}"
                        print(f"| {rows:,} | {what} | {figures} | {said} |", flush=True)


if __name__ == "__main__":
    main()
