from __future__ import annotations

import hashlib
import json
import shutil
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from focus.cli import main
from focus.released import catalogue
from focus.released.catalogue import fetch_model, find_model


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("FOCUS_WEIGHTS", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def offered(cache: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Offer the tiny model for download, without a network; return a downloaded file."""
    digest = hashlib.sha256(tiny_model.read_bytes()).hexdigest()
    size = tiny_model.stat().st_size
    entry = {"url": "https://localhost:1/x", "sha256": digest, "bytes": size, "summary": "A test."}
    (tmp_path / "catalogue.json").write_text(json.dumps({"focus-large": entry}))
    monkeypatch.setattr(catalogue, "_CATALOGUE", tmp_path / "catalogue.json")

    def refuse(*_: object, **__: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", refuse)
    return Path(shutil.copy(tiny_model, tmp_path / "downloaded"))


@pytest.mark.usefixtures("cache")
def test_lists_models_and_shows_one(
    cache: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache.mkdir()
    shutil.copy(tiny_model, cache)
    assert main(["weights"]) == 0
    listed = capsys.readouterr().out
    assert [line.split()[0] for line in listed.splitlines()] == ["focus-small", "tiny"]
    assert "nothing" in listed
    assert main(["weights", "info", "tiny", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["calibration"]["high"] == 0.6
    assert main(["weights", "info", str(tiny_model)]) == 0
    text = capsys.readouterr().out
    assert "trained on: nothing" in text
    assert "from 0.6 on: signs of manipulation" in text
    assert "Not trained." in text


def test_fetch_takes_a_local_file_first_and_checks_it(
    offered: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match="run: focus weights fetch focus-large"):
        find_model("focus-large")
    assert main(["weights", "fetch", "focus-large"]) == 2
    error = capsys.readouterr().err
    assert "cannot download https://localhost:1/x (Network is unreachable)" in error
    assert error.count("\n") == 1
    assert not list(cache.glob("*.safetensors"))
    Path("wrong").write_bytes(b"other")
    assert main(["weights", "fetch", "focus-large", "--file", "wrong"]) == 2
    assert "SHA-256" in capsys.readouterr().err
    assert not list(cache.glob("*.safetensors"))
    assert main(["weights", "fetch", "focus-large", "--file", str(offered)]) == 0
    assert find_model("focus-large") == cache / "focus-large.safetensors"
    assert fetch_model("focus-large") == cache / "focus-large.safetensors"  # kept, not fetched
    (cache / "focus-large.safetensors").unlink()
    offered.rename("focus-large.safetensors")
    assert fetch_model("focus-large").read_bytes() == Path("focus-large.safetensors").read_bytes()


@pytest.fixture
def served(
    cache: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, bytes]]:
    """Offer the tiny model from a server on this machine; yield what the server sends, by path."""
    content = tiny_model.read_bytes()
    sent = {"/whole": content, "/cut": content[:5000], "/other": content[:-1] + b"x"}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = sent.get(self.path)
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        home = f"http://127.0.0.1:{server.server_port}"
        facts = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        entries = {
            f"model-{name}": {"url": f"{home}/{name}", "summary": "A test.", **facts}
            for name in ("whole", "cut", "other", "gone")
        }
        (tmp_path / "catalogue.json").write_text(json.dumps(entries))
        monkeypatch.setattr(catalogue, "_CATALOGUE", tmp_path / "catalogue.json")
        yield sent
        server.shutdown()


@pytest.mark.usefixtures("served")
def test_fetch_downloads_a_model_that_then_needs_no_network(
    cache: Path, tiny_model: Path, served: dict[str, bytes]
) -> None:
    assert main(["weights", "fetch", "model-whole"]) == 0
    assert (cache / "model-whole.safetensors").read_bytes() == tiny_model.read_bytes()
    served.clear()
    assert main(["weights", "fetch", "model-whole"]) == 0


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("model-cut", "ended after 5,000 of "),
        ("model-other", "not model-other: SHA-256 is "),
        ("model-gone", "Not Found"),
    ],
)
def test_a_bad_download_is_one_line_and_leaves_no_file(
    cache: Path, name: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", "fetch", name]) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1
    assert not list(cache.iterdir())


def test_a_server_that_is_gone_is_one_line(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    entry = {"url": f"http://127.0.0.1:{port}/x", "sha256": "0", "bytes": 1, "summary": ""}
    (tmp_path / "catalogue.json").write_text(json.dumps({"model-far": entry}))
    monkeypatch.setattr(catalogue, "_CATALOGUE", tmp_path / "catalogue.json")
    assert main(["weights", "fetch", "model-far"]) == 2
    error = capsys.readouterr().err
    assert "Connection refused" in error
    assert "download it elsewhere, then: focus weights fetch model-far --file FILE" in error
    assert error.count("\n") == 1


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["info"], "use: focus weights list"),
        (["list", "tiny"], "use: focus weights list"),
        (["lost"], "use: focus weights list"),
        (["info", "focus-smal"], "perhaps focus-small?"),
        (["list", "--file", "x"], "--file applies to focus weights fetch NAME"),
    ],
)
def test_a_mistake_is_one_line(
    words: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", *words]) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1
