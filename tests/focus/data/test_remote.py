"""Archives at URLs, and files written to one: fsspec's memory file system, and a local server."""

import http.server
import tempfile
import threading
import zipfile
from functools import partial
from pathlib import Path

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from focus.cli import main
from focus.data.archives import read_member
from focus.data.faces import FaceDataset
from focus.data.images import read_face
from focus.data.index import Face, FaceIndex
from focus.data.loading import build_loader
from focus.data.overlap import FileTable, find_overlap
from focus.data.parquet import ImageWriter
from focus.data.remote import find_url, write_through
from focus.data.sources import Source, describe_source, open_source
from focus.errors import InputError, UnreadableError
from focus.mapstore import MapReader
from tests.focus.data.test_webdataset import encode, write


@pytest.fixture
def temporary(monkeypatch):
    """A temporary folder of its own; its path is short, as sockets need."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setattr("tempfile.tempdir", folder)
        yield Path(folder)


@pytest.fixture
def bucket(temporary):
    """An empty memory file system."""
    system = fsspec.filesystem("memory")
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


def put_tar(system, tmp_path, url, levels):
    members = {}
    for number, level in enumerate(levels):
        members |= {f"{number}.png": encode(level), f"{number}.cls": str(number % 2).encode()}
    path = write(tmp_path / "local.tar", members)
    system.put_file(str(path), url)


@pytest.mark.parametrize(
    ("path", "url"),
    [
        (Path("s3://bucket/a.tar"), "s3://bucket/a.tar"),
        (Path("/data") / "gs://bucket/a/b.tar", "gs://bucket/a/b.tar"),
        (Path("memory://a.tar"), "memory://a.tar"),
        (Path("a/b.tar"), ""),
        (Path("C:/a.tar"), ""),
        (Path("/data/12:/a.tar"), ""),
    ],
)
def test_a_url_survives_in_a_path(path, url):
    assert find_url(path) == url


def test_a_local_folder_that_looks_like_a_url_stays_local(tmp_path, monkeypatch):
    (tmp_path / "run:").mkdir()
    (tmp_path / "run:" / "a.tar").touch()
    monkeypatch.chdir(tmp_path)
    assert find_url("run:/a.tar") == ""
    assert find_url("run:/b.tar") == "run://b.tar"


def test_faces_of_a_tar_in_a_bucket(bucket, tmp_path):
    put_tar(bucket, tmp_path, "memory://set/a-0.tar", [10, 20])
    put_tar(bucket, tmp_path, "memory://set/a-1.tar", [30])
    index = open_source(Source("memory://set/a-{0..1}.tar"))
    assert list(index.keys) == [
        "memory://set/a-0.tar!/0.png",
        "memory://set/a-0.tar!/1.png",
        "memory://set/a-1.tar!/0.png",
    ]
    assert index.labels.tolist() == [0, 1, 0]
    assert [read_face(index.root, key)[0, 0, 0] for key in index.keys] == [10, 20, 30]
    # An index elsewhere, and the record of a map file, name the same files.
    index.relocated(tmp_path / "lists").write(tmp_path / "lists" / "index.csv")
    again = open_source(Source(str(tmp_path / "lists" / "index.csv")))
    assert list(again.keys) == list(index.keys)
    assert (read_face(again.root, again.keys[1]) == 20).all()
    assert describe_source(Source("memory://set/a-0.tar"))["data"] == "memory://set/a-0.tar"
    # Copies are found across machines.
    local = FaceIndex.of([Face("local.tar!/0.png")], tmp_path)
    overlap = find_overlap(FileTable(local), FileTable(index))
    assert overlap is not None
    assert overlap.names == ["memory://set/a-1.tar!/0.png"]


def test_faults_of_a_url_are_one_line(bucket, tmp_path):
    with pytest.raises(InputError, match=r"memory://none\.tar: no such file"):
        open_source(Source("memory://none.tar"))
    with pytest.raises(InputError, match="only archives are read by URL"):
        open_source(Source("memory://faces"))
    with pytest.raises(UnreadableError, match=r"nowhere|[Pp]rotocol"):
        read_member(Path("nowhere://a.tar"), "1.png")
    bucket.pipe_file("memory://a.tar", b"no tar at all" * 100)
    with pytest.raises(InputError, match="damaged or truncated"):
        open_source(Source("memory://a.tar"))


def test_a_zip_with_any_packing_at_a_url(bucket, tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for place, how in enumerate((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)):
            archive.writestr(f"{place}.png", encode(place), how)
    bucket.put_file(str(path), "memory://a.zip")
    index = open_source(Source("memory://a.zip"))
    assert [read_face(index.root, key)[0, 0, 0] for key in index.keys] == [0, 1, 2]


def test_a_parquet_file_at_a_url_is_read_by_several_processes(bucket, tmp_path):
    pytest.importorskip("pyarrow", reason="needs pyarrow, of the extra datasets")
    writer = ImageWriter(tmp_path / "a.parquet")
    for row in range(250):
        writer.add(f"{row}.png", encode(row), encode(0), None, row % 2)
    writer.close()
    bucket.put_file(str(tmp_path / "a.parquet"), "memory://a.parquet")
    faces = FaceDataset(open_source(Source("memory://a.parquet")), 8)
    batches = [list(range(start, start + 25)) for start in range(0, 250, 25)]
    seen = [int(image.max()) for batch in build_loader(faces, batches, 2) for image in batch.images]
    assert seen == list(range(250))


def test_faces_from_a_server(tmp_path):
    pytest.importorskip("aiohttp", reason="needs aiohttp, of the extra remote")
    write(tmp_path / "a.tar", {"1.png": encode(7), "1.cls": b"1"})
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        index = open_source(Source(f"{url}/a.tar"))
        with pytest.raises(InputError, match=r"b\.tar: no such file"):
            open_source(Source(f"{url}/b.tar"))
        with (
            pytest.raises(InputError, match=r"it, re-run|complete in"),
            write_through(f"{url}/x.h5") as out,
        ):
            out.write_bytes(b"maps")
        server.shutdown()
    assert index.labels.tolist() == [1]
    assert (read_face(index.root, index.keys[0]) == 7).all()


def test_a_file_is_uploaded_when_whole_and_fetched_before_it_is_continued(bucket, tmp_path):
    url = "memory://out/deep/maps.h5"
    with pytest.raises(KeyboardInterrupt), write_through(url) as out:  # noqa: PT012
        Path(f"{out}.parts").mkdir()
        raise KeyboardInterrupt
    assert not bucket.exists(url)
    with write_through(url) as out:
        assert Path(f"{out}.parts").is_dir()  # kept for the next run
        Path(f"{out}.parts").rmdir()
        out.write_bytes(b"whole")
        Path(f"{out}.errors.csv").write_bytes(b"key")
    assert bucket.cat_file(url) == b"whole"
    assert bucket.cat_file(f"{url}.errors.csv") == b"key"
    assert not out.parent.exists()
    with write_through(url) as out:
        assert out.read_bytes() == b"whole"
    with write_through(url, replace=True) as out:
        assert not out.exists()
    with write_through(str(tmp_path / "local.h5")) as out:
        assert out == tmp_path / "local.h5"


class Store(MemoryFileSystem):
    """Object storage in memory: the first folder is a bucket, and making a folder makes one."""

    cachable = False

    def exists(self, path, **options):
        return super().exists(f"/{path}")

    def put_file(self, lpath, rpath, **options):
        if not self.exists(rpath.partition("/")[0]):
            raise FileNotFoundError(rpath)
        super().put_file(lpath, f"/{rpath}", **options)


def test_a_missing_bucket_is_not_made(bucket, monkeypatch):
    monkeypatch.setattr(fsspec.core, "url_to_fs", lambda url: (Store(), url.partition("://")[2]))
    bucket.makedirs("/there")
    with write_through("gs://there/deep/maps.h5") as out:
        out.write_bytes(b"maps")
    assert bucket.cat_file("/there/deep/maps.h5") == b"maps"
    with (
        pytest.raises(InputError, match=r"gs://typo/maps\.h5: no bucket typo"),
        write_through("gs://typo/maps.h5"),
    ):
        pytest.fail("nothing is computed for a bucket that is not there")
    assert not bucket.exists("/typo")


def test_maps_from_bucket_to_bucket(bucket, tmp_path, capsys):
    put_tar(bucket, tmp_path, "memory://set/a.tar", [10, 20, 30])
    words = ["generate", "--data", "memory://set/a.tar", "--method", "pixel", "--crop", "frame"]
    words += ["--workers", "0", "--device", "cpu", "--quiet"]
    # Real faces need no original; the fake has none, and is left out.
    assert main([*words, "--out", "memory://maps/a.h5"]) == 1
    said = capsys.readouterr()
    assert said.out.startswith("memory://maps/a.h5: 2 faces, ")
    assert "memory://maps/a.h5.errors.csv lists them" in said.err
    assert bucket.exists("memory://maps/a.h5.errors.csv")
    bucket.get_file("memory://maps/a.h5", str(tmp_path / "a.h5"))
    with MapReader(tmp_path / "a.h5") as reader:
        assert list(reader.face_keys) == [f"memory://set/a.tar!/{k}.png" for k in (0, 2)]
        assert reader.attributes["data"] == "memory://set/a.tar"
        assert not np.any(reader.read(np.arange(2)))
