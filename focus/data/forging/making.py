"""Make the files of one real face: read it, find the face, forge it, save all in the same way.

Do not import torch here: every worker process imports this file.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from focus.data.forging.areas import PARTS, fill_region, random_area
from focus.data.forging.blending import Forgery, blend_with_itself, composite, measure_change
from focus.data.forging.edits import EDITS, NEEDS_DONOR
from focus.data.forging.swapping import Appearance, Portrait, measure_appearance, rank_donors, swap
from focus.data.images import read_face
from focus.data.landmarks import FaceShape, LandmarkModel
from focus.errors import InputError, UnreadableError
from focus.files import replace_file

EDIT_KINDS = tuple(kind for kind in EDITS if kind not in NEEDS_DONOR)
METHODS = ("blend", *(f"partial-{part}" for part in PARTS), "swap", *EDIT_KINDS)
LEAST_CHANGE = 2.0
"""Minimum mean change inside the mask, in grey levels; below it, the forgery is repeated."""
LEAST_SHARE = 0.01
"""Minimum area of the mask, relative to the face."""
SMALLEST_SIDE = 32
_ATTEMPTS = 20
_BLACK = 10
_CANDIDATES = 16
_BLOCK = 64


@dataclass(frozen=True)
class ForgePlan:
    """All inputs that determine the forgeries: the same plan gives the same bytes.

    keys, boxes, splits, videos, names: one per real face; keys are relative to ``root``, names are
    paths without suffix below the folders of ``out``. The rest is as in ``ForgeCommand``.
    """

    root: Path
    keys: tuple[str, ...]
    boxes: tuple[str, ...]
    splits: tuple[str, ...]
    videos: tuple[str, ...]
    names: tuple[str, ...]
    out: Path
    kinds: tuple[str, ...]
    per_face: int
    size: int
    quality: int
    png: bool
    seed: int
    landmarks: Path | None

    def choose_method(self, row: int, copy: int) -> tuple[str, np.random.Generator]:
        """Return the method of a face's forgery, and the random generator for the rest."""
        face = hash_text(self.keys[row])
        rng = np.random.default_rng((self.seed, face, copy))
        kind = self.kinds[(face + copy) % len(self.kinds)]
        return (f"partial-{PARTS[rng.integers(len(PARTS))]}" if kind == "partial" else kind), rng

    def real(self, row: int) -> str:
        """Return the path of a real face below ``out``."""
        return f"real/{self.names[row]}{self._suffix}"

    def region(self, row: int) -> str:
        """Return the path of its face region."""
        return f"region/{self.names[row]}.png"

    def fake(self, row: int, copy: int) -> str:
        """Return the path of a forgery."""
        return f"fake/{self._name_copy(row, copy)}{self._suffix}"

    def mask(self, row: int, copy: int) -> str:
        """Return the path of its mask."""
        return f"mask/{self._name_copy(row, copy)}.png"

    @property
    def _suffix(self) -> str:
        return ".png" if self.png else ".jpg"

    def _name_copy(self, row: int, copy: int) -> str:
        kind = self.choose_method(row, copy)[0].partition("-")[0]
        # Names contain no plus sign, so a copy never has the name of another face.
        return f"{kind}/{self.names[row]}{f'+{copy}' if copy else ''}"


class Opened(NamedTuple):
    """An image as saved, and its face.

    image: uint8 (H, W, 3), RGB.  frame: rows and columns without the black padding of a crop that
    extends beyond the photograph.  portrait: the frame only.
    """

    image: np.ndarray
    frame: tuple[slice, slice]
    portrait: Portrait

    def put_back(self, forgery: Forgery) -> Forgery:
        """Return a forgery of the frame as a forgery of the whole image."""
        image, mask = self.image.copy(), np.zeros(self.image.shape[:2], bool)
        image[self.frame], mask[self.frame] = forgery.image, forgery.mask
        return Forgery(image, mask)


class Donor(NamedTuple):
    """A candidate for swaps: its row and appearance."""

    row: int
    appearance: Appearance


class FaceResult(NamedTuple):
    """The result of a face: each forgery's donor (a row, -1: none), or the reason for failure."""

    donors: tuple[int, ...] = ()
    reason: str = ""


def hash_text(text: str) -> int:
    """Return 64 bits of the SHA-256 of a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def forge_face(
    portrait: Portrait, method: str, rng: np.random.Generator, donor: Portrait | None = None
) -> Forgery:
    """Forge a face visibly: retry until the mean change in the mask is at least 2 grey levels.

    Args:
        portrait: the real face; not modified.
        method: one of :data:`METHODS`.
        rng: random generator.
        donor: the other face of a swap.

    Raises:
        InputError: an unknown method, or a swap without a donor.
        UnreadableError: no visible change in twenty attempts, as in a blank image.
    """
    if method not in METHODS:
        raise InputError(f"unknown forgery method {method!r}; known: {', '.join(METHODS)}")
    if method == "swap" and donor is None:
        raise InputError("a swap needs a donor, the face to insert")
    part = method.partition("-")[2] or "face"
    for _ in range(_ATTEMPTS):
        if donor is not None and method == "swap":
            forgery = swap(portrait, donor, rng)
        elif method in EDITS:
            forgery = _edit(portrait, method, rng)
        else:
            forgery = blend_with_itself(portrait.image, portrait.shape, part, rng)
        is_large = np.count_nonzero(forgery.mask) >= LEAST_SHARE * portrait.shape.size**2
        if is_large and measure_change(portrait.image, forgery) >= LEAST_CHANGE:
            return forgery
    raise UnreadableError(f"no visible change by {method}; is the image blank?")


def _edit(portrait: Portrait, kind: str, rng: np.random.Generator) -> Forgery:
    """Edit a random part of a face."""
    image, part = portrait.image, PARTS[rng.integers(len(PARTS))]
    area = random_area(portrait.shape, part, image.shape[:2], rng)
    return composite(image, EDITS[kind](image, area, rng, None), area)


def find_frame(image: np.ndarray) -> tuple[slice, slice]:
    """Return the rows and columns of an image (uint8 (H, W, 3)) within its black borders."""
    height, width = image.shape[:2]
    columns = image.swapaxes(0, 1)
    top, bottom, left, right = map(_count_black, (image, image[::-1], columns, columns[::-1]))
    return slice(top, max(height - bottom, top)), slice(left, max(width - right, left))


def _is_whole(path: Path) -> bool:
    """Return whether a file exists and is not empty, as it may be after a power failure."""
    return path.is_file() and path.stat().st_size > 0


def _count_black(lines: np.ndarray) -> int:
    """Return the number of black lines before the first other one."""
    return next((at for at, line in enumerate(lines) if line.max() > _BLACK), len(lines))


class Forger:
    """Makes the files of faces, in one worker process.

    Raises:
        InputError: see :class:`~focus.data.landmarks.LandmarkModel`.
    """

    def __init__(self, plan: ForgePlan) -> None:
        self.plan = plan
        self._model = LandmarkModel(plan.landmarks) if plan.landmarks else None
        self._list_candidates = lru_cache(maxsize=8)(self._choose_candidates)
        self._videos: dict[str, dict[str, list[int]]] = {}
        self._places: list[int] = []
        counts: dict[str, int] = {}
        for row, (split, video) in enumerate(zip(plan.splits, plan.videos, strict=True)):
            self._videos.setdefault(split, {}).setdefault(video, []).append(row)
            self._places.append(counts.get(split, 0))
            counts[split] = self._places[-1] + 1

    def make(self, row: int) -> FaceResult:
        """Make the missing files of a face."""
        plan, copies = self.plan, range(self.plan.per_face)
        paths = [plan.real(row), plan.region(row)]
        paths += [path for copy in copies for path in (plan.fake(row, copy), plan.mask(row, copy))]
        is_complete = all(_is_whole(plan.out / path) for path in paths)
        methods = [plan.choose_method(row, copy) for copy in copies]
        swaps = [method for method, _ in methods].count("swap")
        if is_complete and not swaps:
            return FaceResult((-1,) * len(methods))
        try:
            opened = self._open(row)
            portrait = opened.portrait
            ranked = cycle(self._rank_donors(row, portrait) if swaps else ())
            chosen = [next(ranked) if method == "swap" else None for method, _ in methods]
            result = FaceResult(tuple(donor.row if donor else -1 for donor in chosen))
            if is_complete:
                return result
            forgeries = [
                forge_face(portrait, method, rng, self._fetch(donor) if donor else None)
                for (method, rng), donor in zip(methods, chosen, strict=True)
            ]
        except UnreadableError as error:
            return FaceResult(reason=str(error))
        for copy, forgery in enumerate(map(opened.put_back, forgeries)):
            self._save_mask(plan.mask(row, copy), forgery.mask)
            self._save(plan.fake(row, copy), forgery.image)
        region = fill_region(portrait.shape, portrait.image.shape[:2])
        self._save_mask(plan.region(row), opened.put_back(Forgery(portrait.image, region)).mask)
        self._save(plan.real(row), opened.image)
        return result

    def _read(self, row: int) -> np.ndarray:
        plan, size = self.plan, self.plan.size
        image = read_face(plan.root, plan.keys[row], plan.boxes[row])
        shorter = min(image.shape[:2])
        if shorter < SMALLEST_SIDE:
            raise UnreadableError(
                f"only {shorter} pixels wide or high; at least {SMALLEST_SIDE} needed"
            )
        if not size or size == shorter:
            return image
        width, height = (round(size * side / shorter) for side in image.shape[1::-1])
        way = cv2.INTER_AREA if size < shorter else cv2.INTER_CUBIC
        return cv2.resize(image, (width, height), interpolation=way)

    def _open(self, row: int) -> Opened:
        image = self._read(row)
        if self._model:
            shape = FaceShape.from_points(self._model.find(image))
        else:
            shape = FaceShape.from_box(*image.shape[:2])
        rows, columns = frame = find_frame(image)
        portrait = Portrait(image[frame], shape.moved(-columns.start, -rows.start))
        if min(portrait.image.shape[:2]) < SMALLEST_SIDE:
            raise UnreadableError("almost entirely black")
        return Opened(image, frame, portrait)

    def _fetch(self, donor: Donor) -> Portrait:
        """Read a donor again; its landmarks are known."""
        image = self._read(donor.row)
        return Portrait(image[find_frame(image)], FaceShape.from_points(donor.appearance.points))

    def _rank_donors(self, row: int, portrait: Portrait) -> list[Donor]:
        """Return the candidates from other videos, best match first."""
        split, video = self.plan.splits[row], self.plan.videos[row]
        found = self._list_candidates(split, self._places[row] // _BLOCK)
        others = [donor for donor in found if self.plan.videos[donor.row] != video]
        if not others:
            raise UnreadableError("no readable face to swap it with")
        order = rank_donors(measure_appearance(portrait), [donor.appearance for donor in others])
        return [others[place] for place in order]

    def _choose_candidates(self, split: str, block: int) -> list[Donor]:
        """Return random candidates, shared by a block of neighbours in the index."""
        rng = np.random.default_rng((self.plan.seed, hash_text(split), block))
        videos = list(self._videos[split].values())
        donors = []
        for number in rng.permutation(len(videos))[:_CANDIDATES]:
            row = int(rng.choice(videos[number]))
            try:
                donors.append(Donor(row, measure_appearance(self._open(row).portrait)))
            except UnreadableError:
                continue  # reported when that row itself is forged
        return donors

    def _save(self, path: str, image: np.ndarray) -> None:
        options = [] if self.plan.png else [cv2.IMWRITE_JPEG_QUALITY, self.plan.quality]
        self._write(path, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)

    def _save_mask(self, path: str, mask: np.ndarray) -> None:
        self._write(path, mask.astype(np.uint8) * 255, [])

    def _write(self, path: str, pixels: np.ndarray, options: list[int]) -> None:
        """Write a file in the format of its suffix, atomically."""
        file = self.plan.out / path
        code = cv2.imencode(file.suffix, pixels, options)[1]
        with replace_file(file, within=self.plan.out, sync=False) as temporary:
            temporary.write_bytes(code.tobytes())
