"""What commands are given: the parts that the composition root builds, each made when it is first needed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.cache.facade import Cache
    from engine.config import Folders, Settings
    from engine.execute.executor import Executor
    from engine.paths import Paths
    from engine.plugins.library import Library


@dataclass(frozen=True)
class App:
    """The engine around one base directory."""

    paths: Paths
    settings: Settings
    folders: Folders
    load_library: Callable[[], Library]
    stored_library: Callable[[bool], Library | None]
    """The library as it was stored; None when node packs are new or have changed, unless True says to take it as it is.

    Imports no node.
    """
    open_cache: Callable[[bool], Cache]
    """True: kept in the cache folder; False: in memory only."""
    open_executor: Callable[[Library, Cache], Executor]


class Deferred:
    """Stands for an object that is costly to make; it is made, once, when an attribute is first asked for."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: Any = None

    def peek(self) -> Any:
        """The object if it has been made, else None."""
        return self._made

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        with self._lock:
            if self._made is None:
                self._made = self._make()
        return getattr(self._made, name)
