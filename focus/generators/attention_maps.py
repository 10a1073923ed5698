"""Attention of a vision transformer's class token as maps."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from focus.errors import InputError
from focus.generators.cam import CamConfig, ClassMap
from focus.generators.explained import Explained
from focus.generators.layers import find_layer, find_transformer, join_path
from focus.types import Prediction


class AttentionMap(ClassMap):
    """Base of maps from attention weights, averaged over heads.

    timm's unfused attention applies ``attn_drop`` to its weights; a hook there collects them.

    Raises:
        InputError: a network without such attention, or without a class token.
    """

    part = ""  # path of the mapped module inside the transformer

    def __init__(self, explained: Explained, config: CamConfig) -> None:
        super().__init__(explained, config)
        name, transformer = config.layer, find_transformer(explained.network)
        if not name and transformer is None:
            raise InputError("this network has no vision transformer, so no attention to map")
        self.layer = find_layer(explained, name or join_path(transformer or "", self.part))
        self.attentions = self.list_attentions()
        for attention in self.attentions:
            if not (hasattr(attention, "fused_attn") and hasattr(attention, "attn_drop")):
                raise InputError(f"--options layer={self.layer.name}: has no attention weights")
            attention.fused_attn = False  # type: ignore[assignment]
        with torch.no_grad():  # a wrong layer fails before the first face is read
            self.predict(explained.example())

    @abstractmethod
    def list_attentions(self) -> list[nn.Module]:
        """Return the attention modules to watch, in execution order."""

    @abstractmethod
    def add(self, flow: Tensor | None, weights: Tensor) -> Tensor:
        """Return the accumulated attention (B, T, T) after one more layer's weights (B, T, T)."""

    @property
    def layer_name(self) -> str:
        """Path of the module whose attention is mapped."""
        return self.layer.name

    def predict(self, images: Tensor) -> Prediction:
        """Return scores (B,), maps (B, 1, h, w) and parts of standardised images (B, 3, H, W)."""
        flow: Tensor | None = None

        def watch(_module: nn.Module, _inputs: Any, weights: Tensor) -> None:  # (B, heads, T, T)
            nonlocal flow
            with torch.autocast(images.device.type, enabled=False):
                flow = self.add(flow, weights.float().mean(dim=1))

        with ExitStack() as stack:
            for attention in self.attentions:
                handle = attention.attn_drop.register_forward_hook(watch)  # type: ignore[union-attr]
                stack.callback(handle.remove)
            evidence = self.explained(images)
        if flow is None:
            raise InputError(f"--options layer={self.layer.name}: the network does not run it")
        row = flow[:, 0]  # (B, T): attention of the class token
        cam = self.layer.planes(row[:, :, None])[:, 0]
        if cam[0].numel() == row.shape[1]:
            raise InputError("this network has no class token, so no attention to map")
        return self.finish(cam, evidence.scores)


class Attention(AttentionMap):
    """Attention of a ViT's class token in the last block; ``layer`` names another ``attn``."""

    part = "blocks.-1.attn"

    def list_attentions(self) -> list[nn.Module]:
        """Return the one attention module."""
        return [self.layer.module]

    def add(self, flow: Tensor | None, weights: Tensor) -> Tensor:
        """Return the weights."""
        return weights


class Rollout(AttentionMap):
    """Attention rollout (Abnar and Zuidema, ACL 2020); ``layer`` names another list of blocks.

    The product over layers of (A + I) / 2, which weights the residual connection like attention.
    """

    part = "blocks"

    def list_attentions(self) -> list[nn.Module]:
        """Return the attention module of every block."""
        blocks = self.layer.module
        if not isinstance(blocks, (nn.Sequential, nn.ModuleList)):
            raise InputError(f"--options layer={self.layer.name}: is not a list of blocks")
        return [getattr(block, "attn", block) for block in blocks]

    def add(self, flow: Tensor | None, weights: Tensor) -> Tensor:
        """Return (A + I) / 2 times the previous product."""
        if flow is None:
            flow = torch.eye(weights.shape[1], device=weights.device).expand_as(weights)
        return (weights @ flow + flow) / 2
