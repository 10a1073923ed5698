"""Data sets of faces: an index, and maps if there are any, to samples."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from focus.data.images import UnreadableError, read_face
from focus.data.index import FaceIndex
from focus.data.transforms import Augmentation, Geometry
from focus.data.videos import VIDEO_SUFFIXES
from focus.errors import InputError
from focus.mapstore import MapReader
from focus.types import REAL, Failure, Sample


class Draw(NamedTuple):
    """A row of the index and the number of its draw, which seeds the augmentation."""

    row: int
    number: int


class FaceDataset(Dataset["Sample | Failure"]):
    """Faces of an index, decoded and brought to one size.

    Asked for a row it yields the face as it is; asked for a :class:`Draw` it augments, by a
    generator seeded with (seed, draw number, row), so that a draw is the same in whichever worker,
    process or resumed run it happens.

    Args:
        index: the faces.
        image_size: side of the square picture.
        maps: a map file; a real face's map is exactly 0 whatever the file says, and a fake
            without one has none.
        augmentation: used for draws.
        seed: of the draws.
    """

    def __init__(
        self,
        index: FaceIndex,
        image_size: int,
        maps: MapReader | None = None,
        augmentation: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        self.index, self.image_size, self.maps = index, image_size, maps
        self.augmentation, self.seed = augmentation or Augmentation(), seed
        self._paths = index.keys
        whole = next((path for path in self._paths if path.lower().endswith(VIDEO_SUFFIXES)), None)
        if whole is not None:
            raise InputError(
                f"{whole}: a row of the index is a whole video; cut faces out of it first: "
                f"focus prepare --data ... --out DIR, then --data DIR"
            )
        self._boxes = index.columns.get("box")

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, item: int | Draw) -> Sample | Failure:
        """Return the sample of a row or a draw, or why its file could not be read."""
        row = int(item.row if isinstance(item, Draw) else item)
        key = self._paths[row]
        geometry = Geometry()
        if isinstance(item, Draw):
            seeds = (self.seed, item.number, row)
            geometry = self.augmentation.draw(np.random.default_rng(seeds))
        try:
            box = self._boxes[row] if self._boxes else ""
            # A crop looks at part of the picture, so the decoder must keep that part's pixels.
            smallest = round(self.image_size / geometry.side)
            image = read_face(self.index.root, key, box, smallest=smallest)
        except UnreadableError as error:
            return Failure(row, key, str(error))
        pixels = torch.from_numpy(geometry.apply(image, self.image_size)).permute(2, 0, 1)
        label = int(self.index.labels[row])
        return Sample(row, pixels, label, self._read_map(key, label, geometry), key)

    def _read_map(self, key: str, label: int, geometry: Geometry) -> torch.Tensor | None:
        if self.maps is None or key not in self.maps:
            return None
        values = self.maps[key]
        if label == REAL:
            values = np.zeros_like(values)
        return torch.from_numpy(geometry.apply(values))[None]
