from __future__ import annotations

import csv
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import jaccard_score, roc_auc_score

from evaluator.metrics.intervals import interval, resample
from evaluator.perturbations import KINDS, Perturbation
from evaluator.robustness import RobustnessCommand, robustness_command
from evaluator.robustness.choosing import choose_faces, spread
from evaluator.robustness.curves import draw_curves
from evaluator.robustness.judging import CLEAN, Condition, judge, seven_of
from evaluator.robustness.report import describe, format_tables, known_metrics
from evaluator.scoring.command import score_maps
from focus.data.index import Face, FaceIndex
from focus.data.sources import Source, reopen
from focus.errors import CheckFailedError, InputError
from focus.generators.contract import Generator
from focus.generators.registry import GENERATORS
from focus.mapstore import MapReader, MapWriter
from focus.runtime import Runtime
from focus.types import InputSpec, Prediction

SIZE, DRAWS = 40, 40
QUIET = Runtime(device="cpu", quiet=True)


class Redness(Generator):
    """Return red minus green; the highest value is the score."""

    input_spec = InputSpec(image_size=SIZE)
    weights_sha256 = "feed"
    requires_weights = False
    scored = True
    seen = 0

    @classmethod
    def load(cls, weights, options):
        made = cls()
        made.normalisation = options.get("normalise", "none")
        made.weights_sha256 = "other" if weights and weights.name == "other" else "feed"
        return made

    def describe(self):
        return {}

    def predict(self, images):
        type(self).seen += len(images)
        redder = (images[:, :1] - images[:, 1:2]).clamp(0, 1)
        maps = F.avg_pool2d(redder, 4)
        scores = maps.amax(dim=(1, 2, 3))
        return Prediction(scores if self.scored else torch.full_like(scores, torch.nan), maps)


@pytest.fixture(autouse=True)
def redness():
    Redness.seen, Redness.scored = 0, True
    with GENERATORS.temporarily("redness", Redness):
        yield


@pytest.fixture
def corpus(tmp_path):
    """Write eight people, each with two grey real faces and two fakes with a red patch."""
    generator = np.random.default_rng(0)
    faces = []
    for person in range(8):
        for i in range(4):
            name, fake = f"{person}_{i}", i >= 2
            image = np.repeat(generator.integers(60, 200, (SIZE, SIZE, 1)), 3, axis=2)
            image[..., 2] += generator.integers(0, 30)  # BGR: all of it a little redder
            mask = np.zeros((SIZE, SIZE), dtype=np.uint8)
            if fake:
                top, left = generator.integers(0, 24, 2)
                mask[top : top + 12, left : left + 12] = 255
                image[mask > 0] = (20, 20, generator.integers(30, 255))
                cv2.imwrite(str(tmp_path / f"{name}_mask.png"), mask)
            cv2.imwrite(str(tmp_path / f"{name}.png"), image.clip(0, 255).astype(np.uint8))
            more = {"mask": f"{name}_mask.png", "method": "ab"[i - 2]} if fake else {}
            faces.append(Face(f"{name}.png", int(fake), "test", video=f"{person}", **more))
    index = FaceIndex.of(faces, tmp_path)
    index.write(tmp_path / "index.csv")
    return index


def command(index, **options):
    options = {
        "corruptions": ("saturation", "contrast"),
        "levels": (1, 5),
        "model": "redness",
        **options,
    }
    return RobustnessCommand(
        out=index.root / "out",
        source=options.pop("source", Source(str(index.root / "index.csv"))),
        draws=DRAWS,
        workers=0,
        runtime=options.pop("runtime", QUIET),
        **options,
    )


def result_of(index):
    return json.loads((index.root / "out" / "robustness.json").read_text())


def test_command_makes_maps_numbers_and_a_image(corpus, capsys):
    robustness_command(command(corpus))
    out, result = corpus.root / "out", result_of(corpus)
    names = {"clean", "saturation-1", "saturation-5", "contrast-1", "contrast-5"}
    assert {path.stem for path in out.glob("*.h5")} == names
    assert result["faces"] == {"total": 32, "real": 16, "fake": 16}
    assert result["maps"]["generator"] == "redness"
    # Grey images have no redness.
    strongest = result["kinds"]["saturation"]["levels"][1]
    assert (strongest["level"], strongest["value"]) == (5, 0.0)
    assert strongest["metrics"]["frame_auc"]["value"] == 0.5
    assert strongest["metrics"]["map_overlap"]["value"] == 0
    assert result["clean"]["frame_auc"]["value"] > 0.8
    with (out / "robustness.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = {(row["kind"], row["level"], row["metric"]): row for row in rows}
    assert found["contrast", "5", "frame_auc"]["parameter"] == "0.35"
    mean = found["contrast", "mean", "pixel_auc"]
    assert float(mean["value"]) == result["kinds"]["contrast"]["mean"]["pixel_auc"]["value"]
    assert cv2.imread(str(out / "robustness.png")).shape[1] > 800
    printed = capsys.readouterr().out
    assert "redness on" in printed
    assert "map_overlap: sum of minima" in printed
    assert "No average" in printed
    assert max(map(len, printed.splitlines()[1:])) <= 100


def test_numbers_are_those_of_evaluator_score(corpus):
    robustness_command(command(corpus, corruptions=("contrast", "noise")))
    result = result_of(corpus)
    found = {"clean": result["clean"]}
    for kind in ("contrast", "noise"):
        for level in result["kinds"][kind]["levels"]:
            found[f"{kind}-{level['level']}"] = level["metrics"]
    assert len(found) == 5
    for name, metrics in found.items():
        with MapReader(corpus.root / "out" / f"{name}.h5") as reader:
            scored = score_maps(corpus, reader, draws=DRAWS, quiet=True)
        assert result["sets"] == scored["sets"]
        expected = scored["metrics"]
        for metric in ("frame_auc", "video_auc", "pixel_auc"):
            assert metrics[metric] == pytest.approx(expected[metric])


def test_images_are_perturbed_before_the_network_sees_them(corpus):
    robustness_command(
        command(corpus, corruptions=("noise",), levels=(3,), runtime=replace(QUIET, seed=4))
    )
    key = corpus.keys[2]
    image = cv2.imread(str(corpus.root / key))[..., ::-1].copy()
    noisy = Perturbation("noise", 3, seed=4)(image, key).astype(np.float32) / 255
    blocks = np.clip(noisy[..., 0] - noisy[..., 1], 0, 1).reshape(SIZE // 4, 4, SIZE // 4, 4)
    with MapReader(corpus.root / "out" / "noise-3.h5") as reader:
        np.testing.assert_allclose(reader[key], blocks.mean(axis=(1, 3)), atol=0.003)


def test_second_call_computes_nothing_and_says_the_same(corpus):
    robustness_command(command(corpus))
    first, seen = result_of(corpus), Redness.seen
    (corpus.root / "out" / "contrast-5.h5").unlink()
    robustness_command(command(corpus))
    assert Redness.seen == seen + len(corpus)
    assert result_of(corpus) == first
    with pytest.raises(InputError, match=r"saturation-1\.h5 exists.*seed=1.*--overwrite"):
        robustness_command(command(corpus, runtime=replace(QUIET, seed=1)))


def test_map_files_find_the_faces_that_are_in_them(corpus):
    robustness_command(command(corpus, levels=(1,), sample=10))
    with MapReader(corpus.root / "out" / "contrast-1.h5") as reader:
        index = reopen(reader.attributes, Source(), "contrast-1.h5")
        assert list(index.keys) == list(reader)
        assert len(index) == result_of(corpus)["faces"]["total"] == 10
    assert index.root == corpus.root.resolve()
    assert result_of(corpus)["maps"]["data"] == str(corpus.root / "index.csv")


def test_block_rule_is_explained_where_it_does_nothing(corpus):
    robustness_command(command(corpus, corruptions=("block", "block-crop"), levels=(5,)))
    result = result_of(corpus)
    assert result["kinds"]["block"]["mean"]["map_iou"]["value"] == 1
    assert result["kinds"]["block-crop"]["mean"]["map_overlap"]["value"] < 0.9
    assert "changes nothing on images below 256 px" in result["notes"][0]


def test_unreadable_images_and_masks_are_named_and_the_rest_is_judged(corpus):
    (corpus.root / "3_1.png").write_bytes(b"")
    (corpus.root / "4_2_mask.png").write_bytes(b"")
    said = r"1 image could not be read .*clean.h5.errors.csv.* and 1 mask "
    for _ in range(2):  # a finished run says so too
        with pytest.raises(CheckFailedError, match=said):
            robustness_command(command(corpus, levels=(1,)))
    result = result_of(corpus)
    assert result["faces"]["total"] == 31
    assert result["unreadable"][0]["key"] == "4_2.png"
    assert result["clean"]["pixel_auc"]["n"] == 15


def test_generator_without_scores_is_judged_by_its_maps(corpus, capsys):
    Redness.scored = False
    plain = replace_columns(corpus, mask=[""] * len(corpus))
    plain.write(corpus.root / "index.csv")
    robustness_command(command(corpus))
    result = result_of(corpus)
    assert result["clean"]["frame_auc"]["reason"] == "there are no scores"
    assert known_metrics(result) == ["map_iou", "map_overlap"]
    assert "frame_auc" not in capsys.readouterr().out


def replace_columns(index, **columns):
    return FaceIndex({**index.columns, **columns}, index.labels, index.root)


def save(folder, index, name, maps, scores):
    order = np.arange(len(index))[::-1]  # rows of index and file are not the same
    keys = [index.keys[row] for row in order]
    with MapWriter(folder / f"{name}.h5", generator="toy", data="faces") as writer:
        writer.append(keys, np.asarray(maps)[order], index.labels[order], np.asarray(scores)[order])
    return MapReader(folder / f"{name}.h5")


@pytest.fixture
def conditions(tmp_path, corpus):
    """Random maps and scores under clean, and two levels of two kinds."""
    generator = np.random.default_rng(1)
    names = [CLEAN, *(Condition(kind, level) for kind in ("blur", "noise") for level in (1, 2))]
    drawn = {
        name: (
            generator.integers(0, 256, (len(corpus), 6, 5)).astype(np.uint8),
            np.clip(0.2 * corpus.labels + generator.random(len(corpus)), 0, 1),
        )
        for name in names
    }
    return drawn, {name: save(tmp_path, corpus, name, *values) for name, values in drawn.items()}


def test_overlap_of_maps_is_jaccard_and_its_soft_form(corpus, conditions):
    drawn, readers = conditions
    found = judge(corpus, readers, DRAWS, quiet=True)
    fakes = np.flatnonzero(corpus.labels == 1)
    before, now = (drawn[name][0][fakes].reshape(len(fakes), -1) for name in (CLEAN, ("blur", 2)))
    hard = [jaccard_score(b > 127, n > 127) for b, n in zip(before, now, strict=True)]
    soft = np.minimum(before, now).sum(axis=1) / np.maximum(before, now).sum(axis=1, dtype=int)
    at = found.at[Condition("blur", 2)]
    assert at["map_iou"].value == pytest.approx(np.mean(hard))
    assert at["map_overlap"].value == pytest.approx(soft.mean())
    assert at["map_iou"].n == 16
    assert "map_iou" not in found.at[CLEAN]


def test_two_empty_maps_do_not_enter_and_one_counts_as_nothing_kept(tmp_path, corpus):
    maps = np.zeros((len(corpus), 4, 4), dtype=np.uint8)
    maps[2], maps[3] = 255, 100
    scores = np.linspace(0, 1, len(corpus))
    readers = {
        CLEAN: save(tmp_path, corpus, "clean", maps, scores),
        Condition("blur", 1): save(tmp_path, corpus, "same", maps, scores),
        Condition("blur", 2): save(tmp_path, corpus, "none", 0 * maps, scores),
    }
    found = judge(corpus, readers, DRAWS, quiet=True)
    same, none = found.at[Condition("blur", 1)], found.at[Condition("blur", 2)]
    assert (same["map_iou"].value, same["map_iou"].n) == (1, 1)
    assert (none["map_overlap"].value, none["map_overlap"].n) == (0, 2)
    assert found.means["blur"]["map_overlap"].value == 0.5


def test_means_and_their_intervals_are_those_of_a_plain_loop(corpus, conditions):
    drawn, readers = conditions
    found = judge(corpus, readers, DRAWS, seed=3, quiet=True)
    people = np.unique(corpus.column("video"), return_inverse=True)[1]
    levels = [drawn["noise", level][1].astype(np.float32) for level in (1, 2)]

    def mean_of(weights):
        faces = weights[people]
        aucs = [roc_auc_score(corpus.labels, scores, sample_weight=faces) for scores in levels]
        return np.mean(aucs)

    blocks = resample(8, DRAWS, 3)
    error = np.std([mean_of(row) for rows in blocks for row in rows]) * np.sqrt(8 / 7)
    mean = found.means["noise"]["frame_auc"]
    assert mean.value == pytest.approx(mean_of(np.ones(8)))
    expected = interval(mean.value, error, 8, counted=True)
    assert (mean.low, mean.high) == pytest.approx(expected)
    assert found.average == {}


def test_average_is_over_the_seven_kinds_and_clean_is_left_out(corpus, conditions):
    readers = conditions[1]
    blur, noise = (readers[Condition(kind, 1)] for kind in ("blur", "noise"))
    kinds = ("saturation", "contrast", "block-crop", "noise", "blur", "pixel", "compress", "jpeg")
    same = {Condition(kind, 1): blur for kind in kinds} | {Condition("noise", 1): noise}
    found = judge(corpus, {CLEAN: readers[CLEAN], **same}, DRAWS, quiet=True)
    assert found.averaged == kinds[:7]
    values = [found.means[kind]["frame_auc"].value for kind in kinds[:7]]
    assert found.average["frame_auc"].value == pytest.approx(np.mean(values))
    result = describe(found, corpus, readers[CLEAN].attributes, [], DRAWS, 0)
    last = next(line for line in format_tables(result).splitlines() if line.startswith("average "))
    assert last.split()[1] == f"{np.mean(values):.4f}"
    assert seven_of([*kinds, "block"])[2] == "block"
    assert seven_of(kinds[:6]) == ()


def test_curves_of_every_kind_fit_on_one_image(tmp_path, corpus, conditions):
    readers = conditions[1]
    every = {
        Condition(kind, level): readers[Condition("blur", 1)]
        for kind, found in KINDS.items()
        for level in found.levels
    }
    found = judge(corpus, {CLEAN: readers[CLEAN], **every}, 0, quiet=True)
    draw_curves(describe(found, corpus, readers[CLEAN].attributes, [], 0, 0), tmp_path / "all.png")
    image = cv2.imread(str(tmp_path / "all.png"))
    assert (image == (0xB2, 0x72, 0x00)).all(axis=2).any()  # BGR of the first curve


def faces_of(counts):
    """An index of counts[label, method] faces each, in turn."""
    rows = [(label, method, i) for (label, method), n in counts.items() for i in range(n)]
    rows.sort(key=lambda row: row[2])
    return FaceIndex.of([Face(f"{m}{n}_{i}.png", n, method=m) for n, m, i in rows], "")


def test_sample_is_balanced_and_evenly_spread():
    index = faces_of({(0, ""): 60, (1, "a"): 60, (1, "b"): 60, (1, "c"): 3})
    part = index.take(spread(index, 40))
    methods = [part.column("method").count(name) for name in ("a", "b", "c")]
    assert (part.labels == 0).sum() == 20
    assert methods == [8, 9, 3]
    numbers = [int(key.split("_")[1][:-4]) for key in part.keys if key.startswith("0_")]
    assert (numbers[0], numbers[-1]) == (0, 59)
    assert set(np.diff(numbers)) <= {3, 4}
    assert len(spread(index, 1000)) == 120
    assert len(spread(faces_of({(1, "a"): 9}), 4)) == 4


def test_split_test_is_judged_unless_another_is_named(corpus):
    splits = ["test" if row % 2 else "train" for row in range(len(corpus))]
    index = replace_columns(corpus, split=splits)
    found, notes = choose_faces(index, Source("faces"), 0)
    assert set(found.column("split")) == {"test"}
    assert notes == ["evaluating split test"]
    index = replace_columns(corpus, split=[{"test": "val"}.get(name, name) for name in splits])
    with pytest.raises(InputError, match="--split is missing: faces has train, val"):
        choose_faces(index, Source("faces"), 0)
    unknown = FaceIndex(corpus.columns, np.where(corpus.labels == 1, -1, 0), corpus.root)
    found, notes = choose_faces(unknown, Source("faces"), 0)
    assert (len(found), notes) == (16, ["left out 16 faces of unknown label"])
    with pytest.raises(InputError, match="no face has a label"):
        choose_faces(unknown.take(unknown.labels == -1), Source("faces"), 0)


def test_a_map_file_names_generator_and_faces(corpus):
    robustness_command(command(corpus, levels=(1,)))
    maps = str(corpus.root / "out" / "clean.h5")
    again = replace(command(corpus, levels=(1,), model="", maps=maps), source=Source())
    with pytest.raises(InputError, match=r"--weights is missing: .*made by redness .*\(feed\)"):
        robustness_command(again)
    with pytest.raises(InputError, match=r"--weights other: not the weights that made"):
        robustness_command(replace(again, weights="other"))
    seen = Redness.seen
    robustness_command(replace(again, weights="run"))
    assert Redness.seen == seen


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"corruptions": ("blurr",)}, "--corruptions blurr: choose from saturation"),
        ({"corruptions": ()}, r"--corruptions \(empty\)"),
        ({"levels": (0, 1)}, "--levels 0 1: use 1 to 5"),
        ({"corruptions": ("mix",), "levels": (2,)}, "--levels: mix has only level 1"),
        ({"sample": -1}, "--sample -1: must be 0 or more"),
        ({"model": ""}, "missing: --model NAME, or --maps FILE"),
        ({"maps": "a.h5"}, "--maps already names the generator"),
        ({"method": "focus"}, "--model and --method mean the same"),
        ({"model": "rednes"}, "rednes"),
    ],
)
def test_wrong_flags_are_named(corpus, options, said):
    with pytest.raises(InputError, match=said):
        robustness_command(command(corpus, **options))
    assert not (corpus.root / "out").exists()
