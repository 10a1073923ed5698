"""Data sets of faces: samples from an index and optional maps."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import NamedTuple, Protocol

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from focus.data.archives import share_archives
from focus.data.clips import ClipPlan, Frame
from focus.data.images import (
    VIDEO_SUFFIXES,
    UnreadableError,
    read_face,
    read_mask,
    split_path,
)
from focus.data.index import FaceIndex
from focus.data.photometric import Photometric, draw_photometric
from focus.data.selfblends import SelfBlends
from focus.data.transforms import Augmentation, Geometry, limit_size
from focus.errors import InputError
from focus.texts import Lookup
from focus.types import FAKE, REAL, Failure, Sample

Perturb = Callable[[np.ndarray, str], np.ndarray]


class Draw(NamedTuple):
    """An index row and its position in the training stream, which seed the augmentation.

    The two faces of a pair have one number, and the ``partner`` of the fake is the row of its
    original: so they have the same augmentation.
    """

    row: int
    number: int
    forged: bool = False
    """Forge the real face of this row on the fly."""
    partner: int | None = None


class _Change(NamedTuple):
    """All that is done to one image after decoding; ``forging`` seeds a self-blend."""

    geometry: Geometry = Geometry()
    light: Photometric | None = None
    forging: tuple[int, ...] | None = None


class Maps(Protocol):
    """Maps by key: a map file, or ground-truth masks used as maps."""

    def __contains__(self, key: object) -> bool: ...
    def __getitem__(self, key: str) -> np.ndarray:
        """Return the map of a face, float32 (h, w) in [0, 1]."""
        ...


class TruthMaps:
    """The ground-truth masks of an index as maps on a square grid.

    Args:
        index: the faces; a fake without a mask has no map.
        side: side of the grid; the value of a cell is the share of it that the mask covers.
    """

    SIDE = 56

    def __init__(self, index: FaceIndex, side: int = SIDE) -> None:
        self.side, self._root = side, index.root
        self._rows, self._masks = Lookup(index.keys), index.column("mask")
        self._real = index.labels == REAL

    def __contains__(self, key: object) -> bool:
        return self._find(key) is not None

    def __getitem__(self, key: str) -> np.ndarray:
        """Return the mask of a face, float32 (side, side); zero for a real face.

        Raises:
            UnreadableError: the mask file cannot be read.
        """
        row = self._find(key)
        if row is None:
            raise KeyError(key)
        if self._real[row]:  # whatever its mask column contains
            return np.zeros((self.side, self.side), dtype=np.float32)
        mask = read_mask(self._root / self._masks[row]).astype(np.float32)
        return cv2.resize(mask, (self.side, self.side), interpolation=cv2.INTER_AREA)

    def _find(self, key: object) -> int | None:
        row = self._rows.find(key)
        return row if row is not None and (self._real[row] or self._masks[row]) else None


class FaceDataset(Dataset["Sample | Failure"]):
    """Faces of an index, decoded and resized to one size.

    A row number returns the face without augmentation; a :class:`Draw` returns it augmented, with a
    generator seeded by (seed, number, row), so that the result is the same in any worker, process
    or resumed run.

    Args:
        index: the faces.
        image_size: side of the square image.
        maps: a map file or truth masks; the map of a real face is always 0, and a fake without one
            has none.
        augmentation: applied to each :class:`Draw`.
        seed: random seed of the augmentation.
        twins: add a self-blend of every real face, after the rows of the index.
        frames: above 1 a sample is a clip of the row's video (:mod:`focus.data.clips`).
        stills: treat every face as a still image, and make a clip of it by small motion.
        companion: ``original`` or ``mask``, read and transformed with the face. The original of a
            real face is the face itself, its mask is empty; a fake or an unlabelled face must have
            one in the index.
        perturb: function of the decoded image (uint8 (H, W, 3)) and key, applied before all else;
            for a face in a frame, to the whole frame.
    """

    def __init__(
        self,
        index: FaceIndex,
        image_size: int,
        maps: Maps | None = None,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        *,
        frames: int = 1,
        stills: bool = False,
        companion: str = "",
        perturb: Perturb | None = None,
        twins: bool = False,
    ) -> None:
        self.index, self.image_size, self.maps = index, image_size, maps
        self.augmentation, self.seed = augmentation or Augmentation(), seed
        self.companion, self.perturb = companion, perturb
        self._paths = index.keys
        whole = next((path for path in self._paths if path.lower().endswith(VIDEO_SUFFIXES)), None)
        if whole is not None:
            raise InputError(
                f"{whole}: this row is a whole video; cut faces out of it first: "
                f"focus prepare --data ... --out DIR, then --data DIR"
            )
        archives = {path.partition("!/")[0] for path in self._paths if "!/" in path}
        share_archives(index.root / name for name in archives if split_path(f"{name}!/x").member)
        self._boxes = index.columns.get("box")
        self._companions = index.column(companion) if companion else None
        self.clips = ClipPlan(index, frames, stills) if frames > 1 else None
        self._blends = SelfBlends(index, self.augmentation.edits)
        self._twins = np.flatnonzero(index.labels == REAL) if twins else np.empty(0, np.int64)
        self._limits_size = twins or bool(self.augmentation.augment)

    def __len__(self) -> int:
        return len(self.index) + len(self._twins)

    def __getitem__(self, item: int | Draw) -> Sample | Failure:
        """Return the sample of a row or a draw, or the failure if a file cannot be read."""
        if not isinstance(item, Draw):
            twin = int(item) - len(self.index)
            if twin < 0:
                return self._get(int(item), _Change(), (self.seed, 0))
            row = int(self._twins[twin])
            sample = self._get(row, _Change(forging=(self.seed, 0, row)), (self.seed, 0))
            return sample._replace(row=int(item))
        row = int(item.row)
        seed = (self.seed, item.number, row if item.partner is None else item.partner)
        geometry = self.augmentation.draw(np.random.default_rng(seed))
        light = None
        if "photometric" in self.augmentation.augment:
            light = draw_photometric(np.random.default_rng((*seed, 1)))
        change = _Change(geometry, light, (*seed, 2) if item.forged else None)
        return self._get(row, change, seed[:2])

    def _get(self, row: int, change: _Change, seed: tuple[int, int]) -> Sample | Failure:
        try:
            if self.clips is None:
                return self._read(row, change)
            return self._join(row, self.clips.frames_of(row, change.geometry, seed), change)
        except UnreadableError as error:
            return Failure(row, self._paths[row], str(error))

    def _read(self, row: int, change: _Change) -> Sample:
        """Read one face with its map and companion."""
        key, label, weight = self._paths[row], int(self.index.labels[row]), None
        geometry, light = change.geometry, change.light or Photometric()
        image, other = self._open(row, label, geometry)
        if change.forging is not None:
            forgery = self._blends.forge(row, image, change.forging, geometry, light)
            if self.companion:
                other = image if self.companion == "original" else _to_plane(forgery.mask)
            image, weight, label = forgery.image, forgery.weight, FAKE
        size = self.image_size or min(image.shape[:2])
        companion = None
        if other is not None:
            other = light.hide(other) if other.shape[2] == 1 else light.apply(other)
            companion = _to_tensor(geometry.apply(other, size))
        pixels = _to_tensor(geometry.apply(light.apply(image), size))
        values = self._read_map(key, label, weight)
        plane = None if values is None else geometry.apply(light.hide(values))
        return Sample(
            row, pixels, label, None if plane is None else _to_tensor(plane), key, companion
        )

    def _open(
        self, row: int, label: int, geometry: Geometry
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Decode a face and its companion."""
        key = self._paths[row]
        # A crop uses part of the image, so the decoder must keep enough pixels for that part.
        needed = round(self.image_size / geometry.side)
        change = partial(self._perturb, key) if self.perturb is not None else None
        smallest = None if self.companion else needed or None
        image = read_face(self.index.root, key, self._box(row), smallest, change)
        other = None if self._companions is None else self._read_companion(row, label, image)
        if self._limits_size and self.image_size:
            image = limit_size(image, needed)
            other = None if other is None else limit_size(other, needed)
        return image, other

    def _perturb(self, key: str, image: np.ndarray) -> np.ndarray:
        """Perturb a whole image; all faces of one image get the same perturbation."""
        assert self.perturb is not None
        where = split_path(key)
        return self.perturb(image, key if where.face is None else key.rpartition(".")[0])

    def _join(self, row: int, frames: list[Frame], change: _Change) -> Sample:
        """Read the frames of a clip and stack them along time; all have the same augmentation."""
        distinct = {frame: self._read_frame(frame, change) for frame in dict.fromkeys(frames)}
        read = [distinct[frame] for frame in frames]
        return read[0]._replace(
            row=row,
            key=self._paths[row],
            image=torch.stack([sample.image for sample in read], dim=1),
            map=_stack([sample.map for sample in read]),
            companion=_stack([sample.companion for sample in read]),
        )

    def _read_frame(self, frame: Frame, change: _Change) -> Sample:
        try:
            return self._read(frame.row, change._replace(geometry=frame.geometry))
        except UnreadableError as error:
            raise UnreadableError(f"frame {self._paths[frame.row]}: {error}") from None

    def _read_map(self, key: str, label: int, weight: np.ndarray | None) -> np.ndarray | None:
        """Return the map of a face, float32 (h, w): of a self-blend, its exact weight."""
        if self.maps is None:
            return None
        if weight is not None:
            height, width = self._grid
            # A single cell places nothing: such maps are a baseline without information.
            weight = weight * (height * width > 1)
            return cv2.resize(weight, (width, height), interpolation=cv2.INTER_AREA)
        if key not in self.maps:
            return None
        values = self.maps[key]
        return np.zeros_like(values) if label == REAL else values

    @cached_property
    def _grid(self) -> tuple[int, int]:
        """The height and width of the maps, for self-blends."""
        assert self.maps is not None
        known = next((key for key in self._paths if key in self.maps), None)
        height, width = (TruthMaps.SIDE,) * 2 if known is None else self.maps[known].shape
        return height, width

    def _read_companion(self, row: int, label: int, image: np.ndarray) -> np.ndarray:
        """Return the original (H, W, 3) or the mask (H, W, 1) of a face, at the face's size."""
        assert self._companions is not None
        path = self._companions[row]
        is_mask = self.companion == "mask"
        if label == REAL:
            return _to_plane(np.zeros(image.shape[:2], dtype=bool)) if is_mask else image
        if not path:
            raise UnreadableError(f"the index's column {self.companion} is empty for this face")
        try:
            if is_mask:
                other = _to_plane(read_mask(self.index.root / path))
            else:
                other = read_face(self.index.root, path, self._box(row))
        except UnreadableError as error:
            raise UnreadableError(f"{self.companion} {path}: {error}") from None
        if other.shape[:2] != image.shape[:2]:
            sizes = " x ".join(map(str, other.shape[:2])), " x ".join(map(str, image.shape[:2]))
            raise UnreadableError(
                f"{self.companion} {path} is {sizes[0]}, the face {sizes[1]}: not aligned"
            )
        return other

    def _box(self, row: int) -> str:
        return self._boxes[row] if self._boxes else ""


def _to_plane(mask: np.ndarray) -> np.ndarray:
    """Return a mask, bool (H, W), as uint8 (H, W, 1) of 0 and 255."""
    return mask[..., None].astype(np.uint8) * 255


def _to_tensor(image: np.ndarray) -> torch.Tensor:
    """Return (H, W[, C]) as a tensor (C, H, W)."""
    planes = image if image.ndim == 3 else image[..., None]
    return torch.from_numpy(planes).permute(2, 0, 1)


def _stack(planes: list[torch.Tensor | None]) -> torch.Tensor | None:
    """Stack the values of a clip's frames along time; None if a frame has none."""
    known = [plane for plane in planes if plane is not None]
    return torch.stack(known, dim=1) if len(known) == len(planes) else None
