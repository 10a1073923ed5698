"""The demo corpus: portraits drawn by this package, and local forgeries of them.

The faces are drawn, not photographed, and show no real person: geometry, light and noise come from
a random generator (``people``, ``face``, ``head``, ``hair``, ``surroundings``, ``drawing``). They
replace a corpus where none can be shipped: tests, the two-minute demo and the images of the
documentation use them. Results on them show that the code works; they do not carry over to
photographs.

The forgeries (``forging``) are local and their masks are exact by construction. A real face is its
base image saved once as JPEG; a fake is a forged base image saved once at the same quality. The
base image already contains camera grain, so both files have the same history, and before
compression they are equal outside the mask.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from focus.config import fingerprint, to_json
from focus.data.corpus import Corpus, ScanOptions
from focus.data.demo.drawing import Portrait, draw_face, render
from focus.data.demo.forging import METHODS, Forgery, forge
from focus.data.demo.people import Person, Shot, draw_person, draw_shot
from focus.data.index import Face, FaceIndex
from focus.data.subject import DRAWN
from focus.errors import InputError
from focus.files import replace_file
from focus.processes.pools import Pool
from focus.runtime import track
from focus.types import FAKE, REAL

__all__ = [
    "METHODS",
    "DemoConfig",
    "Forgery",
    "Person",
    "Portrait",
    "Shot",
    "draw_face",
    "draw_person",
    "draw_shot",
    "forge",
    "render",
    "scan",
    "write_demo_corpus",
]

DRAWING_VERSION = 2
"""Incremented when the same configuration gives different images."""
_RECORD = "demo.json"
_SPLIT_SHARES = (0.7, 0.8)


@dataclass(frozen=True)
class DemoConfig:
    """Size and seed of a demo corpus; it has as many fakes as real faces."""

    people: int = 240
    """Number of people: 70 % for train, 10 % for val, 20 % for test."""
    images_per_person: int = 4
    """Real images per person; each also has one forgery, the four methods in turn."""
    size: int = 112
    """Side length of the images in pixels."""
    seed: int = 7
    """Random seed."""

    def __post_init__(self) -> None:
        for name, least in (("people", 1), ("images_per_person", 1), ("size", 48), ("seed", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}; it must be {least} or more")


def scan(root: Path | str, options: ScanOptions = ScanOptions()) -> FaceIndex:
    """Return the demo corpus in ``root``; draw it first if it does not exist.

    Raises:
        InputError: ``root`` contains something else.
    """
    root = Path(root)
    if (root / _RECORD).exists() and (root / "index.csv").exists():
        return FaceIndex.read(root / "index.csv")
    return write_demo_corpus(root, DemoConfig())


def write_demo_corpus(
    folder: Path | str,
    config: DemoConfig = DemoConfig(),
    quiet: bool = False,
    workers: int = 1,
) -> FaceIndex:
    """Draw a corpus into a folder; an existing one is returned unchanged.

    Writes ``real/*.jpg``, ``fake/<method>/*.jpg``, ``mask/*.png`` (255 = forged),
    ``region/*.png`` (255 = head and hair), ``demo.json`` (the configuration) and, last,
    ``index.csv``: after an interrupted run the corpus is drawn again. ``video`` is the person. The
    same configuration gives the same bytes on the same library versions, for any ``workers``.

    Args:
        folder: empty, missing, or a demo corpus of this configuration.
        config: size and seed.
        quiet: show no progress.
        workers: processes; more than one needs an importable main module.

    Returns:
        The index; each real face is followed by its fake.

    Raises:
        InputError: the folder contains something else, or a demo corpus of another configuration.
    """
    folder = Path(folder)
    if _is_complete(folder, config):
        return FaceIndex.read(folder / "index.csv")
    record = {"config": to_json(config), "fingerprint": _fingerprint(config)}
    with replace_file(folder / _RECORD) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for name in ("real", "mask", "region", *(f"fake/{method}" for method in METHODS)):
        (folder / name).mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        drawn = _draw_all(folder, config, workers, stack)
        people = track(drawn, config.people, "drawing the demo corpus", "people", quiet)
        faces = [face for person in people for face in person]
    index = FaceIndex.of(faces, folder)
    index.write(folder / "index.csv")
    return index


def _fingerprint(config: DemoConfig) -> str:
    return fingerprint({"config": to_json(config), "drawing": DRAWING_VERSION})


def _is_complete(folder: Path, config: DemoConfig) -> bool:
    """Return whether the corpus is complete; reject a folder with other content."""
    record = folder / _RECORD
    if not record.exists():
        if folder.is_file() or any(folder.glob("[!.]*")):
            raise InputError(f"{folder}: not empty and not a demo corpus; choose a new folder")
        return False
    try:
        found = json.loads(record.read_text(encoding="utf-8")).get("fingerprint")
    except (ValueError, AttributeError):
        raise InputError(f"{record}: cannot be read; delete {folder} to draw it again") from None
    if found != _fingerprint(config):
        raise InputError(
            f"{folder}: is a demo corpus of another configuration or version (see {_RECORD}); "
            "choose a new folder, or delete this one"
        )
    return (folder / "index.csv").exists()


def _draw_all(
    folder: Path, config: DemoConfig, workers: int, stack: ExitStack
) -> Iterator[list[Face]]:
    people = range(config.people)
    if workers <= 1:
        return (_draw_person_files(folder, config, number) for number in people)
    pool = stack.enter_context(Pool(workers))
    repeat = [folder] * config.people, [config] * config.people
    return pool.map(_draw_person_files, *repeat, people, chunksize=8)


def _draw_person_files(folder: Path, config: DemoConfig, number: int) -> list[Face]:
    """Draw, forge and save all images of one person; return their rows."""
    place = (number + 0.5) / config.people
    split = "train" if place < _SPLIT_SHARES[0] else "val" if place < _SPLIT_SHARES[1] else "test"
    person = draw_person(np.random.default_rng((config.seed, number)))
    faces = []
    for image in range(config.images_per_person):
        rng = np.random.default_rng((config.seed, number, image))
        method = METHODS[(number + image) % len(METHODS)]
        portrait = draw_face(rng, config.size, person)
        forgery = forge(portrait, method, rng)
        name = f"{number:04d}-{image}"
        real, fake = f"real/{name}.jpg", f"fake/{method}/{name}.jpg"
        mask, region = f"mask/{name}.png", f"region/{name}.png"
        _save(folder / real, portrait.image, portrait.shot.quality)
        _save(folder / fake, forgery.image, portrait.shot.quality)
        _save(folder / mask, forgery.mask)
        _save(folder / region, portrait.head)
        video = f"{number:04d}"
        faces.append(Face(real, REAL, split, video=video, region=region, extra={DRAWN: "yes"}))
        face = Face(fake, FAKE, split, method, video, mask, original=real, region=region)
        faces.append(replace(face, extra={DRAWN: "yes"}))
    return faces


def _save(path: Path, image: np.ndarray, quality: int = 0) -> None:
    """Write RGB as JPEG of the given quality, or (quality 0) a mask as PNG of 0 and 255."""
    if quality:
        options = [cv2.IMWRITE_JPEG_QUALITY, quality]
        code = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1]
    else:
        code = cv2.imencode(".png", image.astype(np.uint8) * 255)[1]
    path.write_bytes(code.tobytes())


CORPUS = Corpus(
    name="demo",
    title="Drawn demo corpus",
    source="drawn by focus.data.demo",
    scan=scan,
    unit="face",
    published={"": 1920, "real": 960, "fake": 960},
)
