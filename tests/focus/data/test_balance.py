from __future__ import annotations

from collections import Counter

import pytest

from focus.data.balance import find_originals, find_unbalanced, name_sources
from focus.data.faces import Draw
from focus.data.index import Face, FaceIndex
from focus.data.loading import TrainingPlan
from focus.errors import InputError


def two_sources(corpus: bool = False) -> FaceIndex:
    """Return 6 real and 2 fake faces of one source, 2 real and 8 fake ones of another."""
    faces = []
    for name, reals, fakes in (("a", 6, 2), ("b", 2, 8)):
        extra = {"corpus": f"corpus {name}"} if corpus else {}
        faces += [Face(f"data/{name}/real/{k}.png", 0, extra=extra) for k in range(reals)]
        faces += [
            Face(f"data/{name}/fake/{k}.png", 1, original=f"data/{name}/real/{k % 2}.png")
            for k in range(fakes)
        ]
    if corpus:
        faces = [Face(f.path, f.label, extra={"corpus": "x" + f.path[5]}) for f in faces]
    return FaceIndex.of(faces, ".")


def batches(index: FaceIndex, batch: int, steps: int, balance: str, **more) -> list[list[Draw]]:
    return list(TrainingPlan(index, batch, (0, steps), balance, **more))  # type: ignore[arg-type]


def is_fake(index: FaceIndex, draw: Draw) -> bool:
    return draw.forged or index.labels[draw.row] == 1


@pytest.mark.parametrize("balance", ["source", "pair"])
@pytest.mark.parametrize("forged", [0.0, 0.5])
def test_a_batch_has_as_many_real_as_fake_faces_of_every_source(balance, forged) -> None:
    index = two_sources()
    sources = name_sources(index)
    for batch in batches(index, 8, 12, balance, forged=forged):
        counts = Counter((sources[draw.row], is_fake(index, draw)) for draw in batch)
        assert counts == {(s, f): 2 for s in "ab" for f in (False, True)}


def test_the_label_alone_is_not_balanced_per_source() -> None:
    index = two_sources()
    sources = name_sources(index)
    draws = [draw for batch in batches(index, 8, 12, "label") for draw in batch]
    counts = Counter((sources[draw.row], is_fake(index, draw)) for draw in draws)
    assert counts["a", False] > 2 * counts["a", True]


def test_a_fake_follows_its_own_original_and_shares_its_draw() -> None:
    index = two_sources()
    originals, seen = find_originals(index), set()
    for batch in batches(index, 6, 10, "pair"):
        for real, fake in zip(batch[::2], batch[1::2], strict=True):
            assert originals[fake.row] == real.row == fake.partner
            assert fake.number == real.number
            seen.add(fake.row)
    assert len(seen) == 10  # every fake, in time


def test_a_self_blend_follows_its_original_in_the_asked_share() -> None:
    index = two_sources()
    for balance in ("label", "method", "source", "pair"):
        draws = [draw for batch in batches(index, 8, 10, balance, forged=0.25) for draw in batch]
        fakes = draws[1::2]
        assert sum(draw.forged for draw in fakes) == 10
        for real, fake in zip(draws[::2], fakes, strict=True):
            assert not real.forged
            if fake.forged:
                assert (real.row, real.number) == (fake.row, fake.number)
                assert index.labels[real.row] == 0


def test_real_faces_alone_make_all_fakes() -> None:
    index = FaceIndex.of([Face(f"{k}.png", 0) for k in range(5)], ".")
    draws = [draw for batch in batches(index, 4, 5, "label", forged=0.5) for draw in batch]
    assert [draw.forged for draw in draws] == [False, True] * 10
    assert sorted(draw.row for draw in draws[:10:2]) == list(range(5))


def test_a_source_of_one_label_is_left_out_or_makes_its_fakes() -> None:
    faces = [Face(f.path, f.label) for f in two_sources()]
    faces += [Face(f"data/c/{k}.png", 0) for k in range(3)]
    faces += [Face(f"data/d/{k}.png", 1) for k in range(3)]
    index = FaceIndex.of(faces, ".")
    assert find_unbalanced(index, "source", 0.0) == ["c", "d"]
    assert find_unbalanced(index, "source", 0.5) == ["d"]
    assert find_unbalanced(index, "label", 0.0) == []
    sources = name_sources(index)
    for forged, known in ((0.0, "ab"), (0.5, "abc")):
        draws = [d for batch in batches(index, 12, 4, "source", forged=forged) for d in batch]
        assert set(sources[[draw.row for draw in draws]]) == set(known)
        assert all(d.forged for d in draws if sources[d.row] == "c" and is_fake(index, d))
    with pytest.raises(InputError, match="no source has both real and fake"):
        batches(index.take(sources == "d"), 4, 1, "source")
    apart = FaceIndex.of([Face("b/x.jpg", 0), Face("c/x.jpg", 1)], ".")
    assert set(name_sources(apart)) == {""}  # folders of one label each: perhaps of methods


def test_sources_come_from_the_column_else_from_the_first_folder_that_differs() -> None:
    assert set(name_sources(two_sources(corpus=True))) == {"xa", "xb"}
    assert set(name_sources(two_sources())) == {"a", "b"}
    forged = [Face("real/x.jpg", 0), Face("fake/blend/x.jpg", 1)]
    assert set(name_sources(FaceIndex.of(forged, "."))) == {""}
    swapped = [Face("real/x.jpg", 0), Face("swap/x.jpg", 1, original="real/x.jpg")]
    assert set(name_sources(FaceIndex.of(swapped, "."))) == {""}


def test_pairs_stay_together_over_processes_and_micro_batches() -> None:
    index = two_sources()
    whole = list(batches(index, 8, 3, "pair", forged=0.5))
    parts = [
        batches(index, 8, 3, "pair", forged=0.5, process=(rank, 2), accumulation=2)
        for rank in (0, 1)
    ]
    for step, batch in enumerate(whole):
        halves = [parts[rank][2 * step + k] for k in (0, 1) for rank in (0, 1)]
        assert sorted(draw for half in halves for draw in half) == sorted(batch)
        assert all(len(half) == 2 and half[0].number == half[1].number for half in halves)
    with pytest.raises(InputError, match="2 faces of a pair"):
        TrainingPlan(index, 7, (0, 1), "pair")


def test_a_resumed_plan_yields_the_same_pairs() -> None:
    index = two_sources()
    whole = batches(index, 8, 9, "pair", forged=0.5)
    resumed = list(TrainingPlan(index, 8, (5, 9), "pair", forged=0.5))
    assert resumed == whole[5:]
    assert whole != batches(index, 8, 9, "pair", forged=0.5, seed=1)
