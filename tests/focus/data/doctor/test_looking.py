"""Facts of single files: compression, hashes, size, damage, archives, videos."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from focus.data.doctor import examine
from focus.data.doctor.looking import FACE, FINE, hash_image, look_at, read_compression
from focus.data.index import Face, FaceIndex
from tests.focus.data.doctor.making import SIZE, disc, draw_image, found, pairs, spoil


@pytest.mark.parametrize(("subsampling", "code"), [(0, 0x111111), (1, 0x111121), (2, 0x111122)])
def test_compression_is_read_as_another_library_reads_it(subsampling, code, tmp_path):
    path = tmp_path / "a.jpg"
    image = Image.fromarray(draw_image(0))
    image.save(path, quality=83, subsampling=subsampling, progressive=True)
    tables = Image.open(path).quantization
    assert read_compression(path.read_bytes()) == (sum(map(sum, tables.values())), code)
    image.convert("L").save(path, quality=10)
    assert read_compression(path.read_bytes())[1] == 0x11


def test_hashes_stay_through_saving_and_scaling_and_differ_between_images():
    grey = [cv2.cvtColor(draw_image(seed, 128, 128), cv2.COLOR_BGR2GRAY) for seed in range(30)]
    hashes = [hash_image(image) for image in grey]
    for image, (coarse, fine) in zip(grey, hashes, strict=True):
        code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 40])[1]
        saved = cv2.imdecode(code, cv2.IMREAD_GRAYSCALE)
        for again in (saved, cv2.resize(image, None, fx=0.5, fy=0.5)):
            other = hash_image(again)
            assert (coarse ^ other[0]).bit_count() <= 4
            assert (fine ^ other[1]).bit_count() <= 12
    apart = [(a[0] ^ b[0]).bit_count() for a in hashes for b in hashes if a is not b]
    assert min(apart) > 8
    assert hash_image(np.full((64, 64), 7, np.uint8)) == (0, 0)


def test_rotated_images_have_their_upright_size(tmp_path):
    exif = Image.Exif()
    exif[0x112] = 6
    for height, width in ((300, 500), (514, 513), (50, 40)):
        image = Image.fromarray(draw_image(1, height, width))
        image.save(tmp_path / "a.jpg", exif=exif)
        look, reason = look_at(tmp_path, "a.jpg", "", FACE, quick=False)
        assert (look["height"], look["width"], reason) == (width, height, "")
        assert look["status"] == FINE
        assert look["exif"]


def test_stray_bytes_are_a_warning_and_damage_is_serious(tmp_path):
    faces = pairs(tmp_path, 3)
    path = tmp_path / "a/v0.jpg"
    data = path.read_bytes()
    path.write_bytes(data[:-2] + bytes(12) + data[-2:])
    spoil(tmp_path / "a/v1.jpg")
    examination = examine(FaceIndex.of(faces, tmp_path))
    assert found(examination, "damaged files", "stray").severity == "warning"
    assert found(examination, "damaged files", "filled in").severity == "serious"


def test_archives_and_faces_in_frames_are_looked_at(tmp_path):
    import tarfile

    pairs(tmp_path, 2)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "a/v0.jpg", "./a/v0.jpg")
    faces = [
        Face("a.tar.gz!/a/v0.jpg"),
        Face("a.tar.gz!/a/gone.jpg"),
        Face("a/v1.jpg#0.0", extra={"box": "10 10 40 50"}),
        Face("a/v1.jpg#0.1", extra={"box": "10 10"}),
    ]
    examination = examine(FaceIndex.of(faces, tmp_path))
    assert examination.facts["sizes"] == {"40x30": 1, "64x64": 1}
    assert found(examination, "missing files").examples == ("a.tar.gz!/a/gone.jpg",)
    assert "left top right bottom" in found(examination, "unreadable files").examples[0]


def write_video(path, seed, frames=12, size=SIZE, mask=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    codec = "MJPG" if path.suffix == ".avi" else "mp4v"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10, (size, size))
    for _ in range(frames):
        shape = disc(size, size) if mask else None
        writer.write(cv2.merge([shape] * 3) if mask else draw_image(seed, size, size))
    writer.release()


def test_videos_are_examined_whole(tmp_path):
    for number in range(3):
        write_video(tmp_path / f"r/{number}.mp4", number)
        write_video(tmp_path / f"f/{number}.avi", 10 + number, size=96 if number == 2 else SIZE)
        write_video(tmp_path / f"m/{number}.mp4", 0, frames=12 - 4 * (number == 1), mask=True)
    path = tmp_path / "f/0.avi"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    (tmp_path / "r/2.mp4").write_bytes((tmp_path / "r/2.mp4").read_bytes()[:500])
    faces = [Face(f"r/{n}.mp4", 0, video=f"r/{n}") for n in range(3)]
    faces += [
        Face(f"f/{n}.avi", 1, "", "swap", f"f/{n}", f"m/{n}.mp4", f"r/{n}.mp4") for n in range(3)
    ]
    examination = examine(FaceIndex.of(faces, tmp_path))
    short = found(examination, "truncated videos", "declare")
    assert "f/0.avi" in short.examples[0]
    assert found(examination, "truncated videos", "than their video").examples == (
        "f/1.avi (8 of 12)",
    )
    assert "r/2.mp4" in found(examination, "unreadable files").examples[0]
    assert found(examination, "sizes", "masks").examples == ("f/2.avi 96x96, mask 64x64",)
    assert not [f for f in examination.findings if f.check == "masks"]
    assert examination.facts["formats"] == {"video": 5, "unknown": 1}
