"""``evaluator cost``: measure parameters, MACs, throughput and memory of a model."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evaluator.options import CostCommand
from focus.config import parse_options, split_options
from focus.detectors import DETECTORS, Trainable, config_type
from focus.errors import InputError
from focus.generation.command import find_generator, load_generator
from focus.generation.running import QUIET
from focus.generators.contract import Generator, PairGenerator
from focus.generators.registry import GENERATORS
from focus.macs import count_macs
from focus.output import present
from focus.runs import build_detector, load_network, read_run, write_run
from focus.runtime import Runtime, return_freed_memory, seed_everything
from focus.types import InputSpec, Prediction

NATIVE_SIZE = 224  # image side for models without a fixed input size
BATCHES = {"cuda": 32, "cpu": 1}
ROUNDS = 3


def cost_command(command: CostCommand) -> None:
    """Print the measurements; write JSON if requested.

    Raises:
        InputError: no such detector or generator, invalid settings or weights, or a JSON file
            that cannot be written.
    """
    seed_everything(command.runtime.seed)
    subject = load_subject(command.name, command.weights, split_options(command.options))
    random = "random" if any(True for _ in subject.parameters()) else "none"
    found = {
        "name": command.name,
        "kind": "generator" if isinstance(subject, Generator) else "detector",
        "weights": command.weights or random,
        **measure_cost(subject, command.batch, command.seconds, command.runtime),
    }
    present(found, format_cost(found), command.json)


def load_subject(
    name: str, weights: str = "", options: Mapping[str, str] | None = None
) -> Trainable | Generator:
    """Return a detector or generator, with random weights unless ``weights`` is given.

    A name registered as both (``focus``) is the detector. Without weights, ``options`` known to
    the generator's network are passed to the network.

    Raises:
        InputError: unknown name; invalid settings or weights.
    """
    given = dict(options or {})
    if name in DETECTORS.names():
        return _load_detector(name, weights, given)
    try:
        kind, _ = find_generator(name)
    except InputError:
        known = ", ".join(dict.fromkeys([*DETECTORS.names(), *GENERATORS.names()]))
        raise InputError(f"no detector or generator '{name}'; known: {known}") from None
    if weights or not kind.requires_weights:
        return load_generator(name, weights, given)
    return _load_random(name, str(getattr(kind, "kind", "")), given)


def measure_cost(
    subject: Trainable | Generator,
    batch: int = 0,
    seconds: float = 5.0,
    runtime: Runtime = QUIET,
) -> dict[str, Any]:
    """Measure one prediction (images standardised, on the device) and return JSON values.

    ``parameters``; ``macs`` per face: multiply-accumulates in matrix products, convolutions and
    attention, including backward passes if a map needs them, excluding element-wise operations
    (None if torch does none of these); ``throughput`` in faces per second (clips for a clip
    detector); ``peak_memory`` in bytes and ``peak_memory_of``: tensors on a GPU, else the process
    (None if the system does not report it); ``input``: shape of one face; ``batch``,
    ``precision`` and ``device`` of the measurement.

    Raises:
        InputError: missing device, or a batch that exceeds its memory.
    """
    accelerator = runtime.accelerator()
    device = accelerator.device
    subject = subject.to(device).eval()
    batch = batch or BATCHES.get(device.type, 1)

    def predict(inputs: tuple[Tensor, ...]) -> Prediction:
        return (
            subject.compare(*inputs)
            if isinstance(subject, PairGenerator)
            else subject.predict(*inputs)
        )

    def run(inputs: tuple[Tensor, ...]) -> None:
        with torch.no_grad(), accelerator.autocast():
            predict(inputs)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    one = draw_faces(subject, 1, device)
    macs, _ = count_macs(lambda: predict(one))
    many = draw_faces(subject, batch, device)
    try:
        run(many)
        _reset_peak(device)
        rate = batch / _time(lambda: run(many), seconds)
    except torch.cuda.OutOfMemoryError:
        raise InputError(f"--batch {batch}: out of GPU memory; use a smaller batch") from None
    return {
        "parameters": sum(values.numel() for values in subject.parameters()),
        "macs": macs or None,
        "throughput": rate,
        "peak_memory": _read_peak(device),
        "peak_memory_of": "tensors on the GPU" if device.type == "cuda" else "the process",
        "input": list(one[0].shape[1:]),
        "batch": batch,
        "precision": runtime.precision,
        "device": _name(device),
    }


def draw_faces(
    subject: Trainable | Generator, count: int, device: torch.device
) -> tuple[Tensor, ...]:
    """Return random standardised faces (B, 3, [T,] H, W), and companions if required."""
    spec: InputSpec = subject.input_spec
    size = spec.image_size or NATIVE_SIZE
    frames = (spec.frames,) if spec.frames > 1 else ()
    faces = torch.randint(0, 256, (count, 3, *frames, size, size), dtype=torch.uint8)
    images = spec.standardise(faces.to(device))
    if not isinstance(subject, PairGenerator):
        return (images,)
    if subject.companion == "mask":
        others = torch.randint(0, 2, (count, 1, size, size), dtype=torch.uint8) * 255
    else:
        others = torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8)
    return images, others.to(device)


def format_cost(found: Mapping[str, Any]) -> str:
    """Return the result as text."""
    shape = " x ".join(map(str, found["input"]))
    macs = (
        "not counted: it does not compute in torch"
        if found["macs"] is None
        else _large(found["macs"])
    )
    peak = found["peak_memory"]
    memory = "not reported by this system" if peak is None else f"{peak / 2**30:.2f} GiB"
    place = f"batch {found['batch']}, {found['precision']}, {found['device']}"
    return "\n".join(
        [
            f"{found['name']} ({found['kind']}), weights: {found['weights']}, input {shape}",
            f"parameters   {found['parameters']:,}",
            f"MACs         {macs}",
            f"throughput   {_short(found['throughput'])} per second ({place})",
            f"peak memory  {memory} ({found['peak_memory_of']})",
        ]
    )


def _load_detector(name: str, weights: str, options: Mapping[str, str]) -> Trainable:
    if not weights:
        return build_detector(name, _random_config(name, options))
    if options:
        raise InputError(f"--options {next(iter(options))}: not allowed with --weights")
    run = read_run(Path(weights))
    if run.kind != name:
        raise InputError(f"--weights {weights}: is a {run.kind} run, not a {name} run")
    return load_network(run)


def _random_config(name: str, options: Mapping[str, str]) -> Any:
    """Return the configuration of a detector with random weights."""
    kind = config_type(DETECTORS.get(name))
    free = {"encoder_weights": "none"} if hasattr(kind, "encoder_weights") else {}
    return parse_options(kind, {**free, **options})


def _load_random(name: str, network: str, options: Mapping[str, str]) -> Generator:
    """Return a generator with random weights, loaded from a temporary run folder."""
    if not network:
        raise InputError(f"--weights is missing: {name} does not declare the network it needs")
    known = config_type(DETECTORS.get(network)).__dataclass_fields__
    theirs = {key: text for key, text in options.items() if key in known}
    config = _random_config(network, {**find_generator(name)[0].needed_settings, **theirs})
    rest = {key: text for key, text in options.items() if key not in known}
    with tempfile.TemporaryDirectory() as folder:
        write_run(Path(folder), network, build_detector(network, config), config)
        return load_generator(name, folder, rest)


def _time(work: Callable[[], None], seconds: float) -> float:
    """Return the median duration of repeated calls: at least three, for at least ``seconds``."""
    durations: list[float] = []
    while len(durations) < ROUNDS or sum(durations) < seconds:
        start = time.perf_counter()
        work()
        durations.append(time.perf_counter() - start)
    return statistics.median(durations)


def _reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    return_freed_memory()  # otherwise memory freed earlier would hide the peak of this run
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:  # the peak is then that of the whole process
        return


def _read_peak(device: torch.device) -> int | None:
    """Return peak bytes in use since :func:`_reset_peak`; None if the system does not report it."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return int(lines["VmHWM"].split()[0]) * 1024 if "VmHWM" in lines else None


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{device}, {torch.cuda.get_device_name(device)}"
    threads = torch.get_num_threads()
    return f"{device.type}, {threads} thread{'s' * (threads > 1)}"


def _short(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def _large(count: int) -> str:
    for unit, name in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if count >= unit:
            return f"{count / unit:.4g} {name}"
    return f"{count:,}"
