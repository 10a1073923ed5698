"""A corpus of discs as masks, and its maps."""

from __future__ import annotations

import cv2
import numpy as np

from evaluator.scoring.command import score_maps
from focus.data.index import Face, FaceIndex
from focus.mapstore import MapReader, MapWriter

SIZE = 24


def disc(row, column, radius=5):
    rows, columns = np.mgrid[:SIZE, :SIZE]
    return (rows - row) ** 2 + (columns - column) ** 2 < radius**2


def write_mask(path, mask):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), mask.astype(np.uint8) * 255)


class Corpus:
    """Synthetic faces in a folder: two real faces and two fakes with a mask per video."""

    def __init__(self, root, splits=("train", "val", "test"), videos=4):
        self.root, self.faces, self.masks = root, [], {}
        generator = np.random.default_rng(0)
        for split in splits:
            for video in range(videos):
                for i in range(4):
                    self.add(generator, split, f"{split}{video}", i)

    def add(self, generator, split, video, i):
        stem, fake = f"{video}_{i}", i >= 2
        image = generator.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
        cv2.imwrite(str(self.root / f"{stem}.png"), image)
        more = (
            {"method": "ab"[i - 2], "mask": f"mask/{stem}.png", "region": "region.png"}
            if fake
            else {}
        )
        if fake:
            self.masks[f"{stem}.png"] = disc(*generator.integers(6, 18, 2))
            write_mask(self.root / "mask" / f"{stem}.png", self.masks[f"{stem}.png"])
            write_mask(self.root / "region.png", disc(12, 12, 11))
        self.faces.append(Face(f"{stem}.png", int(fake), split, video=video, **more))

    def index(self):
        return FaceIndex.of(self.faces, self.root)

    def save(self, maps=None, keys=None, scores=None, **attributes):
        """Write the index and a map file; maps default to noisy truth."""
        index = self.index()
        index.write(self.root / "index.csv")
        generator = np.random.default_rng(1)
        keys = list(index.keys) if keys is None else keys
        labels = dict(zip(index.keys, index.labels, strict=True))
        levels = [
            maps[key]
            if maps
            else 0.6 * self.masks.get(key, 0) + 0.55 * generator.random((SIZE, SIZE))
            for key in keys
        ]
        if scores is None:
            scores = [0.5 * labels[key] + 0.6 * generator.random() for key in keys]
        stored = np.clip(np.stack(levels), 0, 1).astype(np.float32)
        path = self.root / "maps.h5"
        path.unlink(missing_ok=True)
        with MapWriter(
            path, generator="toy", data=str(self.root / "index.csv"), **attributes
        ) as writer:
            writer.append(keys, stored, [labels[key] for key in keys], np.clip(scores, 0, 1))
        return MapReader(path)


def judge(corpus, reader, **options):
    options = {"draws": 50, "quiet": True, **options}
    return score_maps(corpus.index(), reader, **options)
