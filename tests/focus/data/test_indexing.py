"""``focus index``: rows, counts, and new splits in the file."""

from pathlib import Path

import pytest

from focus.cli import main
from focus.data.images import read_face
from focus.data.index import Face, FaceIndex
from focus.data.indexing import IndexCommand, index_command
from focus.data.sources import Source, open_source
from focus.errors import InputError
from focus.runtime import SeedFlags
from tests.focus.data.planted_files import put, rows


def test_index_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path / "data", "real/1.png", "fake/1.png", "fake/2.png")
    out = tmp_path / "lists" / "index.csv"
    index_command(IndexCommand(Source(str(tmp_path / "data")), out))
    assert capsys.readouterr().out == f"{out}: 3 faces (1 real, 2 fake, 0 unknown)\n"
    index = open_source(Source(str(out)))
    assert rows(index)[2] == ("../data/real/1.png", 0, "")
    assert all(read_face(index.root, key).any() for key in index.keys)


def test_index_command_counts_splits_and_spares_its_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "index.csv"
    FaceIndex.of([Face("a", 0, split="train"), Face("/b", 1, split="test")], tmp_path).write(source)
    for data in (source, tmp_path):
        with pytest.raises(InputError, match="is the index that was read"):
            index_command(IndexCommand(Source(str(data)), source, ("test",)))
    out = tmp_path / "deep" / "other.csv"
    index_command(IndexCommand(Source(str(source)), out, runtime=SeedFlags(quiet=True)))
    assert capsys.readouterr().out.endswith(
        "2 faces (1 real, 1 fake, 0 unknown); 1 train, 1 test\n"
    )
    assert FaceIndex.read(out).keys == ["../a", "/b"]
    with pytest.raises(InputError, match=r"must be a file that ends in \.csv"):
        index_command(IndexCommand(Source(str(source)), tmp_path / "index.txt"))


def test_shares_write_splits_and_a_name_selects_one(tmp_path, demo_corpus, capsys):
    out, test = tmp_path / "new.csv", tmp_path / "test.csv"
    words = ["index", "--data", str(demo_corpus), "--out"]
    assert main([*words, str(out), "--split", "0.5", "0.3", "0.2", "--seed", "3"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[1] == (
        "split by video, seed 3: train 50.0% (5 units), val 30.0% (3 units), test 20.0% (2 units)"
    )
    assert "replaces the splits of" in said.err
    index = FaceIndex.read(out)
    videos = {name: set(index.where(name).column("video")) for name in ("train", "val", "test")}
    assert len(set.union(*videos.values())) == sum(map(len, videos.values())) == 10
    assert main(["index", "--data", str(out), "--out", str(test), "--split", "test"]) == 0
    assert set(FaceIndex.read(test).column("split")) == {"test"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--split", "0.7", "0.3"], "give three shares"),
        (["--split", "train", "val", "test"], "give three shares"),
        (["--split", "0.7", "0.2", "0.2"], "must add up to 1"),
        (["--split", "1.2", "-0.2", "0"], "must not be negative"),
        (["--split", "nan", "0", "1"], "must add up to 1"),
        (["--split", "tset"], "--split tset: use train, val, test"),
        (["--split-by", "folder"], "needs --split with three shares"),
        (["--split", "0.7", "0.15", "0.15", "--split-by", "person"], "no column of persons"),
    ],
)
def test_unusable_shares_are_one_line(tmp_path, demo_corpus, capsys, words, message):
    out = tmp_path / "new.csv"
    assert main(["index", "--data", str(demo_corpus), "--out", str(out), *words]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not out.exists()
