"""Types shared by the packages: a face, a batch of faces, a prediction.

Named tuples, because accelerate moves them to the device and keeps their type; it silently leaves a
plain dataclass on the CPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import torch
    from torch import Tensor

REAL = 0
"""Label of a real face."""
FAKE = 1
"""Label of a manipulated face."""
UNKNOWN = -1
"""Label of a face that may be either."""
LABEL_NAMES = {"real": REAL, "0_real": REAL, "fake": FAKE, "1_fake": FAKE}
"""Names of classes and their folders, in lower case."""
Balance = Literal["none", "label", "method", "source", "pair"]


@dataclass(frozen=True)
class InputSpec:
    """Input format of a model; the defaults leave values in [0, 1] unchanged."""

    image_size: int = 224
    """Side of the square input in pixels; 0: the size of the images."""
    frames: int = 1
    """Frames of a clip; 1: still images."""
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Subtracted from each channel, whose values are in [0, 1]."""
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Divides each channel."""

    @classmethod
    def imagenet(cls, image_size: int, frames: int = 1) -> InputSpec:
        """Return the input standardised by ImageNet's statistics.

        Example:
            >>> InputSpec.imagenet(224).std
            (0.229, 0.224, 0.225)
        """
        return cls(image_size, frames, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

    @classmethod
    def centred(cls, image_size: int) -> InputSpec:
        """Return the input in [-1, 1].

        Example:
            >>> InputSpec.centred(299).mean
            (0.5, 0.5, 0.5)
        """
        return cls(image_size, mean=(0.5,) * 3, std=(0.5,) * 3)

    def standardise(self, images: Tensor, out: Tensor | None = None) -> Tensor:
        """Convert uint8 (B, 3, ..., H, W) in [0, 255] to standardised float32.

        Runs on the device of ``images``, so that only a quarter of the bytes are transferred.
        ``out`` receives the result in memory that is already mapped: several times as fast on a
        CPU.
        """
        import torch  # here, so that a command is parsed without it

        # Not in place without ``out``: torch 2.6 cannot export writing into a converted tensor.
        values = images.float() if out is None else out.copy_(images)
        if any(self.mean):
            values = torch.sub(values, self._spread(self.mean, values), out=out)
        return torch.div(values, self._spread(self.std, values), out=out)

    def restore(self, images: Tensor) -> Tensor:
        """Return standardised images (B, 3, ..., H, W) in [0, 1], float32.

        Example:
            >>> import torch
            >>> InputSpec.centred(1).restore(torch.zeros(1, 3, 1, 1)).flatten().tolist()
            [0.5, 0.5, 0.5]
        """
        mean, std = (self._spread(values, images) / 255 for values in (self.mean, self.std))
        return images.float() * std + mean

    @staticmethod
    def _spread(channels: tuple[float, ...], images: Tensor) -> Tensor | float:
        """Return 255 times the values, broadcastable; one number if all are equal."""
        if len(set(channels)) == 1:
            return 255 * channels[0]
        import torch

        shape = (1, 3) + (1,) * (images.ndim - 2)
        return torch.tensor(channels, device=images.device).mul_(255).view(shape)


class Failure(NamedTuple):
    """An unreadable face: its index row, its key, and the reason in one line."""

    row: int
    key: str
    reason: str


class Sample(NamedTuple):
    """One face of the data set."""

    row: int
    image: Tensor  # uint8 (3, H, W), RGB; of a clip (3, T, H, W)
    label: int
    map: Tensor | None  # float32 (1, h, w) in [0, 1]; of a clip (1, T, h, w)
    key: str
    companion: Tensor | None = None  # uint8 (3, H, W) original or (1, H, W) mask, if requested


class Batch(NamedTuple):
    """A batch of faces; unreadable ones are listed in ``failures``, never replaced."""

    images: Tensor
    """uint8 (B, 3, [T,] H, W) from the loader, standardised float32 in the loop."""
    labels: Tensor
    """int64 (B,): 0 real, 1 fake, -1 unknown."""
    maps: Tensor | None
    """float32 (B, 1, [T,] h, w) in [0, 1], exactly 0 on real faces."""
    keys: tuple[str, ...]
    """Names of the faces: their paths as in the index."""
    rows: Tensor
    """int64 (B,): places in the index."""
    failures: tuple[Failure, ...] = ()
    """Faces that could not be read, and why."""
    companions: Tensor | None = None
    """uint8 (B, 3, H, W) originals or (B, 1, H, W) masks."""

    def standardised(self, spec: InputSpec) -> Batch:
        """Return the batch in the format of ``spec``: float images, and maps resized to them."""
        images = spec.standardise(self.images)
        maps = self.maps
        if maps is not None and maps.shape[2:] != images.shape[2:]:
            maps = resize_maps(maps, images.shape[-2:])
        return self._replace(images=images, maps=maps)


class Prediction(NamedTuple):
    """Output of a detector or generator for a batch."""

    scores: Tensor
    """float (B,) in [0, 1]: P(fake)."""
    maps: Tensor | None
    """float (B, 1, h, w) in [0, 1]: 1 = manipulated."""
    parts: Mapping[str, Tensor] | None = None
    """Per-face tensors behind the map."""


def resize_maps(maps: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Return maps (B, 1, [T,] h, w) as (B, 1, [T,] H, W), bilinear, antialiased when shrinking."""
    from torch.nn.functional import interpolate

    flat = maps.flatten(0, -3)[:, None]
    shrinks = maps.shape[-2] > size[0] or maps.shape[-1] > size[1]
    resized = interpolate(flat, tuple(size), mode="bilinear", antialias=shrinks)
    return resized.view(*maps.shape[:-2], *size)
