"""Installing the shim: from then on `import comfy.utils` finds our module, and not before."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import ModuleType
from typing import Any, Final

from engine.plugins.compat.absent import absent_class, absent_function
from engine.plugins.compat.host import Host, set_host
from engine.plugins.compat.known import KNOWN, MODULES, PACKAGES, REAL
from engine.plugins.compat.unknown import UnknownFinder, forget, take_out, unknown_name

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
        sys.meta_path.append(UnknownFinder())
        _share_core()


def uninstall_shim() -> None:
    """Take the modules and the finder away again, for tests."""
    set_host(None)
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, ShimFinder | UnknownFinder)]
    take_out()
    forget()
    for name in MODULES - {CORE}:
        sys.modules.pop(name, None)
    for name in REAL.values():
        sys.modules.pop(name, None)
        parent, _, short = name.rpartition(".")
        vars(sys.modules[parent]).pop(short, None)
    package = importlib.import_module(CORE)
    vars(package).pop("__getattr__", None)
    if package.__spec__ is not None and package.__spec__.origin is not None:
        package.__file__ = package.__spec__.origin


def write_root(host: Host) -> None:
    """Make the folder that packs take for the core's: real files where they look for them, and the working folders."""
    root, paths = host.root, host.paths
    for folder in (paths.input, paths.output, paths.temp):  # packs list them while they are imported
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
    (root / "web" / "extensions").mkdir(parents=True, exist_ok=True)
    for name in ("main", "folder_paths", "server", "nodes", "execution", "latent_preview", "node_helpers"):
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
        own = vars(module).get("__getattr__")
        if not isinstance(own, _AskedLater):
            vars(module)["__getattr__"] = _AskedLater(name, own)
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


def _place_main() -> None:
    """Let the program's own file be in the host's root too, in a process that is the engine's."""
    main = sys.modules.get("__main__")
    if main is not None and getattr(getattr(main, "__spec__", None), "name", "") == "engine.__main__":
        _place(main, "main")


class _AskedLater:
    """What a module does for a name it has not: `comfy.utils` after `import comfy`, a placeholder, or an error that says so."""

    def __init__(self, name: str, own: Callable[[str], Any] | None) -> None:
        self._name = name
        self._own = own

    def __call__(self, short: str) -> Any:
        """The name. Raises AttributeError."""
        if f"{self._name}.{short}" in MODULES:
            return importlib.import_module(f"{self._name}.{short}")
        with suppress(AttributeError):
            if self._own is not None:
                return self._own(short)
        found = unknown_name(self._name, short)
        if found is not None:
            return found
        raise AttributeError(f"module {self._name!r} of Safelight's shim has no attribute {short!r}")


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
            unknown = unknown_name(CORE, short)
            if unknown is not None:
                return unknown  # not kept: others who ask whether it is there get their own answer
            raise AttributeError(f"module 'nodes' has no attribute {short!r}")
        vars(package)[short] = found
        return found

    vars(package)["__getattr__"] = __getattr__
    _place(package, CORE)
    _place_main()
