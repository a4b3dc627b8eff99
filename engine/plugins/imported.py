"""Modules that an import takes out of `sys.modules`, or puts others in the place of: they are put back.

Packs that clean up behind themselves take out what was first imported meanwhile, libraries and parts of the engine too. What is
imported a second time has classes of its own, and half the program goes on with the first ones.
"""

from __future__ import annotations

import importlib.abc
import sys
import threading
from types import ModuleType
from typing import Any

from engine.plugins.owners import pack_of_module


class Imported(importlib.abc.MetaPathFinder):
    """Watches what is imported, from when it is made until `put_back`. Finds nothing itself.

    Other threads import meanwhile, such as the one that loads torch ahead of time: each look is one thread's at a time.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._before = dict(sys.modules)
        self._whole: dict[str, ModuleType] = {}
        """First imported meanwhile, to the end."""
        self._pending: dict[str, ModuleType] = {}
        sys.meta_path.insert(0, self)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Look at what has been imported so far, now that something else is about to be."""
        with self._lock:
            self._look()

    def put_back(self) -> list[str]:
        """Put back what is missing or another now, but for what is packs' own; the names."""
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not self]
        with self._lock:
            return self._put_back()

    def _put_back(self) -> list[str]:
        gone = {name: module for name, module in self._before.items() if sys.modules.get(name) is not module}
        gone |= {name: module for name, module in self._whole.items() if name not in sys.modules}
        if gone:  # who takes out modules takes out the last ones too, which are not known to be whole
            gone |= {name: module for name, module in self._pending.items() if name not in sys.modules}
        found = [name for name, module in gone.items() if module is not None and pack_of_module(module) is None]
        for name in found:
            sys.modules[name] = gone[name]
        return sorted(found)

    def _look(self) -> None:
        for name, module in list(self._pending.items()):
            if sys.modules.get(name) is not module:
                del self._pending[name]  # it failed, or was replaced by what it stands for
            elif not getattr(getattr(module, "__spec__", None), "_initializing", False):
                self._whole[name] = self._pending.pop(name)
        self._pending.update(self._new())

    def _new(self) -> dict[str, ModuleType]:
        found = {}
        for name in reversed(list(sys.modules)):
            if name in self._before or name in self._whole or name in self._pending:
                break  # a dict keeps the order: what comes before it was seen
            module = sys.modules.get(name)
            if module is not None:
                found[name] = module
        return found
