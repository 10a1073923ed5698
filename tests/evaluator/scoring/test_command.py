"""Scores of map files against truth masks: values, thresholds, splits, and the command."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from evaluator.cli import main
from evaluator.metrics import DETECTION, METRICS
from evaluator.scoring.command import ScoreCommand, score_command
from focus.data.index import Face
from focus.errors import CheckFailedError, InputError
from focus.runtime import Runtime
from tests.evaluator.scoring.making import SIZE, Corpus, disc, judge, write_mask


def test_threshold_free_metrics_are_exact_at_any_score(corpus):
    generator = np.random.default_rng(3)
    maps = {
        face.key: 1e-5
        * (0.3 * corpus.masks.get(face.key, 0) + 0.7 * generator.random((SIZE, SIZE)))
        for face in corpus.faces
    }
    reader = corpus.save(maps)
    result = judge(corpus, reader)
    fakes = [face for face in corpus.faces if face.split == "test" and face.label == 1]
    for part, found in (("", result["metrics"]), *result["by"]["method"].items()):
        keys = [face.key for face in fakes if part in ("", face.method)]
        truth, pixels = ([table[key].ravel() for key in keys] for table in (corpus.masks, reader))
        areas = map(roc_auc_score, truth, pixels)
        assert found["pixel_auc"]["value"] == pytest.approx(np.mean(list(areas)), abs=1e-9)
        pxap = average_precision_score(np.concatenate(truth), np.concatenate(pixels))
        assert found["pxap"]["value"] == pytest.approx(pxap, abs=1e-5)


def test_pixels_beyond_the_edge_of_the_image_do_not_count(corpus):
    reader = corpus.save()
    index = corpus.index()
    index.columns["padded"] = ["0.25 0 1 1"] * len(index)
    corpus.index = lambda: index
    result = judge(corpus, reader)["metrics"]
    fakes = [f.key for f in corpus.faces if f.split == "test" and f.label == 1]
    reals = [f.key for f in corpus.faces if f.split == "test" and f.label == 0]
    truth, pixels = ([t[key][:, 6:].ravel() for key in fakes] for t in (corpus.masks, reader))
    assert result["pixel_auc"]["value"] == pytest.approx(
        np.mean(list(map(roc_auc_score, truth, pixels))), abs=1e-9
    )
    pxap = average_precision_score(np.concatenate(truth), np.concatenate(pixels))
    assert result["pxap"]["value"] == pytest.approx(pxap, abs=1e-5)
    f1 = f1_score(np.concatenate(truth), np.concatenate(pixels) > 0.5)
    assert result["f1_fake"]["value"] == pytest.approx(f1)
    areas = [(reader[key][:, 6:] > 0.5).mean() for key in reals]
    assert result["fp_area_real"]["value"] == pytest.approx(np.mean(areas))


def test_values_equal_scikit_learn_on_the_split(corpus):
    reader = corpus.save()
    result = judge(corpus, reader)
    test = [face for face in corpus.faces if face.split == "test"]
    fakes = [face.key for face in test if face.label == 1]
    pixels = {face.key: reader[face.key].ravel() * 255 for face in test}
    truth = {
        face.key: corpus.masks.get(face.key, np.zeros((SIZE, SIZE), bool)).ravel() for face in test
    }
    region = disc(12, 12, 11).ravel()
    joined = [np.concatenate([part[key] for key in fakes]) for part in (truth, pixels)]
    everything = [np.concatenate([part[face.key] for face in test]) for part in (truth, pixels)]
    expected = {
        "frame_auc": roc_auc_score([f.label for f in test], [reader.score(f.key) for f in test]),
        "pxap": average_precision_score(*joined),
        "pixel_auc": np.mean([roc_auc_score(truth[key], pixels[key]) for key in fakes]),
        "pixel_auc_region": np.mean(
            [roc_auc_score(truth[key][region], pixels[key][region]) for key in fakes]
        ),
        "f1_fake": f1_score(joined[0], joined[1] > 127.5),
        "pixel_f1_macro": f1_score(everything[0], everything[1] > 127.5, average="macro"),
        "fp_area_real": np.mean([(pixels[f.key] > 127.5).mean() for f in test if f.label == 0]),
    }
    assert tuple(result["metrics"]) == METRICS
    for name, value in expected.items():
        found = result["metrics"][name]
        assert found["value"] == pytest.approx(value, abs=1e-5 if name == "pxap" else 1e-9), name
    counts = {name: found["n"] for name, found in result["metrics"].items()}
    assert (counts["frame_auc"], counts["video_auc"]) == (16, 12)
    assert (counts["pixel_miou"], counts["pxap"], counts["fp_area_real"]) == (16, 8, 8)
    assert result["faces"] == {"total": 16, "real": 8, "fake": 8, "unknown": 0}
    assert result["threshold"] == {"rule": "fixed", "value": 0.5}
    assert result["maps"]["generator"] == "toy"


def test_methods_are_scored_with_all_real_faces_and_other_columns_by_value(corpus):
    reader = corpus.save()
    groups = judge(corpus, reader, by=("video",))["by"]
    assert list(groups["method"]) == ["a", "b"]
    assert groups["method"]["a"]["frame_auc"]["n"] == 8 + 4
    assert groups["method"]["a"]["pxap"]["n"] == 4
    assert groups["video"]["test0"]["frame_auc"]["n"] == 4
    with pytest.raises(InputError, match="--by race: the index has no such column"):
        judge(corpus, reader, by=("race",))


def test_perfect_maps_score_one(corpus):
    maps = {
        face.key: corpus.masks.get(face.key, np.zeros((SIZE, SIZE))) * 1.0 for face in corpus.faces
    }
    found = judge(corpus, corpus.save(maps))["metrics"]
    for name in METRICS[len(DETECTION) : -3]:
        assert found[name]["value"] == (0.0 if name == "fp_area_real" else 1.0), name


def test_the_same_seed_gives_the_same_intervals(tmp_path):
    corpus = Corpus(tmp_path, videos=8)
    reader = corpus.save()
    for name, found in judge(corpus, reader)["metrics"].items():
        assert found["low"] <= found["value"] <= found["high"], name
    assert judge(corpus, reader) == judge(corpus, reader)
    assert judge(corpus, reader, seed=1)["metrics"] != judge(corpus, reader)["metrics"]


def test_prior_uses_train_masks_or_else_other_scored_videos(tmp_path):
    corpus = Corpus(tmp_path, splits=("train", "test"), videos=2)
    reader = corpus.save()
    sides = {"train0": "left", "train1": "left", "test0": "left", "test1": "right"}
    halves = {
        "left": np.arange(SIZE)[None] < SIZE // 2,
        "right": np.arange(SIZE)[None] >= SIZE // 2,
    }
    for face in corpus.faces:
        if face.mask:
            mask = np.repeat(halves[sides[face.video]], SIZE, axis=0)
            write_mask(tmp_path / face.mask, mask)
    taught = judge(corpus, reader)
    assert taught["prior"] == {"masks_of": "train", "faces": 4, "left_out": "own video"}
    assert taught["metrics"]["prior_pixel_auc"]["value"] == pytest.approx(
        0.5
    )  # one right, one wrong
    corpus.faces = [face for face in corpus.faces if face.split == "test"]
    alone = judge(corpus, reader)
    assert alone["prior"]["masks_of"] == "judged"
    assert alone["metrics"]["prior_pixel_auc"]["value"] == pytest.approx(0, abs=0.01)
    corpus.faces = [face for face in corpus.faces if face.video == "test0"]
    single = judge(corpus, reader)["metrics"]["prior_pxap"]
    assert single["value"] is None
    assert single["reason"] == "no fake of another video has a mask"


def test_threshold_is_chosen_on_val_only(corpus):
    reader = corpus.save()
    chosen = judge(corpus, reader, threshold="val")
    assert chosen["threshold"]["rule"] == "val"
    assert chosen["threshold"]["faces"] == 8
    fakes = [face.key for face in corpus.faces if face.split == "val" and face.label == 1]
    truth = np.concatenate([corpus.masks[key].ravel() for key in fakes])
    values = np.concatenate([reader[key].ravel() for key in fakes])
    scores = [f1_score(truth, values > (level - 0.5) / 255) for level in range(100, 200)]
    assert f1_score(truth, values > chosen["threshold"]["value"]) == max(scores)
    assert "optimistic" not in " ".join(chosen["notes"])
    assert "optimistic" in " ".join(judge(corpus, reader, threshold="val", split="val")["notes"])
    for face in corpus.faces:
        if face.split == "test" and face.mask:
            write_mask(corpus.root / face.mask, ~corpus.masks[face.key])
    assert judge(corpus, reader, threshold="val")["threshold"] == chosen["threshold"]


def test_threshold_from_val_is_refused_without_val_and_when_val_is_test(corpus):
    reader = corpus.save()
    faces = corpus.faces
    corpus.faces = [replace(face, video=face.video.replace("val", "test")) for face in faces]
    with pytest.raises(
        InputError, match=r"4 videos of split val are among the judged faces \(such as test0\)"
    ):
        judge(corpus, reader, threshold="val")
    corpus.faces = [face for face in faces if face.split != "val"]
    with pytest.raises(InputError, match="no fake of split val has a mask and a map"):
        judge(corpus, reader, threshold="val")


def test_zeroed_real_maps_gain_nothing_in_any_metric(corpus):
    test = {face.key: face.label for face in corpus.faces}
    generator = np.random.default_rng(3)
    maps = {key: generator.random((SIZE, SIZE)) for key in test}
    zeroed = {key: maps[key] * label for key, label in test.items()}
    kept = judge(corpus, corpus.save(maps))["metrics"]
    result = judge(corpus, corpus.save(zeroed, real_maps="zero"))
    for name in METRICS:
        found = result["metrics"][name]
        if name in ("fp_area_real", "pixel_f1_macro", "pixel_miou"):
            assert found["value"] is None
            assert found["reason"] == "real maps were zeroed by label"
        else:
            assert found["value"] == kept[name]["value"], name
    for metrics in result["by"]["method"].values():
        assert metrics["pixel_miou"]["value"] is None
    assert "zeroed by label, so no metric counts them" in " ".join(result["notes"])


def test_a_file_of_fakes_only_gains_nothing_by_zeroing(corpus):
    corpus.faces = [face for face in corpus.faces if face.label]
    found = judge(corpus, corpus.save(real_maps="zero"))
    assert found["metrics"]["pixel_miou"]["value"] is not None
    assert "zeroed" not in " ".join(found["notes"])


def test_a_mask_of_a_real_face_is_not_forged_area(corpus):
    reader = corpus.save()
    plain = judge(corpus, reader)["metrics"]
    corpus.faces = [
        face if face.label else replace(face, mask="region.png") for face in corpus.faces
    ]
    masked = judge(corpus, reader)["metrics"]
    assert masked == plain
    assert masked["fp_area_real"]["n"] == 8


def test_results_identify_their_faces(corpus):
    whole = judge(corpus, corpus.save())
    keys = [face.key for face in corpus.faces]
    assert judge(corpus, corpus.save(keys=keys[::-1]))["sets"] == whole["sets"]
    fewer = judge(corpus, corpus.save(keys=keys[:-1]))["sets"]
    assert fewer["maps"] != whole["sets"]["maps"]
    assert fewer["scores"] != whole["sets"]["scores"]
    assert judge(corpus, corpus.save(keys=keys[:-1]), missing="wrong")["sets"] == whole["sets"]
    scores = [np.nan] + [0.5] * (len(keys) - 1)
    assert judge(corpus, corpus.save(scores=scores))["sets"] == whole["sets"]  # a train face
    scores = [0.5] * (len(keys) - 1) + [np.nan]
    unscored = judge(corpus, corpus.save(scores=scores))["sets"]
    assert unscored["maps"] == whole["sets"]["maps"]
    assert unscored["scores"] != whole["sets"]["scores"]
    assert judge(corpus, corpus.save(scores=[np.nan] * len(keys)))["sets"]["scores"] == ""
    corpus.faces[-1] = replace(corpus.faces[-1], label=0, mask="")
    assert judge(corpus, corpus.save())["sets"]["scores"] != whole["sets"]["scores"]


def test_an_index_without_splits_is_scored_whole(corpus):
    corpus.faces = [Face(f.path, f.label, "", f.method, f.video, f.mask) for f in corpus.faces]
    result = judge(corpus, corpus.save())
    assert (result["split"], result["faces"]["total"]) == ("all", 48)
    assert "the index has no splits" in result["notes"][0]


def test_labels_of_the_index_win_and_unknown_ones_are_excluded(corpus):
    reader = corpus.save()
    first = next(i for i, face in enumerate(corpus.faces) if face.split == "test")
    for offset, label in enumerate((-1, 1)):
        old = corpus.faces[first + offset]
        corpus.faces[first + offset] = Face(old.path, label, "test", video=old.video)
    result = judge(corpus, reader)
    assert result["faces"] == {"total": 16, "real": 6, "fake": 9, "unknown": 1}
    assert result["metrics"]["frame_auc"]["n"] == 15
    assert result["metrics"]["pxap"]["n"] == 8
    notes = " ".join(result["notes"])
    assert "differ in 2 labels" in notes
    assert "1 fake without a mask" in notes


def run(corpus, **options):
    options = {"draws": 20, "runtime": Runtime(quiet=True), **options}
    score_command(ScoreCommand(corpus.root / "maps.h5", **options))


def test_command_prints_a_table_and_writes_json(tmp_path, capsys):
    corpus = Corpus(tmp_path, videos=6)
    corpus.save()
    run(corpus, json=str(corpus.root / "score.json"))
    table = capsys.readouterr().out
    result = json.loads((corpus.root / "score.json").read_text())
    value = result["metrics"]["pixel_auc"]["value"]
    line = next(line for line in table.splitlines() if line.startswith("pixel_auc "))
    assert line.split()[1] == f"{value:.4f}"
    assert line.split()[-1] == "12"
    assert "by method" in table
    assert "maps above 0.5, fixed" in table
    assert max(map(len, table.splitlines())) <= 100 + len(str(corpus.root))


def test_the_prior_is_of_train_though_the_maps_are_of_one_split(corpus, capsys):
    made_from = json.dumps({"split": "test"})
    keys = [face.key for face in corpus.faces if face.split == "test"]
    corpus.save(keys=keys, source=made_from)
    run(corpus, json="-")
    assert json.loads(capsys.readouterr().out)["prior"]["masks_of"] == "train"


def test_groups_of_a_column_are_printed_in_blocks_within_the_width(tmp_path, capsys):
    corpus = Corpus(tmp_path, splits=("test",), videos=7)
    methods = [f"forgery-{number:02d}" for number in range(14)]
    names = iter(methods)
    corpus.faces = [
        replace(face, method=next(names)) if face.label else face for face in corpus.faces
    ]
    corpus.save()
    run(corpus)
    _, _, lines = capsys.readouterr().out.partition("by method")
    heads = [line.split() for line in lines.splitlines() if line.startswith("metric")]
    assert [name for head in heads for name in head[1:]] == methods
    assert [len(head) - 1 for head in heads] == [5, 5, 4]
    assert max(map(len, lines.splitlines())) <= 100


def test_command_with_a_dash_prints_only_json(corpus, capsys):
    corpus.save()
    run(corpus, json="-", data=str(corpus.root / "index.csv"), runtime=Runtime())
    assert json.loads(capsys.readouterr().out)["metrics"]["frame_auc"]["n"] == 16


def test_moved_faces_need_data(corpus):
    corpus.save()
    (corpus.root / "index.csv").rename(corpus.root / "moved.csv")
    with pytest.raises(InputError, match=r"recorded in .*maps\.h5; give --data"):
        run(corpus)
    run(corpus, data=str(corpus.root / "moved.csv"))


def test_unreadable_masks_fail_the_command_after_scoring_the_rest(corpus):
    corpus.save()
    (corpus.root / "mask" / "test0_2.png").write_bytes(b"not an image")
    (corpus.root / "mask" / "test1_3.png").unlink()
    with pytest.raises(CheckFailedError, match=r"2 faces could not be read.*mask mask/test0_2.png"):
        run(corpus, json=str(corpus.root / "score.json"))
    result = json.loads((corpus.root / "score.json").read_text())
    assert [face["key"] for face in result["unreadable"]] == ["test0_2.png", "test1_3.png"]
    assert result["metrics"]["pxap"]["n"] == 6
    assert result["metrics"]["frame_auc"]["n"] == 16


def test_a_value_that_is_missing_is_printed_with_its_reason(corpus, capsys):
    corpus.faces = [face for face in corpus.faces if face.label]
    corpus.save()
    run(corpus)
    line = next(li for li in capsys.readouterr().out.splitlines() if li.startswith("frame_auc "))
    assert line.split(maxsplit=2)[1:] == ["-", "no real faces"]


def test_region_of_another_size_is_unreadable(corpus):
    reader = corpus.save()
    cv2.imwrite(str(corpus.root / "region.png"), np.zeros((SIZE, SIZE + 1), np.uint8))
    result = judge(corpus, reader)
    assert result["unreadable"][0]["reason"] == "region region.png is 24 x 25, the mask 24 x 24"
    assert result["metrics"]["pxap"]["value"] is None


def test_command_line(corpus, capsys):
    corpus.save()
    maps = str(corpus.root / "maps.h5")
    assert main(["score", "--maps", maps, "--draws", "10", "--quiet"]) == 0
    assert "pixel_auc" in capsys.readouterr().out
    assert main(["score", "--maps", maps, "--split", "tset"]) == 2
    assert "--split tset: use train, val, test or all" in capsys.readouterr().err
    assert main(["score", "--maps", maps, "--draws", "-1"]) == 2
    capsys.readouterr()
    assert main(["score", "--maps", maps, "--nonsense"]) == 2
    assert capsys.readouterr().err.startswith("evaluator score: unknown flag --nonsense")


def test_help_imports_no_torch():
    program = "import sys; from evaluator.cli import main; main(['--help'])"
    program += "; sys.exit('torch' in sys.modules)"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "evaluator COMMAND" in done.stdout
