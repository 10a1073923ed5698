from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from focus.data import images
from focus.data.images import (
    FacePath,
    UnreadableError,
    read_face,
    read_image,
    read_mask,
    split_path,
)
from tests.focus.data.drawn_images import encode, write

HEIGHT, WIDTH = 40, 60


def draw_image(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Coloured patches without symmetry, so that a swapped channel or a flip shows."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2] = (250, 30, 0)
    image[:, : width // 3, 1] = 200
    image[height // 3 :, width // 2 :] = (10, 20, 240)
    return image


def jpeg_with_thumbnail(progressive: bool) -> bytes:
    """A JPEG whose EXIF holds a whole JPEG, with a second end marker."""
    image = Image.fromarray(draw_image(400, 600))
    small = encode(image.resize((90, 60)), "JPEG")
    offset = 8 + 2 + 4 + 2 + 2 * 12 + 4
    ifd1 = struct.pack("<HHHIIHHIII", 2, 0x201, 4, 1, offset, 0x202, 4, 1, len(small), 0)
    tiff = b"II*\0" + struct.pack("<IHI", 8, 0, 14) + ifd1 + small
    return encode(image, "JPEG", progressive=progressive, exif=b"Exif\0\0" + tiff)


ORIGINAL = Image.fromarray(draw_image())
SHADES = Image.fromarray((np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % 256).astype(np.uint8))


def with_alpha() -> Image.Image:
    image = ORIGINAL.copy()
    image.putalpha(SHADES)
    return image


KINDS = {
    "jpeg": (ORIGINAL, "JPEG", {"quality": 100, "subsampling": 0}),
    "jpeg-grey": (SHADES, "JPEG", {"quality": 100}),
    "jpeg-progressive": (ORIGINAL, "JPEG", {"quality": 95, "progressive": True}),
    "png": (ORIGINAL, "PNG", {}),
    "png-grey": (SHADES, "PNG", {}),
    "png-palette": (ORIGINAL.convert("P", palette=Image.Palette.ADAPTIVE), "PNG", {}),
    "png-bilevel": (ORIGINAL.convert("1"), "PNG", {}),
    "png-grey-alpha": (SHADES.convert("LA"), "PNG", {}),
    "webp": (ORIGINAL, "WEBP", {"lossless": True}),
    "webp-lossy": (ORIGINAL, "WEBP", {"quality": 95}),
    "bmp": (ORIGINAL, "BMP", {}),
    "bmp-grey": (SHADES, "BMP", {}),
    "tiff": (ORIGINAL, "TIFF", {}),
    "tiff-grey": (SHADES, "TIFF", {}),
    "tiff-palette": (ORIGINAL.convert("P", palette=Image.Palette.ADAPTIVE), "TIFF", {}),
    "tiff-lzw": (ORIGINAL, "TIFF", {"compression": "tiff_lzw"}),
    "tiff-deflate": (ORIGINAL, "TIFF", {"compression": "tiff_deflate"}),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_reads_as_pillow_reads_it(name: str, tmp_path: Path) -> None:
    image, kind, options = KINDS[name]
    data = encode(image, kind, **options)
    read = read_image(write(tmp_path / "no suffix", data))
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert read.dtype == np.uint8
    assert read.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(read.astype(int) - expected).max() <= (6 if "lossy" in name else 3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_exif_orientation_is_applied(kind: str, orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x112] = orientation
    options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    data = encode(ORIGINAL, kind, exif=exif, **options)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    read = read_image(write(tmp_path / "turned", data))
    assert read.shape == expected.shape
    assert np.abs(read.astype(int) - expected).max() <= 3


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_colours_under_alpha_are_the_files_own(kind: str, tmp_path: Path) -> None:
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    read = read_image(write(tmp_path / "clear", encode(with_alpha(), kind, **options)))
    assert np.array_equal(read, draw_image())


def test_transparent_tiff_is_refused_and_an_opaque_one_read(tmp_path: Path) -> None:
    opaque = ORIGINAL.copy()
    opaque.putalpha(255)
    assert np.array_equal(read_image(write(tmp_path / "o", encode(opaque, "TIFF"))), draw_image())
    with pytest.raises(UnreadableError, match="transparent TIFF"):
        read_image(write(tmp_path / "t", encode(with_alpha(), "TIFF")))


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_are_scaled_to_eight(suffix: str, channels: int, tmp_path: Path) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (9, 7, channels), dtype=np.uint16)
    path = tmp_path / f"deep{suffix}"
    cv2.imwrite(str(path), deep)
    colours = deep[..., 2::-1] if channels > 1 else np.repeat(deep, 3, axis=2)
    assert np.array_equal(read_image(path), np.round(colours / 257).astype(np.uint8))


def test_float_pixels_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "float.tiff"
    cv2.imwrite(str(path), np.full((5, 5, 3), 0.5, np.float32))
    with pytest.raises(UnreadableError, match=r"float32|cannot be decoded"):
        read_image(path)


WHOLE = {
    "jpeg": encode(Image.fromarray(draw_image(300, 200)), "JPEG"),
    "jpeg-progressive": encode(Image.fromarray(draw_image(300, 200)), "JPEG", progressive=True),
    "jpeg-thumbnail": jpeg_with_thumbnail(False),
    "jpeg-thumbnail-progressive": jpeg_with_thumbnail(True),
    "png": encode(Image.fromarray(draw_image(300, 200)), "PNG"),
    "webp": encode(Image.fromarray(draw_image(300, 200)), "WEBP"),
    "webp-exif": encode(Image.fromarray(draw_image(300, 200)), "WEBP", exif=b"Exif\0\0II*\0"),
    "bmp": encode(ORIGINAL, "BMP"),
    "tiff": encode(ORIGINAL, "TIFF"),
    "tiff-lzw": encode(ORIGINAL, "TIFF", compression="tiff_lzw"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_truncated_file_is_refused_in_silence(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = WHOLE[name]
    read_image(write(tmp_path / "whole", data))
    lengths = {1, 3, 10, 20, 30, *(len(data) * part // 10 for part in range(1, 10)), len(data) - 1}
    for length in sorted(lengths):
        with pytest.raises(UnreadableError, match=r"truncated|not an image"):
            read_image(write(tmp_path / "cut", data[:length]))
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


@pytest.mark.parametrize("name", [name for name in WHOLE if name.startswith("jpeg")])
def test_the_end_of_a_jpeg_is_looked_for_behind_its_last_scan(name: str, tmp_path: Path) -> None:
    data = WHOLE[name]
    read_image(write(tmp_path / "trailer", data + b"\0camera's trailer" * 9))
    for cut in (data[:-2], data[: len(data) // 2] + bytes(len(data))):
        with pytest.raises(UnreadableError, match="end of the file is missing"):
            read_image(write(tmp_path / "cut", cut))


def test_what_is_no_image_says_why(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").mkdir()
    reasons = {
        tmp_path / "missing.jpg": "no such file",
        tmp_path / "x.jpg": "is a directory",
        tmp_path / "x.jpg" / "y.jpg": "no such file",
        write(tmp_path / "empty.png", b""): "empty",
        write(tmp_path / "text.png", b"<html>404</html>"): "not an image",
        write(tmp_path / "magic.jpg", b"\xff\xd8\xff"): "header is damaged",
        write(tmp_path / "noise.jpg", b"\xff\xd8\xff" + b"noise" * 99): "damaged",
        tmp_path / "zero\0byte": "null byte",
    }
    for path, reason in reasons.items():
        with pytest.raises(UnreadableError, match=reason) as caught:
            read_image(path)
        assert "\n" not in str(caught.value)


def test_no_permission_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "mine.png", encode(ORIGINAL, "PNG"))
    if not hasattr(os, "geteuid") or os.geteuid() == 0:  # may read everything: let the call say no

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("builtins.open", refuse)
    else:
        path.chmod(0)
    with pytest.raises(UnreadableError, match=r"^permission denied$"):
        read_image(path)


def huge_png(side: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def patched(data: bytes, place: int, layout: str, *values: int) -> bytes:
    new = bytearray(data)
    struct.pack_into(layout, new, place, *values)
    return bytes(new)


def huge_files() -> dict[str, bytes]:
    jpeg, tiff = encode(ORIGINAL, "JPEG"), encode(ORIGINAL, "TIFF")
    sides = tiff.index(struct.pack("<HHI", 256, 4, 1)), tiff.index(struct.pack("<HHI", 257, 4, 1))
    tiff = patched(patched(tiff, sides[0] + 8, "<I", 10**5), sides[1] + 8, "<I", 10**5)
    webp = encode(ORIGINAL, "WEBP", exif=b"Exif\0\0II*\0")
    return {
        "png": huge_png(10**5),
        "jpeg": patched(jpeg, jpeg.index(b"\xff\xc0") + 5, ">HH", 65500, 65500),
        "bmp": patched(encode(ORIGINAL, "BMP"), 18, "<ii", 10**5, -(10**5)),
        "tiff": tiff,
        "webp": patched(webp, 24, "<IH", 0xFFFFFFFF, 0xFFFF),
    }


@pytest.mark.parametrize("kind", ["png", "jpeg", "bmp", "tiff", "webp"])
def test_an_absurd_size_is_refused_before_decoding(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "bomb", huge_files()[kind])
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("the decoder was asked"))
    with pytest.raises(UnreadableError, match="declares"):
        read_image(path)


@pytest.mark.parametrize(("smallest", "factor"), [(1000, 1), (151, 1), (150, 2), (75, 4), (30, 8)])
def test_a_large_jpeg_is_decoded_at_a_part_of_its_size(
    smallest: int, factor: int, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    soft = cv2.GaussianBlur(draw_image(600, 800), (0, 0), 16)
    path = write(tmp_path / "a", encode(Image.fromarray(soft), "JPEG", quality=95, exif=exif))
    full, part = read_image(path), read_image(path, smallest)
    assert part.shape == (800 // factor, 600 // factor, 3)
    expected = cv2.resize(full, part.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(part.astype(int) - expected).mean() < 1
    png = write(tmp_path / "b", encode(Image.fromarray(soft), "PNG"))
    assert read_image(png, smallest).shape == soft.shape


TRUTH = np.zeros((HEIGHT, WIDTH), bool)
TRUTH[5:20, 8:40] = True


@pytest.mark.parametrize(
    ("values", "suffix"),
    [
        (TRUTH * np.uint8(255), ".png"),
        (TRUTH * np.uint8(255), ".bmp"),
        (TRUTH * np.uint8(255), ".tiff"),
        (TRUTH * np.uint8(1), ".png"),
        (np.repeat((TRUTH * np.uint8(1))[..., None], 3, 2), ".png"),
        (TRUTH * np.uint16(65535), ".png"),
        (TRUTH * np.uint16(1), ".tiff"),
        (np.where(TRUTH, 128, 127).astype(np.uint8), ".png"),
        (np.where(TRUTH[..., None], (0, 129, 254), (0, 128, 254)).astype(np.uint8), ".png"),
        (np.repeat((TRUTH * np.uint8(255))[..., None], 3, 2), ".png"),
    ],
)
def test_masks(values: np.ndarray, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"mask{suffix}"
    cv2.imwrite(str(path), values)
    mask = read_mask(path)
    assert mask.dtype == bool
    assert np.array_equal(mask, TRUTH)


def test_a_jpeg_mask_has_no_ones(tmp_path: Path) -> None:
    edges = cv2.imencode(".jpg", TRUTH * np.uint8(255), [cv2.IMWRITE_JPEG_QUALITY, 75])[1]
    assert np.array_equal(read_mask(write(tmp_path / "a.jpg", edges.tobytes())), TRUTH)
    dark = cv2.imencode(".jpg", np.ones((16, 16), np.uint8))[1]
    path = write(tmp_path / "b.jpg", dark.tobytes())
    assert read_image(path).max() == 1
    assert not read_mask(path).any()


def test_an_empty_mask_is_false_everywhere(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "m.png"), np.zeros((4, 5), np.uint8))
    mask = read_mask(tmp_path / "m.png")
    assert mask.shape == (4, 5)
    assert not mask.any()


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("a/b.png", FacePath("a/b.png")),
        ("clip.mp4", FacePath("clip.mp4")),
        ("clip.mp4#120", FacePath("clip.mp4", frame=120)),
        ("clip.mp4#120.1", FacePath("clip.mp4", frame=120, face=1)),
        ("photo.jpg#0.1", FacePath("photo.jpg", frame=0, face=1)),
        ("a.tar.gz!/member.png", FacePath("a.tar.gz", "member.png")),
        ("7/a.TGZ!/./7/real/0 1.png#0.2", FacePath("7/a.TGZ", "./7/real/0 1.png", 0, 2)),
        ("set #3/a#b.jpg", FacePath("set #3/a#b.jpg")),
        ("take#2/clip #1.mp4#7", FacePath("take#2/clip #1.mp4", frame=7)),
        ("wow!/a.zip.png", FacePath("wow!/a.zip.png")),
        ("mp4#1.png", FacePath("mp4#1.png")),
    ],
)
def test_split_path(path: str, parts: FacePath) -> None:
    assert split_path(path) == parts


def test_read_face_takes_any_name_and_leads_out_of_the_root(tmp_path: Path) -> None:
    root = tmp_path / "index"
    root.mkdir()
    name = "Zoë #3, 脸.png"
    path = write(tmp_path / name, encode(ORIGINAL, "PNG"))
    for key in (f"../{name}", str(path)):
        assert np.array_equal(read_face(root, key), draw_image())


def test_read_face_crops_by_its_box(tmp_path: Path) -> None:
    write(tmp_path / "a.png", encode(ORIGINAL, "PNG"))
    inside = read_face(tmp_path, "a.png#0.0", "10 5 30 25")
    assert np.array_equal(inside, draw_image()[5:25, 10:30])
    beyond = read_face(tmp_path, "a.png#0.1", "-4 -3 70.2 50")
    assert beyond.shape == (53, 74, 3)
    assert np.array_equal(beyond[3 : 3 + HEIGHT, 4 : 4 + WIDTH], draw_image())
    assert np.array_equal(beyond[:3, 4 : 4 + WIDTH], draw_image()[3:0:-1])
    assert np.array_equal(beyond[3 : 3 + HEIGHT, :4], draw_image()[:, 4:0:-1])
    assert np.array_equal(read_face(tmp_path, "a.png", "10 5 30 25"), draw_image())


@pytest.mark.parametrize(
    ("path", "box", "reason"),
    [
        ("a.png#0.0", "", "its row has no box"),
        ("a.png#0.0", "1 2 3", "is not 'left top right bottom'"),
        ("a.png#0.0", "1 2 x 4", "is not 'left top right bottom'"),
        ("a.png#0.0", "nan 2 inf 4", "is not 'left top right bottom'"),
        ("a.png#0.0", "30 5 10 25", "does not fit"),
        ("a.png#0.0", "100 5 110 25", "does not fit the image of 60 x 40"),
        ("a.png#0.0", "0 0 99999 99999", "does not fit"),
        ("a.png#3", "", "frame 3 of a still image"),
        ("clip.mp4", "", "a whole video: name one of its frames, such as clip.mp4#0"),
        ("a.zip!/clip.mp4#3", "", "unpack the archive"),
    ],
)
def test_read_face_says_what_is_wrong(path: str, box: str, reason: str, tmp_path: Path) -> None:
    write(tmp_path / "a.png", encode(ORIGINAL, "PNG"))
    with pytest.raises(UnreadableError, match=reason):
        read_face(tmp_path, path, box)


def test_a_crop_is_cut_from_the_full_image(tmp_path: Path) -> None:
    write(tmp_path / "a.jpg", encode(Image.fromarray(draw_image(800, 800)), "JPEG"))
    assert read_face(tmp_path, "a.jpg", smallest=50).shape == (100, 100, 3)
    assert read_face(tmp_path, "a.jpg#0.0", "100 100 500 500", smallest=50).shape == (400, 400, 3)


def test_the_bound_on_file_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.png", encode(ORIGINAL, "PNG"))
    monkeypatch.setattr(images, "MAX_FILE_BYTES", 10)
    with pytest.raises(UnreadableError, match="larger than"):
        read_image(path)
