"""Any timm model that yields a token grid, behind one interface."""

from __future__ import annotations

import logging
import re
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.layers.pos_embed_sincos import build_sincos2d_pos_embed
from torch import Tensor, nn

from focus.errors import InputError
from focus.runtime import note

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


def read_tensors(path: Path | str) -> dict[str, Tensor]:
    """Read a state dict from safetensors or a tensors-only .pth; never unpickles objects.

    Raises:
        InputError: missing, unreadable, or a file that holds more than tensors.
    """
    path = Path(path)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles that it refuses anyway
            values = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: cannot read weights ({_first_line(error)})") from None
    except Exception as error:  # torch.load fails in many ways on a hostile or broken file
        reason = _first_line(error)
        raise InputError(
            f"{path}: not a tensors-only checkpoint ({reason}); convert it to safetensors"
        ) from None
    for key in ("state_dict", "model"):
        if isinstance(values, dict) and isinstance(values.get(key), dict):
            values = values[key]
    if not isinstance(values, dict) or not all(isinstance(v, Tensor) for v in values.values()):
        raise InputError(f"{path}: holds no state dict of tensors")
    return {name.removeprefix("module."): value for name, value in values.items()}


def create_backbone(name: str, weights: str, **arguments: Any) -> Any:
    """Return a timm model.

    Args:
        name: of the model.
        weights: ``timm`` downloads, ``none`` starts from random ones, else a file (safetensors or a
            tensors-only .pth) of this model's tensors; its classifier may be missing or differ.
        arguments: of ``timm.create_model``, such as ``features_only`` or ``num_classes``.

    Raises:
        InputError: an unknown model, weights that cannot be had, or that do not fit.
    """
    source: dict[str, Any] = {"pretrained": False}
    tensors: dict[str, Tensor] = {}
    if weights == "timm":
        source = {"pretrained": True}
    elif weights != "none":
        tensors = {key: _as_convolution(key, value) for key, value in read_tensors(weights).items()}
        source = {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": tensors}}
    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:5])
        raise InputError(
            f"encoder {name}: timm has no such model" + (f"; near: {near}" if near else "")
        )
    # timm warns of the classifier's weights, which nobody asked for, the hub of every new try.
    loggers = [logging.getLogger(package) for package in ("timm", "huggingface_hub")]
    levels = [logger.level for logger in loggers]
    hint = threading.Timer(5, note, [f"{name}: asking the Hugging Face hub for timm's weights"])
    if weights == "timm":
        hint.start()
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        body = timm.create_model(name, **arguments, **source)
    except Exception as error:  # timm and the hub raise many kinds
        raise InputError(_explain(name, weights, error)) from None
    finally:
        hint.cancel()
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
    if tensors:
        # timm writes "stages.0" as "stages_0" in models that give features only.
        given = {tensor.replace("_", ".") for tensor in tensors}
        known = sum(tensor.replace("_", ".") in given for tensor in body.state_dict())
        if known < len(body.state_dict()) / 2:
            raise InputError(
                f"encoder weights {weights}: only {known} of {len(body.state_dict())} tensors "
                f"belong to {name}"
            )
    return body


def _as_convolution(key: str, value: Tensor) -> Tensor:
    """Give the pointwise kernels of old Xception files, stored as matrices, their two axes."""
    return value[..., None, None] if value.ndim == 2 and "pointwise" in key else value


def _build_body(config: EncoderConfig) -> tuple[Any, bool]:
    """Return the timm model, and whether it is convolutional."""
    plain = create_backbone(config.encoder, "none", num_classes=0)
    convolutional = not hasattr(plain, "patch_embed")
    shape: dict[str, Any] = {"num_classes": 0, "img_size": config.image_size}
    if convolutional:
        shape = {"features_only": True, "out_indices": (config.stage,)}
        shape["output_stride"] = config.output_stride
    return create_backbone(config.encoder, config.encoder_weights, **shape), convolutional


def _explain(name: str, weights: str, error: Exception) -> str:
    reason = _first_line(error)
    if weights == "timm":
        return (
            f"encoder {name}: cannot build it with timm's weights ({reason}); offline, give a file "
            "as encoder weights, or none for random ones"
        )
    return f"encoder {name}: cannot build it ({reason})"


def _first_line(error: Exception) -> str:
    """Return the first line that says something; torch begins such errors with a heading."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))  # torch writes some of it in bold
    lines = (text.strip() or type(error).__name__).splitlines()
    return " ".join(line.strip() for line in lines[: 2 if lines[0].endswith(":") else 1])[:200]
