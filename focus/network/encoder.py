"""One interface to any timm model with a token grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from timm.layers.pos_embed_sincos import build_sincos2d_pos_embed
from torch import Tensor, nn

from focus.errors import InputError, count_of
from focus.grids import LARGEST_PREFIX, GridConfig, create_grid

LARGEST_SIDE = 4096


@dataclass(frozen=True)
class EncoderConfig(GridConfig):
    """The encoder and its initial weights."""

    positions: Literal["sincos", "pretrained"] = "sincos"
    """Fixed position embedding of a transformer: sine-cosine, or the pretrained one, frozen."""
    trainable_blocks: int = -1
    """Transformers: number of last blocks to train, with the final norm; -1: all of the network."""

    def __post_init__(self) -> None:
        if not 32 <= self.image_size <= LARGEST_SIDE:
            raise InputError(f"--image-size {self.image_size}: must be 32 to {LARGEST_SIDE}")
        if self.output_stride not in (8, 16, 32):
            raise InputError(f"--output-stride {self.output_stride}: must be 8, 16 or 32")


class Encoder(nn.Module):
    """Images to a grid of tokens.

    Attributes:
        dim: channels D of a token.
        grid: (h, w) of the token grid.
        mean, std: standardisation of values in [0, 1] that the weights expect, per channel.

    Raises:
        InputError: an unknown model, one without a token grid, or weights that do not fit.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.body, self.reading = create_grid(config)
        self.grid, self.dim, self.prefix = self.reading.grid, self.reading.dim, self.reading.prefix
        settings = self.body.pretrained_cfg
        self.mean: tuple[float, ...] = tuple(settings["mean"])
        self.std: tuple[float, ...] = tuple(settings["std"])
        self._fix_positions(config.positions)
        if config.trainable_blocks >= 0:
            self._freeze(config)

    def _freeze(self, config: EncoderConfig) -> None:
        """Freeze all but the last blocks and the final norm."""
        blocks = getattr(self.body, "blocks", None)
        if blocks is None or config.trainable_blocks > len(blocks):
            found = "no blocks" if blocks is None else f"{count_of(len(blocks), 'block')}"
            raise InputError(
                f"--trainable-blocks {config.trainable_blocks}: {config.encoder} has {found}"
            )
        self.body.requires_grad_(False)
        trained = [*blocks[len(blocks) - config.trainable_blocks :], self.body.norm]
        for module in trained:
            module.requires_grad_(True)

    def forward(self, images: Tensor) -> Tensor:
        """Return tokens (B, h * w, D) of standardised images (B, 3, H, W), row by row."""
        return self.reading.read(self.body, images)

    def forward_attention(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return tokens, the class token (B, D), and its attention to the grid (B, h * w).

        The attention is the last block's, softmax over all tokens, mean over heads.
        """
        attention = self.body.blocks[-1].attn
        seen: list[Tensor] = []
        # Only unfused attention applies attn_drop to its weights; fused kernels hide them.
        fused, attention.fused_attn = attention.fused_attn, False
        hook = attention.attn_drop.register_forward_pre_hook(
            lambda _, inputs: seen.append(inputs[0])
        )
        try:
            output = self.body.forward_features(images)
        finally:
            hook.remove()
            attention.fused_attn = fused
        weights = seen[0].mean(dim=1)[:, 0]  # (B, prefix + N)
        return output[:, self.prefix :], output[:, 0], weights[:, self.prefix :]

    @property
    def has_class_token(self) -> bool:
        """Whether :meth:`forward_attention` works: a ViT with a class token."""
        blocks = getattr(self.body, "blocks", None)
        if not self.prefix or not blocks or getattr(self.body, "cls_token", None) is None:
            return False
        attention = getattr(blocks[-1], "attn", None)
        return all(hasattr(attention, name) for name in ("fused_attn", "attn_drop", "scale"))

    def _fix_positions(self, positions: str) -> None:
        """Freeze the position table, or replace it by sine-cosine (zero for prefix tokens).

        A table of finer tokens, as in hierarchical networks, is never replaced.
        """
        table = getattr(self.body, "pos_embed", None)
        if not isinstance(table, Tensor):
            return
        if positions == "sincos":
            (height, width), dim = self.grid, table.shape[-1]
            cells = height * width
            if table.ndim == 3 and 0 <= table.shape[1] - cells <= LARGEST_PREFIX:
                table = torch.zeros_like(table)  # (1, prefix + h * w, D)
                table[0, -cells:] = build_sincos2d_pos_embed([height, width], dim=dim)
            elif table.shape == (1, height, width, dim):
                table = build_sincos2d_pos_embed([height, width], dim=dim).view_as(table)
            else:
                return
        self.body.pos_embed = nn.Parameter(table.detach().clone(), requires_grad=False)
