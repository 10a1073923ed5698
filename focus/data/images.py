"""Images from disk: image files, frames of videos, members of archives, masks.

An image that cannot be read completely raises ``UnreadableError`` with the reason; it is never
replaced. Nothing here imports torch.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from focus.data import pillow
from focus.data.archives import read_member
from focus.data.cropping import crop
from focus.data.videos import (
    VIDEO_SUFFIXES,
    FrameReader,
    count_frames,
    read_frame,
    silence_opencv,
)
from focus.errors import UnreadableError

__all__ = [
    "IMAGE_SUFFIXES",
    "LOSSY_SUFFIXES",
    "UNSUPPORTED_SUFFIXES",
    "VIDEO_SUFFIXES",
    "FacePath",
    "FrameReader",
    "UnreadableError",
    "count_frames",
    "decode_pixels",
    "inspect_header",
    "read_bytes",
    "read_face",
    "read_image",
    "read_mask",
    "split_path",
]

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff"),
    *pillow.PILLOW_SUFFIXES,
)
UNSUPPORTED_SUFFIXES = (
    *(".jxl", ".jxr", ".psd", ".svg", ".tga", ".exr", ".hdr", ".ico", ".pbm", ".pgm", ".ppm"),
    *(".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".raw"),
)
"""Suffixes of image formats that are not supported."""
LOSSY_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", *pillow.PILLOW_SUFFIXES[1:])
_BY_PILLOW = -2  # in place of OpenCV's flags
MAX_PIXELS = 2**28
MAX_FILE_BYTES = 2**31
_PACKINGS = {50000: "Zstandard", 50001: "WebP", 34925: "LZMA", 34887: "LERC"}  # of TIFF
_PIXELS_A_BYTE, _DEFLATED = 512, 1032  # tightest compression of JPEG and of deflate
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # per pixel, by PNG colour type

_ARCHIVED = re.compile(
    r"(.*?(?:\.(?:tar|tar\.gz|tgz|zip|parquet|json)|_lmdb))!/(.+)", re.IGNORECASE | re.DOTALL
)
_FRAMED = re.compile(r"(.+)#([0-9]{1,9})(?:\.([0-9]{1,9}))?", re.DOTALL)


class FacePath(NamedTuple):
    """The parts of an index path; a still image has the single frame 0."""

    file: str
    member: str = ""
    frame: int | None = None
    face: int | None = None


def split_path(path: str) -> FacePath:
    """Split an index path: ``photo.jpg#0.1``, ``clip.mp4#120.1``, ``a.tar.gz!/member.png``.

    Only digits at the very end are a frame and a face, so ``set #3/a#b.jpg`` is a plain file.
    """
    frame = face = None
    if "#" in path and (framed := _FRAMED.fullmatch(path)):
        path, frame = framed[1], int(framed[2])
        face = int(framed[3]) if framed[3] else None
    archived = _ARCHIVED.fullmatch(path) if "!/" in path else None
    file, member = (archived[1], archived[2]) if archived else (path, "")
    return FacePath(file, member, frame, face)


def read_face(
    root: Path,
    path: str,
    box: str = "",
    smallest: int | None = None,
    change: Callable[[np.ndarray], np.ndarray] | None = None,
) -> np.ndarray:
    """Read the image of an index row.

    Args:
        root: folder of the index; ``path`` may be absolute or point outside it.
        path: an image, a frame of a video (``clip.mp4#120``) or a member of an archive.
        box: "left top right bottom" in pixels of the upright image, right and bottom excluded.
            The image is cropped if ``path`` names a face (``clip.mp4#120.1``), see ``crop``.
        smallest: as in ``read_image``; a crop is always cut from the full image.
        change: function applied to the whole image before cropping.

    Returns:
        uint8 (H, W, 3), RGB.

    Raises:
        UnreadableError: as in ``read_image`` and ``FrameReader``; a video without a frame; a
            missing or wrong box.
    """
    where = split_path(path)
    cropped = where.face is not None
    whole = _read_pixels(root, where, None if cropped or change else smallest)
    image = change(_to_bytes(whole)) if change else _to_bytes(whole)
    return _crop(image, box) if cropped else image


def read_image(path: Path, smallest: int | None = None) -> np.ndarray:
    """Read an image file in any format of ``IMAGE_SUFFIXES``, recognised by its first bytes.

    EXIF orientation is applied, grey is replicated, 16 bits are scaled to 8. Alpha is dropped, not
    blended: the colours under it are original pixels, and blending would create new ones.

    Args:
        path: the file.
        smallest: the shorter side that is needed. A JPEG whose shorter side is at least 2n times as
            long is decoded at 1/n of its size (n = 2, 4 or 8), which is faster; others in full.

    Returns:
        uint8 (H, W, 3), RGB.

    Raises:
        UnreadableError: missing, a folder, not permitted, empty, not an image, truncated, damaged,
            more than 2**28 pixels by its header (checked before allocation), pixels of unknown
            range (float), or colours that OpenCV would change (transparent TIFF).
    """
    return _to_bytes(decode_pixels(read_bytes(path), smallest))


def read_mask(path: Path) -> np.ndarray:
    """Read a binary mask: True (manipulated) where the mean over channels is above half of white.

    White is 255, or 65535 at 16 bits. In a file without a value above 1, white is 1, except in a
    lossy format or a video, where 1 is noise. ``path`` may name a frame or an archive member, as in
    an index.

    Returns:
        bool (H, W).

    Raises:
        UnreadableError: as in ``read_image``.
    """
    where = split_path(str(path))
    pixels = _read_pixels(Path(), where)
    exact = not (where.member or where.file).lower().endswith((*LOSSY_SUFFIXES, *VIDEO_SUFFIXES))
    white = 1 if exact and pixels.max() <= 1 else np.iinfo(pixels.dtype).max
    # The mean of three integers is never n + 1/2, so rounding does not change the comparison.
    return cv2.transform(pixels, np.full((1, 3), 1 / 3)) > white // 2


def _read_pixels(root: Path, where: FacePath, smallest: int | None = None) -> np.ndarray:
    """Read an index path as RGB (H, W, 3), uint8 or uint16."""
    path = root / where.file
    is_video = (where.member or where.file).lower().endswith(VIDEO_SUFFIXES)
    if where.member and is_video:
        raise UnreadableError("a video inside an archive: unpack the archive")
    if is_video and where.frame is None:
        raise UnreadableError(f"a whole video: name one of its frames, such as {path.name}#0")
    if is_video:
        return read_frame(path, where.frame or 0)
    if where.frame:
        raise UnreadableError(f"frame {where.frame} of a still image")
    data = read_member(path, where.member) if where.member else read_bytes(path)
    return decode_pixels(data, smallest)


def _to_bytes(pixels: np.ndarray) -> np.ndarray:
    return cv2.convertScaleAbs(pixels, alpha=1 / 257) if pixels.dtype == np.uint16 else pixels


def _crop(image: np.ndarray, box: str) -> np.ndarray:
    """Return a crop, see :func:`~focus.data.cropping.crop`."""
    try:
        left, top, right, bottom = (round(float(side)) for side in box.split())
    except (ValueError, OverflowError):
        reason = f"box {box!r} is not 'left top right bottom'" if box else "its row has no box"
        raise UnreadableError(f"the path names a face, but {reason}") from None
    part = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if part.size == 0 or (bottom - top) * (right - left) > MAX_PIXELS:
        size = f"{image.shape[1]} x {image.shape[0]}"
        raise UnreadableError(f"box {box!r} does not fit the image of {size} pixels")
    return crop(image, (left, top, right, bottom))


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file.

    Raises:
        UnreadableError: missing, a folder, not permitted, or more than 2 GiB.
    """
    try:
        with open(path, "rb", buffering=0) as file:  # unbuffered: one read, no copy
            if os.fstat(file.fileno()).st_size > MAX_FILE_BYTES:
                raise UnreadableError("larger than 2 GiB: not an image")
            return file.read()
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise UnreadableError.because(error) from None


def decode_pixels(data: bytes, smallest: int | None = None) -> np.ndarray:
    """Decode the bytes of an image file to RGB (H, W, 3), uint8 or uint16, as in ``read_image``.

    Raises:
        UnreadableError: as in ``read_image``.
    """
    height, width, flags = inspect_header(data)
    if flags == _BY_PILLOW:
        return pillow.decode(data, pillow.identify(data))
    if smallest and flags == cv2.IMREAD_COLOR_RGB:
        flags = _reduce(min(height, width), smallest)
    try:
        with silence_opencv():
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        raise UnreadableError(f"cannot be decoded: {_explain_failure(data)}")
    is_rgb = flags != cv2.IMREAD_UNCHANGED and flags & cv2.IMREAD_COLOR_RGB
    return image if is_rgb else _to_rgb(image)


def inspect_header(data: bytes) -> tuple[int, int, int]:
    """Return height, width (without EXIF orientation; plain WebP: 0, 0) and OpenCV's flags.

    Raises:
        UnreadableError: not an image, truncated, a damaged header, or one that declares more than
            2**28 pixels or more than the file can contain.
    """
    try:
        height, width, flags = _inspect(data)
    except (struct.error, IndexError, KeyError):
        raise UnreadableError("its header is damaged or truncated") from None
    return height, width, flags


def _inspect(data: bytes) -> tuple[int, int, int]:
    """Read size and flags from the header; refuse a file without an end marker.

    OpenCV may silently fill a truncated file with grey, and allocates any size that a header
    declares.
    """
    whole, flags = True, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_ANYDEPTH
    held = 2**64
    if data.startswith(b"\xff\xd8\xff"):
        flags = cv2.IMREAD_COLOR_RGB
        height, width = _jpeg_size(data)
        # Huffman coding needs at least one bit for each block of 64 pixels.
        held = _PIXELS_A_BYTE * len(data)
        # An EXIF thumbnail has its own end marker, but the image's scan starts after it.
        end = data.rfind(b"\xff\xd9")
        whole = end > 0 and data.find(b"\xff\xda", end) < 0
    elif data.startswith(b"\x89PNG\r\n\x1a\n"):
        width, height, depth, colours = struct.unpack_from(">IIBB", data, 16)
        row = 1 + width * depth * _SAMPLES.get(colours, 1) // 8
        held = _DEFLATED * len(data) // row * width
        whole = _has_png_end(data)
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        # Only the extended header can declare more than 2**14 pixels a side.
        extended = data[12:16] == b"VP8X"
        width = 1 + int.from_bytes(data[24:27], "little") if extended else 0
        height = 1 + int.from_bytes(data[27:30], "little") if extended else 0
        whole = len(data) >= 8 + struct.unpack_from("<I", data, 4)[0]
    elif data.startswith((b"II*\0", b"MM\0*")):
        flags = cv2.IMREAD_UNCHANGED
        height, width = _tiff_size(data)
    elif data.startswith(b"BM"):
        old = struct.unpack_from("<I", data, 14)[0] == 12
        width, height = map(abs, struct.unpack_from("<HH" if old else "<ii", data, 18))
    elif kind := pillow.identify(data):
        flags = _BY_PILLOW
        height, width = pillow.read_size(data, kind)
    elif data.startswith((b"II+\0", b"MM\0+")):
        raise UnreadableError("BigTIFF is not supported: save it as a classic TIFF or PNG")
    else:
        known = "JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF, JPEG 2000 or HEIC"
        raise UnreadableError(f"not an image ({known})" if data else "the file is empty")
    if not whole:
        raise UnreadableError("truncated: the end of the file is missing")
    pixels = height * width
    if pixels > held or pixels > max(MAX_PIXELS, _PIXELS_A_BYTE * len(data)):
        raise UnreadableError(
            f"its header declares {width} x {height} pixels, too many for its bytes"
        )
    if pixels > MAX_PIXELS:
        most = MAX_PIXELS // 10**6
        raise UnreadableError(f"{width} x {height} pixels: more than {most} million; scale it down")
    return height, width, flags


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Walk the segments to the frame header (SOF0 to SOF15 without C4, C8 and CC)."""
    at = 2
    while data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return height, width
        at += 1 if marker == 0xFF else 2 + (data[at + 2] << 8 | data[at + 3])
    raise IndexError


def _has_png_end(data: bytes) -> bool:
    """Walk the chunks to the last: OpenCV allocates the declared size of each, up to 4 GiB."""
    at = 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        at += 12 + length
        if kind == b"IEND":
            break
    else:
        return False
    return at <= len(data)


def _explain_failure(data: bytes) -> str:
    """Return why OpenCV may have failed to decode an image whose header is valid."""
    if data.startswith((b"II*\0", b"MM\0*")):
        packing = _PACKINGS.get(_read_tiff_tags(data).get(259, 1))
        if packing:
            return f"uses {packing} compression, which OpenCV lacks: save it with LZW or Deflate"
    return "damaged or truncated"


def _tiff_size(data: bytes) -> tuple[int, int]:
    """Return height and width of a TIFF."""
    tags = _read_tiff_tags(data)
    return tags[257], tags[256]


def _read_tiff_tags(data: bytes) -> dict[int, int]:
    """Return tag -> value of the first directory, such as 256 (ImageWidth)."""
    order = "<" if data.startswith(b"II") else ">"
    (start,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, start)
    values = {}
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        values[tag] = struct.unpack_from(order + ("H" if kind == 3 else "I"), data, entry + 8)[0]
    return values


def _reduce(side: int, smallest: int) -> int:
    if side // 8 >= 2 * smallest:
        return cv2.IMREAD_REDUCED_COLOR_8
    if side // 4 >= 2 * smallest:
        return cv2.IMREAD_REDUCED_COLOR_4
    return cv2.IMREAD_REDUCED_COLOR_2 if side // 2 >= 2 * smallest else cv2.IMREAD_COLOR_RGB


def _to_rgb(image: np.ndarray) -> np.ndarray:
    """Convert OpenCV's grey, BGR or BGRA to RGB."""
    if image.dtype not in (np.uint8, np.uint16):
        raise UnreadableError(f"{image.dtype} pixels, of unknown range: save it with 8 or 16 bits")
    if image.ndim == 2:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    if image.shape[2] == 3:
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    if image.dtype == np.uint8 and image[..., 3].min() < 255:
        raise UnreadableError("transparent TIFF, whose colours OpenCV darkens: save it as PNG")
    return cv2.cvtColor(image, cv2.COLOR_BGRA2RGB)
