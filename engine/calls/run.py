"""One run that goes on elsewhere (on an engine's loop, on a server), and how threads and loops wait for it."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Final, TypeAlias

from engine.calls.errors import RunCancelledError, RunTimeoutError
from engine.calls.progress import Progress
from engine.calls.result import Result

Callback: TypeAlias = Callable[[Progress], object]

_END: Final = None
_MOST_WAITING: Final = 256
_PATIENCE: Final = 0.1
"""Seconds between two looks whether Ctrl-C was pressed: a wait without an end hears of it on no system but Linux."""


class Told:
    """Passes on how far a run is, from the threads that tell it; what is told before anybody listens waits, the latest of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listener: Callback | None = None
        self._waiting: deque[Progress] = deque(maxlen=_MOST_WAITING)

    def __call__(self, progress: Progress) -> None:
        with self._lock:
            if self._listener is None:
                self._waiting.append(progress)
            else:
                self._listener(progress)

    def listen(self, listener: Callback) -> None:
        """Give all that waits, and all that comes, to `listener`, which must be quick."""
        with self._lock:
            self._listener = listener
            while self._waiting:
                listener(self._waiting.popleft())


class Run:
    """A run that has begun. `future` is its result, `told` hears how far it is, and `cancel` asks it to end."""

    def __init__(self, future: Future[Result], told: Told, cancel: Callable[[], None]) -> None:
        self._future = future
        self._told = told
        self._cancel = cancel

    def cancel(self) -> None:
        """Stop it: the node that runs ends at its next step, and no other begins. What is finished is kept."""
        self._cancel()

    @property
    def done(self) -> bool:
        """Whether it is over."""
        return self._future.done()

    def wait(self, progress: Callback | None = None, timeout: float | None = None) -> Result:
        """Its result, once it is over. `progress` is called on this thread.

        Raises RunFailedError, RunCancelledError, RunTimeoutError after `timeout` seconds, and what `progress` raises. All that
        ends the waiting early, Ctrl-C too, cancels the run.
        """
        told: queue.SimpleQueue[Progress | None] = queue.SimpleQueue()
        if progress is not None:
            self._told.listen(told.put)
        self._future.add_done_callback(lambda _: told.put(_END))
        end = time.monotonic() + timeout if timeout is not None else None
        try:
            while True:
                with contextlib.suppress(queue.Empty):
                    event = told.get(timeout=_PATIENCE)
                    if event is _END:
                        return self._result()
                    if progress is not None:
                        progress(event)
                if end is not None and time.monotonic() > end:
                    raise late(timeout)
        except BaseException:
            self._stop()
            raise

    async def await_result(self, progress: Callback | None = None, timeout: float | None = None) -> Result:
        """As `wait`, on a loop, where `progress` is called; cancelling the task that waits cancels the run."""
        loop = asyncio.get_running_loop()
        raised: list[BaseException] = []

        def tell(event: Progress) -> None:
            try:
                if progress is not None and not raised:
                    progress(event)
            except BaseException as error:
                raised.append(error)
                self.cancel()

        def pass_on(event: Progress) -> None:
            loop.call_soon_threadsafe(tell, event)

        if progress is not None:
            self._told.listen(pass_on)
        waiting = asyncio.wrap_future(self._future)
        try:
            done, _ = await asyncio.wait({waiting}, timeout=timeout)
            if not done:
                raise late(timeout)
            await asyncio.sleep(0)  # what was told before the end comes before it
        except BaseException:
            self.cancel()
            await asyncio.wait({waiting})
            _known(waiting)
            raise
        if raised:
            _known(waiting)
            raise raised[0]
        return self._result()

    def _result(self) -> Result:
        try:
            return self._future.result()
        except CancelledError:
            raise RunCancelledError("The run was cancelled.") from None

    def _stop(self) -> None:
        """Cancel it and wait until it has stopped."""
        if not self._future.done():
            self.cancel()
            with contextlib.suppress(CancelledError):
                self._future.exception()


def late(timeout: float | None) -> RunTimeoutError:
    """That a run took longer than its caller wanted to wait."""
    return RunTimeoutError(f"The run took longer than {timeout} s, and was cancelled.")


def _known(waiting: asyncio.Future[Result]) -> None:
    """Take note of how it ended, so that nobody is warned of an error that nobody looked at."""
    if not waiting.cancelled():
        waiting.exception()
