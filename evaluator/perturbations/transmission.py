"""Corruptions from transmission: H.264 and JPEG compression, and resizing."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import cv2
import numpy as np

from focus.data.degrading import recompress
from focus.errors import InputError

ENCODER = "libx264"
_RATE = 25


def compress(image: np.ndarray, crf: float, _: np.random.Generator) -> np.ndarray:
    """VC of a single image: :func:`compress_clip` with one frame.

    The loss is about that of a frame inside a clip at equal crf (0.1 to 0.7 dB less on a moving
    drawn face).
    """
    return compress_clip(image[None], int(crf))[0]


def compress_clip(frames: np.ndarray, crf: int) -> np.ndarray:
    """Encode frames with x264 at a constant rate factor (its default preset), and decode them.

    Args:
        frames: uint8 (T, H, W, 3) RGB, T >= 1. An odd side is padded by one for 4:2:0 chroma, and
            cropped afterwards.
        crf: 0 (lossless) to 51 (worst).

    Returns:
        uint8 (T, H, W, 3).

    Raises:
        InputError: PyAV, or x264 in it, is missing.
    """
    require_encoder()
    import av

    height, width = frames.shape[1:3]
    even = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    encoder: Any = av.CodecContext.create(ENCODER, "w")
    encoder.height, encoder.width = even.shape[1:3]
    encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, _RATE)
    encoder.options = {"crf": str(crf)}
    if len(even) == 1:
        # x264 encodes frames without references 1.9 to 2.7 dB worse, which would include a still.
        encoder.options |= {"x264-params": "mbtree=0"}
    encoder.thread_count = 1  # loader workers are parallel already; keeps results deterministic
    decoder: Any = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    packets = []
    for place, pixels in enumerate(even):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame.pts = place
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoded = [frame for packet in (*packets, None) for frame in decoder.decode(packet)]
    images = np.stack([frame.to_ndarray(format="rgb24") for frame in decoded])
    return images[:, :height, :width]


def require_encoder() -> None:
    """Check that an H.264 encoder is available.

    Raises:
        InputError: PyAV, or x264 in it, is missing.
    """
    fix = "install it with pip install 'focus-forgery[video]'"
    try:
        import av

        av.Codec(ENCODER, "w")
    except ImportError:
        raise InputError(f"compress needs an H.264 encoder, PyAV: {fix}") from None
    except ValueError:
        raise InputError(f"compress needs {ENCODER}, which this PyAV lacks: {fix}") from None


def code_jpeg(image: np.ndarray, quality: float, _: np.random.Generator) -> np.ndarray:
    """Encode as JPEG (libjpeg's quality, 4:2:0 chroma) and decode."""
    return recompress(image, int(quality))


def resize_back(image: np.ndarray, factor: float, _: np.random.Generator) -> np.ndarray:
    """Shrink both sides by ``factor`` (area averaging), then enlarge bicubically to the old size.

    Unlike in pixelation, the small image has no aliasing.
    """
    height, width = image.shape[:2]
    small = max(1, round(width * factor)), max(1, round(height * factor))
    shrunk = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    return cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_CUBIC)
