"""The forgery-aware unified predictor (FUP), Sec. III-B: a real and a fake token, four scales."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from timm.layers.norm import LayerNorm2d
from torch import Tensor, nn

HEADS = 8
DEPTH = 2
BLOCKED = -1e8


class Attention(nn.Module):
    """Multi-head attention at full width, with optional blocked positions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, blocked: Tensor | None = None
    ) -> Tensor:
        """Return attention of queries (B, Q, C) over values (B, N, C) with keys (B, N, C).

        ``blocked``, bool (B, 1, Q, N), is True where a query may not attend. Such scores are
        set to one finite number, so that a fully blocked query attends to all positions equally.
        """
        queries, keys, values = (
            layer(tokens)
            .unflatten(-1, (HEADS, -1))
            .transpose(1, 2)  # (B, heads, tokens, C / heads)
            for layer, tokens in ((self.query, query), (self.key, key), (self.value, value))
        )
        scores = (queries @ keys.transpose(-2, -1)).float() / math.sqrt(queries.shape[-1])
        if blocked is not None:
            scores = scores.masked_fill(blocked, BLOCKED)
        gathered = scores.softmax(dim=-1).to(values.dtype) @ values
        return self.output(gathered.transpose(1, 2).flatten(2))


class TwoWayBlock(nn.Module):
    """One layer of the transformer; each step ends in a layer norm.

    The tokens attend to each other, then to the image where the mask permits, and pass an MLP; then
    the image attends to the tokens. The first block's self-attention has no position term
    and no residual.
    """

    def __init__(self, width: int, hidden: int, first: bool) -> None:
        super().__init__()
        self.first = first
        self.among_tokens = Attention(width)
        self.to_image = Attention(width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width))
        self.to_tokens = Attention(width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))

    def forward(
        self, tokens: Tensor, image: Tensor, token_code: Tensor, places: Tensor, blocked: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return tokens (B, 2, C) and image (B, h * w, C) after one exchange.

        Args:
            tokens: (B, 2, C), the real and the fake one.
            image: (B, h * w, C).
            token_code: position term of the tokens (B, 2, C).
            places: position term of the image (h * w, C).
            blocked: bool (B, 1, 2, h * w), where a token may not attend.
        """
        if self.first:
            tokens = self.norms[0](self.among_tokens(tokens, tokens, tokens))
        else:
            coded = tokens + token_code
            tokens = self.norms[0](tokens + self.among_tokens(coded, coded, tokens))
        placed = image + places
        seen = self.to_image(tokens + token_code, placed, image, blocked)
        tokens = self.norms[1](tokens + seen)
        tokens = self.norms[2](tokens + self.mlp(tokens))
        image = self.norms[3](image + self.to_tokens(placed, tokens + token_code, tokens))
        return tokens, image


class FourierPlaces(nn.Module):
    """Position code of a grid of any size: sines and cosines of random frequencies.

    The frequencies are sampled once and saved with the weights.
    """

    frequencies: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.randn(2, width // 2))

    def forward(self, height: int, width: int) -> Tensor:
        """Return codes (height * width, C), row by row; pixel centres are within (-1, 1)."""
        rows, columns = (
            (2 * torch.arange(count, device=self.frequencies.device) + 1) / count - 1
            for count in (height, width)
        )
        # not a matrix product: autocast would round the phases
        across = columns[None, :, None] * self.frequencies[0]
        down = rows[:, None, None] * self.frequencies[1]
        phases = (2 * math.pi * (across + down)).flatten(0, 1)
        return torch.cat([phases.sin(), phases.cos()], dim=-1)


class ForgeryAwareTransformer(nn.Module):
    """FAT, Eq. 1: two-way attention between the tokens and one scale of the image."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.places = FourierPlaces(width)
        self.blocks = nn.ModuleList(
            TwoWayBlock(width, hidden, first=place == 0) for place in range(DEPTH)
        )
        self.last_look = Attention(width)
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, image: Tensor, blocked: Tensor) -> tuple[Tensor, Tensor]:
        """Return tokens (B, 2, C) and image (B, C, h, w); ``blocked`` is bool (B, 1, 2, h * w)."""
        size = image.shape[-2:]
        places = self.places(*size)
        token_code = tokens
        image = image.flatten(2).transpose(1, 2)  # (B, h * w, C)
        for block in self.blocks:
            tokens, image = block(tokens, image, token_code, places, blocked)
        seen = self.last_look(tokens + token_code, image + places, image, blocked)
        return self.norm(tokens + seen), image.transpose(1, 2).unflatten(2, size)


class UpSampler(nn.Module):
    """UP: features of one scale brought to the size and width of the next finer one."""

    def __init__(self, width: int, narrower: int) -> None:
        super().__init__()
        self.widen = _point_layer(width, 2 * width)
        self.narrow = _point_layer(2 * width, narrower)

    def forward(self, features: Tensor, size: Sequence[int]) -> Tensor:
        """Return features (B, narrower, *size) of features (B, width, h, w)."""
        return self.narrow(F.interpolate(self.widen(features), size=tuple(size), mode="bilinear"))


class Verdict(NamedTuple):
    """Output of the predictor; channel and index 0 is real, 1 is fake."""

    logits: Tensor  # (B, 2)
    mask_logits: Tensor  # float32 (B, 2, h, w), of the finest level


class ForgeryAwarePredictor(nn.Module):
    """FUP: refines the tokens and the image from the coarsest level to the finest.

    Args:
        widths: channels of the four levels, finest first.
        threshold: a token may not attend where the auxiliary localiser's probability is below.
        dropout: share of the mean token dropped before the image logits.
    """

    def __init__(self, widths: Sequence[int], threshold: float = 0.5, dropout: float = 0.1) -> None:
        super().__init__()
        self.threshold = threshold
        coarse_first = tuple(reversed(widths))
        steps = tuple(itertools.pairwise(coarse_first))
        self.tokens = nn.Parameter(torch.randn(2, coarse_first[0]))
        self.transformers = nn.ModuleList(
            ForgeryAwareTransformer(width, 2048 >> stage)
            for stage, width in enumerate(coarse_first)
        )
        self.token_layers = nn.ModuleList(nn.Linear(wide, narrow) for wide, narrow in steps)
        self.upsamplers = nn.ModuleList(UpSampler(wide, narrow) for wide, narrow in steps)
        self.classify = nn.Sequential(nn.Dropout(dropout), nn.Linear(coarse_first[-1], 2))

    def forward(self, deepest: Tensor, noise: Sequence[Tensor], coarse: Tensor) -> Verdict:
        """Return image and pixel logits.

        Args:
            deepest: the backbone's last level (B, C3, h3, w3).
            noise: noise features of the four levels, finest first, each (B, Ci, hi, wi).
            coarse: logits of the auxiliary localiser (B, 2, h3, w3).
        """
        tokens = self.tokens.repeat(deepest.shape[0], 1, 1)
        image = deepest + noise[-1]
        for stage, transformer in enumerate(self.transformers):
            if stage:
                finer = noise[-1 - stage]
                tokens = self.token_layers[stage - 1](tokens)
                image = self.upsamplers[stage - 1](image, finer.shape[-2:]) + finer
            tokens, image = transformer(tokens, image, self._blocked(coarse, image.shape[-2:]))
        with torch.autocast(image.device.type, enabled=False):  # keep the logits' precision
            mask_logits = (tokens.float() @ image.float().flatten(2)).unflatten(2, image.shape[-2:])
        return Verdict(self.classify(tokens.mean(dim=1)), mask_logits)

    def _blocked(self, coarse: Tensor, size: Sequence[int]) -> Tensor:
        """Return bool (B, 1, 2, h * w) of Eq. 5: each token attends to the area of its class."""
        resized = F.interpolate(coarse.detach().float(), size=tuple(size), mode="bilinear")
        return (resized.sigmoid() < self.threshold).flatten(2)[:, None]


def _point_layer(width_in: int, width_out: int) -> nn.Sequential:
    convolution = nn.Conv2d(width_in, width_out, 1, bias=False)
    return nn.Sequential(convolution, LayerNorm2d(width_out), nn.GELU())
