"""One interface to any timm model with a token grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import torch
from timm.layers.pos_embed_sincos import build_sincos2d_pos_embed
from torch import Tensor, nn

from focus.backbones import create_backbone, first_line
from focus.errors import InputError
from focus.runtime import note

LARGEST_SIDE = 4096
LARGEST_PREFIX = 16
"""Maximum number of class, distillation and register tokens before the grid."""


@dataclass(frozen=True)
class EncoderConfig:
    """The encoder and its initial weights."""

    encoder: str = "deit_small_patch16_224"
    """Any timm model with a token grid: ViT, DeiT, DINO, Swin, or a convolutional one."""
    encoder_weights: str = "timm"
    """A file (safetensors or a tensors-only .pth), 'timm' to download, or 'none'."""
    image_size: int = 224
    """Side of the square input in pixels."""
    output_stride: int = 16
    """Convolutional encoders: input pixels per cell of the token grid; models with a fixed stride
    keep it and report the grid."""
    stage: int = -1
    """Convolutional encoders: feature level to use (-1: the deepest)."""
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
        self.body, self.reading = _build(config)
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
            found = "no blocks" if blocks is None else f"{len(blocks)} blocks"
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


@dataclass(frozen=True)
class Reading:
    """Where to find the token grid in a timm model's output."""

    source: Literal["levels", "features", "intermediates"]
    """``forward`` of a model of feature levels, ``forward_features`` or ``forward_intermediates``.
    """
    layout: Literal["NCHW", "NHWC", "NLC"]
    grid: tuple[int, int]
    """(h, w) at the configured image size."""
    dim: int
    """Channels of a token."""
    prefix: int = 0
    """Number of tokens before the grid."""

    def read(self, body: Any, images: Tensor) -> Tensor:
        """Return tokens (B, h * w, D) of images (B, 3, H, W)."""
        output = _SOURCES[self.source](body, images)
        if self.layout == "NCHW":
            return output.flatten(2).transpose(1, 2)
        if self.layout == "NHWC":
            return output.flatten(1, 2)
        return output[:, self.prefix :]


def _last_intermediate(body: Any, images: Tensor) -> Tensor:
    """Return the deepest feature map (B, D, h, w), in the layout set by timm."""
    found = body.forward_intermediates(images, indices=1, intermediates_only=True)
    return found[-1]


_SOURCES: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "levels": lambda body, images: body(images)[-1],
    "features": lambda body, images: body.forward_features(images),
    "intermediates": _last_intermediate,
}


def _build(config: EncoderConfig) -> tuple[Any, Reading]:
    """Return the timm model and the way to read its tokens.

    Transformers are built for the image size, others for the output stride; a model without this
    argument is built without it. Supported arguments are found by building with random weights.
    """
    for arguments in _list_arguments(config):
        try:
            body = create_backbone(config.encoder, "none", **arguments)
            reading = _find_reading(body, config, levels="features_only" in arguments)
        except InputError as error:
            reason = error
            continue
        if config.encoder_weights != "none":
            body = create_backbone(config.encoder, config.encoder_weights, **arguments)
        _compare_stride(config, arguments, reading.grid)
        return body, reading
    raise reason


def _list_arguments(config: EncoderConfig) -> Iterator[dict[str, Any]]:
    """Yield timm arguments to try, the best first."""
    plain = {"num_classes": 0}
    if not hasattr(create_backbone(config.encoder, "none", **plain), "patch_embed"):
        levels = {"features_only": True, "out_indices": (config.stage,)}
        yield {**levels, "output_stride": config.output_stride}
        yield levels
        if config.stage != -1:
            return
    yield {**plain, "img_size": config.image_size}
    yield plain


def _compare_stride(
    config: EncoderConfig, arguments: Mapping[str, Any], grid: tuple[int, int]
) -> None:
    """Report the grid of a convolutional model that lacks the requested output stride."""
    size, stride = config.image_size, config.output_stride
    if (
        "img_size" in arguments
        or config.stage != -1
        or grid[0] in (size // stride, -(-size // stride))
    ):
        return
    _note_once(
        f"{config.encoder}: --output-stride {stride} is not available; "
        f"the token grid is {grid[0]} x {grid[1]}"
    )


@torch.no_grad()
def _find_reading(body: Any, config: EncoderConfig, levels: bool) -> Reading:
    """Run the model on an empty image and find the grid in its output.

    Raises:
        InputError: the model does not accept images of this size, or has no grid.
    """
    name, size = config.encoder, config.image_size
    training, image = body.training, torch.zeros(1, 3, size, size)
    body.eval()
    try:
        output = body(image)[-1] if levels else body.forward_features(image)
        planes = None if levels else _last_intermediate(body, image)
    except Exception as error:  # models raise different errors for a wrong size
        native = body.pretrained_cfg["input_size"][-1]
        raise InputError(
            f"encoder {name}: cannot process images of {size} px ({first_line(error)}); "
            f"its default --image-size is {native}"
        ) from None
    finally:
        body.train(training)
    reading = _read_levels(body, output) if planes is None else _read_features(output, planes)
    if reading is None:
        raise InputError(f"encoder {name}: its output is not a grid of tokens; choose another")
    return reading


def _read_levels(body: Any, output: Tensor) -> Reading | None:
    """Return the reading of the deepest feature level, None if its channels are not found."""
    layout = getattr(body, "output_fmt", "NCHW")
    channels_last = getattr(layout, "value", layout) == "NHWC"
    channels = body.feature_info.channels()[-1]
    if output.ndim != 4 or output.shape[3 if channels_last else 1] != channels:
        return None
    if channels_last:
        return Reading("levels", "NHWC", (output.shape[1], output.shape[2]), channels)
    return Reading("levels", "NCHW", (output.shape[2], output.shape[3]), channels)


def _read_features(output: Any, planes: Tensor) -> Reading | None:
    """Return the reading of ``forward_features`` if it holds the grid of timm's planes.

    Args:
        output: of ``forward_features``.
        planes: the deepest of timm's own feature maps, (B, D, h, w); they are read themselves if
            the output holds another grid; None if they are not such a map.
    """
    if not isinstance(planes, Tensor) or planes.ndim != 4:
        return None
    _, dim, *grid = planes.shape
    height, width = grid
    shape = list(output.shape) if isinstance(output, Tensor) else []
    if len(shape) == 3 and 0 <= shape[1] - height * width <= LARGEST_PREFIX:
        prefix = shape[1] - height * width
        return Reading("features", "NLC", (height, width), shape[2], prefix)
    if len(shape) == 4 and shape[2:] == grid and shape[1:3] != grid:
        return Reading("features", "NCHW", (height, width), shape[1])
    if len(shape) == 4 and shape[1:3] == grid and shape[2:] != grid:
        return Reading("features", "NHWC", (height, width), shape[3])
    return Reading("intermediates", "NCHW", (height, width), dim)


@lru_cache
def _note_once(text: str) -> None:
    note(text)
