"""A fixture that writes the files of a tiny corpus, each of them readable."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the bytes of an image and of a video, by suffix."""
    clip = tmp_path_factory.mktemp("samples") / "clip.mp4"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter_fourcc(*"mp4v"), 25, (64, 64))
    for number in range(3):
        writer.write(np.full((64, 64, 3), 80 * number, np.uint8))
    writer.release()
    image = np.full((8, 8, 3), 200, np.uint8)
    found = {
        suffix: cv2.imencode(suffix, image)[1].tobytes() for suffix in (".png", ".jpg", ".tif")
    }
    return {".mp4": clip.read_bytes(), **found}


@pytest.fixture
def plant(tmp_path: Path, samples: dict[str, bytes]) -> Callable[..., Path]:
    """Return a function that writes files below ``tmp_path`` and returns it.

    A name such as ``a.mp4`` or ``b.png`` gets a sample; ``c.tar.gz`` an archive of the names in
    ``members``; ``text`` is the content of any other file.
    """

    def write(*names: str, text: str | None = None, members: tuple[str, ...] = ()) -> Path:
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if members:
                with tarfile.open(path, "w:gz") as archive:
                    for member in members:
                        info = tarfile.TarInfo(member)
                        info.size = len(samples[".png"])
                        archive.addfile(info, BytesIO(samples[".png"]))
            elif text is not None:
                path.write_text(text, encoding="utf-8")
            else:
                path.write_bytes(samples[path.suffix.lower()])
        return tmp_path

    return write
