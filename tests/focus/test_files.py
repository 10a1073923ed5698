from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from focus.errors import InputError
from focus.files import relative_path, replace_file
from focus.output import present


def test_a_full_disk_is_one_line_and_the_old_file_is_kept(tmp_path, monkeypatch):
    path = tmp_path / "x.txt"
    path.write_text("old")

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    said = r"x\.txt: no room on the disk .*: free some space"
    with pytest.raises(InputError, match=said), replace_file(path) as temporary:
        temporary.write_text("new")
    assert os.listdir(tmp_path) == ["x.txt"]
    assert path.read_text() == "old"


def test_content_is_flushed_before_the_rename(tmp_path, monkeypatch):
    calls, replace = [], os.replace

    def note(handle: int) -> None:
        calls.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")

    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(os, "replace", lambda *names: calls.append("rename") or replace(*names))
    with replace_file(tmp_path / "x") as temporary:
        temporary.write_text("content")
    assert calls == ["file", "rename", "folder"]


def test_only_leftovers_of_killed_processes_are_removed(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = tmp_path / f".{gone.pid}-a.focus-tmp" / "x"
    names = (f".{os.getppid()}-a.focus-tmp/x", ".y-a.focus-tmp/x", f".{gone.pid}-b.focus-tmp/y")
    others = [*(tmp_path / name for name in names), tmp_path / f".x.{gone.pid}.tmp"]
    for path in (left, *others):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    with replace_file(tmp_path / "x") as temporary:
        temporary.write_text("content")
    assert not left.parent.exists()
    assert all(path.exists() for path in others)


@pytest.mark.parametrize("place", ["file/x", "folder"])
def test_paths_that_cannot_be_written(tmp_path, place):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    said = rf"{place}: cannot be written \((Not|Is) a directory\)"
    with pytest.raises(InputError, match=said), replace_file(tmp_path / place) as temporary:
        temporary.write_text("content")


def test_the_old_content_is_kept_until_the_new_is_complete(tmp_path):
    path = tmp_path / "x"
    path.write_text("old")
    before = path.stat().st_ino
    with replace_file(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert path.stat().st_ino != before  # renamed, not copied into
    assert os.listdir(tmp_path) == ["x"]


def test_an_exception_leaves_only_the_old_content(tmp_path):
    path = tmp_path / "x"
    path.write_text("old")
    replacing = replace_file(path)
    temporary = replacing.__enter__()
    temporary.write_text("new")
    (temporary.parent / ".tmpAbCdEf").touch()  # a library's own
    assert not replacing.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_written_through(tmp_path, there):
    target, link = tmp_path / "elsewhere" / "x", tmp_path / "link"
    if there:
        target.parent.mkdir()
        target.write_text("old")
    link.symlink_to("elsewhere/x")
    with replace_file(link, within=tmp_path) as temporary:
        temporary.write_text("new")
    assert os.readlink(link) == "elsewhere/x"
    assert target.read_text() == "new"
    assert os.listdir(target.parent) == ["x"]


@pytest.mark.parametrize("through_link", [False, True])
def test_a_pipe_is_written_to(tmp_path, through_link):
    pipe, path = tmp_path / "pipe", tmp_path / ("link" if through_link else "pipe")
    os.mkfifo(pipe)
    if through_link:
        path.symlink_to("pipe")
    received: list[str] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_text()), daemon=True)
    reader.start()
    present({"a": 1}, "", str(path))
    reader.join(10)
    assert received == ['{\n  "a": 1\n}\n']
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert path.is_symlink() == through_link


@pytest.mark.skipif(sys.platform == "win32", reason="has no device files")
def test_a_device_stays_a_device(tmp_path):
    link = tmp_path / "null"
    link.symlink_to(os.devnull)
    present({}, "", str(link))
    assert link.is_symlink()
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


def test_a_path_on_another_drive_stays_absolute(tmp_path, monkeypatch):
    path, folder = tmp_path / "data" / "faces", tmp_path / "maps"
    assert relative_path(path, folder) == os.path.join("..", "data", "faces")

    def refuse(*_: str) -> str:
        raise ValueError("path is on mount 'D:', start on mount 'C:'")  # as ntpath does

    monkeypatch.setattr(os.path, "relpath", refuse)
    assert relative_path(path, folder) == str(path)
