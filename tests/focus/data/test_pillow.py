"""Formats that Pillow reads."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from focus.data.images import (
    UnreadableError,
    inspect_header,
    read_face,
    read_image,
)
from tests.focus.data.drawn_images import encode, write


def saved_by_pillow(kind: str, image: np.ndarray, **options: object) -> bytes:
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    return encode(Image.fromarray(image), kind, **options)


def waves(height: int = 48, width: int = 64) -> np.ndarray:
    y, x = np.mgrid[:height, :width] / 12
    planes = [np.sin(x) + 1, np.cos(y) + 1, np.sin(x + y) + 1]
    return (127 * np.stack(planes, axis=-1)).astype(np.uint8)


@pytest.mark.parametrize(
    ("kind", "options", "error"),
    [
        ("GIF", {}, 12),
        ("AVIF", {"quality": 90}, 4),
        ("JPEG2000", {}, 0),
        ("JPEG2000", {"no_jp2": True}, 0),
        ("HEIF", {"quality": 95}, 4),
    ],
)
def test_other_formats_are_read_and_bounded(
    tmp_path: Path, kind: str, options: dict[str, object], error: float
) -> None:
    image = waves()
    data = saved_by_pillow(kind, image, **options)
    read = read_image(write(tmp_path / "a.jpg", data))  # by its first bytes, not by its name
    assert (read.shape, read.dtype) == (image.shape, np.uint8)
    assert np.abs(read.astype(int) - image).mean() <= error
    assert inspect_header(data)[:2] == (48, 64)
    for part in (data[: len(data) // 2], data[:40], data[:14]):
        with pytest.raises(UnreadableError):
            read_image(write(tmp_path / "cut", part))


def test_the_first_frame_of_a_gif_counts(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 10), (level, 0, 0)) for level in (200, 10)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert read_image(tmp_path / "a.gif").reshape(-1, 3).max(axis=0).tolist() == [200, 0, 0]
    assert read_face(tmp_path, "a.gif#0").shape == (10, 20, 3)
    with pytest.raises(UnreadableError, match="frame 1 of a still image"):
        read_face(tmp_path, "a.gif#1")


def test_an_avif_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn to the right
    image = waves()
    data = saved_by_pillow("AVIF", image, quality=90, exif=exif)
    read = read_image(write(tmp_path / "a.avif", data))
    assert np.abs(read.astype(int) - np.rot90(image, -1)).mean() < 4


def test_transparency_is_dropped(tmp_path: Path) -> None:
    image = np.dstack([waves(), np.full((48, 64), 9, np.uint8)])
    data = saved_by_pillow("JPEG2000", image)
    assert np.array_equal(read_image(write(tmp_path / "a.jp2", data)), waves())


@pytest.mark.parametrize("kind", ["GIF", "AVIF", "JPEG2000"])
def test_a_size_that_a_hostile_header_declares_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    data = bytearray(saved_by_pillow(kind, waves()))
    at = {"GIF": 6, "AVIF": data.find(b"ispe") + 8, "JPEG2000": data.find(b"ihdr") + 4}[kind]
    order = "<HH" if kind == "GIF" else ">II"
    struct.pack_into(order, data, at, 60000, 60000)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda *_: pytest.fail("decoded"))
    with pytest.raises(UnreadableError, match=r"declares|cannot be decoded"):
        read_image(write(tmp_path / "a", bytes(data)))


def test_heic_without_its_package_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = write(tmp_path / "a.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40))
    with pytest.raises(UnreadableError, match=r"HEIC: pip install 'focus-forgery\[heif\]'"):
        read_image(path)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xff\x0a" + bytes(40), "JPEG XL is not supported: convert it to PNG"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), "JPEG XL is not supported"),
        (b"II+\0\x08\0\0\0" + bytes(40), "BigTIFF is not supported"),
        (b"MM\0+\0\x08\0\0" + bytes(40), "BigTIFF is not supported"),
    ],
)
def test_formats_that_are_not_read_are_named(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableError, match=reason):
        read_image(write(tmp_path / "a", data))


@pytest.mark.parametrize(("code", "name"), [(50000, "Zstandard"), (50001, "WebP")])
def test_a_tiff_that_opencv_cannot_unpack_names_its_packing(
    tmp_path: Path, code: int, name: str
) -> None:
    data = bytearray(cv2.imencode(".tiff", waves())[1].tobytes())
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        if struct.unpack_from("<H", data, entry)[0] == 259:
            struct.pack_into("<H", data, entry + 8, code)
    with pytest.raises(UnreadableError, match=f"uses {name} compression, which OpenCV lacks"):
        read_image(write(tmp_path / "a.tif", bytes(data)))


def test_a_large_photograph_is_told_from_an_absurd_header(tmp_path: Path) -> None:
    small = cv2.imencode(".jpg", waves())[1].tobytes()
    at = small.find(b"\xff\xc0")
    assert at > 0
    large = bytearray(small)
    struct.pack_into(">HH", large, at + 5, 14000, 20000)
    comment = b"\xff\xfe" + struct.pack(">H", 60000) + bytes(59998)
    padded = bytes(large[:2]) + 10 * comment + bytes(large[2:])  # as many bytes as it may take
    with pytest.raises(UnreadableError, match=r"20000 x 14000 pixels: more than 268 million"):
        read_image(write(tmp_path / "a.jpg", padded))
    with pytest.raises(UnreadableError, match="declares 20000 x 14000 pixels, too many"):
        read_image(write(tmp_path / "b.jpg", bytes(large)))
