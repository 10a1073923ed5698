"""The token grid of any timm model: how to build the model, and where to read its tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import Tensor, nn

from focus.backbones import create_backbone
from focus.errors import InputError, first_line
from focus.runtime import note

_PROBE_SIDE = 64
LARGEST_PREFIX = 16
"""Maximum number of class, distillation and register tokens before the grid."""


@dataclass(frozen=True)
class GridConfig:
    """A timm model as a grid of tokens, and its initial weights."""

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


@dataclass(frozen=True)
class Reading:
    """Where to find the token grid in a timm model's output."""

    source: Literal["levels", "features", "intermediates"]
    """``forward`` of a model of feature levels, ``forward_features`` or ``forward_intermediates``.
    """
    layout: Literal["NCHW", "NHWC", "NLC"]
    """Order of the output's dimensions."""
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

    def read_planes(self, body: Any, images: Tensor) -> Tensor:
        """Return the tokens as planes (B, D, h, w) of images (B, 3, H, W) of the set size."""
        return self.read(body, images).transpose(1, 2).unflatten(2, self.grid)


def _last_intermediate(body: Any, images: Tensor) -> Tensor:
    """Return the deepest feature map (B, D, h, w), in the layout set by timm."""
    found = body.forward_intermediates(images, indices=1, intermediates_only=True)
    return found[-1]


_SOURCES: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "levels": lambda body, images: body(images)[-1],
    "features": lambda body, images: body.forward_features(images),
    "intermediates": _last_intermediate,
}


def create_grid(config: GridConfig) -> tuple[Any, Reading]:
    """Return the timm model and the way to read its tokens.

    Transformers are built for the image size, others for the output stride; a model without this
    argument is built without it. Supported arguments are found by building with random weights.

    Raises:
        InputError: an unknown model, one without a token grid, or weights that do not fit.
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
        if reading.source == "levels":
            _drop_unused_blocks(body, reading, config.image_size)
        return body, reading
    raise reason


@torch.no_grad()
def _drop_unused_blocks(body: Any, reading: Reading, size: int) -> None:
    """Remove the last blocks that a level does not depend on, which timm keeps and computes."""
    if not isinstance(getattr(body, "blocks", None), nn.Sequential):
        return
    training, image = body.training, torch.randn(1, 3, *[min(size, _PROBE_SIDE)] * 2)
    body.eval()
    expected = reading.read(body, image)
    while len(blocks := body.blocks) > 1:
        body.blocks = blocks[:-1]
        try:
            same = torch.equal(reading.read(body, image), expected)
        except Exception:  # a level is missing: models raise different errors
            same = False
        if not same:
            body.blocks = blocks
            break
    body.train(training)


def _list_arguments(config: GridConfig) -> Iterator[dict[str, Any]]:
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
    config: GridConfig, arguments: Mapping[str, Any], grid: tuple[int, int]
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
def _find_reading(body: Any, config: GridConfig, levels: bool) -> Reading:
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
