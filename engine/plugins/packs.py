"""Which files hold nodes: the modules of installed packages, and the files and folders of `custom_nodes/`."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

NAMESPACE: Final = "custom_nodes"
"""The parent package of all packs that are not installed."""


class ModuleFile(NamedTuple):
    """A file that is imported by itself under the name `module`; `files` are the sources it may consist of."""

    module: str
    path: Path
    pack: str
    files: tuple[tuple[str, Path], ...]
    """(Module name, path) of each source file of the same pack."""


def package_modules(package: str) -> list[ModuleFile]:
    """The modules directly in an installed package, in order of name, without importing it.

    Raises ModuleNotFoundError when there is no such package.
    """
    found = importlib.util.find_spec(package)
    if found is None or found.submodule_search_locations is None:
        raise ModuleNotFoundError(f"There is no package {package!r} with nodes. Install it, or run from its checkout.")
    root = Path(next(iter(found.submodule_search_locations)))
    files = tuple(source_files(root, package))
    return [ModuleFile(name, path, package, files) for name, path in files if path.parent == root and name != package]


def custom_modules(folders: Iterable[Path]) -> list[ModuleFile]:
    """The packs in folders such as `custom_nodes/`: each `.py` file and each folder with an `__init__.py`.

    Hidden and disabled ones are left out, and those of a name that an earlier folder has.
    """
    found: dict[str, ModuleFile] = {}
    for folder in folders:
        for file in _modules_in(folder):
            found.setdefault(file.module, file)
    return list(found.values())


def _modules_in(folder: Path) -> Iterator[ModuleFile]:
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        name = f"{NAMESPACE}.{path.stem if path.suffix == '.py' else path.name}"
        if path.name.startswith((".", "_")) or path.name.endswith(".disabled"):
            continue
        if path.suffix == ".py" and path.is_file():
            yield ModuleFile(name, path, path.stem, ((name, path),))
        elif (path / "__init__.py").is_file():
            yield ModuleFile(name, path / "__init__.py", path.name, tuple(source_files(path, name)))


def source_files(root: Path, module: str) -> Iterator[tuple[str, Path]]:
    """(Module name, path) of each Python file below `root`, which is the package `module`, in order of name."""
    pending = [(str(root), module)]
    while pending:
        folder, name = pending.pop()
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            stem, suffix = os.path.splitext(entry.name)  # noqa: PTH122 - on the start-up path, a Path each would show
            if suffix == ".py" and entry.is_file():
                yield (name if stem == "__init__" else f"{name}.{stem}"), Path(entry.path)
            elif not suffix and stem[0] not in "._" and entry.is_dir(follow_symlinks=False):
                pending.append((entry.path, f"{name}.{stem}"))
