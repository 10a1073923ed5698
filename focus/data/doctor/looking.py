"""A look at one file: its bytes read once, its image measured and let go.

What is kept of a file is the fixed record ``LOOK``, so that a million of them fit in memory.
Nothing here imports torch: it runs in processes of its own.
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
from focus.errors import UnreadableError

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
        ("height", np.int32),  # upright; 0: not known
        ("width", np.int32),
        ("bytes", np.int64),
        ("digest", np.uint64),  # of the bytes; 0: not known
        ("hash", np.uint64),  # perceptual, see hash_picture; 0: not known
        ("detail", np.uint64),
        ("quantisation", np.int32),  # sum over the tables of a JPEG
        ("subsampling", np.int32),  # sampling factors of a JPEG's components, a byte each
        ("exif", np.bool_),
        ("brightness", np.float32),  # mean of grey, in [0, 255]; NaN: not looked at
        ("sharpness", np.float32),  # variance of the Laplacian at a side of 64 to 127; or NaN
        ("marked", np.float32),  # share of a mask that is set; NaN: no mask, or not looked at
        ("grey", np.float32),  # share of a mask that is neither black nor white
        ("frames", np.int32),  # of a whole video: those that decode
        ("promised", np.int32),  # and those of the container's header
    ]
)
SMALLEST = 32
BOMB_PIXELS, BOMB_RATIO = 2**24, 300
"""A larger image of more pixels per byte is not decoded: no photograph or mask is so empty."""
_EDGE_BYTES = 2**16
_LOSSY = (*LOSSY_SUFFIXES, *VIDEO_SUFFIXES)
_MAGIC = {b"\xff\xd8": 1, b"\x89P": 2, b"RI": 3, b"II": 4, b"MM": 4, b"BM": 5}


class Task(NamedTuple):
    """One file to look at."""

    place: int
    path: str
    """An image, a video, a frame of one, or an archive member."""
    box: str
    """The face's box, if the path names a face in an image."""
    role: int
    """FACE, MASK and ORIGINAL as bits; what is an original only is not decoded."""


Seen = tuple[np.ndarray, dict[int, str]]


def start_process() -> None:
    """Prepare a process that looks at files."""
    cv2.setNumThreads(0)


def look_at_all(root: Path, quick: bool, tasks: Sequence[Task]) -> Seen:
    """Look at some files of a folder: ``LOOK`` in their order, and by place what is wrong."""
    looks, reasons = np.zeros(len(tasks), LOOK), {}
    for at, task in enumerate(tasks):
        looks[at], reason = look_at(root, task.path, task.box, task.role, quick)
        if reason:
            reasons[task.place] = reason
    return looks, reasons


def look_at(root: Path, path: str, box: str, role: int, quick: bool) -> tuple[np.ndarray, str]:
    """Look at one file, see ``Task``; with ``quick`` decode nothing of it.

    Returns:
        A ``LOOK`` record, and why the file is not fine (else empty); never raises.
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
        with _overhearing() as heard:
            look_closer(look, root, where, role, quick)
    except UnreadableError as error:
        reason = str(error)
    except Exception as error:  # whatever a hostile file does to a decoder is a finding
        reason = " ".join(f"{type(error).__name__}: {error}".split())
    else:
        look["status"] = DAMAGED if heard else FINE
        return look, "".join(heard[:1])
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
            f"{len(data)} bytes promise {width} x {height} pixels: a decompression bomb"
        )
    if FORMATS[look["format"]] == "JPEG":
        try:
            look["quantisation"], look["subsampling"] = read_compression(data)
        except (IndexError, ValueError, struct.error):
            raise UnreadableError("its header is damaged") from None
    # An original is looked at for its size alone, which only EXIF can turn.
    if quick or (role == ORIGINAL and not look["exif"] and height):
        return
    pixels = decode_pixels(data, None if role & MASK else SMALLEST)
    look["height"], look["width"] = _find_size(pixels, data, height, width)
    if role & FACE:
        _measure_picture(look, pixels)
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
        The sum of its quantisation tables (the lower, the better the quality), and the sampling
        factors of its components, one byte each with the first lowest: 0x111122 is 4:2:0.
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
    """Sum the tables of a DQT segment: each one byte of precision and number, and 64 values."""
    total = at = 0
    while at < len(segment):
        size = 128 if segment[at] >> 4 else 64
        values = np.frombuffer(segment[at + 1 : at + 1 + size], ">u2" if size == 128 else np.uint8)
        total += int(values.sum())
        at += 1 + size
    return total


def _find_size(pixels: np.ndarray, data: bytes, height: int, width: int) -> tuple[int, int]:
    """Return the upright size of an image that may have been decoded at a part of its own."""
    shown = pixels.shape
    if shown[:2] in ((height, width), (width, height)) or not height:
        return shown[0], shown[1]
    if shown[0] == shown[1] and height != width:  # too small to tell which way it was turned
        shown = decode_pixels(data).shape
        return shown[0], shown[1]
    return (height, width) if (shown[0] > shown[1]) == (height > width) else (width, height)


# Frames and videos


def _look_at_frame(
    look: np.ndarray, root: Path, where: FacePath, role: int, quick: bool, path: str, box: str
) -> None:
    """Look at a frame of a video, or at a face in an image."""
    if quick:
        (root / where.file).stat()
        return
    whole = path.rpartition(".")[0] if role == MASK and where.face is not None else path
    picture = read_face(root, whole, box)
    look["height"], look["width"] = picture.shape[:2]
    if role & FACE:
        _measure_picture(look, picture)
    if role & MASK:
        _measure_mask(look, picture, lossy=True)


def _look_at_video(look: np.ndarray, root: Path, where: FacePath, role: int, quick: bool) -> None:
    path = root / where.file
    reader = FrameReader(path)
    look["format"] = FORMATS.index("video")
    look["bytes"], look["digest"] = path.stat().st_size, _digest_edges(path)
    with silence_opencv():
        capture = cv2.VideoCapture(os.path.abspath(path), cv2.CAP_FFMPEG)
    # A container without a count gives an absurd one.
    look["promised"] = np.clip(capture.get(cv2.CAP_PROP_FRAME_COUNT), 0, 2**30)
    look["height"] = capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
    look["width"] = capture.get(cv2.CAP_PROP_FRAME_WIDTH)
    if quick:
        return
    look["frames"] = reader.frames
    sampled = (1, 3, 5, 7, 9) if role & MASK else (5,)
    pictures = [reader.read(reader.frames * tenth // 10) for tenth in sampled]
    look["height"], look["width"] = pictures[0].shape[:2]
    if role & FACE:
        _measure_picture(look, pictures[len(pictures) // 2])
    if role & MASK:
        _measure_mask(look, np.concatenate(pictures), lossy=True)


def _digest_edges(path: Path) -> int:
    """Digest a video by its length and ends: reading all of it takes as long as decoding."""
    with path.open("rb") as file:
        head = file.read(_EDGE_BYTES)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - _EDGE_BYTES, 0))
        return _digest(size.to_bytes(8, "little") + head + file.read())


# Pixels


def _measure_picture(look: np.ndarray, pixels: np.ndarray) -> None:
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
    look["hash"], look["detail"] = hash_picture(grey)


def hash_picture(grey: np.ndarray) -> tuple[int, int]:
    """Return twice 64 bits that look-alikes share: coarse shapes, and finer detail.

    The first are the lowest 8 x 8 DCT coefficients of 32 x 32 pixels, each compared with their
    median; the second the signs of the next four columns and rows. Coarse shapes alone take
    strangers for look-alikes: portraits are much alike. An image of one colour gives 0, 0.

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
    """Measure which share of a mask is set, by the rule of ``read_mask``, and which is grey.

    After lossy compression only the middle half of the scale counts as grey.
    """
    white = 1 if not lossy and pixels.max() <= 1 else int(np.iinfo(pixels.dtype).max)
    values = cv2.transform(pixels, np.full((1, 3), 1 / 3))
    margin = white // 4 if lossy else 0
    look["marked"] = np.mean(values > white // 2)
    look["grey"] = np.mean((values > margin) & (values < white - margin))


# What decoders say


@contextmanager
def _overhearing() -> Iterator[list[str]]:
    """Collect what decoders print of damage: libjpeg fills up with grey, and says so only there."""
    ear, heard = _ear(), list[str]()
    kept = os.dup(2)
    os.dup2(ear.fileno(), 2)
    try:
        yield heard
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        if os.fstat(ear.fileno()).st_size:
            lines = _drain(ear).splitlines()
            heard += [line for line in lines if line.startswith(("Corrupt JPEG", "libpng error"))]


@functools.cache
def _ear() -> IO[bytes]:
    return tempfile.TemporaryFile()


def _drain(file: IO[bytes]) -> str:
    file.seek(0)
    text = file.read().decode(errors="replace")
    file.seek(0)
    file.truncate()
    return text
