from __future__ import annotations

import gzip
import io
import os
import shutil
import stat
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from focus.data import archives
from focus.data.archives import list_members, read_member
from focus.data.faces import FaceDataset
from focus.data.images import read_face, read_mask
from focus.data.index import Face, FaceIndex
from focus.errors import UnreadableError
from focus.types import Sample

KINDS = ("a.tar", "a.tar.gz", "a.TGZ", "a.zip")
FILES = {"7/real/0/1.png": b"one", "7/real/0/ä #2.png": b"two" * 999, "empty": b""}


def pack(path: Path, files: dict[str, bytes]) -> Path:
    if path.name.endswith(".zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return path
    with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def count_calls(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> list[str]:
    calls: list[str] = []
    original: Callable[..., object] = getattr(owner, name)

    def counted(*args: object, **options: object) -> object:
        calls.append(name)
        return original(*args, **options)

    monkeypatch.setattr(owner, name, counted)
    return calls


@pytest.mark.parametrize("kind", KINDS)
def test_members_come_back_in_any_order(kind: str, tmp_path: Path) -> None:
    path = pack(tmp_path / kind, FILES)
    assert list_members(path) == list(FILES)
    for name in reversed(FILES):
        assert read_member(path, name) == FILES[name]
        assert read_member(path, f"./{name}") == FILES[name]
    with pytest.raises(UnreadableError, match="no such member"):
        read_member(path, "7/real/0/3.png")


@pytest.mark.parametrize("kind", KINDS)
def test_names_that_lead_out_of_the_archive_are_refused(kind: str, tmp_path: Path) -> None:
    evil = ("../evil", "/etc/passwd", "a/../../evil", "a\\..\\evil", "\\evil")
    path = pack(tmp_path / kind, dict.fromkeys((*evil, "good"), b"x"))
    assert list_members(path) == ["good"]
    for name in evil:
        with pytest.raises(UnreadableError, match="must not be absolute"):
            read_member(path, name)


def test_links_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, kind in (("soft", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, str(secret)
            archive.addfile(info)
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        soft = zipfile.ZipInfo("soft")
        soft.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(soft, str(secret))
        archive.writestr("folder/", b"")
    for kind, names in (("a.tar", ("soft", "hard", "folder")), ("a.zip", ("soft", "folder"))):
        assert list_members(tmp_path / kind) == []
        for name in names:
            with pytest.raises(UnreadableError, match="link or a folder"):
                read_member(tmp_path / kind, name)


@pytest.mark.parametrize("kind", KINDS)
def test_a_member_beyond_the_bound_is_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pack(tmp_path / kind, {"small": b"x" * 10, "large": b"x" * 11})
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", 10)
    assert read_member(path, "small") == b"x" * 10
    with pytest.raises(UnreadableError, match="larger than"):
        read_member(path, "large")


def test_a_compressed_tar_beyond_the_bound_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pack(tmp_path / "a.tar.gz", {"zeros": bytes(10**5)})
    monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", 10**4)
    with pytest.raises(UnreadableError, match="unpacked"):
        read_member(path, "zeros")


def test_a_compressed_tar_is_decompressed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {str(number): bytes([number]) * 100 for number in range(200)}
    path = pack(tmp_path / "a.tar.gz", files)
    calls = count_calls(monkeypatch, gzip, "open")
    assert all(read_member(path, name) == data for name, data in reversed(files.items()))
    assert len(calls) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_archive_is_named_so_and_opened_once(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = {name: np.random.default_rng(ord(name)).bytes(30000) for name in "abc"}
    whole = pack(tmp_path / f"whole-{kind}", noise)
    path = tmp_path / kind
    path.write_bytes(whole.read_bytes()[:50000])
    calls = count_calls(monkeypatch, archives, "_Archive")
    for _ in range(3):
        with pytest.raises(UnreadableError, match="damaged"):
            read_member(path, "b")
    assert len(calls) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_archive_says_so(kind: str, tmp_path: Path) -> None:
    path = tmp_path / kind
    with pytest.raises(UnreadableError, match="no such file"):
        read_member(path, "x")
    for content in (b"", b"<html>404</html>", b"\x1f\x8b" + bytes(99), b"PK\x03\x04" + bytes(99)):
        path.write_bytes(content)
        with pytest.raises(UnreadableError, match="damaged") as caught:
            read_member(path, "x")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_that_changed_is_opened_again(kind: str, tmp_path: Path) -> None:
    path = pack(tmp_path / kind, {"x": b"old"})
    assert read_member(path, "x") == b"old"
    os.utime(pack(path, {"x": b"new"}), ns=(1, 1))
    assert read_member(path, "x") == b"new"


def test_a_damaged_member_of_a_zip_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x", b"MARK" * 100)
    path.write_bytes(path.read_bytes().replace(b"MARKMARK", b"MARKmark", 1))
    with pytest.raises(UnreadableError, match="the member is damaged"):
        read_member(path, "x")


@pytest.mark.parametrize("kind", KINDS)
def test_faces_and_masks_come_out_of_archives(kind: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    mask = np.eye(9, 7, dtype=np.uint8) * 255
    pngs = {
        name: cv2.imencode(".png", image)[1].tobytes()
        for name, image in (("./7/face.png", pixels[..., ::-1]), ("mask.png", mask))
    }
    pack(tmp_path / kind, {**pngs, "cut.png": pngs["mask.png"][:-12]})
    assert np.array_equal(read_face(tmp_path, f"{kind}!/7/face.png"), pixels)
    cropped = read_face(tmp_path, f"{kind}!/7/face.png#0.0", "1 2 5 6")
    assert np.array_equal(cropped, pixels[2:6, 1:5])
    assert np.array_equal(read_mask(tmp_path / f"{kind}!/mask.png"), mask > 0)
    with pytest.raises(UnreadableError, match="truncated"):
        read_face(tmp_path, f"{kind}!/cut.png")


@pytest.mark.parametrize("form", [("gnu",), ("pax", "1.0"), ("pax", "0.1")])
def test_members_with_holes_are_filled_up(tmp_path: Path, form: tuple[str, ...]) -> None:
    if shutil.which("tar") is None:
        pytest.skip("no tar on this system")
    with (tmp_path / "x").open("wb") as file:
        for place, data in ((0, b"a" * 5000), (200_000, b"b" * 7000)):
            file.seek(place)
            file.write(data)
        file.truncate(300_000)
    flags = [f"--format={form[0]}", *(f"--sparse-version={version}" for version in form[1:])]
    command = ["tar", "--sparse", *flags, "-C", tmp_path, "-cf", tmp_path / "a.tar", "x"]
    subprocess.run(command, check=True)
    assert read_member(tmp_path / "a.tar", "x") == (tmp_path / "x").read_bytes()


@pytest.mark.parametrize("size", [-512, 2**64])
def test_a_tar_whose_member_has_no_possible_size_is_refused(tmp_path: Path, size: int) -> None:
    info = tarfile.TarInfo("x")
    info.size = size
    header = info.tobuf(tarfile.GNU_FORMAT)
    (tmp_path / "a.tar").write_bytes(header + bytes(10240))
    with pytest.raises(UnreadableError, match="damaged"):
        read_member(tmp_path / "a.tar", "x")


@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zips_are_read_however_they_are_packed(tmp_path: Path, how: int) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", how) as archive:
        for name, data in FILES.items():
            archive.writestr(name, data)
    # Anything may stand before a zip, as the program that unpacks it does.
    (tmp_path / "a.zip").write_bytes(b"#!/bin/sh\n" + (tmp_path / "a.zip").read_bytes())
    assert all(read_member(tmp_path / "a.zip", name) == data for name, data in FILES.items())


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    content = bytearray(pack(tmp_path / "a.zip", {"x": b"data"}).read_bytes())
    for signature, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(signature) + place] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(UnreadableError, match=r"damaged \(.*encrypted"):
        read_member(tmp_path / "a.zip", "x")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", KINDS)
def test_of_members_of_one_name_the_last_counts(kind: str, tmp_path: Path) -> None:
    path = tmp_path / kind
    if kind == "a.zip":
        with zipfile.ZipFile(path, "w") as archive:
            for data in (b"old", b"new"):
                archive.writestr("x", data)
    else:
        with tarfile.open(path, "w") as archive:
            for data in (b"old", b"new"):
                info = tarfile.TarInfo("x")
                info.size = 3
                archive.addfile(info, io.BytesIO(data))
    assert list_members(path) == ["x"]
    assert read_member(path, "x") == b"new"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_tar_that_a_data_set_reads_is_listed_once_for_all_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes()
    pack(tmp_path / "a.tar", {"0.png": pixels, "1.png": pixels})
    calls = count_calls(monkeypatch, tarfile.TarFile, "next")
    index = FaceIndex.of([Face(f"a.tar!/{number}.png") for number in (0, 1)], tmp_path)
    faces = FaceDataset(index, 4)
    listed = len(calls)
    assert listed
    child = os.fork()
    if child == 0:
        os._exit(len(calls) - listed if isinstance(faces[1], Sample) else 100)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_reads_on_by_itself(tmp_path: Path) -> None:
    files = {str(number): bytes([number]) * 5000 for number in range(100)}
    paths = [pack(tmp_path / kind, files) for kind in ("a.tar", "a.tar.gz", "a.zip")]
    for path in paths:
        read_member(path, "0")

    def agree(names: list[str]) -> bool:
        return all(read_member(path, name) == files[name] for name in names for path in paths)

    child = os.fork()
    if child == 0:
        os._exit(0 if agree(list(files)) else 1)
    mine = agree(list(reversed(files)))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert mine
