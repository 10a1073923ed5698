"""Find the corpora of a table below one folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evaluator.protocols.records import Faces
from focus.data.corpus import CORPORA
from focus.data.sources import INDEX_NAME

FOLDERS = {
    "cdf": ("Celeb-DF-v2",),
    "defacto": ("DEFACTO",),
    "dfdc": ("DFDC",),
    "dfdcp": ("dfdc_preview_set", "DFDCP"),
    "ffpp": ("FaceForensics++",),
    "manualfake": ("Pixel_ManualFake",),
    "wdf": ("deepfake_in_the_wild", "WildDeepfake"),
}
"""Folder names of downloaded corpora, tried after the short name."""


@dataclass(frozen=True)
class Place:
    """Location of some faces."""

    path: Path
    """The folder; if missing, the first folder tried."""
    prepared: bool
    """Contains face crops and their index, as written by ``focus prepare``."""
    videos: bool = False
    """Contains videos; faces must be extracted first."""
    missing: str = ""
    """Message about the folders tried; empty if found."""

    @property
    def here(self) -> bool:
        """Whether the folder exists."""
        return not self.missing


def find_faces(faces: Faces, root: Path) -> Place:
    """Find a corpus below ``root``: prepared faces first, then the corpus as downloaded.

    Prepared faces are in ``CORPUS-COMPRESSION`` (``CORPUS`` if there is only one compression); a
    downloaded corpus is in a folder with its short name or its original name.
    """
    words = [faces.corpus, faces.compression]
    prepared = root / "-".join(word for word in words if word)
    if (prepared / INDEX_NAME).is_file():
        return Place(prepared, True)
    corpus = CORPORA.get(faces.corpus)
    videos = corpus.unit == "video"
    names = [faces.corpus, *FOLDERS.get(faces.corpus, ())]
    looked = [root / name / faces.part for name in names]
    looked += [root / faces.part] if faces.part else []
    for path in looked:
        if path.is_dir():
            return Place(path, False, videos)
    others = "".join(f", nor {path}" for path in looked[1:])
    return Place(looked[0], False, videos, f"{corpus.title}: no folder {looked[0]}{others}")
