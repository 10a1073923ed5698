"""The local sequence transformer (LST): each patch sequence of a clip separately."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from einops import rearrange
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

PATCH = 16
STAGES = 3  # the low-level path halves its 8 x 8 cells in each


def group_sequences(clips: Tensor) -> Tensor:
    """Return the patch sequences (B * N, 3, T, 16, 16) of clips (B, 3, T, H, W), row by row."""
    return rearrange(clips, "b c t (h p) (w q) -> (b h w) c t p q", p=PATCH, q=PATCH)


def stack_blocks(width: int, heads: int, depth: int) -> nn.Sequential:
    """Return pre-norm transformer blocks with an MLP four times as wide."""
    return nn.Sequential(*(Block(width, heads, qkv_bias=True) for _ in range(depth)))


def flatten_frames(features: Tensor) -> Tensor:
    """Return one vector per frame: (n, C, T, h, w) to (n, T, C * h * w)."""
    return rearrange(features, "n c t h w -> n t (c h w)")


class ResidualBlock(nn.Module):
    """The basic block of a 3-D ResNet, at one size and width."""

    def __init__(self, channels: int) -> None:
        super().__init__()

        def convolve() -> list[nn.Module]:
            convolution = nn.Conv3d(channels, channels, 3, padding=1, bias=False)
            return [convolution, nn.BatchNorm3d(channels)]

        self.body = nn.Sequential(*convolve(), nn.ReLU(inplace=True), *convolve())

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape."""
        return torch.relu(self.body(features) + features)


class SequenceStem(nn.Module):
    """A token for each frame of a sequence: a convolution and the first stage of a 3-D ResNet-18.

    Args:
        channels: channels of the features, at half the resolution.
        width: channels D of a token.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv3d(3, channels, 7, stride=(1, 2, 2), padding=3, bias=False),
            ResidualBlock(channels),
            ResidualBlock(channels),
        )
        self.token = nn.Linear(channels * (PATCH // 2) ** 2, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, sequences: Tensor) -> Tensor:
        """Return tokens (n, T, D) of sequences (n, 3, T, 16, 16)."""
        return self.norm(self.token(flatten_frames(self.features(sequences))))


class LowLevelEnhancement(nn.Module):
    """Gate the frame tokens by a convolutional low-level path: y' = pool(conv(y)).

    Args:
        inputs: channels of y.
        channels: channels of y'.
        side: side of y' in cells.
        width: channels of a token.
    """

    def __init__(self, inputs: int, channels: int, side: int, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(inputs, channels, 3, padding=1, bias=False)
        self.pool = nn.MaxPool3d((1, 2, 2))
        self.gate = nn.Linear(channels * side**2, width)

    def forward(self, low: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return y' (n, C, T, h / 2, w / 2) of y (n, C, T, h, w), and the gated tokens.

        The first of ``tokens`` (n, 1 + T, D), the class token, is not gated.
        """
        low = self.pool(self.convolution(low))
        gates = self.gate(flatten_frames(low)).sigmoid()
        return low, torch.cat([tokens[:, :1], tokens[:, 1:] * gates], dim=1)


class EnhancedStage(nn.Module):
    """A stage of the low-level enhanced transformer (LET): blocks over time, then the gate."""

    def __init__(self, blocks: nn.Sequential, enhancement: LowLevelEnhancement) -> None:
        super().__init__()
        self.blocks, self.enhancement = blocks, enhancement

    def forward(self, low: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return the low-level path and the tokens (n, 1 + T, D) after the stage."""
        return self.enhancement(low, self.blocks(tokens))


class LocalSequenceTransformer(nn.Module):
    """A class token and an embedding of each patch sequence, computed separately.

    Args:
        frames: T.
        width: channels D of a token.
        heads: attention heads.
        depth: blocks in each of the three stages.
        channels: channels of the stem and of the low-level path.
        checkpointing: in training, keep only activations between parts and recompute the others in
            the backward pass.
    """

    def __init__(
        self, frames: int, width: int, heads: int, depth: int, channels: int, checkpointing: bool
    ) -> None:
        super().__init__()
        self.checkpointing = checkpointing
        self.stem = SequenceStem(channels, width)
        self.class_token = nn.Parameter(torch.empty(1, 1, width))
        self.times = nn.Parameter(torch.empty(1, 1 + frames, width))
        for parameter in (self.class_token, self.times):
            nn.init.normal_(parameter, std=0.02)
        side = PATCH // 2
        self.enhancement = LowLevelEnhancement(3, channels, side, width)
        self.stages = nn.ModuleList(
            EnhancedStage(
                stack_blocks(width, heads, depth),
                LowLevelEnhancement(channels, channels, side >> stage, width),
            )
            for stage in range(1, STAGES + 1)
        )

    def forward(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Return class tokens and embeddings, the mean of the frame tokens, both (B, N, D).

        ``clips`` are (B, 3, T, H, W), H and W multiples of 16; N = H W / 256, row by row.
        """
        sequences = group_sequences(clips)
        tokens = self._run(self.stem, sequences)
        tokens = torch.cat([self.class_token.expand(tokens.shape[0], -1, -1), tokens], dim=1)
        low, tokens = self._run(self.enhancement, sequences, tokens + self.times)
        for stage in self.stages:
            low, tokens = self._run(stage, low, tokens)
        tokens = tokens.unflatten(0, (clips.shape[0], -1))
        return tokens[:, :, 0], tokens[:, :, 1:].mean(dim=2)

    def _run(self, part: nn.Module, *inputs: Tensor) -> Any:
        if not (self.checkpointing and self.training and torch.is_grad_enabled()):
            return part(*inputs)
        contexts = partial(_recomputing_contexts, part)
        return checkpoint(part, *inputs, use_reentrant=False, context_fn=contexts)


def _recomputing_contexts(
    part: nn.Module,
) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Return the contexts of the first and of the recomputed forward pass."""
    return nullcontext(), _keep_statistics(part)


@contextmanager
def _keep_statistics(part: nn.Module) -> Iterator[None]:
    """Freeze running statistics: the recomputation must not count a batch twice."""
    norms = [module for module in part.modules() if isinstance(module, _BatchNorm)]
    kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm, (_, count) in zip(norms, kept, strict=True):
        norm.momentum, norm.num_batches_tracked = 0.0, deepcopy(count)
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, kept, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
