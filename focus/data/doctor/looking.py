"""Inspect one file: read its bytes once, and measure its image without keeping it.

The result is the fixed-size record ``LOOK``, so that a million results fit in memory. Nothing here
imports torch: it runs in worker processes.
"""

from __future__ import annotations

import functools
import hashlib
import os
import struct
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import cv2
import numpy as np

from focus.data.archives import read_member
from focus.data.images import (
    LOSSY_SUFFIXES,
    VIDEO_SUFFIXES,
    FacePath,
    decode_pixels,
    inspect_header,
    read_bytes,
    read_face,
    split_path,
)
from focus.data.pillow import identify
from focus.data.videos import FrameReader, silence_opencv
from focus.errors import UnreadableError, count_of

FACE, MASK, ORIGINAL = 1, 2, 4
UNSEEN, FINE, MISSING, UNREADABLE, DAMAGED = range(5)
FORMATS = (
    *("unknown", "JPEG", "PNG", "WebP", "TIFF", "BMP", "video"),
    *("GIF", "AVIF", "JPEG2000", "HEIF"),
)
LOOK = np.dtype(
    [
        ("status", np.uint8),
        ("format", np.uint8),  # of FORMATS
        ("height", np.int32),  # after EXIF rotation; 0: unknown
        ("width", np.int32),
        ("bytes", np.int64),
        ("digest", np.uint64),  # of the bytes; 0: unknown
        ("hash", np.uint64),  # perceptual, see hash_image; 0: unknown
        ("detail", np.uint64),
        ("quantisation", np.int32),  # sum over the tables of a JPEG
        ("subsampling", np.int32),  # sampling factors of a JPEG's components, a byte each
        ("exif", np.bool_),
        ("brightness", np.float32),  # mean of grey, in [0, 255]; NaN: not measured
        ("sharpness", np.float32),  # variance of the Laplacian, shorter side 64 to 127; or NaN
        ("marked", np.float32),  # share of a mask that is set; NaN: no mask, or not measured
        ("grey", np.float32),  # share of a mask that is neither black nor white
        ("frames", np.int32),  # of a whole video: frames that can be decoded
        ("promised", np.int32),  # frames that its header declares
    ]
)
SMALLEST = 32
BOMB_PIXELS, BOMB_RATIO = 2**24, 300
"""An image above both limits is not decoded; no photograph or mask has so many pixels per byte."""
_EDGE_BYTES = 2**16
_LOSSY = (*LOSSY_SUFFIXES, *VIDEO_SUFFIXES)
_MAGIC = {b"\xff\xd8": 1, b"\x89P": 2, b"RI": 3, b"II": 4, b"MM": 4, b"BM": 5}


class FileEntry(NamedTuple):
    """One file to inspect."""

    place: int
    """Its position in ``Files.paths``."""
    path: str
    """An image, a video, a frame of one, or an archive member."""
    box: str
    """The face's box, if the path names a face in an image."""
    role: int
    """Bits FACE, MASK and ORIGINAL; a file that is only an original is not decoded."""


LookResults = tuple[np.ndarray, dict[int, str]]
"""``LOOK`` records, and place -> fault of the files that are not fine."""


def start_process() -> None:
    """Prepare a process that inspects files."""
    cv2.setNumThreads(0)


def look_at_all(root: Path, quick: bool, entries: Sequence[FileEntry]) -> LookResults:
    """Inspect files of a folder; return ``LOOK`` records in their order, and faults by place."""
    looks, reasons = np.zeros(len(entries), LOOK), {}
    for at, entry in enumerate(entries):
        looks[at], reason = look_at(root, entry.path, entry.box, entry.role, quick)
        if reason:
            reasons[entry.place] = reason
    return looks, reasons


def look_at(root: Path, path: str, box: str, role: int, quick: bool) -> tuple[np.ndarray, str]:
    """Inspect one file, see ``FileEntry``; with ``quick`` read its header only. Never raises.

    Returns:
        A ``LOOK`` record, and the fault of the file (empty: none).
    """
    look = np.zeros((), LOOK)
    for name in ("brightness", "sharpness", "marked", "grey"):
        look[name] = np.nan
    where = split_path(path)
    is_video = (where.member or where.file).lower().endswith(VIDEO_SUFFIXES)
    look_closer: Callable[..., None] = _look_at_image
    if is_video and where.frame is None and not where.member:
        look_closer = _look_at_video
    elif is_video or where.frame is not None:
        look_closer = functools.partial(_look_at_frame, path=path, box=box)
    try:
        with _capture_stderr() as messages:
            look_closer(look, root, where, role, quick)
    except UnreadableError as error:
        reason = str(error)
    except Exception as error:  # any decoder error on a hostile file is a finding
        reason = " ".join(f"{type(error).__name__}: {error}".split())
    else:
        look["status"] = DAMAGED if messages else FINE
        return look, "".join(messages[:1])
    gone = reason.endswith("no such member") or not os.path.exists(root / where.file)
    look["status"] = MISSING if gone else UNREADABLE
    return look, reason


# Images


def _look_at_image(look: np.ndarray, root: Path, where: FacePath, role: int, quick: bool) -> None:
    path = root / where.file
    data = read_member(path, where.member) if where.member else read_bytes(path)
    look["bytes"], look["digest"] = len(data), _digest(data)
    look["format"] = _MAGIC.get(data[:2]) or FORMATS.index(identify(data) or "unknown")
    height, width, _ = inspect_header(data)
    look["height"], look["width"], look["exif"] = height, width, _has_exif(data)
    if height * width > max(BOMB_PIXELS, BOMB_RATIO * len(data)):
        raise UnreadableError(
            f"{count_of(len(data), 'byte')} for {width} x {height} pixels: a decompression bomb"
        )
    if FORMATS[look["format"]] == "JPEG":
        try:
            look["quantisation"], look["subsampling"] = read_compression(data)
        except (IndexError, ValueError, struct.error):
            raise UnreadableError("its header is damaged") from None
    # Only the size of an original is needed; only EXIF can rotate it.
    if quick or (role == ORIGINAL and not look["exif"] and height):
        return
    pixels = decode_pixels(data, None if role & MASK else SMALLEST)
    look["height"], look["width"] = _find_size(pixels, data, height, width)
    if role & FACE:
        _measure_image(look, pixels)
    if role & MASK:
        _measure_mask(look, pixels, (where.member or where.file).lower().endswith(_LOSSY))


def _digest(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def _has_exif(data: bytes) -> bool:
    if data.startswith(b"\x89P"):
        return b"eXIf" in data
    if data.startswith(b"RI"):
        return data[12:16] == b"VP8X" and bool(data[20] & 8)
    return b"Exif\0\0" in data[:_EDGE_BYTES]


def read_compression(data: bytes) -> tuple[int, int]:
    """Read how a JPEG was compressed.

    Returns:
        The sum of its quantisation tables (lower means better quality), and the sampling factors
        of its components, one byte each, the first in the lowest byte: 0x111122 is 4:2:0.
    """
    total = sampling = 0
    at = 2
    while data[at] == 0xFF and data[at + 1] != 0xDA:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if marker == 0xDB:
            total += _sum_tables(data[at + 4 : at + 2 + length])
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            factors = data[at + 11 : at + 2 + length : 3]
            sampling = int.from_bytes(factors[:3], "little")
        at += 2 + length
    return total, sampling


def _sum_tables(segment: bytes) -> int:
    """Sum the tables of a DQT segment: each has one byte (precision, number) and 64 values."""
    total = at = 0
    while at < len(segment):
        size = 128 if segment[at] >> 4 else 64
        values = np.frombuffer(segment[at + 1 : at + 1 + size], ">u2" if size == 128 else np.uint8)
        total += int(values.sum())
        at += 1 + size
    return total


def _find_size(pixels: np.ndarray, data: bytes, height: int, width: int) -> tuple[int, int]:
    """Return the full upright size of an image that may have been decoded at reduced size."""
    shown = pixels.shape
    if shown[:2] in ((height, width), (width, height)) or not height:
        return shown[0], shown[1]
    if shown[0] == shown[1] and height != width:  # too small to show its orientation
        shown = decode_pixels(data).shape
        return shown[0], shown[1]
    return (height, width) if (shown[0] > shown[1]) == (height > width) else (width, height)


# Frames and videos


def _look_at_frame(
    look: np.ndarray, root: Path, where: FacePath, role: int, quick: bool, path: str, box: str
) -> None:
    """Inspect a frame of a video, or a face in an image."""
    if quick:
        (root / where.file).stat()
        return
    whole = path.rpartition(".")[0] if role == MASK and where.face is not None else path
    image = read_face(root, whole, box)
    look["height"], look["width"] = image.shape[:2]
    if role & FACE:
        _measure_image(look, image)
    if role & MASK:
        _measure_mask(look, image, lossy=True)


def _look_at_video(look: np.ndarray, root: Path, where: FacePath, role: int, quick: bool) -> None:
    path = root / where.file
    reader = FrameReader(path)
    look["format"] = FORMATS.index("video")
    look["bytes"], look["digest"] = path.stat().st_size, _digest_edges(path)
    with silence_opencv():
        capture = cv2.VideoCapture(os.path.abspath(path), cv2.CAP_FFMPEG)
    # A container without a frame count returns absurd values.
    look["promised"] = np.clip(capture.get(cv2.CAP_PROP_FRAME_COUNT), 0, 2**30)
    look["height"] = capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
    look["width"] = capture.get(cv2.CAP_PROP_FRAME_WIDTH)
    if quick:
        return
    look["frames"] = reader.frames
    sampled = (1, 3, 5, 7, 9) if role & MASK else (5,)
    images = [reader.read(reader.frames * tenth // 10) for tenth in sampled]
    look["height"], look["width"] = images[0].shape[:2]
    if role & FACE:
        _measure_image(look, images[len(images) // 2])
    if role & MASK:
        _measure_mask(look, np.concatenate(images), lossy=True)


def _digest_edges(path: Path) -> int:
    """Return a digest of a video's size, start and end; reading all of it would be slow."""
    with path.open("rb") as file:
        head = file.read(_EDGE_BYTES)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - _EDGE_BYTES, 0))
        return _digest(size.to_bytes(8, "little") + head + file.read())


# Pixels


def _measure_image(look: np.ndarray, pixels: np.ndarray) -> None:
    """Measure brightness, sharpness and perceptual hash, at a shorter side of 64 to 127."""
    if pixels.dtype == np.uint16:
        pixels = cv2.convertScaleAbs(pixels, alpha=1 / 257)
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    factor = min(grey.shape) // (2 * SMALLEST)
    if factor > 1:
        size = grey.shape[1] // factor, grey.shape[0] // factor
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    look["brightness"] = grey.mean()
    look["sharpness"] = cv2.Laplacian(grey, cv2.CV_32F).var()
    look["hash"], look["detail"] = hash_image(grey)


def hash_image(grey: np.ndarray) -> tuple[int, int]:
    """Return two 64-bit perceptual hashes: coarse shapes, and finer detail.

    The first: the lowest 8 x 8 DCT coefficients of 32 x 32 pixels, each compared with their median;
    the second: the signs of the next four columns and rows. Coarse shapes alone would match
    different people, since portraits are much alike. An image of one colour gives 0, 0.

    Args:
        grey: uint8 (H, W).
    """
    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    spectrum = cv2.dct(small)
    coarse = spectrum[:8, :8].ravel()
    if np.abs(coarse[1:]).max() < 1:
        return 0, 0
    fine = np.concatenate([spectrum[:8, 8:12].ravel(), spectrum[8:12, :8].ravel()])
    return _pack(coarse > np.median(coarse)), _pack(fine > 0)


def _pack(bits: np.ndarray) -> int:
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _measure_mask(look: np.ndarray, pixels: np.ndarray, lossy: bool) -> None:
    """Measure the share of a mask that is set, as in ``read_mask``, and the share that is grey.

    After lossy compression only the middle half of the value range counts as grey.
    """
    white = 1 if not lossy and pixels.max() <= 1 else int(np.iinfo(pixels.dtype).max)
    values = cv2.transform(pixels, np.full((1, 3), 1 / 3))
    margin = white // 4 if lossy else 0
    look["marked"] = np.mean(values > white // 2)
    look["grey"] = np.mean((values > margin) & (values < white - margin))


# Messages of decoders


@contextmanager
def _capture_stderr() -> Iterator[list[str]]:
    """Collect decoders' damage messages from stderr: libjpeg fills gaps and only prints them."""
    file, messages = _stderr_file(), list[str]()
    kept = os.dup(2)
    os.dup2(file.fileno(), 2)
    try:
        yield messages
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        if os.fstat(file.fileno()).st_size:
            lines = _drain(file).splitlines()
            messages += [
                line for line in lines if line.startswith(("Corrupt JPEG", "libpng error"))
            ]


@functools.cache
def _stderr_file() -> IO[bytes]:
    return tempfile.TemporaryFile()


def _drain(file: IO[bytes]) -> str:
    file.seek(0)
    text = file.read().decode(errors="replace")
    file.seek(0)
    file.truncate()
    return text
