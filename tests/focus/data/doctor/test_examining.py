"""Every planted fault is found, and nothing else."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace

import cv2
import numpy as np
import pytest

from focus.data.doctor import examine, looking
from focus.data.index import Face, FaceIndex
from tests.focus.data.doctor.making import SIZE, disc, draw_image, found, pairs, save, spoil


def png_promising(width, height):
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    rows = zlib.compress(bytes(10_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def plant(root):
    """A corpus in which every fault of a file or row stands once; return its faces."""
    faces = pairs(root, 10, quality=(95, 60)) + pairs(root, 4, (95, 60), "val", start=20)
    by_path = {face.path: at for at, face in enumerate(faces)}

    def change(path, **values):
        faces[by_path[path]] = replace(faces[by_path[path]], **values)

    (root / "a/v0.jpg").unlink()
    (root / "a/v1.jpg").write_bytes((root / "a/v1.jpg").read_bytes()[:-200])
    spoil(root / "a/v2.jpg")
    (root / "b/v0x.jpg").write_bytes(png_promising(100_000, 100_000))
    black = np.zeros((5000, 5000), np.uint8)
    bomb = cv2.imencode(".png", black, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1]
    (root / "b/v1x.jpg").write_bytes(bomb.tobytes())
    (root / "b/v2x.jpg").write_bytes(b"")
    save(root / "a/v3.jpg", np.full((SIZE, SIZE, 3), 90, np.uint8), 95)
    save(root / "a/v4.jpg", draw_image(4, 80, 48), 95)
    save(root / "m/v3.png", np.zeros((SIZE, SIZE), np.uint8))
    save(root / "m/v4.png", np.full((SIZE, SIZE), 255, np.uint8))
    save(root / "m/v5.png", cv2.GaussianBlur(disc(), (0, 0), 3))
    save(root / "m/v6.png", disc(32, 32))
    save(root / "b/v7x.jpg", draw_image(7, SIZE, 48), 60)
    save(root / "m/v7.png", disc(48, SIZE))
    (root / "m/v8.png").unlink()
    change("b/v9x.jpg", mask="")
    save(root / "m/real.png", disc())
    change("a/v5.jpg", mask="m/real.png")
    change("a/v6.jpg", method="swap")
    (root / "a/copy.jpg").write_bytes((root / "a/v5.jpg").read_bytes())
    faces.append(Face("a/copy.jpg", 0, "train", video="v5"))
    (root / "a/leak.jpg").write_bytes((root / "a/v20.jpg").read_bytes())
    faces.append(Face("a/leak.jpg", 0, "train", video="leak"))
    save(root / "a/again.jpg", cv2.imread(str(root / "a/v21.jpg")), 95)
    faces.append(Face("a/again.jpg", 0, "train", video="again"))
    (root / "both.jpg").write_bytes((root / "a/v9.jpg").read_bytes())
    faces.append(Face("both.jpg", 1, "train", "swap", video="v9"))
    save(root / "c/v22.jpg", draw_image(60), 95)
    faces.append(Face("c/v22.jpg", 0, "train", video="v22", extra={"person": "Ann"}))
    change("a/v23.jpg", extra={"person": "Ann"})
    change("b/v22x.jpg", original="a/v8.jpg")
    change("b/v23x.jpg", original="b/v22x.jpg")
    save(root / "fake/w.jpg", draw_image(61), 95)
    faces.append(Face("fake/w.jpg", 0, "train", video="w"))
    save(root / "d/v.jpg", draw_image(62), 60)
    faces.append(Face("d/v.jpg", 1, "train", video="d", original="elsewhere.jpg"))
    save(root / "e/test.jpg", draw_image(63), 95)
    faces.append(Face("e/test.jpg", 0, "test", video="e"))
    save(root / "e/test2.jpg", draw_image(64), 95)
    faces.append(Face("e/test2.jpg", -1, "test", video="e"))
    return FaceIndex.of(faces, root)


PLANTED = [
    # severity, check, words of the message, count, words of an example
    ("serious", "missing files", "faces whose file", 1, "a/v0.jpg"),
    ("serious", "missing files", "masks whose file", 1, "m/v8.png"),
    ("serious", "missing files", "originals whose file", 1, "elsewhere.jpg"),
    ("serious", "unreadable files", "faces", 4, "a/v1.jpg (truncated"),
    ("serious", "unreadable files", "faces", 4, "b/v0x.jpg (its header declares 100000 x 100000"),
    ("serious", "unreadable files", "faces", 4, "pixels: a decompression bomb"),
    ("serious", "unreadable files", "faces", 4, "b/v2x.jpg (the file is empty"),
    ("serious", "damaged files", "faces that are damaged", 1, "a/v2.jpg (Corrupt JPEG data"),
    ("warning", "blank images", "one colour", 1, "a/v3.jpg"),
    ("serious", "sizes", "masks of another size", 1, "b/v6x.jpg 64x64, mask 32x32"),
    ("serious", "sizes", "masks that are rotated", 1, "b/v7x.jpg 64x48, mask 48x64"),
    ("serious", "sizes", "originals of another size", 2, "b/v4x.jpg 64x64, original 80x48"),
    ("warning", "masks", "fakes that are empty", 1, "b/v3x.jpg (m/v3.png)"),
    ("warning", "masks", "mark the whole image", 1, "b/v4x.jpg (m/v4.png)"),
    ("warning", "masks", "values other than", 1, "m/v5.png"),
    ("serious", "masks", "real faces that are not empty", 1, "a/v5.jpg (m/real.png)"),
    ("warning", "masks missing", "most have one", 3, "b/v9x.jpg"),
    ("warning", "label polarity", "with a forgery method", 1, "a/v6.jpg (swap)"),
    ("warning", "label polarity", "contradicts their label", 1, "fake/w.jpg (label 0)"),
    ("note", "labels", "neither method nor mask", 1, "d/v.jpg"),
    ("note", "labels", "without a label", 1, "e/test2.jpg"),
    ("serious", "one class", "split test, all of them real", 2, ""),
    ("warning", "duplicate files", "under two keys", 1, "a/v5.jpg and a/copy.jpg"),
    ("serious", "duplicate files", "in two splits", 1, "a/v20.jpg and a/leak.jpg"),
    ("serious", "duplicate files", "both real and fake", 1, "a/v9.jpg and both.jpg"),
    ("warning", "duplicates across splits", "", 1, "a/again.jpg and a/v21.jpg"),
    ("serious", "crosses splits", "videos", 1, "v22 (train, val)"),
    ("warning", "crosses splits", "people", 1, "Ann (train, val)"),
    ("serious", "originals", "in another split", 1, "b/v22x.jpg of a/v8.jpg"),
    ("serious", "originals", "labelled fake", 1, "b/v23x.jpg of b/v22x.jpg"),
    ("note", "originals", "not a row", 1, "elsewhere.jpg"),
    ("note", "file names", "several folders", 1, "v22.jpg (2 times)"),
    ("serious", "shortcut", "JPEG quantisation", 31, ""),
]


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    root = tmp_path_factory.mktemp("planted")
    return examine(plant(root))


@pytest.mark.parametrize(
    ("severity", "check", "words", "count", "example"),
    PLANTED,
    ids=[f"{check}: {words}" for _, check, words, _, _ in PLANTED],
)
def test_every_planted_fault_is_named(planted, severity, check, words, count, example):
    finding = found(planted, check, words)
    assert (finding.severity, finding.count) == (severity, count)
    assert not example or any(example in text for text in finding.examples), finding.examples


def test_nothing_but_the_planted_faults_is_found(planted):
    expected = {(check, found(planted, check, words).message) for _, check, words, _, _ in PLANTED}
    spoken = {
        (finding.check, finding.message)
        for finding in planted.findings
        # Findings that follow from a shortcut of the quality.
        if "file size" not in finding.message
        and "bytes per pixel" not in finding.message
        and finding.check != "splits"
        and finding.severity != "note"
    }
    assert spoken <= expected


def test_the_drawn_corpus_is_sound(demo_corpus):
    examination = examine(FaceIndex.read(demo_corpus))
    assert examination.is_sound, examination.findings
    assert examination.counts["faces"] == 40
    assert examination.counts["labels"] == {"real": 20, "fake": 20, "unknown": 0}
    assert sum(examination.facts["sizes"].values()) == 40


def test_processes_see_what_one_process_sees(demo_corpus):
    index = FaceIndex.read(demo_corpus)
    assert examine(index, workers=2).to_json() == examine(index).to_json()


def test_quick_decodes_nothing_and_finds_what_headers_say(tmp_path, monkeypatch):
    index = plant(tmp_path)
    monkeypatch.setattr(looking, "decode_pixels", lambda *_: pytest.fail("decoded"))
    examination = examine(index, quick=True)
    assert found(examination, "unreadable files").count == 4
    assert found(examination, "sizes", "masks of another size").count == 1
    assert found(examination, "shortcut", "JPEG quantisation").severity == "serious"
    assert not [f for f in examination.findings if f.check == "masks"]
