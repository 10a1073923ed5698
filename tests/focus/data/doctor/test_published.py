"""Published counts of a corpus."""

from __future__ import annotations

from dataclasses import replace

import pytest

from focus.data.corpus import CORPORA, Corpus
from focus.data.doctor import DoctorCommand, doctor_command, examine
from focus.data.index import FaceIndex
from focus.data.sources import Source
from focus.errors import CheckFailedError
from tests.focus.data.doctor.making import QUIET, found, pairs, pairs_rows


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
        listed.write(tmp_path / "index.csv")  # an index is compared with its own rows
        with pytest.raises(CheckFailedError, match="tiny: 1 serious fault"):
            doctor_command(DoctorCommand(source, runtime=QUIET))
