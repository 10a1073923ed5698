"""Join face indexes into one, with the corpus of each face and a val split where there is none.

    python scripts/join_indexes.py OUT.csv NAME=INDEX.csv ... [--val 0.4]

Every path becomes absolute, every ``video`` gets the corpus' name in front, so that two corpora
never share one, and the column ``corpus`` names the source that ``--balance pair`` balances. An
index without splits is split by video; the same videos are chosen whatever the other corpora are.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from focus.data.index import Face, FaceIndex
from focus.data.splits import hold_out_videos


def main() -> None:
    """Join the indexes of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("corpora", nargs="+", metavar="NAME=INDEX")
    parser.add_argument("--val", type=float, default=0.4, help="share of videos for val")
    arguments = parser.parse_args()
    faces: list[Face] = []
    for corpus in arguments.corpora:
        name, _, path = corpus.partition("=")
        faces += read_corpus(name, Path(path), arguments.val)
    FaceIndex.of(faces, arguments.out.parent).write(arguments.out)
    print(f"{arguments.out}: {len(faces)} faces")


def read_corpus(name: str, path: Path, share: float) -> list[Face]:
    """Return the faces of a corpus, with absolute paths."""
    index = FaceIndex.read(path)
    if any(index.column("split")):
        parts = {split: index.where(split) for split in ("train", "val", "test")}
    else:
        parts = dict(zip(("train", "val"), hold_out_videos(index, share, 0), strict=True))
    return [rename(face, name, split, index.root) for split in parts for face in parts[split]]


def rename(face: Face, corpus: str, split: str, root: Path) -> Face:
    """Return a face with absolute paths, its split, and the corpus' name."""

    def resolve(path: str) -> str:
        return str((root / path).resolve()) if path else ""

    video = f"{corpus}/{face.video or face.path}"
    extra = {**face.extra, "corpus": corpus}
    return Face(
        resolve(face.path),
        face.label,
        split,
        face.method,
        video,
        mask=resolve(face.mask),
        original=resolve(face.original),
        region=resolve(face.region),
        extra=extra,
    )


if __name__ == "__main__":
    main()
