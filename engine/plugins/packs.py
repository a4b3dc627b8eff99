"""Which files hold nodes: the modules of installed packages, and the files and folders of `custom_nodes/`."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

NAMESPACE: Final = "custom_nodes"
"""The parent package of all packs that are not installed."""

PRESTARTUP: Final = "prestartup_script"
"""The module of a pack that is run before all packs."""


class ModuleFile(NamedTuple):
    """A file that is imported by itself under the name `module`; `files` are the sources it may consist of."""

    module: str
    path: Path
    pack: str
    files: tuple[tuple[str, Path], ...]
    """(Module name, path) of each source file of the same pack."""
    foreign: bool = True
    """Whether it is a pack of somebody's, whose import may do anything, rather than a module of the built-in nodes."""


def package_modules(package: str) -> list[ModuleFile]:
    """The modules directly in an installed package, in order of name, without importing it.

    Raises ModuleNotFoundError when there is no such package.
    """
    found = importlib.util.find_spec(package)
    if found is None or found.submodule_search_locations is None:
        raise ModuleNotFoundError(f"There is no package {package!r} with nodes. Install it, or run from its checkout.")
    root = Path(next(iter(found.submodule_search_locations)))
    files = tuple(source_files(root, package))
    return [
        ModuleFile(name, path, package, files, foreign=False)
        for name, path in files
        if path.parent == root and name != package
    ]


class LeftOut(NamedTuple):
    """Something in a folder of packs that cannot be one, and why."""

    pack: str
    message: str


def custom_modules(folders: Iterable[Path], disabled: Collection[str] = ()) -> tuple[list[ModuleFile], list[LeftOut]]:
    """The packs in folders such as `custom_nodes/`: each `.py` file and each folder with an `__init__.py`.

    Hidden names and those that begin with `_` are passed over, and those that are switched off. What cannot be a pack, as
    another has its module's name or it is a link to nothing, is told.
    """
    found: dict[str, ModuleFile] = {}
    left_out = []
    for folder in folders:
        for path in _packs_in(folder):
            if is_disabled(path, disabled):
                continue
            file, wrong = _module_file(path), _wrong_with(path)
            if file is not None and wrong is None and file.module in found:
                first = found[file.module]
                wrong = f"{first.path} has the same module name {file.module}, and comes first. Rename one of them."
            if wrong is not None:
                left_out.append(LeftOut(_printable(path.name), f"{_printable(str(path))}: {wrong}"))
            elif file is not None:
                found[file.module] = file
    return list(found.values()), left_out


def pack_at(path: Path) -> ModuleFile | None:
    """The pack that a folder or a file is, wherever it lies; None when it is none."""
    return _module_file(path)


def _wrong_with(path: Path) -> str | None:
    """Why something in a folder of packs cannot be one, if that is so."""
    if _printable(str(path)) != str(path):
        return "its name is not UTF-8. Rename it."
    if path.is_symlink() and not path.exists():
        return (
            f"it is a link to {_printable(str(path.readlink()))}, which is not there. Remove it, or put the pack there."
        )
    return None


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def disabled_packs(folders: Iterable[Path], disabled: Collection[str]) -> list[str]:
    """The names of packs that are there but switched off: named in the settings, or with `.disabled` at their end."""
    paths = [path for folder in folders for path in _packs_in(folder) if is_disabled(path, disabled)]
    return list(dict.fromkeys(path.name.removesuffix(".disabled").removesuffix(".py") for path in paths))


def is_disabled(path: Path, disabled: Collection[str]) -> bool:
    """Whether the pack at `path` is switched off."""
    return path.name.endswith(".disabled") or path.name in disabled or path.stem in disabled


def module_name(name: str) -> str:
    """The module name of a pack's folder or file: dots would make packages of it."""
    return f"{NAMESPACE}.{name.replace('.', '_x_')}"


def _packs_in(folder: Path) -> list[Path]:
    """What may be a pack, in order of name."""
    try:
        found = sorted(folder.iterdir())
    except OSError:
        return []
    return [path for path in found if not path.name.startswith((".", "_"))]


def _module_file(path: Path) -> ModuleFile | None:
    if path.suffix == ".py" and path.is_file():
        name = module_name(path.stem)
        return ModuleFile(name, path, path.stem, ((name, path),))
    if (path / "__init__.py").is_file():
        name = module_name(path.name)
        return ModuleFile(name, path / "__init__.py", path.name, tuple(source_files(path, name)))
    return None


def source_files(root: Path, module: str) -> Iterator[tuple[str, Path]]:
    """(Module name, path) of each Python file below `root`, which is the package `module`, in order of name."""
    return ((name, Path(path)) for name, path in source_paths(root, module))


def source_paths(root: Path, module: str) -> Iterator[tuple[str, str]]:
    """The same with paths as text: every start looks at all files of the engine, and a Path each would show."""
    pending = [(str(root), module)]
    while pending:
        folder, name = pending.pop()
        for entry in _entries(folder):
            stem, suffix = os.path.splitext(entry.name)  # noqa: PTH122
            if suffix == ".py" and entry.is_file():
                yield (name if stem == "__init__" else f"{name}.{stem}"), entry.path
            elif not suffix and stem[0] not in "._" and entry.is_dir(follow_symlinks=False):
                pending.append((entry.path, f"{name}.{stem}"))


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """What is in a folder, in order of name; nothing of one that cannot be read, and no names that are not UTF-8."""
    try:
        with os.scandir(folder) as found:
            return sorted((one for one in found if _printable(one.name) == one.name), key=lambda entry: entry.name)
    except OSError:
        return []
