"""Installing the shim: from then on `import comfy.utils` finds our module, and not before."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import ModuleType
from typing import Any, Final

from engine.plugins.compat.absent import absent_class, absent_function
from engine.plugins.compat.host import Host, set_host
from engine.plugins.compat.known import KNOWN, MODULES, PACKAGES, REAL

CORE: Final = "nodes"
"""The module of core node classes shares its name with our package of nodes, which gets the classes as well."""


def install_shim(host: Host) -> None:
    """Let packs import the field's modules, which stand on `host`; a second call changes the host.

    Imports no torch: a module is made when a pack imports it.
    """
    set_host(host)
    write_root(host)
    if not any(isinstance(finder, ShimFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, ShimFinder())
        _share_core()


def uninstall_shim() -> None:
    """Take the modules and the finder away again, for tests."""
    set_host(None)
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, ShimFinder)]
    for name in MODULES - {CORE}:
        sys.modules.pop(name, None)
    for name in REAL.values():
        sys.modules.pop(name, None)
        parent, _, short = name.rpartition(".")
        vars(sys.modules[parent]).pop(short, None)
    vars(importlib.import_module(CORE)).pop("__getattr__", None)


def write_root(host: Host) -> None:
    """Make the folder that packs take for the core's: real files where they look for them, and the working folders."""
    root, paths = host.root, host.paths
    (root / "web" / "extensions").mkdir(parents=True, exist_ok=True)
    for name in ("folder_paths", "server", "nodes", "execution"):
        file = root / f"{name}.py"
        if not file.exists():
            file.write_text(f'"""Stands for the module {name}, which Safelight makes; packs look for it here."""\n')
    folders = (paths.custom_nodes, paths.model_roots[0], paths.input, paths.output, paths.temp, paths.user)
    for name, folder in zip(("custom_nodes", "models", "input", "output", "temp", "user"), folders, strict=True):
        with suppress(OSError):  # there already, or a system without links
            (root / name).symlink_to(folder, target_is_directory=True)


class ShimFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of MODULES and nothing else."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> Any:
        """The spec of a module of ours."""
        if name not in MODULES or name == CORE:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=name in PACKAGES)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """A bare module; what stands in it comes with its execution."""
        return ModuleType(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Put the real module in its place, or fill it with absent names."""
        name, spec = module.__name__, module.__spec__
        real = REAL.get(name)
        if real is not None:
            module = importlib.import_module(real)
            vars(module).setdefault("__path__", []) if name in PACKAGES else None
            sys.modules[name] = module
        fill(module, name)
        _place(module, name)
        module.__dict__.setdefault("__getattr__", _asked_later(name))
        if real is None:
            module.__spec__ = spec


def fill(module: ModuleType, name: str) -> None:
    """Add the known names that the module does not have, absent."""
    has = vars(module)
    lazily = has.get("LAZY", ())
    for short, needs in KNOWN.get(name, {}).items():
        if short not in has and short not in lazily and f"{name}.{short}" not in MODULES:
            make = absent_class if short[:1].isupper() else absent_function
            has[short] = make(f"{name}.{short}", needs)


def _place(module: ModuleType, name: str) -> None:
    """Let `__file__` be a file in the host's root, for the modules whose place packs look at."""
    from engine.plugins.compat.host import the_host

    file = the_host().root / f"{name}.py"
    if file.exists():
        module.__file__ = str(file)


def _asked_later(name: str) -> Any:
    """What a module does for a name it has not: `comfy.utils` after `import comfy`, else an error that says so."""

    def __getattr__(short: str) -> Any:  # noqa: N807 - the module's own hook
        if f"{name}.{short}" in MODULES:
            return importlib.import_module(f"{name}.{short}")
        raise AttributeError(f"module {name!r} of Safelight's shim has no attribute {short!r}")

    return __getattr__


def _share_core() -> None:
    """Let `nodes`, our package, answer for the core classes too, each made when it is asked for."""
    package = importlib.import_module(CORE)

    def __getattr__(short: str) -> Any:  # noqa: N807 - the module's own hook
        classes = importlib.import_module(REAL[CORE])
        found = classes.core_name(short)
        if found is None and short in KNOWN[CORE]:
            make = absent_class if short[:1].isupper() else absent_function
            found = make(f"{CORE}.{short}", KNOWN[CORE][short])
        if found is None:
            raise AttributeError(f"module 'nodes' has no attribute {short!r}")
        vars(package)[short] = found
        return found

    vars(package)["__getattr__"] = __getattr__
