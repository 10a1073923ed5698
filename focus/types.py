"""What crosses between the packages: one face, a batch of faces, a prediction.

Named tuples, because accelerate moves them to the device and keeps their type; a plain dataclass
stays on the CPU without a word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import torch
    from torch import Tensor

REAL, FAKE, UNKNOWN = 0, 1, -1
Balance = Literal["none", "label", "method"]


@dataclass(frozen=True)
class InputSpec:
    """What a model expects of its images.

    ``image_size`` 0 stands for the pictures' own size. ``frames`` above 1 asks for clips. ``mean``
    and ``std`` are per channel, of values in [0, 1]. The defaults leave [0, 1] as it is.
    """

    image_size: int = 224
    frames: int = 1
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def standardise(self, images: Tensor, out: Tensor | None = None) -> Tensor:
        """Turn uint8 (B, 3, ..., H, W) in [0, 255] into float32 of this mean and deviation.

        Runs on the device of ``images``, so that a quarter of the bytes cross to it. ``out`` takes
        the result in memory that is mapped already, which on a CPU is several times as fast.
        """
        values = images.float() if out is None else out.copy_(images)
        if any(self.mean):
            values.sub_(self._spread(self.mean, values))
        return values.div_(self._spread(self.std, values))

    @staticmethod
    def _spread(channels: tuple[float, ...], images: Tensor) -> Tensor | float:
        """Return 255 times the values, to be broadcast; one number if all are equal."""
        if len(set(channels)) == 1:
            return 255 * channels[0]
        import torch  # here, so that a command is parsed without it

        shape = (1, 3) + (1,) * (images.ndim - 2)
        return torch.tensor(channels, device=images.device).mul_(255).view(shape)


class Failure(NamedTuple):
    """A face that could not be read: its place in the index, its key, and the reason in a line."""

    row: int
    key: str
    reason: str


class Sample(NamedTuple):
    """One face as the data set yields it."""

    row: int
    image: Tensor  # uint8 (3, H, W), RGB; of a clip (3, T, H, W)
    label: int
    map: Tensor | None  # float32 (1, h, w) in [0, 1]; of a clip (1, T, h, w)
    key: str
    companion: Tensor | None = None  # uint8 (3, H, W) original or (1, H, W) mask, if asked for


class Batch(NamedTuple):
    """Faces as the loop yields them; unreadable ones stand in ``failures``, never replaced."""

    images: Tensor  # uint8 (B, 3, [T,] H, W) from the loader, standardised float32 in the loop
    labels: Tensor  # int64 (B,): 0 real, 1 fake, -1 unknown
    maps: Tensor | None  # float32 (B, 1, [T,] h, w) in [0, 1], exactly 0 on real faces
    keys: tuple[str, ...]
    rows: Tensor  # int64 (B,): places in the index
    failures: tuple[Failure, ...] = ()
    companions: Tensor | None = None  # uint8 (B, 3, H, W) originals or (B, 1, H, W) masks

    def standardised(self, spec: InputSpec) -> Batch:
        """Return the batch as a model of ``spec`` wants it: float images, maps of their size."""
        images = spec.standardise(self.images)
        maps = self.maps
        if maps is not None and maps.shape[2:] != images.shape[2:]:
            maps = resize_maps(maps, images.shape[-2:])
        return self._replace(images=images, maps=maps)


class Prediction(NamedTuple):
    """What a detector or a generator says of a batch."""

    scores: Tensor  # float (B,) in [0, 1]: P(fake)
    maps: Tensor | None  # float (B, 1, h, w) in [0, 1]: 1 = manipulated
    parts: Mapping[str, Tensor] | None = None  # per-face tensors behind the map


def resize_maps(maps: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Return maps (B, 1, [T,] h, w) as (B, 1, [T,] H, W), bilinear, antialiased on the way down."""
    from torch.nn.functional import interpolate

    flat = maps.flatten(0, -3)[:, None]
    shrinks = maps.shape[-2] > size[0] or maps.shape[-1] > size[1]
    resized = interpolate(flat, tuple(size), mode="bilinear", antialias=shrinks)
    return resized.view(*maps.shape[:-2], *size)
