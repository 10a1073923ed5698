from __future__ import annotations

import importlib
import json
import struct
import subprocess
import sys
import zlib
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from focus.data.corpus import CORPORA, Corpus
from focus.data.doctor import DoctorCommand, doctor_command, examine, looking, survey
from focus.data.doctor.duplicates import find_lookalikes
from focus.data.doctor.files import list_files
from focus.data.doctor.looking import FACE, FINE, hash_image, look_at, read_compression
from focus.data.doctor.shortcuts import score_feature
from focus.data.index import Face, FaceIndex
from focus.data.sources import Source
from focus.errors import CheckFailedError, InputError
from focus.runtime import Runtime

SIZE = 64
QUIET = Runtime(quiet=True)


def picture(seed, height=SIZE, width=SIZE):
    """Smooth patches of colour: no two seeds look alike."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (12, 12, 3)).astype(np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def save(path, image, quality=90):
    path.parent.mkdir(parents=True, exist_ok=True)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if path.suffix == ".jpg" else []
    assert cv2.imwrite(str(path), image, options)


def disc(height=SIZE, width=SIZE):
    mask = np.zeros((height, width), np.uint8)
    return cv2.circle(mask, (width // 2, height // 2), 12, 255, -1)


def png_promising(width, height):
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    rows = zlib.compress(bytes(10_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def spoil(path):
    """Cut the middle out of a JPEG; its header and its end stay."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3] + data[-2:])


def pairs(root, count=10, quality=(90, 90), split="train", start=0):
    """Write real faces and fakes of them with a disc as mask; return their rows."""
    faces = []
    for number in range(start, start + count):
        video = f"v{number}"
        image = picture(number)
        real, fake, mask = f"a/{video}.jpg", f"b/{video}x.jpg", f"m/{video}.png"
        save(root / real, image, quality[0])
        forged = image.copy()
        forged[disc() > 0] = picture(1000 + number)[disc() > 0]
        save(root / fake, forged, quality[1])
        save(root / mask, disc())
        faces.append(Face(real, 0, split, video=video))
        faces.append(Face(fake, 1, split, "swap", video, mask, real))
    return faces


def found(examination, check, words=""):
    """Return the one finding of a check whose message has these words."""
    matches = [f for f in examination.findings if f.check == check and words in f.message]
    assert len(matches) == 1, [(f.check, f.message) for f in examination.findings]
    return matches[0]


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
    save(root / "a/v4.jpg", picture(4, 80, 48), 95)
    save(root / "m/v3.png", np.zeros((SIZE, SIZE), np.uint8))
    save(root / "m/v4.png", np.full((SIZE, SIZE), 255, np.uint8))
    save(root / "m/v5.png", cv2.GaussianBlur(disc(), (0, 0), 3))
    save(root / "m/v6.png", disc(32, 32))
    save(root / "b/v7x.jpg", picture(7, SIZE, 48), 60)
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
    save(root / "c/v22.jpg", picture(60), 95)
    faces.append(Face("c/v22.jpg", 0, "train", video="v22", extra={"person": "Ann"}))
    change("a/v23.jpg", extra={"person": "Ann"})
    change("b/v22x.jpg", original="a/v8.jpg")
    change("b/v23x.jpg", original="b/v22x.jpg")
    save(root / "fake/w.jpg", picture(61), 95)
    faces.append(Face("fake/w.jpg", 0, "train", video="w"))
    save(root / "d/v.jpg", picture(62), 60)
    faces.append(Face("d/v.jpg", 1, "train", video="d", original="elsewhere.jpg"))
    save(root / "e/test.jpg", picture(63), 95)
    faces.append(Face("e/test.jpg", 0, "test", video="e"))
    save(root / "e/test2.jpg", picture(64), 95)
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
        # What a shortcut of the quality drags along.
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


# Shortcuts


@pytest.mark.parametrize(
    ("quality", "severity"), [((92, 75), "serious"), ((92, 92), None), ((92, 91), "serious")]
)
def test_another_jpeg_quality_of_fakes_is_a_shortcut(quality, severity, tmp_path):
    examination = examine(FaceIndex.of(pairs(tmp_path, 12, quality), tmp_path))
    if severity is None:
        assert "JPEG quantisation" not in examination.facts["file_alone"]
        return
    finding = found(examination, "shortcut", "JPEG quantisation")
    assert finding.severity == severity
    assert "AUC 1.00" in finding.message
    sums = [
        sum(sum(table) for table in Image.open(tmp_path / name).quantization.values())
        for name in ("a/v0.jpg", "b/v0x.jpg")
    ]
    for value in sums:
        assert f"{value} in 100%" in finding.message


def test_formats_and_exif_are_shortcuts(tmp_path):
    faces = pairs(tmp_path, 12)
    for face in faces[::2]:
        save(tmp_path / face.path.replace(".jpg", ".png"), picture(int(face.video[1:])))
    faces = [
        replace(f, path=f.path.replace("a/", "a/").replace(".jpg", ".png"))
        if f.label == 0
        else replace(f, original=f.original.replace(".jpg", ".png"))
        for f in faces
    ]
    alone = examine(FaceIndex.of(faces, tmp_path)).facts["file_alone"]
    assert alone["format"]["auc"] == 1
    assert (alone["format"]["real"], alone["format"]["fake"]) == ("PNG in 100%", "JPEG in 100%")
    exif = Image.Exif()
    exif[0x10F] = "camera"
    for face in pairs(tmp_path, 12)[1::2]:
        with Image.open(tmp_path / face.path) as image:
            image.load()
        image.save(tmp_path / face.path, quality=90, exif=exif)
    alone = examine(FaceIndex.of(pairs_rows(tmp_path), tmp_path)).facts["file_alone"]
    assert alone["presence of EXIF"]["auc"] == 1


def pairs_rows(root):
    names = sorted(path.relative_to(root).as_posix() for path in root.glob("[ab]/*.jpg"))
    return [Face(name, int(name.startswith("b/"))) for name in names]


def test_one_of_several_methods_is_enough_for_a_shortcut(tmp_path):
    faces = pairs(tmp_path, 30)
    methods = ["one", "two", "three"]
    fakes = [face for face in faces if face.label]
    for number, face in enumerate(fakes):
        faces[faces.index(face)] = replace(face, method=methods[number % 3])
        if number % 3 == 2:
            save(tmp_path / face.path, picture(2000 + number), 40)
    shortcut = examine(FaceIndex.of(faces, tmp_path)).facts["file_alone"]["JPEG quantisation"]
    assert (shortcut["auc"], shortcut["among"], shortcut["faces"]) == (1, "three", 40)


def test_scores_of_features():
    fake = np.repeat([False, True], 50)
    steps = np.arange(100.0)
    assert score_feature(steps, fake) == 1
    assert score_feature(-steps, fake) == 1
    # In the middle of the real ones: no order of three levels tells, their shares do.
    levels = np.concatenate([np.repeat([0.0, 2.0], 25), np.ones(50)])
    assert score_feature(levels, fake) == 1
    assert score_feature(np.random.default_rng(0).normal(size=100), fake) == 0.5
    assert score_feature(steps[:3], np.array([False, True, True])) == 0.5
    assert score_feature(steps, np.ones(100, bool)) == 0.5
    # 30 of 50 fakes above all real faces, the others below: 0.6 + nothing.
    shares = np.concatenate([np.zeros(500), np.repeat([0.0, 1.0], [200, 300])])
    assert score_feature(shares, np.repeat([False, True], 500)) == pytest.approx(0.8)


@pytest.mark.parametrize(("subsampling", "code"), [(0, 0x111111), (1, 0x111121), (2, 0x111122)])
def test_compression_is_read_as_another_library_reads_it(subsampling, code, tmp_path):
    path = tmp_path / "a.jpg"
    image = Image.fromarray(picture(0))
    image.save(path, quality=83, subsampling=subsampling, progressive=True)
    tables = Image.open(path).quantization
    assert read_compression(path.read_bytes()) == (sum(map(sum, tables.values())), code)
    image.convert("L").save(path, quality=10)
    assert read_compression(path.read_bytes())[1] == 0x11


# Duplicates


def test_hashes_stay_through_saving_and_scaling_and_differ_between_images():
    grey = [cv2.cvtColor(picture(seed, 128, 128), cv2.COLOR_BGR2GRAY) for seed in range(30)]
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


def test_lookalikes_are_those_of_a_search_over_all_pairs():
    rng = np.random.default_rng(3)
    seeds = rng.integers(1, 2**63, 60, dtype=np.uint64)
    hashes = seeds[rng.integers(0, 60, 400)]
    for _ in range(2):
        hashes ^= np.uint64(1) << rng.integers(0, 64, 400).astype(np.uint64)
    details = np.where(rng.random(400) < 0.8, 0, 2**20 - 1).astype(np.uint64)
    splits = rng.integers(-1, 3, 400).astype(np.int8)

    def alike(one, other):
        near = int(hashes[one] ^ hashes[other]).bit_count() <= 4
        return near and int(details[one] ^ details[other]).bit_count() <= 12

    later = {
        other
        for other in range(400)
        if any(
            alike(one, other) for one in np.flatnonzero((splits >= 0) & (splits < splits[other]))
        )
    }
    first, second = find_lookalikes(hashes, details, splits)
    assert set(second.tolist()) == later
    assert len(second) == len(later) > 20
    for one, other in zip(first.tolist(), second.tolist(), strict=True):
        assert alike(one, other)
        assert 0 <= splits[one] < splits[other]


# Single files


def test_rotated_images_have_their_upright_size(tmp_path):
    exif = Image.Exif()
    exif[0x112] = 6
    for height, width in ((300, 500), (514, 513), (50, 40)):
        image = Image.fromarray(picture(1, height, width))
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
        writer.write(cv2.merge([shape] * 3) if mask else picture(seed, size, size))
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


DYING = """
import os
from focus.data.doctor import looking

def look_at_all(root, quick, tasks):
    if any(task.path == "a/v1.jpg" for task in tasks):
        os._exit(1)
    return looking.look_at_all(root, quick, tasks)
"""


def test_a_decoder_that_crashes_is_a_finding_of_its_file(tmp_path, monkeypatch):
    index = FaceIndex.of(pairs(tmp_path, 3), tmp_path)
    (tmp_path / "dying.py").write_text(DYING)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(survey, "look_at_all", importlib.import_module("dying").look_at_all)
    monkeypatch.setattr(survey, "IMAGE_CHUNK", 4)
    seen = survey.survey(list_files(index), quick=False, workers=1, quiet=True)
    assert seen.reasons == {2: survey.CRASHED}
    assert (np.delete(seen.looks["status"], 2) == FINE).all()


def test_the_processes_do_without_torch():
    code = "import sys, focus.data.doctor.looking; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# What was published


def corpus_of(**published):
    counts = {name.replace("_", " "): count for name, count in published.items()}
    faults = {"b/v0x.jpg": "its mask shows another face"}
    return Corpus("tiny", "Tiny Faces", "nowhere", scan_tiny, "image", counts, faults)


def scan_tiny(root, _options):
    return FaceIndex.of(pairs_rows(root), root)


def test_published_counts_say_what_is_missing(tmp_path):
    faces = pairs(tmp_path, 3) + pairs(tmp_path, 2, split="test", start=5)
    index = FaceIndex.of(faces, tmp_path)
    corpus = corpus_of(
        train=6, test_real=2, test_fake_swap=5, train_fake_morph=9, train_real=2, **{"": 24}
    )
    examination = examine(index, corpus)
    assert found(examination, "published counts", "incomplete").examples == (
        "test fake swap: 2 of 5, 3 missing",
    )
    assert found(examination, "published counts", "are missing").examples == (
        "train fake morph: 0 of 9, 9 missing",
    )
    too_many = found(examination, "published counts", "more rows than")
    assert too_many.examples == ("train real: 3 of 2",)
    assert examination.facts["published"][""] == {"found": 10, "expected": 24}
    assert found(examination, "known faults").examples == (
        "b/v0x.jpg (its mask shows another face)",
    )
    examination = examine(index.where(split="test"), corpus, split="test")
    assert set(examination.facts["published"]) == {"test real", "test fake swap"}
    some = examine(index, corpus, some_methods=True).facts["published"]
    assert set(some) == {"test real", "train real", "test fake swap"}
    whole = examine(index, corpus_of(train_real=3, **{"": 10}))
    assert not [f for f in whole.findings if f.check == "published counts"]


def test_a_total_that_nothing_explains_is_incomplete(tmp_path):
    index = FaceIndex.of(pairs(tmp_path, 3), tmp_path)
    examination = examine(index, corpus_of(train_real=3, **{"": 8}))
    assert found(examination, "published counts").examples == ("all: 6 of 8, 2 missing",)


def test_a_named_corpus_is_compared_unless_it_is_an_index(tmp_path, capsys):
    pairs(tmp_path, 3)
    listed = scan_tiny(tmp_path, None)
    tiny = replace(corpus_of(**{"": 9}), scan=lambda *_: listed)
    with CORPORA.temporarily("tiny", tiny):
        source = Source("tiny", root=str(tmp_path))
        doctor_command(DoctorCommand(source, runtime=QUIET))
        assert "all: 6 of 9, 3 missing" in capsys.readouterr().out
        (tmp_path / "b" / "v2x.jpg").unlink()
        doctor_command(DoctorCommand(source, runtime=QUIET))
        text = capsys.readouterr().out
        notes = text[text.index("\nnote\n") :]
        line = "1  files listed by Tiny Faces that are not on disk: b/v2x.jpg"
        assert line in notes
        assert "all: 5 of 9, 4 missing" in notes
        listed.write(tmp_path / "index.csv")  # an index is held to what it says
        with pytest.raises(CheckFailedError, match="tiny: 1 serious fault"):
            doctor_command(DoctorCommand(source, runtime=QUIET))


# The command


def test_the_report_groups_by_severity_and_ends_in_a_verdict(tmp_path, capsys):
    faces = pairs(tmp_path, 4)
    (tmp_path / "a/v0.jpg").unlink()
    FaceIndex.of(faces, tmp_path).write(tmp_path / "index.csv")
    command = DoctorCommand(Source(str(tmp_path)), json=str(tmp_path / "o/r.json"), runtime=QUIET)
    with pytest.raises(CheckFailedError, match="1 serious fault"):
        doctor_command(command)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{tmp_path}: 8 faces (4 real, 4 fake); 64x64 pixels"
    assert lines.index("serious") < lines.index("warning") < len(lines)
    assert "        1  faces whose file is missing: a/v0.jpg" in lines
    assert lines[-1] == "faulty: 1 serious fault, 1 warning, 0 notes"
    written = json.loads((tmp_path / "o/r.json").read_text())
    assert written["verdict"] == "faulty"
    assert written["counts"]["splits"]["train"] == {"real": 4, "fake": 4, "unknown": 0}
    assert written["counts"]["methods"] == {"swap": 4}
    assert written["findings"][0]["check"] == "missing files"


def test_json_on_standard_output_stands_alone(demo_corpus, capsys):
    doctor_command(DoctorCommand(Source(str(demo_corpus)), json="-", workers=0))
    assert json.loads(capsys.readouterr().out)["verdict"] == "sound"


def test_names_of_files_do_nothing_to_the_terminal(tmp_path, capsys):
    index = FaceIndex.of([Face("a\x1b[31m\n.jpg", 0)], tmp_path)
    index.write(tmp_path / "index.csv")
    with pytest.raises(CheckFailedError):
        doctor_command(DoctorCommand(Source(str(tmp_path)), runtime=QUIET))
    assert "a?[31m?.jpg" in capsys.readouterr().out


def test_keys_that_stand_twice_are_a_finding(tmp_path, capsys):
    (tmp_path / "index.csv").write_text("path,label\na.jpg,0\na.jpg,1\n")
    with pytest.raises(CheckFailedError):
        doctor_command(DoctorCommand(Source(str(tmp_path)), runtime=QUIET))
    assert "lines 2 and 3 have the same path: a.jpg" in capsys.readouterr().out
    save(tmp_path / "a.jpg", picture(0))
    twice = FaceIndex({"path": ["a.jpg", "a.jpg"]}, np.array([0, 1]), tmp_path)
    assert found(examine(twice), "duplicate keys").examples == ("a.jpg",)


def test_what_cannot_be_opened_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        doctor_command(DoctorCommand(Source(str(tmp_path / "nowhere"))))


@pytest.mark.parametrize("label", [0, 1, -1])
def test_one_class_and_no_val_are_named(label, tmp_path):
    faces = [replace(face, label=label) for face in pairs(tmp_path, 2)]
    examination = examine(FaceIndex.of(faces, tmp_path))
    assert found(examination, "splits").severity == "warning"
    if label >= 0:
        finding = found(examination, "one class")
        assert (finding.severity, finding.count) == ("warning", 4)
    else:
        assert found(examination, "labels", "without").count == 4


def test_names_against_all_labels_are_serious(tmp_path):
    faces = []
    for number in range(4):
        kind = "real" if number % 2 else "fake"
        save(tmp_path / kind / f"{number}.jpg", picture(number))
        faces.append(Face(f"{kind}/{number}.jpg", number % 2))
    finding = found(examine(FaceIndex.of(faces, tmp_path)), "label polarity")
    assert finding.severity == "serious"
    assert "AUC 0.00" in finding.message
