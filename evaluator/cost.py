"""``evaluator cost``: what a detector or generator takes: parameters, arithmetic, time, memory."""

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
from focus.runtime import Runtime, seed_everything
from focus.types import InputSpec, Prediction

NATIVE_SIZE = 224  # of pictures, for what takes them as they are
BATCHES = {"cuda": 32, "cpu": 1}
ROUNDS = 3


def cost_command(command: CostCommand) -> None:
    """Print what was measured, and write JSON if asked.

    Raises:
        InputError: no such detector or generator, settings or weights that do not fit, or a JSON
            file that cannot be written.
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
    """Return a detector or a generator, with random weights unless some are given.

    A name that both have (``focus``) is the detector's. Without weights, ``options`` that the
    network behind a generator knows are the network's.

    Raises:
        InputError: neither is called so; settings or weights that do not fit.
    """
    given = dict(options or {})
    if name in DETECTORS.names():
        return _load_detector(name, weights, given)
    plain = name if name in GENERATORS.names() else _without_threshold(name)
    if plain not in GENERATORS.names():
        known = ", ".join(dict.fromkeys([*DETECTORS.names(), *GENERATORS.names()]))
        raise InputError(f"no detector or generator '{name}'; known: {known}")
    kind, _ = find_generator(plain)
    if weights or not kind.requires_weights:
        return load_generator(name, weights, given)
    return _load_random(name, str(getattr(kind, "kind", "")), given)


def measure_cost(
    subject: Trainable | Generator,
    batch: int = 0,
    seconds: float = 5.0,
    runtime: Runtime = QUIET,
) -> dict[str, Any]:
    """Measure a prediction, images standardised and on the device, and return JSON values.

    ``parameters``; ``macs`` of one face: multiply-accumulates in matrix products, convolutions and
    attention, backward passes included where a map takes them, element-wise work not, None where
    nothing of this is done in torch; ``throughput`` in faces a second, of a detector of clips in
    clips; ``peak_memory`` in bytes and ``peak_memory_of`` whom: tensors on a GPU, else the process
    (None if the system does not tell); ``input``: shape of one face; ``batch``, ``precision`` and
    ``device`` of the measurement.

    Raises:
        InputError: a device that is not there, or a batch that does not fit into it.
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
        raise InputError(f"--batch {batch}: does not fit into the GPU; halve it") from None
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
    """Return random standardised faces (B, 3, [T,] H, W), and companions where they are wanted."""
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
    """Return the result for a terminal."""
    shape = " x ".join(map(str, found["input"]))
    macs = (
        "not counted: its work is not in torch" if found["macs"] is None else _large(found["macs"])
    )
    peak = found["peak_memory"]
    memory = "not told by this system" if peak is None else f"{peak / 2**30:.2f} GiB"
    place = f"batch {found['batch']}, {found['precision']}, {found['device']}"
    return "\n".join(
        [
            f"{found['name']} ({found['kind']}), weights: {found['weights']}, input {shape}",
            f"parameters   {found['parameters']:,}",
            f"MACs         {macs}",
            f"throughput   {_short(found['throughput'])} a second ({place})",
            f"peak memory  {memory} ({found['peak_memory_of']})",
        ]
    )


def _load_detector(name: str, weights: str, options: Mapping[str, str]) -> Trainable:
    if not weights:
        return build_detector(name, _random_config(name, options))
    if options:
        raise InputError(f"--options {next(iter(options))}: a run has its settings; leave them out")
    run = read_run(Path(weights))
    if run.kind != name:
        raise InputError(f"--weights {weights}: holds a {run.kind} run, not a {name} one")
    return load_network(run)


def _random_config(name: str, options: Mapping[str, str]) -> Any:
    """Return the configuration of a detector that starts from random weights."""
    kind = config_type(DETECTORS.get(name))
    free = {"encoder_weights": "none"} if hasattr(kind, "encoder_weights") else {}
    return parse_options(kind, {**free, **options})


def _load_random(name: str, network: str, options: Mapping[str, str]) -> Generator:
    """Return a generator over a run of random weights, which it loads as any other run."""
    if not network:
        raise InputError(f"--weights is missing: {name} does not say which network it needs")
    known = config_type(DETECTORS.get(network)).__dataclass_fields__
    theirs = {key: text for key, text in options.items() if key in known}
    config = _random_config(network, {**find_generator(name)[0].needed_settings, **theirs})
    rest = {key: text for key, text in options.items() if key not in known}
    with tempfile.TemporaryDirectory() as folder:
        write_run(Path(folder), network, build_detector(network, config), config)
        return load_generator(name, folder, rest)


def _without_threshold(name: str) -> str:
    """Return ``NAME@`` of ``NAME@T``."""
    plain, sign, _ = name.partition("@")
    return plain + sign


def _time(work: Callable[[], None], seconds: float) -> float:
    """Return the median duration of some calls: three, and as many as fit into ``seconds``."""
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
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:  # the peak then counts from the start of the process
        return


def _read_peak(device: torch.device) -> int | None:
    """Return the most bytes in use since :func:`_reset_peak`, None if the system does not tell."""
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
