"""Layers of explained networks with a spatial output."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Attention, Block, VisionTransformer  # type: ignore[attr-defined]
from torch import Tensor, nn

from focus.errors import InputError
from focus.generators.explained import Explained

CELL = 40  # pixels; the usual stride is 32, slightly more without padding


@dataclass(frozen=True)
class Layer:
    """A module with a spatial output."""

    name: str
    """Its path, as given."""
    module: nn.Module
    grid: tuple[int, int] | None
    """(h, w) of its tokens, if known."""

    @contextmanager
    def watched(self, gradient: bool = False) -> Iterator[list[Tensor]]:
        """Collect the outputs of the module.

        Args:
            gradient: cut the graph there, so that gradients end at the collected tensors.
        """
        seen: list[Tensor] = []

        def keep(_module: nn.Module, _inputs: Any, output: Any) -> Tensor | None:
            if not isinstance(output, Tensor):
                raise InputError(f"--options layer={self.name}: does not output a single tensor")
            seen.append(output.detach().requires_grad_(gradient))
            # Return a copy: later layers may work in place, which is an error on a leaf tensor.
            return seen[-1].clone()

        handle = self.module.register_forward_hook(keep)
        try:
            yield seen
        finally:
            handle.remove()

    def last(self, seen: list[Tensor]) -> Tensor:
        """Return the last output of the module.

        Raises:
            InputError: the network does not run it.
        """
        if not seen:
            raise InputError(f"--options layer={self.name}: the network does not run it")
        return seen[-1]

    def planes(self, output: Tensor) -> Tensor:
        """Return float32 planes (B, C, h, w) of an output, or of its gradient.

        Takes tokens (B, prefix + h * w, C), and features (B, C, h, w) or (B, h, w, C) of a square
        image; prefix tokens are dropped.

        Raises:
            InputError: any other shape.
        """
        shape = tuple(output.shape)
        if len(shape) == 4:
            return _channels_first(output).float()
        if len(shape) != 3:
            raise InputError(
                f"--options layer={self.name}: outputs shape {shape}, not a spatial grid"
            )
        grid = self.grid
        if grid is None or math.prod(grid) > shape[1]:
            grid = (math.isqrt(shape[1]),) * 2
        tokens = output[:, shape[1] - math.prod(grid) :]
        return tokens.transpose(1, 2).unflatten(2, grid).float()


def find_layer(explained: Explained, name: str = "") -> Layer:
    """Return the layer of a path, or the network's natural layer if the path is empty.

    The natural layer of a transformer is ``blocks.-1.norm1``. In any other network it is the last
    of the coarsest grids of features or tokens on which the logit depends; grids with cells above
    40 pixels (as in the side branches of object detectors) are ignored unless timm lists a deeper
    level. Negative numbers in a path count from the end.

    Raises:
        InputError: no such module; a network without a layer to map.
    """
    name = name or explained.natural_layer or _last_norm(explained.network)
    name = name or _last_feature_map(explained)
    module, grid, parts = explained.network, None, name.split(".")
    for depth, part in enumerate(parts):
        grid = _grid_of(module) or grid
        found = _child(module, part)
        if found is None:
            children = list(module._modules)
            near = ", ".join(difflib.get_close_matches(part, children) or children) or "nothing"
            whole = ".".join(parts[:depth]) or "the network"
            raise InputError(f"--options layer={name}: {whole} has no {part}; near: {near}")
        module = found
    return Layer(name, module, _grid_of(module) or grid)


def find_transformer(network: nn.Module) -> str | None:
    """Return the path of the first transformer with ``patch_embed`` and ``blocks``, or None."""
    for path, module in network.named_modules():
        blocks = getattr(module, "blocks", None)
        if blocks and hasattr(module, "patch_embed") and hasattr(blocks[-1], "norm1"):
            return path
    return None


def join_path(*parts: str) -> str:
    """Return a module path of the non-empty parts."""
    return ".".join(part for part in parts if part)


def shorten(explained: Explained, layer: Layer) -> None:
    """Let a ViT's last block compute the class token alone, if nothing else of it is used.

    Saves a twelfth of a ViT-S. Checked on an example: undone if the logit or the shape of the
    layer's output changes.
    """
    network = explained.network
    if type(network) is not VisionTransformer or network.global_pool != "token":
        return
    block = network.blocks[-1]
    if type(block) is not Block or type(block.attn) is not Attention:
        return
    if getattr(block.attn, "gate", None) is not None:
        return
    whole = _try(explained, layer)
    network.blocks[-1] = ClassTokenBlock(block)
    short = _try(explained, layer)
    same_output = [x.shape for x in whole[1]] == [x.shape for x in short[1]]
    if not (same_output and torch.allclose(whole[0], short[0], rtol=1e-4, atol=1e-4)):
        network.blocks[-1] = block


class ClassTokenBlock(nn.Module):
    """A ViT block for the class token alone: keys and values of all tokens, one query."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.norm1, self.attn, self.ls1 = block.norm1, block.attn, block.ls1
        self.norm2, self.mlp, self.ls2 = block.norm2, block.mlp, block.ls2

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the class token (B, 1, D) of tokens (B, 1 + N, D)."""
        token = tokens[:, :1] + self.ls1(self._attend(self.norm1(tokens)))
        return token + self.ls2(self.mlp(self.norm2(token)))

    def _attend(self, tokens: Tensor) -> Tensor:
        attn: Any = self.attn
        batch, count, _ = tokens.shape
        dim = attn.qkv.out_features // 3
        weights, biases = attn.qkv.weight.split((dim, 2 * dim)), (None, None)
        if attn.qkv.bias is not None:
            biases = attn.qkv.bias.split((dim, 2 * dim))
        query = F.linear(tokens[:, :1], weights[0], biases[0])
        pair = F.linear(tokens, weights[1], biases[1])
        query = query.view(batch, 1, attn.num_heads, -1).transpose(1, 2)  # (B, heads, 1, D')
        key, value = pair.view(batch, count, 2, attn.num_heads, -1).permute(2, 0, 3, 1, 4)
        query, key = attn.q_norm(query), attn.k_norm(key)
        found = F.scaled_dot_product_attention(query, key, value, scale=attn.scale)
        found = found.transpose(1, 2).flatten(2)
        return attn.proj(getattr(attn, "norm", nn.Identity())(found))


def _try(explained: Explained, layer: Layer) -> tuple[Tensor, list[Tensor]]:
    with torch.no_grad(), layer.watched() as seen:
        return explained(explained.example()).logits, seen


def _channels_first(features: Tensor) -> Tensor:
    """Return features of a square image, (B, C, h, w) or (B, h, w, C), as the former."""
    _, first, second, third = features.shape
    return features.permute(0, 3, 1, 2) if first == second != third else features


def _size(features: Tensor) -> torch.Size:
    return _channels_first(features).shape[2:]


def _child(module: nn.Module, part: str) -> nn.Module | None:
    if isinstance(module, (nn.Sequential, nn.ModuleList)) and part.lstrip("-").isdecimal():
        return module[int(part)] if -len(module) <= int(part) < len(module) else None
    return module._modules.get(part)


def _grid_of(module: nn.Module) -> tuple[int, int] | None:
    """Return the token grid (h, w) from ``grid`` (ours) or ``patch_embed.grid_size`` (timm)."""
    grid = getattr(module, "grid", None)
    grid = grid or getattr(getattr(module, "patch_embed", None), "grid_size", None)
    return tuple(grid) if isinstance(grid, (tuple, list)) and len(grid) == 2 else None


def _last_norm(network: nn.Module) -> str:
    path = find_transformer(network)
    return "" if path is None else join_path(path, "blocks.-1.norm1")


def _last_feature_map(explained: Explained) -> str:
    """Return the path of the last of the coarsest grids behind the logit."""
    seen: list[tuple[str, Tensor]] = []
    prefix = getattr(explained.network, "num_prefix_tokens", 1)

    def watch(path: str) -> Callable[..., None]:
        def keep(module: nn.Module, _inputs: Any, output: Any) -> None:
            if (
                isinstance(output, Tensor)
                and output.requires_grad
                and _area(module, output, prefix) > 1
            ):
                seen.append((path, output))

        return keep

    modules = {path: module for path, module in explained.network.named_modules() if path}
    handles = [module.register_forward_hook(watch(path)) for path, module in modules.items()]
    try:
        with torch.enable_grad():
            logits = explained(explained.example().requires_grad_()).logits
            outputs = [output for _, output in seen]
            gradients = (
                torch.autograd.grad(logits.sum(), outputs, allow_unused=True)
                if outputs and logits.requires_grad
                else ()
            )
    finally:
        for handle in handles:
            handle.remove()
    areas = [
        (_area(modules[path], gradient, prefix), path)
        for (path, _), gradient in zip(seen, gradients, strict=False)
        if gradient is not None and _reaches_most(gradient)
    ]
    least = (explained.input_spec.image_size / _largest_cell(explained.network)) ** 2
    fine = [item for item in areas if item[0] > least]
    if not fine:
        raise InputError("this network has no feature map to explain; give --options layer=NAME")
    coarsest = min(area for area, _ in fine)
    return next(path for area, path in reversed(fine) if area == coarsest)


def _largest_cell(network: nn.Module) -> float:
    """Return the side of a grid's largest cell in pixels: 40, or above timm's deepest stride."""
    levels = getattr(network, "feature_info", None)
    stride = levels[-1].get("reduction", 0) if isinstance(levels, list) and levels else 0
    return max(CELL, 1.25 * stride)


def _area(module: nn.Module, output: Tensor, prefix: int) -> int:
    """Return the number of cells if a module's output is a square grid, else 0.

    For tokens (B, N, C), with or without a class token or ``prefix`` tokens, only whole blocks and
    normalisations count, not the linear layers and activations inside a block.
    """
    if len(output) != 1:  # windows or patches instead of images
        return 0
    if output.ndim == 4:
        height, width = _size(output)
        return height * width if height == width else 0
    whole = bool(module._modules) or "Norm" in type(module).__name__
    if output.ndim != 3 or not whole:
        return 0
    area = math.isqrt(output.shape[1]) ** 2
    return area if output.shape[1] - area in (0, 1, prefix) else 0


def _reaches_most(gradient: Tensor) -> bool:
    """Return whether a logit depends on most cells of a grid, not only on its class token."""
    if gradient.ndim == 3:
        cells = gradient[0].abs().sum(dim=1)
    else:
        cells = _channels_first(gradient)[0].abs().sum(dim=0)
    return bool((cells > 0).float().mean() > 0.5)
