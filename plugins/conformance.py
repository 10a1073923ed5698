"""Checks that a detector implements the contract, run by ``evaluator check NAME``.

Each check uses synthetic faces (noise; fakes have a bright patch, marked in their map) and reports
a fault in one line. No check needs a GPU, data or weights.
"""

from __future__ import annotations

import ast
import copy
import inspect
import itertools
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from focus.config import from_json, to_json
from focus.detectors import Trainable, config_type
from focus.errors import InputError, count_of
from focus.runs import save_weights
from focus.runtime import seed_everything
from focus.types import FAKE, REAL, Batch
from plugins.drawn_faces import drawn_faces
from plugins.exchange import train_in_two_processes
from plugins.learned import find_map_fault, find_score_fault, settle_statistics

FACES = 8
SMALL_SIZES = (64, 96, 112, 128, 192, 224)
GRADIENT_STEPS = 16
OVERFIT_STEPS, OVERFIT_RATE, OVERFIT_SHARE = 20, 1e-3, 0.7
TOLERANCE = 2e-3
_DEVICE = re.compile(r"(cuda|cpu|mps|xpu)(:\d+)?")


class Finding(NamedTuple):
    """Result of a check."""

    check: str
    passed: bool
    detail: str
    seconds: float


class BreachError(Exception):
    """A breach of the contract, in one line."""


@dataclass(frozen=True)
class Subject:
    """A detector under test: its class and settings."""

    detector: type[Trainable]
    config: Any
    seed: int = 0

    def build(self) -> Trainable:
        """Return a new detector, identical at every call."""
        seed_everything(self.seed)
        make: Any = self.detector
        return make(self.config)

    def faces(self, network: Trainable, labels: Iterable[int], maps: bool = True) -> Batch:
        """Return a standardised batch of synthetic faces."""
        return drawn_faces(network, list(labels), maps, self.seed).standardised(network.input_spec)


def check_detector(
    detector: type[Trainable], options: Mapping[str, Any] | None = None, seed: int = 0
) -> Iterator[Finding]:
    """Yield the finding of every check, in the best order for fixing.

    Args:
        detector: the class.
        options: settings of its configuration; ``encoder_weights`` is ``none`` unless given, and
            checks that train use the smallest valid ``image_size`` unless given.
        seed: seed of weights and faces.

    Raises:
        InputError: the detector has no configuration, or cannot be built with these settings.
    """
    subject = Subject(detector, _shrink(plain_config(detector, options or {}), options or {}), seed)
    whole = replace(subject, config=plain_config(detector, options or {}))
    for name, check in CHECKS.items():
        start = time.monotonic()
        try:
            detail, passed = check(whole if check in AT_FULL_SIZE else subject), True
        except BreachError as fault:
            detail, passed = str(fault), False
        except InputError:
            raise
        except Exception as error:  # third-party code may raise anything
            reason = (str(error) or "no message").splitlines()[0][:200]
            detail, passed = f"{type(error).__name__}: {reason}", False
        yield Finding(name, passed, detail, time.monotonic() - start)


def _shrink(config: Any, options: Mapping[str, Any]) -> Any:
    """Return the configuration with the smallest valid image size, for training on a CPU."""
    if not hasattr(config, "image_size") or "image_size" in options:
        return config
    for size in SMALL_SIZES:
        if size < config.image_size:
            try:
                return replace(config, image_size=size)
            except InputError:
                continue
    return config


def plain_config(detector: type[Trainable], options: Mapping[str, Any]) -> Any:
    """Return a detector's configuration, with random weights unless an option names others."""
    config = config_type(detector)(**options)
    if hasattr(config, "encoder_weights") and "encoder_weights" not in options:
        config = replace(config, encoder_weights="none")
    return config


def _mixed(count: int = FACES) -> list[int]:
    return [REAL, FAKE] * (count // 2)


def _settings(subject: Subject) -> str:
    again = from_json(type(subject.config), to_json(subject.config))
    if again != subject.config:
        raise BreachError(
            "its configuration changes when saved as JSON and read back; use plain field types"
        )
    spec = subject.build().input_spec
    if spec.image_size < 1 or spec.frames < 1:
        raise BreachError(
            f"input_spec has {spec.image_size} px and {spec.frames} frames; both must be at least 1"
        )
    size = f"{spec.image_size} px" + (f", {spec.frames} frames" if spec.frames > 1 else "")
    return f"{size}, config {type(subject.config).__name__}"


def _parameters(subject: Subject) -> str:
    learning = sum(p.numel() for p in subject.build().parameters() if p.requires_grad)
    if not learning:
        raise BreachError("no parameter is trainable")
    return f"{count_of(learning, 'trainable parameter')}"


def _predictions(subject: Subject) -> str:
    network = subject.build().eval()
    images = subject.faces(network, _mixed(4)).images
    with torch.no_grad():
        scores, maps, _ = network.predict(images)
        single = network.predict(images[:1])
    if scores.shape != (4,):
        raise BreachError(f"predict returns scores of shape {tuple(scores.shape)}, not (4,)")
    _in_range("scores", scores)
    if abs(float(single.scores[0] - scores[0])) > TOLERANCE:
        raise BreachError("a face's score depends on the other faces of the batch, in eval mode")
    if maps is None:
        return "scores, no maps"
    clip = (network.input_spec.frames,) if maps.ndim == 5 else ()
    if maps.shape[:-2] != (4, 1, *clip):
        raise BreachError(f"predict returns maps of shape {tuple(maps.shape)}, not (4, 1, h, w)")
    _in_range("maps", maps)
    if single.maps is None or (single.maps[0] - maps[0]).abs().max() > 10 * TOLERANCE:
        raise BreachError("a face's map depends on the other faces of the batch, in eval mode")
    return f"scores, maps {maps.shape[-2]} x {maps.shape[-1]}"


def _in_range(name: str, values: Tensor) -> None:
    if not torch.isfinite(values).all():
        raise BreachError(f"{name} are not finite")
    if values.min() < 0 or values.max() > 1:
        raise BreachError(
            f"{name} range from {values.min():.3g} to {values.max():.3g}, not in [0, 1]"
        )


def _loss(network: Trainable, batch: Batch) -> Tensor:
    """Return the sum of the loss terms, after checking each."""
    terms = network.loss(batch)
    if not terms:
        raise BreachError("loss returns no term")
    for name, term in terms.items():
        if term.ndim:
            raise BreachError(f"the term {name} has shape {tuple(term.shape)}, not a scalar")
        if not torch.isfinite(term):
            raise BreachError(f"the term {name} is {float(term.detach())}")
    return torch.stack([term.float() for term in terms.values()]).sum()


def _one_class(subject: Subject) -> str:
    network = subject.build().train()
    for label, maps in itertools.product((REAL, FAKE), (True, False)):
        _loss(network, subject.faces(network, [label] * 4, maps)).backward()
    _finite_gradients(network)
    return "finite on real and on fake faces alone, with and without maps"


def _extreme_maps(subject: Subject) -> str:
    network = subject.build().train()
    batch = subject.faces(network, _mixed(4))
    assert batch.maps is not None
    fakes = (batch.labels == FAKE).view(-1, *[1] * (batch.maps.ndim - 1))
    full = torch.ones_like(batch.maps) * fakes
    for maps in (torch.zeros_like(batch.maps), full, batch.maps * 0.37):
        _loss(network, batch._replace(maps=maps)).backward()
    _finite_gradients(network)
    return "finite on fakes with empty, full and soft maps"


def _finite_gradients(network: Trainable) -> None:
    for name, parameter in network.named_parameters():
        if parameter.grad is not None and not torch.isfinite(parameter.grad).all():
            raise BreachError(f"the gradient of {name} is not finite")


def _gradients(subject: Subject) -> str:
    network = subject.build().train()
    network.begin(GRADIENT_STEPS)
    optimizer = torch.optim.SGD(network.parameters(), 1e-3)
    still = {name for name, p in network.named_parameters() if p.requires_grad}
    count = len(still)
    # A scale that starts at zero blocks gradients in the first step, and random choices may need
    # several steps to reach every parameter.
    for step in range(GRADIENT_STEPS):
        optimizer.zero_grad()
        seed_everything(subject.seed, step)
        _loss(network, subject.faces(network, _mixed())).backward()
        still -= {
            name
            for name, parameter in network.named_parameters()
            if parameter.grad is not None and parameter.grad.abs().max() > 0
        }
        if not still:
            return f"reach all {count} parameters"
        optimizer.step()
    names = [name for name, _ in network.named_parameters() if name in still]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    raise BreachError(f"no gradient reaches {', '.join(names[:3])}{more}; freeze it or use it")


def _bfloat16(subject: Subject) -> str:
    network = subject.build().train()
    batch = subject.faces(network, _mixed(4))
    with torch.autocast("cpu", torch.bfloat16):
        _loss(network, batch).backward()
        with torch.no_grad():
            scores, maps, _ = network.eval().predict(batch.images)
    for name, values in (("scores", scores), ("maps", maps)):
        if values is not None and values.dtype != torch.float32:
            raise BreachError(f"{name} are {values.dtype} under autocast; return float32")
        if values is not None:
            _in_range(name, values)
    return "loss and prediction finite under autocast"


def _determinism(subject: Subject) -> str:
    found = []
    for _ in range(2):
        network = subject.build().train()
        batch = subject.faces(network, _mixed(4))
        seed_everything(1)
        found.append(float(_loss(network, batch).detach()))
    if found[0] != found[1]:
        raise BreachError(f"one seed gives two losses, {found[0]:.8g} and {found[1]:.8g}")
    return "one seed, one loss"


def _saving(subject: Subject) -> str:
    network = subject.build().eval()
    images = subject.faces(network, _mixed(2)).images
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        save_weights(network, path)
        other = Subject(subject.detector, subject.config, subject.seed + 1).build()
        other.load_state_dict(load_file(path))
    with torch.no_grad():
        first, second = network.predict(images), other.eval().predict(images)
    for name in ("scores", "maps"):
        one, two = getattr(first, name), getattr(second, name)
        if one is not None and not torch.equal(one, two):
            raise BreachError(
                f"{name} differ after saving and loading: some state is missing from the state dict"
            )
    copy.deepcopy(network)
    return "the same predictions after saving and loading"


def _device_literals(subject: Subject) -> str:
    package = subject.detector.__module__
    names = [n for n in sys.modules if n == package or n.startswith(f"{_home(package)}.")]
    for name in names:
        try:
            source = inspect.getsource(sys.modules[name])
        except (OSError, TypeError):
            continue
        tree = ast.parse(source)
        # map_location places tensors while a file is read; it is not the device of the detector.
        read = {
            keyword.value
            for keyword in ast.walk(tree)
            if isinstance(keyword, ast.keyword) and keyword.arg == "map_location"
        }
        for node in ast.walk(tree):
            if node in read:
                continue
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and _DEVICE.fullmatch(text):
                raise BreachError(f"{name}, line {node.lineno}: names the device {text!r}")  # type: ignore[attr-defined]
            if isinstance(node, ast.Attribute) and node.attr == "cuda":
                raise BreachError(
                    f"{name}, line {node.lineno}: uses .cuda; the training loop moves the detector"
                )
    return f"none in {count_of(len(names), 'module')}"


def _home(module: str) -> str:
    """Return the own package of a detector: ``plugins.pcl`` of ``plugins.pcl.model``."""
    parent = module.rpartition(".")[0]
    return parent if parent.count(".") >= 1 else module


def _processes(subject: Subject) -> str:
    network = subject.build()
    return train_in_two_processes(network, drawn_faces(network, _mixed(8), seed=subject.seed))


def _overfit(subject: Subject) -> str:
    network = subject.build().train()
    network.begin(OVERFIT_STEPS)
    batch = subject.faces(network, _mixed())
    optimizer = torch.optim.AdamW(
        [p for p in network.parameters() if p.requires_grad], OVERFIT_RATE
    )
    losses = []
    for step in range(OVERFIT_STEPS):
        seed_everything(subject.seed, step)
        optimizer.zero_grad()
        loss = _loss(network, batch)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    lowest = min(losses[-5:])
    if lowest > OVERFIT_SHARE * losses[0]:
        raise BreachError(
            f"the loss only went from {losses[0]:.3g} to {lowest:.3g} in {OVERFIT_STEPS} "
            f"steps on {FACES} faces; only fakes have a bright patch"
        )
    supervised = _uses_maps(network, batch)
    settle_statistics(network, batch)
    with torch.no_grad():
        scores, maps, _ = network.eval().predict(batch.images)
    fault = find_score_fault(scores, batch.labels)
    found = f"loss from {losses[0]:.3g} to {lowest:.3g} in {OVERFIT_STEPS} steps, fakes above reals"
    if maps is not None and supervised:
        fault = fault or find_map_fault(maps[batch.labels == FAKE], network.input_spec.image_size)
        found += ", maps highest on the patch"
    if fault:
        raise BreachError(f"after training on {FACES} faces, {fault}")
    return found


def _uses_maps(network: Trainable, batch: Batch) -> bool:
    """Return whether the loss depends on the maps."""
    network.eval()  # so that the first call does not affect the second
    totals = []
    for candidate in (batch, batch._replace(maps=None)):
        seed_everything(0)
        totals.append(float(_loss(network, candidate).detach()))
    network.train()
    return totals[0] != totals[1]


CHECKS: dict[str, Callable[[Subject], str]] = {
    "settings": _settings,
    "parameters": _parameters,
    "device literals": _device_literals,
    "predictions": _predictions,
    "one-class batches": _one_class,
    "extreme maps": _extreme_maps,
    "gradients": _gradients,
    "bf16": _bfloat16,
    "determinism": _determinism,
    "save and load": _saving,
    "two processes": _processes,
    "overfit": _overfit,
}
AT_FULL_SIZE = (_settings, _parameters, _predictions)
