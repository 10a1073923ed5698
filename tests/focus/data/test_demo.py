"""The drawn demo corpus: reproducible bytes, exact masks, and no shortcuts to the label."""

from __future__ import annotations

from collections import Counter

import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from focus.data import demo
from focus.data.demo import METHODS, DemoConfig, draw_face, forge, scan, write_demo_corpus
from focus.data.index import FaceIndex
from focus.errors import InputError

CONFIG = DemoConfig(people=40)
TINY = DemoConfig(people=2, images_per_person=2)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    return write_demo_corpus(tmp_path_factory.mktemp("demo"), CONFIG, quiet=True)


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def is_on(root, path):
    return cv2.imread(str(root / path), cv2.IMREAD_GRAYSCALE) > 0


def fakes_of(index, split=""):
    return list(index.where(split=split, label=1))


def test_same_configuration_gives_the_same_bytes_in_one_process_or_two(tmp_path):
    write_demo_corpus(tmp_path / "one", TINY, quiet=True)
    write_demo_corpus(tmp_path / "two", TINY, quiet=True, workers=2)
    one, two = contents(tmp_path / "one"), contents(tmp_path / "two")
    assert len(one) == 2 * 2 * 4 + 2
    assert one == two


def test_another_seed_gives_other_images():
    images = [draw_face(np.random.default_rng(seed), 64).image for seed in (1, 1, 2)]
    assert np.array_equal(images[0], images[1])
    assert np.abs(images[0].astype(int) - images[2]).mean() > 10


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_forgery_changes_pixels_inside_its_mask_only(method, seed):
    rng = np.random.default_rng((5, seed))
    portrait = draw_face(rng, 112)
    before = portrait.image.copy()
    forgery = forge(portrait, method, rng)
    assert np.array_equal(portrait.image, before)
    assert forgery.image.dtype == np.uint8
    assert forgery.mask.dtype == bool
    differs = (forgery.image != portrait.image).any(-1)
    assert not differs[~forgery.mask].any()
    assert differs[forgery.mask].mean() > 0.85
    assert 0.03 <= forgery.mask.mean() <= 0.35


def test_as_many_fakes_as_real_faces_and_every_method_equally_often(corpus):
    assert Counter(corpus.labels.tolist()) == {0: 160, 1: 160}
    for split, people in (("train", 28), ("val", 4), ("test", 8)):
        part = corpus.where(split=split)
        assert len(part) == people * 8
        assert Counter(face.method for face in fakes_of(part)) == dict.fromkeys(METHODS, people)


def test_no_person_is_in_two_splits(corpus):
    splits = {}
    for face in corpus:
        splits.setdefault(face.video, set()).add(face.split)
    assert len(splits) == 40
    assert all(len(found) == 1 for found in splits.values())


def test_real_faces_have_no_mask_and_fakes_point_to_their_real_face(corpus):
    real = {face.path: face for face in corpus.where(label=0)}
    for face in corpus:
        image = cv2.imread(str(corpus.root / face.path))
        assert image.shape == (112, 112, 3)
        if face.label == 0:
            assert (face.mask, face.method, face.original) == ("", "", "")
            continue
        assert face.path.startswith(f"fake/{face.method}/")
        original = real[face.original]
        assert (original.video, original.region) == (face.video, face.region)
        # JPEG spreads a change over its 16-pixel block and the chroma of the next.
        mask = is_on(corpus.root, face.mask).astype(np.uint8)
        far = cv2.dilate(mask, np.ones((37, 37), dtype=np.uint8)) == 0
        truth = cv2.imread(str(corpus.root / original.path))
        assert np.array_equal(image[far], truth[far])
        assert not np.array_equal(image, truth)


def test_forged_areas_are_on_the_head_but_not_at_a_fixed_place(corpus):
    prior = np.mean([is_on(corpus.root, face.mask) for face in fakes_of(corpus, "train")], axis=0)
    scores, shares = [], []
    for face in fakes_of(corpus, "val") + fakes_of(corpus, "test"):
        mask, head = is_on(corpus.root, face.mask), is_on(corpus.root, face.region)
        scores.append(roc_auc_score(mask.ravel(), prior.ravel()))
        shares.append(mask[head].sum() / mask.sum())
    assert 0.55 < np.mean(scores) < 0.78
    assert np.mean(shares) > 0.7


def test_files_do_not_reveal_the_label(corpus):
    def quantisation(path):
        data = path.read_bytes()
        start = data.index(b"\xff\xdb") + 5
        return sum(data[start : start + 64])

    paths = [corpus.root / path for path in corpus.keys]
    brightness = [cv2.imread(str(path)).mean() for path in paths]
    assert roc_auc_score(corpus.labels, [quantisation(path) for path in paths]) == 0.5
    assert 0.45 < roc_auc_score(corpus.labels, brightness) < 0.55
    assert 0.4 < roc_auc_score(corpus.labels, [path.stat().st_size for path in paths]) < 0.6


def test_forged_areas_have_lost_grain(corpus):
    found = {}
    for face in fakes_of(corpus):
        image = cv2.imread(str(corpus.root / face.path))
        grain = cv2.blur((image.astype(np.float32) - cv2.medianBlur(image, 3)) ** 2, (9, 9))
        mask = is_on(corpus.root, face.mask)
        score = roc_auc_score(mask.ravel(), -grain.mean(-1).ravel())
        found.setdefault(face.method, []).append(score)
    for method in ("smooth", "upsample", "warp"):
        assert np.mean(found[method]) > 0.75, method


def test_scan_draws_once_and_then_reads(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "DemoConfig", lambda: TINY)
    first = scan(tmp_path / "demo")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "demo").rglob("*")}
    second = scan(tmp_path / "demo")
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "demo").rglob("*")}
    assert first.fingerprint() == second.fingerprint()
    assert second.root == tmp_path / "demo"


def test_killed_run_is_drawn_again(tmp_path):
    write_demo_corpus(tmp_path, TINY, quiet=True)
    whole = contents(tmp_path)
    (tmp_path / "index.csv").unlink()
    (tmp_path / "real/0000-0.jpg").write_bytes(b"half a file")
    (tmp_path / "mask/0001-1.png").unlink()
    write_demo_corpus(tmp_path, TINY, quiet=True)
    assert contents(tmp_path) == whole
    assert len(FaceIndex.read(tmp_path / "index.csv")) == 8


def test_folders_with_other_content_are_refused(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/index.csv").write_text("path,label\n")
    with pytest.raises(InputError, match="not a demo corpus"):
        write_demo_corpus(tmp_path / "mine", TINY)
    write_demo_corpus(tmp_path / "demo", DemoConfig(people=1, images_per_person=1), quiet=True)
    with pytest.raises(InputError, match="another configuration"):
        write_demo_corpus(tmp_path / "demo", TINY)
    with pytest.raises(InputError, match="people is 0"):
        DemoConfig(people=0)
