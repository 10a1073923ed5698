"""Tables of papers: published numbers, plans, and a small table run to completion."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import evaluator.cli
import focus.cli
from evaluator.protocols import (
    PROTOCOLS,
    Protocol,
    compare,
    format_comparison,
    format_plan,
    get_protocol,
    plan,
    run_protocol,
)
from evaluator.protocols import running as protocol_running
from evaluator.protocols.comparing import read_results
from evaluator.protocols.effort import training_hours
from evaluator.protocols.places import find_faces
from evaluator.protocols.records import Column, Faces, Maps, Network, Row, numbers
from focus.commands import parse
from focus.data.corpus import CORPORA
from focus.data.index import Face, FaceIndex
from focus.detectors import DETECTORS
from focus.errors import CheckFailedError, InputError
from focus.types import InputSpec, Prediction
from plugins import Detector, OptimizerConfig

NOWHERE = Path("/nowhere")
TABLES = [
    *(f"focus-table-{n}" for n in range(1, 9)),
    *(f"msccnet-table-{n}" for n in (2, 3, 4)),
    *(f"monfap-table-{n}" for n in (2, 3, 4)),
    *(f"telltales-table-{n}" for n in range(2, 7)),
]


def printed(name, label):
    table = PROTOCOLS[name]
    row = next(row for row in table.rows if row.label == label)
    return {c.title: value for c, value in zip(table.columns, row.published, strict=True)}


# Published numbers


def test_every_table_is_registered_and_names_its_source():
    assert list(PROTOCOLS) == TABLES
    for table in PROTOCOLS.values():
        assert table.source.startswith("Table ")
        assert len({row.label for row in table.rows}) == len(table.rows)
        assert len({column.title for column in table.columns}) == len(table.columns)
    with pytest.raises(InputError, match=r"no such table; perhaps focus-table-2\?"):
        get_protocol("focus-tabel-2")


@pytest.mark.parametrize(
    ("name", "label", "values"),
    [
        ("focus-table-1", "FoCus", (87.02, 91.01, None, None)),
        ("focus-table-2", "HQ, SSIM", (72.12, 72.38, 65.35, 72.92)),
        ("focus-table-2", "HQ, FoCus", (76.13, 73.31, 68.42, 76.62)),
        ("focus-table-2", "LQ, UIA-ViT", (64.60, 70.26, 65.29, 75.63)),
        ("focus-table-3", "PCL, HQ, FoCus", (95.50, 96.89, 76.77, 72.42, 68.11, 74.22)),
        ("focus-table-3", "CADDM, LQ, FoCus", (90.30, 92.08, 82.92, 79.80, 72.96, 79.86)),
        ("focus-table-6", "FoCus", (87.02, 91.01, 72.02, 72.18, 66.92, 77.80)),
        ("focus-table-8", "FoCus", (None, None, None)),
        ("msccnet-table-3", "MSCCNet (ours)", (85.55, 64.18, 77.96, 65.26)),
        ("telltales-table-2", "Ours", (87.10, 84.84, 99.77, 98.40)),
        ("telltales-table-4", "Ours (QP 23)", (None, 74.54)),
        ("telltales-table-6", "0.1, 0.2, 0.7", (0.8413, 0.9305)),
    ],
)
def test_printed_numbers(name, label, values):
    assert tuple(printed(name, label).values()) == values


def test_focus_columns_differ_in_order():
    assert printed("focus-table-2", "HQ, FoCus")["DFDC"] == 68.42
    assert printed("focus-table-7", "FoCus")["DFDC"] == 72.98
    assert printed("focus-table-7", "FoCus")["WDF"] == 76.02


def test_f1_and_iou_of_one_class_agree_in_every_row_of_monfap():
    # One matrix gives F1 = 2 IoU / (1 + IoU): this detects misread digits.
    checked = 0
    for name in ("monfap-table-2", "monfap-table-3", "monfap-table-4"):
        for row in PROTOCOLS[name].rows:
            cells = printed(name, row.label)
            for title in (t for t in cells if t.endswith("IoU-f") and "Average" not in t):
                iou, f1 = cells[title], cells[title.replace("IoU-f", "F1-f")]
                if iou is not None:
                    assert f1 == pytest.approx(200 * iou / (100 + iou), abs=0.015)
                    checked += 1
    assert checked == 2 * (8 + 6 + 8)


@pytest.mark.parametrize("name", TABLES)
def test_printed_averages_are_means(name):
    table = PROTOCOLS[name]
    odd = []
    for row in table.rows:
        cells = printed(name, row.label)
        for column in (column for column in table.columns if column.average_of):
            values = [cells[title] for title in column.average_of]
            if None not in values and abs(cells[column.title] - np.mean(values)) > 0.06:
                odd.append((row.label, column.title))
    known = [("HPFCN", "Average F1"), ("MVSS", "Average ACC")]  # as printed; see the table's notes
    assert odd == (known if name == "msccnet-table-4" else [])


def test_recall_of_five_classes_averages_too():
    for row in PROTOCOLS["telltales-table-5"].rows:
        assert row.published[5] == pytest.approx(np.mean(row.published[:5]), abs=0.02)


# Plans


@pytest.mark.parametrize("name", TABLES)
def test_every_step_is_a_valid_command(name):
    table = PROTOCOLS[name]
    seen = set()
    for step in plan(table, NOWHERE, Path("out")).steps:
        commands = {"focus": focus.cli, "evaluator": evaluator.cli}[step.program].COMMANDS
        word, *rest = step.arguments
        flags = (step.program, word, *(w for w in rest if w.startswith("--")))
        if word in commands and flags not in seen:
            parse(word, commands[word], rest)
            seen.add(flags)
        assert word in (
            "prepare",
            "index",
            "train",
            "generate",
            "run",
            "score",
            "robustness",
            "cost",
        )
        assert str(step.output).startswith("out/")
    trains = {row.detector or (row.network.kind if row.network else "") for row in table.rows} - {
        ""
    }
    assert trains <= set(DETECTORS.names())
    assert all(DETECTORS.get(name).gmacs > 0 for name in trains)


def test_steps_shared_by_cells_run_once():
    steps = plan(PROTOCOLS["focus-table-2"], NOWHERE, Path("out")).steps
    words = [step.arguments[0] for step in steps]
    assert words.count("run") == 14
    assert words.count("prepare") == 2 + 3  # FF++ in two qualities; WildDeepfake comes as faces
    assert words.count("train") == 2 * 4
    assert len({step.output for step in steps}) == len(steps)
    run = next(step for step in steps if step.output.parent.name == "probe-ssim-ffpp4-c23")
    assert run.arguments[run.arguments.index("--maps") + 1] == "out/maps/ssim-ffpp4-c23.h5"
    at = run.arguments.index("--test")
    assert run.arguments[at + 1 : at + 3] == (
        "cdf=out/lists/cdf-test.csv",
        "wdf=out/lists/wdf-test.csv",
    )


def test_hours_by_hand():
    # 67,350 steps of 64 images, 218.6 GMACs each, 2 operations, 3 passes, at 20e12 a second.
    expected = 67_350 * 64 * 218.6e9 * 6 / 20e12 / 3600
    assert training_hours("msccnet") == pytest.approx(expected)
    todo = plan(PROTOCOLS["msccnet-table-4"], NOWHERE, Path("out"))
    assert todo.hours == pytest.approx(5 * expected)
    assert "This is an estimate" in " ".join(format_plan(todo).split())


def test_corpora_are_found_by_either_name_and_prepared_faces_first(tmp_path):
    faces = Faces("x", "ffpp", "c23", ("Deepfakes",))
    lost = find_faces(faces, tmp_path)
    assert not lost.here
    assert (
        lost.missing
        == f"FaceForensics++: no folder {tmp_path}/ffpp, nor {tmp_path}/FaceForensics++"
    )
    (tmp_path / "FaceForensics++").mkdir()
    assert find_faces(faces, tmp_path).path == tmp_path / "FaceForensics++"
    (tmp_path / "ffpp-c23").mkdir()
    (tmp_path / "ffpp-c23" / "index.csv").touch()
    assert find_faces(faces, tmp_path).prepared
    part = find_faces(Faces("y", "monfap", part="Pixel_FFIW10K"), tmp_path)
    assert part.path == tmp_path / "monfap" / "Pixel_FFIW10K"


def test_a_plan_lists_missing_corpora_and_a_partial_one_skips_them(tmp_path):
    for name in ("msccnet", "wdf", "ffpp"):
        (tmp_path / name).mkdir()
    table = PROTOCOLS["focus-table-2"]
    text = format_plan(plan(table, tmp_path, tmp_path / "out"))
    assert "Celeb-DF v2: no folder" in text
    assert "WildDeepfake: no folder" not in text
    todo = plan(table, tmp_path, tmp_path / "out", partial=True)
    tests = [step.arguments for step in todo.steps if step.arguments[0] == "run"]
    assert len(tests) == 14
    assert not any("cdf=" in word for words in tests for word in words)
    assert not plan(PROTOCOLS["monfap-table-2"], tmp_path, tmp_path, partial=True).steps


def test_dry_run_only_prints(tmp_path, capsys):
    run_protocol("monfap-table-4", tmp_path, tmp_path / "out", dry_run=True)
    out = capsys.readouterr().out
    assert "--options backbone=resnet50" in out
    assert "--corruptions mix" in out
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="no step of monfap-table-4 can be run"):
        run_protocol("monfap-table-4", tmp_path, tmp_path / "out")


def test_corpora_of_all_tables_exist():
    names = {
        faces.corpus
        for table in PROTOCOLS.values()
        for faces, _ in plan(table, NOWHERE, Path("out")).places
    }
    assert names <= set(CORPORA.names())


# Comparison


def test_comparison_by_hand():
    table = PROTOCOLS["monfap-table-3"]
    row = next(row for row in table.rows if row.label == "MoNFAP-C")

    def tests(value):
        metrics = {"frame_auc": {"value": value, "low": value - 0.02, "high": value + 0.04}}
        return {"tests": {"manualfake": {"metrics": metrics}}}

    settings = {column.train.name: table.setting(row, column) for column in table.columns[:8]}
    results = {settings["ffiw"].name: tests(0.70), settings["ofv2"].name: tests(0.50)}
    cells = {(cell.row, cell.column): cell for cell in compare(table, results)}
    first = cells["MoNFAP-C", "FFIW AUC"]
    assert (first.published, first.ours) == (66.94, pytest.approx(70))
    assert first.difference == pytest.approx(3.06)
    assert first.doubt == pytest.approx(3)
    assert cells["MoNFAP-C", "Average AUC"].ours == pytest.approx(60)
    assert cells["MoNFAP-C", "FFIW ACC"].ours is None
    assert cells["MoNFAP-R", "FFIW AUC"].ours is None
    text = format_comparison(list(cells.values()))
    assert max(map(len, text.splitlines())) <= 100
    assert "+3.06" in text


def test_results_are_read_from_every_format(tmp_path):
    def write(path, content):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))

    def value(number):
        return {"value": number, "low": None, "high": None}

    todo = plan(PROTOCOLS["focus-table-4"], tmp_path, tmp_path)
    kinds = ("saturation", "contrast", "block-crop", "noise", "blur", "pixel", "compress")
    means = {k: {"mean": {"frame_auc": value(n / 10)}} for n, k in enumerate(kinds, 1)}
    path = tmp_path / "results/focus-ffpp4-raw/robustness-ffpp4-raw/robustness.json"
    write(path, {"clean": {"frame_auc": value(0.99)}, "kinds": means})
    rows = {(c.row, c.column): c.ours for c in compare(todo.protocol, read_results(todo))}
    assert rows["FoCus", "Clean"] == pytest.approx(99)
    assert rows["FoCus", "Block"] == pytest.approx(30)
    assert rows["FoCus", "Avg"] == pytest.approx(40)
    path.write_text("{}")
    with pytest.raises(InputError, match="not a valid result"):
        read_results(todo)

    todo = plan(PROTOCOLS["monfap-table-4"], tmp_path, tmp_path)
    write(
        tmp_path / "results/monfap-truth-ofv2/ofv2-mix.json",
        {"metrics": {"iou_fake": value(0.5)}},
    )
    rows = {(c.row, c.column): c.ours for c in compare(todo.protocol, read_results(todo))}
    assert rows["MoNFAP-C", "OFV2 IoU-f"] == pytest.approx(50)

    todo = plan(PROTOCOLS["focus-table-8"], tmp_path, tmp_path)
    write(tmp_path / "results/gffd/cost.json", {"parameters": 53_300_000, "macs": 14e9, "x": 1})
    rows = {(c.row, c.column): c.ours for c in compare(todo.protocol, read_results(todo))}
    assert rows["GFFD", "GMACs"] == pytest.approx(14)
    assert rows["GFFD", "parameters, M"] == pytest.approx(53.3)


# A small table, run to completion


@dataclass(frozen=True)
class TinyConfig:
    """No settings."""

    width: int = 4
    """Channels."""


class Tiny(Detector[TinyConfig]):
    """Trains for three steps; the result does not matter."""

    input_spec = InputSpec(image_size=16)
    optimizer = OptimizerConfig("adam", lr=1e-2)
    steps = 3
    batch = 4

    def __init__(self, config: TinyConfig = TinyConfig()):
        super().__init__()
        self.body = nn.Conv2d(3, config.width, 3, padding=1)
        self.draw = nn.Conv2d(config.width, 1, 1)

    def loss(self, batch):
        return {
            "label": F.binary_cross_entropy_with_logits(self(batch.images)[0], batch.labels.float())
        }

    def forward(self, images):
        drawn = self.draw(self.body(images).relu())
        return drawn.mean(dim=(1, 2, 3)), drawn

    def predict(self, images):
        scores, maps = self(images)
        return Prediction(scores.sigmoid().float(), torch.sigmoid(maps).float())


@pytest.fixture
def small(tmp_path):
    """A root with two corpora of prepared faces, and a table over them."""
    generator = np.random.default_rng(0)
    for corpus in ("ffpp-c23", "cdf"):
        root, faces = tmp_path / "data" / corpus, []
        root.mkdir(parents=True)
        for split in ("train", "val", "test"):
            for number in range(8):
                name, fake = f"{split}{number}.png", number % 2
                cv2.imwrite(str(root / name), generator.integers(0, 256, (16, 16, 3), np.uint8))
                more = {"mask": "mask.png", "original": f"{split}0.png", "method": "Deepfakes"}
                faces.append(Face(name, fake, split, video=name, **(more if fake else {})))
        cv2.imwrite(str(root / "mask.png"), np.full((16, 16), 255, np.uint8))
        FaceIndex.of(faces, root).write(root / "index.csv")
    train, cdf = Faces("train", "ffpp", "c23", ("Deepfakes",)), Faces("cdf", "cdf")
    columns = (
        Column("own", "frame_auc"),
        Column("other", "frame_auc", cdf),
    )
    own = Network("tiny")
    rows = (
        Row("printed", numbers("1 2")),
        Row("learnt", numbers("50 -"), "tiny", Maps("tiny", own), train=train),
        Row("itself", numbers("50 60"), network=own, train=train),
    )
    table = Protocol("small", "a test", "Table 0 of nothing", columns, rows)
    with DETECTORS.temporarily("tiny", Tiny):
        yield table


@pytest.fixture
def wired(small, monkeypatch):
    """The registered table, and a record of executed commands."""
    monkeypatch.setattr(protocol_running, "get_protocol", lambda name: small)
    called, real = [], protocol_running.run_step

    def run_step(step, runtime):
        called.append((step.program, step.arguments[0]))
        real(step, runtime)

    monkeypatch.setattr(protocol_running, "run_step", run_step)
    return called


def test_a_table_from_root_to_comparison_and_again(wired, tmp_path, capsys):
    root, out = tmp_path / "data", tmp_path / "out"
    run_protocol("small", root, out, quiet=True)
    text = capsys.readouterr().out
    assert "a test\nTable 0 of nothing" in text
    rows = list(csv.DictReader((out / "small.csv").open()))
    ours = {(row["row"], row["column"]): row["ours"] for row in rows}
    assert ours["printed", "own"] == ""
    for label in ("learnt", "itself"):
        for column in ("own", "other"):
            assert 0 <= float(ours[label, column]) <= 100
    assert [word for _, word in wired].count("train") == 1
    done = len(wired)
    run_protocol("small", root, out, quiet=True)
    assert len(wired) == done
    (out / "results" / "tiny-train" / "cdf.json").unlink()
    run_protocol("small", root, out, quiet=True)
    assert wired[done:] == [("evaluator", "score")]


def test_it_stops_at_a_failed_step_and_resumes_there(wired, tmp_path):
    root, out = tmp_path / "data", tmp_path / "out"
    index = FaceIndex.read(root / "ffpp-c23" / "index.csv")
    keep = np.array([split != "val" for split in index.column("split")])
    index.take(keep).write(root / "ffpp-c23" / "index.csv")
    with pytest.raises(CheckFailedError, match=r"step 2 of .*no 'val' rows"):
        run_protocol("small", root, out, quiet=True)
    assert wired == [("focus", "index"), ("focus", "train")]
    with pytest.raises(CheckFailedError, match="step 2"):
        run_protocol("small", root, out, quiet=True)
    assert wired[2:] == [("focus", "train")]


def test_an_output_of_another_command_is_not_done(small, tmp_path):
    root, out = tmp_path / "data", tmp_path / "out"
    first = plan(small, root, out).steps[0]
    first.output.parent.mkdir(parents=True)
    first.output.touch()
    assert not plan(small, root, out).steps[0].done
    journal = {
        "lists/train.csv": " ".join(first.words).replace(str(out), "OUT").replace(str(root), "ROOT")
    }
    (out / "steps.json").write_text(json.dumps(journal))
    assert plan(small, root, out).steps[0].done
    other = replace(
        small,
        rows=tuple(replace(r, train=r.train and replace(r.train, methods=())) for r in small.rows),
    )
    assert not plan(other, root, out).steps[0].done
    (out / "steps.json").write_text("{")
    with pytest.raises(InputError, match=r"steps\.json: cannot be read"):
        plan(small, root, out)
