"""Image formats that OpenCV may lack: GIF, AVIF and JPEG 2000 by Pillow, HEIC by pillow-heif."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from focus.errors import UnreadableError, shorten

if TYPE_CHECKING:
    from PIL.Image import Image

PILLOW_SUFFIXES = (".gif", ".avif", ".jp2", ".j2k", ".heic", ".heif")
_JPEG2000 = (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")
_JPEG_XL = (b"\0\0\0\x0cJXL \r\n\x87\n", b"\xff\x0a")
_AVIF, _HEIF = {b"avif", b"avis"}, {b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1"}
_GIF_PIXELS_A_BYTE = 2731  # a code of 12 bits encodes at most 4096 pixels


def identify(data: bytes) -> str:
    """Return Pillow's name for the format of a file, from its first bytes; "" for other formats.

    Raises:
        UnreadableError: JPEG XL, which is not supported.
    """
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if data.startswith(_JPEG2000):
        return "JPEG2000"
    if data.startswith(_JPEG_XL):
        raise UnreadableError("JPEG XL is not supported: convert it to PNG")
    if data[4:8] == b"ftyp":
        box = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
        brands = {box[:4], *(box[at : at + 4] for at in range(8, len(box), 4))}
        if brands & _AVIF:
            return "AVIF"
        return "HEIF" if brands & _HEIF else ""
    return ""


def read_size(data: bytes, kind: str) -> tuple[int, int]:
    """Return height and width from the header, before any memory is allocated for pixels.

    Raises:
        UnreadableError: a damaged header, one that declares more pixels than Pillow accepts or than
            a GIF of this size can contain, or HEIC without pillow-heif.
    """
    with _opened(data, kind) as image:
        width, height = image.size
    if kind == "GIF" and height * width > _GIF_PIXELS_A_BYTE * len(data):
        raise UnreadableError(
            f"its header declares {width} x {height} pixels, more than the file can contain"
        )
    return height, width


def decode(data: bytes, kind: str) -> np.ndarray:
    """Return the first frame, upright, as RGB (H, W, 3): uint8, or uint16 for 16-bit grey.

    Alpha is dropped, not blended.

    Raises:
        UnreadableError: as in ``read_size``, or truncated or damaged data.
    """
    with _opened(data, kind) as image:
        return to_pixels(image)


def to_pixels(image: Image) -> np.ndarray:
    """Return a Pillow image, upright, as RGB (H, W, 3): uint8, or uint16 for 16-bit grey.

    Alpha is dropped, not blended.

    Raises:
        UnreadableError: pixels of unknown range.
        OSError: truncated or damaged data.
    """
    from PIL import ImageOps

    image.load()
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I;16"):
        return np.repeat(np.asarray(upright, np.uint16)[..., None], 3, axis=2)
    if upright.mode in ("I", "F"):
        raise UnreadableError(f"pixels of mode {upright.mode}, of unknown range")
    return np.array(upright.convert("RGB"))


@contextmanager
def _opened(data: bytes, kind: str) -> Iterator[Image]:
    from PIL import Image

    if kind == "HEIF":
        try:
            import pillow_heif
        except ImportError:
            raise UnreadableError("HEIC: pip install 'focus-forgery[heif]' to read it") from None
        pillow_heif.register_heif_opener()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the caller limits the size
            with Image.open(io.BytesIO(data), formats=[kind]) as image:
                yield image
    except Image.DecompressionBombError:
        raise UnreadableError("its header declares too many pixels") from None
    except (OSError, ValueError, SyntaxError, EOFError, KeyError, RuntimeError) as error:
        reason = shorten(" ".join(str(error).split()), 120)
        if "cannot identify image file" in reason:
            reason = f"its header is damaged, or this Pillow cannot read {kind}"
        raise UnreadableError(f"cannot be decoded: {reason}") from None
