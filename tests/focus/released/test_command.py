from __future__ import annotations

import hashlib
import json
import shutil
import socket
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
