"""Trace a network without computing: its output sizes, and the parameters that it uses."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class Trace(NamedTuple):
    """How a network processes one image."""

    shapes: tuple[torch.Size, ...]  # of its outputs
    used: frozenset[str]  # parameters that an output depends on
    pooled: tuple[str, ...]  # batch normalisations of one value per channel and image


def trace(network: nn.Module, size: int) -> Trace:
    """Return the trace of one image (3, size, size), on torch's device without memory.

    Raises whatever the network raises for such an image.
    """
    twin = copy.deepcopy(network).to("meta").eval()
    pooled: list[str] = []
    for name, module in twin.named_modules():
        if isinstance(module, _BatchNorm):
            module.register_forward_pre_hook(_note_pooled(name, pooled))
    with torch.enable_grad():
        outputs = twin(torch.zeros(1, 3, size, size, device="meta"))
    reached = _reach(outputs)
    used = frozenset(name for name, p in twin.named_parameters() if id(p) in reached)
    return Trace(tuple(output.shape for output in outputs), used, tuple(pooled))


def _note_pooled(name: str, pooled: list[str]) -> Any:
    """Return a hook that adds the name of a module whose planes have one cell."""

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if inputs[0].shape[2:].numel() == 1:
            pooled.append(name)

    return note


def _reach(outputs: Iterable[Tensor]) -> set[int]:
    """Return the identities of the leaves that tensors depend on."""
    seen: set[Any] = set()
    leaves: set[int] = set()
    waiting: list[Any] = [output.grad_fn for output in outputs]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            leaves.add(id(node.variable))
        waiting += [following for following, _ in node.next_functions]
    return leaves
