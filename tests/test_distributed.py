"""Several processes give the result of one, and end without a traceback when one fails."""

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from focus.data.index import FaceIndex
from focus.data.loading import count_workers
from focus.data.sources import Source
from focus.errors import InputError
from focus.generation import GenerationConfig, generate
from focus.generation.command import load_generator
from focus.mapstore import MapReader, merge
from focus.processes import process_rank

ROOT = Path(__file__).parent.parent
EQUAL = ("train in 2", "generate in 3, 2 parts", "run in 2")
FAILURES = ("train, 0 killed", "generate, 1 stopped", "generate, fault", "train, time is up")


@pytest.fixture(scope="module")
def table():
    """Run cases of the script in one go, so that they share the imports; name -> row."""
    command = [sys.executable, "tests/stress/processes.py", "--case", *EQUAL, *FAILURES]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=400
    )
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()]
    return {row[0]: row for row in rows if len(row) > 2} or pytest.fail(done.stderr[-3000:])


@pytest.mark.parametrize("case", EQUAL)
def test_several_processes_make_what_one_makes(table, case):
    assert table[case][1].endswith(": ok"), table[case]


@pytest.mark.parametrize("case", FAILURES)
def test_when_one_fails_all_end_without_a_traceback(table, case):
    assert table[case][1].endswith(": ok"), table[case]
    assert float(table[case][2]) < 90, table[case]


def test_accelerate_launch_starts_several_on_a_cpu_or_says_that_it_does_not(tmp_path):
    script = tmp_path / "count.py"
    script.write_text(
        "import sys\n"
        "from focus.runtime import Runtime\n"
        # One write: two processes share the pipe, and print writes its words one by one.
        "sys.stdout.write(f'processes: {Runtime(device=\"cpu\").accelerator().num_processes}\\n')\n"
    )
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "PYTHONPATH": str(ROOT)}
    environment |= {"OMP_NUM_THREADS": "1"}
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "2"]
    said = {
        flag: subprocess.run(
            [*launcher, "--main_process_port", "0", flag, str(script)],
            capture_output=True,
            text=True,
            env=environment,
            timeout=120,
            check=True,
        )
        for flag in ("--multi_gpu", "--cpu")
    }
    assert said["--multi_gpu"].stdout.count("processes: 2") == 2
    assert "started one process" not in said["--multi_gpu"].stderr
    assert said["--cpu"].stdout.count("processes: 1") == 1
    assert "has started one process" in said["--cpu"].stderr


@pytest.mark.parametrize("total", [3, 13])
def test_shares_of_any_number_merge_to_the_whole(demo_corpus, tmp_path, total):
    index, generator = FaceIndex.read(demo_corpus), load_generator("mask")
    given = {"name": "mask", "source": Source(str(demo_corpus))}
    generate(index, generator, tmp_path / "whole.h5", GenerationConfig(workers=0), **given)
    shares = []
    for number in range(1, total + 1):
        config = GenerationConfig(workers=0, shard=f"{number}/{total}")
        shares.append(tmp_path / f"{number}.h5")
        generate(index, generator, shares[-1], config, **given)
    random.Random(0).shuffle(shares)
    with pytest.raises(InputError, match="missing: shard"):
        merge(shares[1:], tmp_path / "all.h5")
    merge(shares, tmp_path / "all.h5")
    with MapReader(tmp_path / "whole.h5") as whole, MapReader(tmp_path / "all.h5") as merged:
        assert list(whole) == list(merged)
        everything = np.arange(len(whole))
        assert np.array_equal(whole.read(everything), merged.read(everything))
        assert np.array_equal(whole.scores, merged.scores, equal_nan=True)
        assert {**whole.attributes, "created": ""} == {**merged.attributes, "created": ""}


def test_more_shares_than_faces_are_refused(demo_corpus, tmp_path):
    config = GenerationConfig(workers=0, shard="1/41")
    with pytest.raises(InputError, match="share 1/41 of 40 faces"):
        generate(FaceIndex.read(demo_corpus), load_generator("mask"), tmp_path / "a.h5", config)


def test_processes_of_one_machine_share_its_cores(monkeypatch):
    monkeypatch.setattr("focus.data.loading.available_cores", lambda: 16)
    for processes, workers in (("1", 15), ("4", 3), ("8", 1), ("32", 1)):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
        assert count_workers(-1) == workers
    assert count_workers(5) == 5


@pytest.mark.parametrize(("given", "rank"), [(None, 0), ("3", 3), ("three", 0)])
def test_the_rank_is_the_launchers(monkeypatch, given, rank):
    monkeypatch.delenv("RANK", raising=False)
    if given is not None:
        monkeypatch.setenv("RANK", given)
    assert process_rank() == rank
