"""What runs graphs in this process: nodes, cache and models around one base directory, shared by all workflows on it."""

from __future__ import annotations

import asyncio
import atexit
import gc
import logging
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from engine.building.catalogues import base_of

if TYPE_CHECKING:
    from engine.cache.facade import Cache
    from engine.cli.app import App
    from engine.execute.executor import Executor
    from engine.graph.schema import Files
    from engine.plugins.library import Library

T = TypeVar("T")


class Runtime:
    """What runs workflows in this process, on the base directory `base`; opened when it is first needed. Safe among threads."""

    def __init__(self, base: str | Path | None = None) -> None:
        self.base = base_of(base)
        self._lock = threading.Lock()
        self._opened: _Opened | None = None
        self._closed = False
        _open_engines.add(self)

    def close(self) -> None:
        """Cancel what runs, free models and memory, and close the cache. What is finished is kept on disk."""
        with self._lock:
            opened, self._opened, self._closed = self._opened, None, True
        _open_engines.discard(self)
        if opened is not None:
            opened.close()

    @property
    def closed(self) -> bool:
        """Whether it was closed, and runs nothing more."""
        return self._closed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<engine on {self.base}{', closed' if self._closed else ''}>"

    # ---- for workflows

    @property
    def app(self) -> App:
        """The parts of the base directory."""
        return self._open().app

    @property
    def library(self) -> Library:
        """Its nodes."""
        return self._open().library

    def choices(self, files: Files) -> list[str]:
        """The names of the files in a folder."""
        return self.app.paths.folder_files(files.folder, files.kind)

    def executor(self) -> Executor:
        """What runs graphs, made when first needed."""
        return self._open().executor()

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the engine's own loop, whatever loop or thread the caller is on."""
        return asyncio.run_coroutine_threadsafe(work, self._open().loop())

    def _open(self) -> _Opened:
        with self._lock:
            if self._closed:
                raise RuntimeError(f"The engine on {self.base} is closed. Make another: engine.Engine().")
            if self._opened is None:
                self._opened = _Opened(self.base)
            return self._opened


class _Opened:
    """What an engine holds once it is used."""

    def __init__(self, base: Path) -> None:
        from engine.__main__ import make_app

        logging.getLogger("engine.cache").addHandler(logging.NullHandler())  # its warnings come as events of the run
        self.app = make_app(base)
        self.library = self.app.load_library()
        gc.unfreeze()  # a command freezes what is there with its catalogue: here, that is the caller's too
        self._lock = threading.Lock()
        self._cache: Cache | None = None
        self._executor: Executor | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def executor(self) -> Executor:
        with self._lock:
            if self._executor is None:
                self._cache = self.app.open_cache(True)
                self._executor = self.app.open_executor(self.library, self._cache)
            return self._executor

    def loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="safelight-engine", daemon=True)
                self._thread.start()
            return self._loop

    def close(self) -> None:
        with self._lock:
            loop, thread, executor, cache = self._loop, self._thread, self._executor, self._cache
        if loop is not None and thread is not None:
            asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
        if executor is not None:
            executor.close()
        if cache is not None:
            cache.close()


async def _cancel_all() -> None:
    """Cancel what runs on this loop, and wait until it has stopped."""
    others = [one for one in asyncio.all_tasks() if one is not asyncio.current_task()]
    for one in others:
        one.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_default_executor()


_open_engines: set[Runtime] = set()
_shared: dict[Path, tuple[Runtime, int]] = {}
_shared_lock = threading.Lock()


def shared_runtime(base: str | Path | None) -> Runtime:
    """That of a base directory which all workflows without an engine of their own share; each gives it back at its end."""
    place = base_of(base)
    with _shared_lock:
        engine, users = _shared.get(place, (None, 0))
        if engine is None or engine.closed:
            engine, users = Runtime(place), 0
        _shared[place] = (engine, users + 1)
        return engine


def give_back(engine: Runtime) -> None:
    """One user less; the last one's engine is closed."""
    with _shared_lock:
        found, users = _shared.get(engine.base, (None, 0))
        if found is not engine:
            return
        if users > 1:
            _shared[engine.base] = (engine, users - 1)
            return
        del _shared[engine.base]
    engine.close()


@atexit.register
def _close_all() -> None:
    for engine in list(_open_engines):
        engine.close()
