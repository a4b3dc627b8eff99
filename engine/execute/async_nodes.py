"""AsyncNodes: the coroutines of a run on the event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

from engine.execute.cancel import CancelToken
from engine.execute.state import NodeState


class AsyncNodes:
    """The async nodes of a run, each a task of `loop`. Every method may be called from any thread."""

    __slots__ = ("_cancel", "_loop", "_tasks", "broken_off_by")

    def __init__(self, loop: asyncio.AbstractEventLoop, cancel: CancelToken) -> None:
        self._loop = loop
        self._cancel = cancel
        self._tasks: set[asyncio.Task[None]] = set()
        self.broken_off_by: NodeState | None = None
        """The async node whose error ended the others."""

    def begin(self, coroutine: Coroutine[Any, Any, None], ended: Callable[[], None]) -> None:
        """Run `coroutine`; `ended` is called on the event loop afterwards, whatever its end is."""
        self.call(self._spawn, coroutine, ended)

    def call(self, function: Callable[..., None], *values: Any) -> None:
        """Call `function` on the event loop; nothing happens when that is gone already (a second Ctrl-C)."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *values)

    def cancel_all(self) -> None:
        """Cancel every async node."""
        self.call(self._cancel_tasks)

    def break_off(self, failed: NodeState) -> None:
        """End the async nodes that run, as one of them failed."""
        self.broken_off_by = self.broken_off_by or failed
        self.cancel_all()

    def _spawn(self, coroutine: Coroutine[Any, Any, None], ended: Callable[[], None]) -> None:
        def forget(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            ended()

        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(forget)
        if self._cancel.cancelled:
            task.cancel()

    def _cancel_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
