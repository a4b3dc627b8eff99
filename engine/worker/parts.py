"""What the worker is given by the composition root, and what it opens with that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from engine.worker.tracebacks import Shortener

if TYPE_CHECKING:
    from engine.cache.facade import Cache
    from engine.config import Settings
    from engine.execute.executor import Executor
    from engine.paths import Paths
    from engine.plugins.library import Library


class Parts(Protocol):
    """The parts of the engine around one base directory, each made when it is first needed."""

    @property
    def paths(self) -> Paths:
        """Where files are."""
        ...

    @property
    def settings(self) -> Settings:
        """What the base directory's `safelight.toml` says."""
        ...

    @property
    def load_library(self) -> Callable[[], Library]:
        """Read the node packs."""
        ...

    @property
    def open_cache(self) -> Callable[[bool], Cache]:
        """True: kept in the cache folder; False: in memory only."""
        ...

    @property
    def open_executor(self) -> Callable[[Library, Cache], Executor]:
        """The executor over both."""
        ...


@dataclass(frozen=True)
class Engine:
    """What runs jobs in this process."""

    paths: Paths
    library: Library
    cache: Cache
    executor: Executor
    shortener: Shortener

    @property
    def models(self) -> Any:
        """The model manager, or None when no node has asked for it yet."""
        manager = self.executor.services.models
        peek = getattr(type(manager), "peek", None)  # asked of the type: a deferred object would be made by asking it
        return manager if peek is None else peek(manager)


def open_engine(parts: Parts) -> Engine:
    """Read the node packs, which may take seconds, and open cache and executor."""
    library = parts.load_library()
    cache = parts.open_cache(True)
    executor = parts.open_executor(library, cache)
    executor.flush_at_end = False
    return Engine(parts.paths, library, cache, executor, Shortener([parts.paths.base]))
