"""Any timm model that yields a token grid, behind one interface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from timm.layers.pos_embed_sincos import build_sincos2d_pos_embed
from torch import Tensor, nn

from focus.backbones import create_backbone
from focus.errors import InputError

LARGEST_SIDE = 4096


@dataclass(frozen=True)
class EncoderConfig:
    """Which encoder, and what it starts from."""

    encoder: str = "deit_small_patch16_224"
    """Any timm model with a token grid: ViT, DeiT, DINO, Swin, or a convolutional one."""
    encoder_weights: str = "timm"
    """A file (safetensors or a tensors-only .pth), 'timm' to download, or 'none'."""
    image_size: int = 224
    """Side of the square input in pixels."""
    output_stride: int = 16
    """Convolutional encoders: pixels of the input per cell of the grid."""
    stage: int = -1
    """Convolutional encoders: which feature level to take (-1: the deepest)."""
    positions: Literal["sincos", "pretrained"] = "sincos"
    """Fixed position code of a transformer: sine-cosine, or the pretrained table, frozen."""

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
        mean, std: what the weights expect of values in [0, 1], per channel.

    Raises:
        InputError: an unknown model, one without a token grid, or weights that do not fit.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.body, self.convolutional = _build_body(config)
        settings = self.body.pretrained_cfg if not self.convolutional else self.body.default_cfg
        self.mean: tuple[float, ...] = tuple(settings["mean"])
        self.std: tuple[float, ...] = tuple(settings["std"])
        self.prefix = getattr(self.body, "num_prefix_tokens", 0)
        if getattr(self.body, "pos_embed", None) is not None and not self.convolutional:
            self._fix_positions(config.positions)
        self.eval()
        with torch.no_grad():
            tokens, self.grid = self._run(torch.zeros(1, 3, config.image_size, config.image_size))
        self.train()
        self.dim = tokens.shape[-1]

    def forward(self, images: Tensor) -> Tensor:
        """Return tokens (B, h * w, D) of standardised images (B, 3, H, W), row by row."""
        return self._run(images)[0]

    def forward_attention(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return tokens, the class token (B, D), and its attention to the grid (B, h * w).

        The attention is the last block's, softmax over all tokens, mean over heads.
        """
        attention = self.body.blocks[-1].attn
        seen: list[Tensor] = []
        hook = attention.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        try:
            output = self.body.forward_features(images)
        finally:
            hook.remove()
        states = seen[0]  # (B, prefix + N, D)
        batch, count, dim = states.shape
        heads = attention.num_heads
        query_key = attention.qkv(states)[..., : 2 * dim]
        query, key = query_key.reshape(batch, count, 2, heads, dim // heads).unbind(2)
        query, key = attention.q_norm(query[:, :1]), attention.k_norm(key)
        logits = torch.einsum("bqhd,bkhd->bhqk", query, key) * attention.scale
        weights = logits.softmax(dim=-1).mean(dim=1)[:, 0]  # (B, prefix + N)
        return output[:, self.prefix :], output[:, 0], weights[:, self.prefix :]

    @property
    def has_class_token(self) -> bool:
        """Whether :meth:`forward_attention` works: a plain ViT with a class token."""
        blocks = getattr(self.body, "blocks", None)
        return self.prefix > 0 and blocks is not None and hasattr(blocks[-1].attn, "qkv")

    def _run(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        if self.convolutional:
            features = self.body(images)[-1]  # (B, D, h, w)
            return features.flatten(2).transpose(1, 2), tuple(features.shape[2:])
        features = self.body.forward_features(images)
        if features.ndim == 4:  # (B, h, w, D) of windowed transformers
            return features.flatten(1, 2), tuple(features.shape[1:3])
        return features[:, self.prefix :], self.body.patch_embed.grid_size

    def _fix_positions(self, positions: str) -> None:
        """Freeze the position table; sine-cosine replaces it, zero for the class token."""
        table = self.body.pos_embed
        if positions == "sincos" and table.ndim == 3:
            code = build_sincos2d_pos_embed(self.body.patch_embed.grid_size, dim=table.shape[-1])
            prefix = torch.zeros(table.shape[1] - code.shape[0], table.shape[-1])
            table = torch.cat([prefix, code])[None]
        self.body.pos_embed = nn.Parameter(table.detach().clone(), requires_grad=False)


def _build_body(config: EncoderConfig) -> tuple[Any, bool]:
    """Return the timm model, and whether it is convolutional."""
    plain = create_backbone(config.encoder, "none", num_classes=0)
    convolutional = not hasattr(plain, "patch_embed")
    shape: dict[str, Any] = {"num_classes": 0, "img_size": config.image_size}
    if convolutional:
        shape = {"features_only": True, "out_indices": (config.stage,)}
        shape["output_stride"] = config.output_stride
    return create_backbone(config.encoder, config.encoder_weights, **shape), convolutional
