"""Tables: bold and missing values, and every format read back by its own reader."""

import csv
import io
import json
from xml.etree import ElementTree

import pytest

from evaluator.metrics import HEADLINE, METRICS, PRIOR
from evaluator.tables import (
    FORMATS,
    Row,
    TableCommand,
    best,
    describe_sets,
    mark_sets,
    read_result,
    table_command,
    with_prior,
)
from focus.errors import InputError


def value(middle, spread=0.01):
    return {"value": middle, "low": middle - spread, "high": middle + spread, "n": 9}


ROWS = [
    Row(
        "a & b",
        {"pixel_auc": value(0.9), "fp_area_real": value(0.3), "prior_pixel_auc": value(0.6)},
    ),
    Row("c_d", {"pixel_auc": value(0.8), "fp_area_real": value(0.1)}),
    Row("e", {"pixel_auc": {"value": None, "reason": "no mask"}, "fp_area_real": value(0.105)}),
]


def test_best_needs_an_interval_of_its_own():
    assert best(ROWS, "pixel_auc") == {0}
    assert best(ROWS, "fp_area_real") == set()  # lower is better, and two overlap
    assert best(ROWS[:2], "fp_area_real") == {1}
    assert best(ROWS[:1], "pixel_auc") == set()


def test_a_row_without_an_interval_is_not_bold_beside_rows_with_one():
    bare = {"value": 0.99, "low": None, "high": None, "n": 9}
    rows = [Row("bare", {"pixel_auc": bare}), Row("known", {"pixel_auc": value(0.8)})]
    assert best(rows, "pixel_auc") == set()
    assert best([*rows[1:], Row("low", {"pixel_auc": {**bare, "value": 0.7}})], "pixel_auc") == {0}
    assert best([rows[0], Row("low", {"pixel_auc": {**bare, "value": 0.7}})], "pixel_auc") == {0}
    half = Row("half", {"pixel_auc": {**bare, "low": 0.98}})
    assert best([half, rows[1]], "pixel_auc") == set()


def test_prior_stands_beside_what_it_is_compared_with():
    rows = with_prior(ROWS)
    assert rows[-1].name == "place prior"
    assert rows[-1].metrics["pixel_auc"]["value"] == 0.6
    assert best(rows, "pixel_auc") == {0}


def of_faces(name, middle, scores, maps, missing=0):
    metrics = {"frame_auc": value(middle), "pixel_auc": value(middle)}
    return Row(name, metrics, {"scores": scores, "maps": maps}, missing)


def test_results_over_different_faces_are_marked_and_never_bold_against_each_other(capsys):
    whole, easy = of_faces("whole", 0.8, "a", "b"), of_faces("easy", 1.0, "c", "d", missing=45)
    assert best([whole, easy], "pixel_auc") == best([whole, easy], "frame_auc") == set()
    assert [row.name for row in mark_sets([whole, easy])] == ["whole [a]", "easy [b]"]
    lines = describe_sets([whole, easy])
    assert lines[0] == "easy: 45 faces without a prediction left out"
    assert "different faces" in lines[1]
    # Rows over the same faces are still compared, whatever the other rows are.
    worse = of_faces("worse", 0.7, "a", "b")
    assert best([whole, easy, worse], "pixel_auc") == {0}
    assert [row.name[-3:] for row in mark_sets([whole, easy, worse])] == ["[a]", "[b]", "[a]"]
    assert "**" not in FORMATS["md"]([whole, easy], ["pixel_auc"])
    # The scores may differ while the maps are of the same faces, and the other way round.
    mixed = of_faces("mixed", 0.6, "c", "b")
    assert best([whole, mixed], "pixel_auc") == {0}
    assert best([whole, mixed], "frame_auc") == set()


def test_results_without_scores_or_of_older_files_are_not_marked_for_that():
    whole, maps = of_faces("whole", 0.8, "a", "b"), of_faces("maps", 0.7, "", "b")
    assert mark_sets([maps, whole]) == [maps, whole]
    assert best([maps, whole], "pixel_auc") == {1}
    assert mark_sets(ROWS) == ROWS
    assert describe_sets(ROWS) == []


def test_the_sets_of_a_result_file_are_read(tmp_path, capsys):
    paths = []
    for name, middle, faces in (("whole", 0.8, "a"), ("easy", 1.0, "b")):
        left_out = {"real": 1, "fake": 4, "unknown": 0} if faces == "b" else {}
        content = {
            "metrics": {"pixel_auc": value(middle, 0.0)},
            "sets": {"scores": "", "maps": faces},
            "coverage": {"missing": left_out, "without_score": {}, "rule": "leave-out"},
        }
        paths.append(tmp_path / f"{name}.json")
        paths[-1].write_text(json.dumps(content))
    table_command(TableCommand(tuple(map(str, paths))))
    said = capsys.readouterr()
    assert "easy [b]" in said.out
    assert "**" not in said.out
    assert "easy: 5 faces without a prediction left out" in said.err
    content["coverage"]["rule"] = "wrong"
    paths[1].write_text(json.dumps(content))
    assert read_result(str(paths[1]))[0].missing == 0


def test_seeds_over_different_faces_are_marked(tmp_path, capsys):
    content = {"metrics": {"pixel_auc": value(0.8)}, "sets": {"scores": "", "maps": "a"}}
    for name, faces in (("whole", "a"), ("mixed", "a+b")):
        content["sets"] = {"scores": "", "maps": faces}
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    table_command(TableCommand((str(tmp_path / "whole.json"), str(tmp_path / "mixed.json"))))
    said = capsys.readouterr()
    assert "mixed [b]" in said.out
    assert "mixed: its seeds are over different faces" in said.err


def test_a_robustness_result_has_a_row_per_corruption_compared_only_under_the_same(tmp_path):
    for name, middle in (("one", 0.9), ("two", 0.6)):
        noise = {"levels": [{"level": 3}], "mean": {"frame_auc": value(middle - 0.2)}}
        content = {"clean": {"frame_auc": value(middle)}, "kinds": {"noise": noise}}
        content["sets"] = {"scores": "a", "maps": ""}
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    rows = [row for name in ("one", "two") for row in read_result(str(tmp_path / f"{name}.json"))]
    assert [row.name for row in rows] == ["one: clean", "one: noise", "two: clean", "two: noise"]
    assert best(rows, "frame_auc") == {0, 1}
    assert [row.name[-3:] for row in mark_sets(rows)] == ["[a]", "[b]", "[a]", "[b]"]


def test_formats_are_read_back():
    metrics = ["pixel_auc", "fp_area_real"]
    table = {name: write(ROWS, metrics) for name, write in FORMATS.items()}
    read = list(csv.DictReader(io.StringIO(table["csv"])))
    assert float(read[0]["pixel_auc_low"]) == pytest.approx(0.89)
    assert read[2]["pixel_auc_value"] == ""
    page = table["html"]
    inner = page[page.index("<table") : page.index("</table>") + len("</table>")]
    cells = [
        ["".join(cell.itertext()) for cell in row]
        for row in ElementTree.fromstring(inner).iter("tr")
    ]
    assert cells[0] == ["", "Pixel AUC", "False area on real faces"]
    assert cells[1] == ["a & b", "0.9000.890 to 0.910", "0.3000.290 to 0.310"]
    assert cells[3][1] == "-"
    assert inner.count("<b>") == 1
    assert "--surface" in page  # styled like the report
    assert "**0.900** (0.890 to 0.910)" in table["md"]
    assert len({len(line) for line in table["md"].splitlines()}) == 1
    assert r"a \& b & \textbf{0.900}" in table["latex"]


def test_names_cannot_break_a_table_or_run_as_a_formula():
    rows = [Row("=x_%&#${}\\~^<é", {"pixel_auc": value(0.9)})]
    latex = FORMATS["latex"](rows, ["pixel_auc"])
    name = r"=x\_\%\&\#\$\{\}\textbackslash{}\textasciitilde{}\textasciicircum{}\textless{}é"
    assert name + " & " in latex
    read = list(csv.reader(io.StringIO(FORMATS["csv"](rows, ["pixel_auc"]))))
    assert read[1][0].startswith("'=x")


def test_command_reads_files_folders_and_names(tmp_path, capsys):
    (tmp_path / "run").mkdir()
    for path in (tmp_path / "x.json", tmp_path / "run" / "result.json"):
        path.write_text(json.dumps({"metrics": {"frame_auc": value(0.7)}}))
    table_command(TableCommand((f"named={tmp_path / 'x.json'}", str(tmp_path / "run"))))
    printed = capsys.readouterr().out
    assert "named" in printed
    assert "run" in printed
    (tmp_path / "bad.json").write_text("[]")
    with pytest.raises(InputError, match="contains no metrics"):
        read_result(str(tmp_path / "bad.json"))
    with pytest.raises(InputError, match="unknown metric"):
        TableCommand(("x",), ("auc",))
    with pytest.raises(InputError, match="no result has a value for pxap"):
        table_command(TableCommand((str(tmp_path / "x.json"),), ("pxap",)))


def test_eight_columns_unless_others_are_asked_for(tmp_path, capsys):
    known = [name for name in METRICS if name not in PRIOR]
    path = tmp_path / "lr=0.1.json"  # the "=" is part of the path
    path.write_text(json.dumps({"metrics": {name: value(0.7) for name in known}}))

    def columns(*words):
        table_command(TableCommand((str(path),), words, format="csv"))
        said = capsys.readouterr()
        head = next(csv.reader(io.StringIO(said.out)))
        return [name.removesuffix("_value") for name in head if name.endswith("_value")], said.err

    shown, notes = columns()
    assert shown == list(HEADLINE)
    assert len(shown) == 8
    assert f"{len(known) - 8} more columns with --columns all" in notes
    assert columns("all") == (known, "")
    assert columns("pointing", "frame_auc") == (["pointing", "frame_auc"], "")
    path.write_text(json.dumps({"metrics": {"pointing": value(0.7)}}))
    assert columns() == (["pointing"], "")


def test_a_run_of_several_test_sets_has_a_row_each(tmp_path):
    tests = {name: {"metrics": {"frame_auc": value(0.8)}} for name in ("cdf", "wdf")}
    (tmp_path / "result.json").write_text(json.dumps({"metrics": {}, "tests": tests}))
    assert [row.name for row in read_result(f"mine={tmp_path}")] == ["mine: cdf", "mine: wdf"]
    del tests["wdf"]
    (tmp_path / "result.json").write_text(json.dumps({"metrics": {}, "tests": tests}))
    assert [row.name for row in read_result(f"mine={tmp_path}")] == ["mine"]
