"""The command: addresses, a missing package, and nothing left behind; without Gradio."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from focus.app import command
from focus.cli import main
from focus.errors import InputError


def test_a_missing_package_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["app"]) == 2
    error = capsys.readouterr().err
    assert 'pip install "focus-forgery[app]"' in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--port", "0"], "--port 0: must be in 1 to 65535"),
        (["--limit", "0"], "--limit 0: must be at least 1 (MB)"),
        (["--face-detector", "eyes"], "--face-detector eyes: use centerface"),
    ],
)
def test_a_mistake_is_one_line(
    words: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["app", *words]) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1


def test_a_taken_port_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"--port {port}: .*in use; choose another"):
            command._check_address("127.0.0.1", port)


def test_temporary_files_have_a_folder_that_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", "mine")
    before = tempfile.gettempdir()
    with command._private_folder():
        inside = Path(os.environ["GRADIO_TEMP_DIR"])
        assert tempfile.gettempdir() == str(inside)
        (inside / "upload.jpg").touch()
    assert not inside.exists()
    assert os.environ["GRADIO_TEMP_DIR"] == "mine"
    assert tempfile.gettempdir() == before


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_another_host_is_said_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], host: str, warned: bool
) -> None:
    closed = []

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    blocks = SimpleNamespace(close=lambda **_: closed.append(True))
    for name, found in {
        "import_gradio": lambda: None,
        "load": lambda *_, **__: None,
        "build_interface": lambda *_: blocks,
        "_check_address": lambda *_: None,
        "_serve": lambda *_: "http://x/",
    }.items():
        monkeypatch.setattr(command, name, found)
    monkeypatch.setattr(command.threading.Event, "wait", interrupt)
    assert main(["app", "--host", host]) == 0
    printed = capsys.readouterr().out
    assert "page: http://x/ (Ctrl-C ends it)" in printed
    assert ("everybody who reaches this machine can open it" in printed) == warned
    assert closed == [True]
