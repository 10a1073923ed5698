from __future__ import annotations

import os
import pickle
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from focus import texts
from focus.texts import Lookup, TextGatherer, Texts

# Few letters, so that texts repeat; one of each length in UTF-8, and one that is none.
WORDS = st.text(alphabet="ab/é字🙂\0\udcff", max_size=3)
LISTS = st.lists(WORDS, max_size=40)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "BLOCK", 4)


@settings(deadline=None)
@given(LISTS, st.data())
def test_texts_are_like_a_list(words: list[str], data: st.DataObject) -> None:
    found = Texts.of(iter(words))
    assert (len(found), list(found)) == (len(words), words)
    assert found == words
    assert words == found
    assert found == Texts.of(words[:1] + words[1:])
    assert found != [*words, "x"]
    assert bool(found) == bool(words)
    rows = data.draw(st.lists(st.integers(0, len(words) - 1))) if words else []
    assert found.take(np.array(rows, np.int64)) == [words[row] for row in rows]
    assert found.take(np.array(rows, np.int64)).take(np.arange(len(rows))[::2]) == [
        words[row] for row in rows[::2]
    ]
    here = data.draw(st.slices(len(words)))
    assert found[here] == words[here]
    for word in {*words, "a", ""}:
        assert found.count(word) == words.count(word)
        assert (word in found) == (word in words)
    assert found.isin(["a", ""]).tolist() == [word in ("a", "") for word in words]
    assert found.change(lambda word: word + "é") == [word + "é" for word in words]
    assert np.array(found, dtype=object).tolist() == words
    assert pickle.loads(pickle.dumps(found)) == words
    assert [found[row] for row in range(-len(words), len(words))] == words * 2


@settings(deadline=None)
@given(LISTS, WORDS)
def test_lookup_finds_the_last_row_and_the_first_repetition(words: list[str], word: str) -> None:
    lookup = Lookup(Texts.of(words))
    last = {known: row for row, known in enumerate(words)}
    assert [lookup.find(known) for known in last] == list(last.values())
    assert lookup.find(word) == last.get(word)
    assert pickle.loads(pickle.dumps(lookup)).find(word) == last.get(word)
    again = next((row for row, known in enumerate(words) if known in words[:row]), None)
    first = None if again is None else (words.index(words[again]), again)
    assert lookup.find_repeated() == first


def test_equal_hashes_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "hash", lambda _: -5, raising=False)
    lookup = Lookup(["a", "b", "c"])
    assert [lookup.find(word) for word in ("a", "b", "c", "d")] == [0, 1, 2, None]
    assert lookup.find_repeated() is None
    assert Lookup(["a", "b", "c", "b"]).find_repeated() == (1, 3)
    assert lookup.find(1) is None


def test_an_array_equals_that_of_a_list() -> None:
    words = ["b", "", "long", "b", "b", "b"]
    found, wanted = np.array(Texts.of(words)), np.array(words)
    assert found.dtype == wanted.dtype
    assert (found == wanted).all()
    assert (Texts.of(words) == wanted).all()
    assert np.array(Texts.of([])).tolist() == []


def test_rows_out_of_range_are_refused() -> None:
    found = Texts.of(["a", "b"])
    for row in (2, -3):
        with pytest.raises(IndexError):
            found[row]
    with pytest.raises(TypeError):
        found["a"]  # type: ignore[call-overload]
    assert found != "ab"
    assert repr(Texts.of("abcde")) == "Texts(['a', 'b', 'c', 'd', ...])"


def test_texts_that_repeat_take_a_byte_or_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    words = [f"video {row // 100}" for row in range(20_000)]
    assert len(pickle.dumps(Texts.of(words))) < 2 * 20_000 + 10_000
    assert len(pickle.dumps(Texts.repeat("", 20_000))) < 21_000
    part = Texts.of(words).take(np.arange(5))
    assert len(pickle.dumps(part)) < 600


def test_texts_may_begin_to_differ_late() -> None:
    gathered = TextGatherer()
    words = [""] * 9 + [str(row) for row in range(30)]
    for start in range(0, len(words), 3):
        gathered.extend(words[start : start + 3])
    assert gathered.finish() == words


def _count_private(child: Callable[[], object]) -> int:
    """Return the bytes of memory that a call copies in a forked process."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        before = _private()
        child()
        os.write(writing, str(_private() - before).encode())
        os._exit(0)
    os.wait()
    return int(os.read(reading, 20))


def _private() -> int:
    with open("/proc/self/smaps_rollup") as file:
        lines = [line.split() for line in file if line.startswith("Private_Dirty")]
    return int(lines[0][1]) * 1024


@pytest.mark.skipif(not os.path.exists("/proc/self/smaps_rollup"), reason="Linux says it")
def test_a_forked_process_that_reads_copies_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    name, rows = "a/folder/{:08d}.png".format, range(200_000)
    words = list(map(name, rows))
    found, lookup = Texts.of(words), Lookup(Texts.of(words))
    assert _count_private(lambda: sum(map(len, words))) > 10e6
    assert _count_private(lambda: sum(len(found[row]) for row in rows)) < 3e6
    assert _count_private(lambda: sum(lookup.find(name(row)) == row for row in rows)) < 3e6
