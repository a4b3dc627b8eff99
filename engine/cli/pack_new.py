"""A new node pack: a folder with two nodes, their tests, and what it takes to install it."""

from __future__ import annotations

import importlib.util
import keyword
import os
import re
import shutil
import sys
from pathlib import Path
from string import Template
from typing import Final

from engine.cli import exits
from engine.cli.exits import CliError

TEMPLATE: Final = Path(__file__).parent / "pack_template"
SUFFIX: Final = ".template"

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


def make_pack(name: str, into: Path) -> Path:
    """Make the pack `name` in the folder `into`, whole or not at all; its folder.

    Raises CliError: USAGE for a name that will not do, UNREADABLE where there is something of that name, or no room.
    """
    _check_name(name)
    folder = into / name
    for taken in (folder, into / f"{name}.py", into / f"{name}.disabled"):
        if taken.exists() or taken.is_symlink():
            raise CliError(exits.UNREADABLE, f"There is {taken} already. Take another name, or remove it.")
    part = into / f".{name}.{os.getpid()}.part"
    try:
        part.mkdir(parents=True)
        _fill(part, _words(name))
        part.rename(folder)
    except OSError as error:
        raise CliError(exits.UNREADABLE, f"{folder} cannot be made: {error}.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _check_name(name: str) -> None:
    problem = _problem(name)
    if problem is not None:
        suggested = _suggested(name)
        hint = f" Try {suggested}." if suggested else ""
        raise CliError(exits.USAGE, f"{name!r} cannot be the name of a pack: {problem}.{hint}", suggested=suggested)


def _problem(name: str) -> str | None:
    """What is wrong with a name: it must do for a folder, for a package that others import, and for a distribution."""
    if not _NAME.fullmatch(name):
        return "it is made of small letters, digits and _, begins with a letter, and is at most 64 long"
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        return "it is a word of Python's own"
    if name in sys.stdlib_module_names or name == "custom_nodes" or _is_installed(name):
        return "there is a module of that name, which it would hide when it is installed"
    return None


def _is_installed(name: str) -> bool:
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return True
    return found is not None and found.origin is not None  # a folder in the current directory is no package


def _suggested(name: str) -> str:
    """A name that would do, near to this one; "" when there is none."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    cleaned = re.sub(r"[^a-z0-9]+", "_", parted.encode("ascii", "ignore").decode()).strip("_").lstrip("0123456789_")
    found = (one for one in (cleaned[:64], f"{cleaned[:59]}_pack") if _problem(one) is None)
    return next(found, "")


def _words(name: str) -> dict[str, str]:
    parts = [part for part in name.split("_") if part]
    return {
        "name": name,
        "title": " ".join(parts).capitalize(),
        "prefix": "".join(part.capitalize() for part in parts),
        "distribution": "-".join(parts),
    }


def _fill(folder: Path, words: dict[str, str]) -> None:
    for source in sorted(TEMPLATE.rglob(f"*{SUFFIX}")):
        target = folder / source.relative_to(TEMPLATE).with_suffix("")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(Template(source.read_text(encoding="utf-8")).substitute(words), encoding="utf-8")
