"""Where the corpora of a table are below one folder, and which of them are not there."""

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
"""Names under which corpora are downloaded; the short name of a corpus comes first."""


@dataclass(frozen=True)
class Place:
    """Where some faces are."""

    path: Path
    """The folder, or the one where they would be looked for first."""
    prepared: bool
    """It holds face crops and their index, as ``focus prepare`` writes them."""
    videos: bool = False
    """It holds videos, out of which faces must be cut first."""
    missing: str = ""
    """What was looked for in vain; empty where it is there."""

    @property
    def here(self) -> bool:
        """Whether there is such a folder."""
        return not self.missing


def find_faces(faces: Faces, root: Path) -> Place:
    """Look for a corpus below ``root``: prepared faces first, then the corpus as downloaded.

    Prepared faces lie in ``CORPUS-COMPRESSION`` (``CORPUS`` where it has but one), a corpus in a
    folder of its short name, or of the name that it is downloaded under.
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
