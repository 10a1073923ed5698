"""Attention before its softmax, read from the blocks of a timm ViT."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


def join_heads(attentions: list[Any], seen: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return queries and keys (B, 1 + N, E) whose products are means over blocks and heads.

    The sum over heads of their products is the product of all channels at once.
    """
    queries, keys = [], []
    for attention, values in zip(attentions, seen, strict=True):
        query, key, _ = values.unflatten(-1, (3, attention.num_heads, -1)).unbind(2)
        share = attention.scale / (attention.num_heads * len(attentions))
        queries.append(attention.q_norm(query).flatten(2).float() * share)
        keys.append(attention.k_norm(key).flatten(2).float())
    return torch.cat(queries, dim=-1), torch.cat(keys, dim=-1)


def attend(queries: Tensor, keys: Tensor) -> Tensor:
    """Return the sigmoid of the products of queries (B, M, E) and keys (B, N, E): (B, M, N)."""
    with torch.autocast(queries.device.type, enabled=False):
        return (queries @ keys.transpose(1, 2)).sigmoid()


@contextmanager
def watch(attentions: list[Any]) -> Iterator[list[Tensor]]:
    """Yield a list that collects the queries, keys and values (B, 1 + N, 3 D) of each attention."""
    seen: list[Tensor] = []
    hooks = [
        attention.qkv.register_forward_hook(lambda _, __, output: seen.append(output))
        for attention in attentions
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
