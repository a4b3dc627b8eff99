"""Modules that packs import under bare names (`utils`, `config`, …), each pack its own.

Packs put a folder of theirs on `sys.path`, or a module into `sys.modules`. Of two with one name the first would answer for both,
and the second pack would run the first one's code. So while a pack is imported, the others' folders and modules of names that it
has too are out of the way; and once two packs share a name, an import of it in a pack's code gets that pack's.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.abc
import importlib.machinery
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final

from engine.plugins.owners import pack_of, pack_of_module
from engine.plugins.packs import NAMESPACE, ModuleFile

PATIENCE: Final = 30.0
"""Seconds that an import waits for another thread's import of a shared name; then it goes on as it is."""


class _Own:
    """What one pack has under bare names."""

    def __init__(self) -> None:
        self.places: list[str] = []
        """Folders that it put on `sys.path`, in their order."""
        self.modules: dict[str, ModuleType] = {}
        """Full name → module, of those that are imported."""
        self.names: set[str] = set()
        """The top names that it answers for."""

    def find_names(self) -> None:
        """Look what is in the folders and among the modules."""
        listed = (entry for place in self.places for entry in _entries(place))
        self.names = {name.partition(".")[0] for name in (*self.modules, *listed)}


_own: Final[dict[str, _Own]] = {}
_shared: Final[set[str]] = set()
"""Top names that several packs have."""
_lock: Final = threading.RLock()


@contextmanager
def own_names(file: ModuleFile) -> Iterator[None]:
    """What is imported inside belongs to the pack `file`."""
    inside = {part for name, _ in file.files for part in name.split(".")[2:]}
    others = {name: module for name, module in list(sys.modules.items()) if _is_others(name, module, file.pack)}
    hidden = {name: module for name, module in others.items() if name.partition(".")[0] in inside}
    places = [entry for entry in sys.path if pack_of(f"{entry}{os.sep}") not in (None, file.pack)]
    for name in hidden:
        sys.modules.pop(name, None)
    sys.path[:] = [entry for entry in sys.path if entry not in places]
    finder = _Elsewhere(places)
    sys.meta_path.append(finder)
    try:
        yield
    finally:
        sys.meta_path[:] = [one for one in sys.meta_path if one is not finder]
        _take_note(file.pack)
        sys.path += [entry for entry in places if entry not in sys.path]
        sys.modules.update(hidden)
        _share()


class _Elsewhere(importlib.abc.MetaPathFinder):
    """Finds modules of other packs, for a pack that builds on one of them."""

    def __init__(self, places: list[str]) -> None:
        self._places = places

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> Any:
        """The spec of a module at the top that lies in a folder of another pack."""
        return importlib.machinery.PathFinder.find_spec(name, self._places) if path is None else None


def forget_names() -> None:
    """Forget all packs' bare names, for tests."""
    _own.clear()
    _shared.clear()
    for module, name in ((builtins, "__import__"), (importlib, "import_module")):
        found = getattr(module, name)
        if isinstance(found, _Import):
            setattr(module, name, found.original)


def _is_others(name: str, module: ModuleType, pack: str) -> bool:
    return _is_bare(name) and isinstance(module, ModuleType) and pack_of_module(module) not in (None, pack)


def _is_bare(name: str) -> bool:
    return name.partition(".")[0] != NAMESPACE


def _take_note(pack: str) -> None:
    """Note which modules of bare names and which folders are the pack's."""
    own = _own.setdefault(pack, _Own())
    own.places += [e for e in sys.path if e not in own.places and pack_of(f"{e}{os.sep}") == pack]
    for name, module in list(sys.modules.items()):
        if _is_bare(name) and isinstance(module, ModuleType) and pack_of_module(module) == pack:
            own.modules[name] = module
    own.find_names()


def _share() -> None:
    """Find the names that several packs have; with the first of them, imports begin to look who asks."""
    seen: set[str] = set()
    for own in _own.values():
        _shared.update(seen & own.names)
        seen |= own.names
    if _shared and not isinstance(builtins.__import__, _Import):
        builtins.__import__ = _Import(builtins.__import__, _of_statement)
        importlib.import_module = _Import(importlib.import_module, _of_call)


class _Import:
    """Stands for a function that imports: a shared name is the asking pack's own."""

    def __init__(
        self, original: Callable[..., Any], asker: Callable[[tuple[Any, ...], Mapping[str, Any]], str]
    ) -> None:
        self.original = original
        self._asker = asker

    def __call__(self, name: str, *given: Any, **named: Any) -> Any:
        """As the original."""
        if name.partition(".")[0] not in _shared:
            return self.original(name, *given, **named)
        pack = pack_of(self._asker(given, named))
        own = _own.get(pack) if pack is not None else None
        if own is None or pack is None:
            return self.original(name, *given, **named)
        with _in_its_place(pack, own, name.partition(".")[0]):
            return self.original(name, *given, **named)


def _of_statement(given: tuple[Any, ...], named: Mapping[str, Any]) -> str:
    """The file of an import statement: `__import__(name, globals, locals, fromlist, level)`; none of a relative one."""
    level = given[3] if len(given) > 3 else named.get("level", 0)
    variables = given[0] if given else named.get("globals")
    return str(variables.get("__file__") or "") if isinstance(variables, Mapping) and not level else ""


def _of_call(given: tuple[Any, ...], named: Mapping[str, Any]) -> str:
    return sys._getframe(2).f_code.co_filename


@contextmanager
def _in_its_place(pack: str, own: _Own, top: str) -> Iterator[None]:
    """The pack's modules of the name `top` are in `sys.modules` meanwhile, and its folders come first."""
    locked = _lock.acquire(timeout=PATIENCE)
    there = _below(top)
    current = there.get(top)
    if not locked or top not in own.names or (current is not None and pack_of_module(current) == pack):
        try:
            yield
            return
        finally:
            if locked:
                _lock.release()
    path = list(sys.path)
    try:
        for name in there:
            del sys.modules[name]
        sys.modules.update({name: one for name, one in own.modules.items() if f"{name}.".startswith(f"{top}.")})
        sys.path[:0] = own.places
        yield
    finally:
        found = _below(top)
        own.modules |= {name: module for name, module in found.items() if pack_of_module(module) == pack}
        for name in found:
            del sys.modules[name]
        sys.modules.update(there)
        sys.path[:] = path
        _lock.release()


def _below(top: str) -> dict[str, ModuleType]:
    """The modules of the name `top` and below it."""
    return {name: module for name, module in list(sys.modules.items()) if f"{name}.".startswith(f"{top}.")}


def _entries(place: str) -> Iterator[str]:
    """The names of the modules in a folder."""
    try:
        found = os.listdir(place)  # noqa: PTH208
    except OSError:
        return
    for entry in found:
        stem, suffix = os.path.splitext(entry)  # noqa: PTH122
        if stem.isidentifier() and (suffix == ".py" or not suffix):
            yield stem
