"""Events of a running job: gathered from the executor's threads, told in their order a few times a second."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from engine.execute.events import Event, NodeFailed, NodePreview
from engine.jobs.frames import Frames
from engine.worker.pictures import Previews
from engine.worker.plain import events_frame

FIRST_SECONDS: Final = 0.002
TELL_SECONDS: Final = 0.01
"""How soon after the start of a job, and then how often, its events are sent. The event loop looks by itself: waking it
for an event would cost more than many a node."""


class JobSink:
    """The executor's sink for one job. `start` and `end` belong to the event loop, the call to the executor's threads."""

    def __init__(self, job: str, frames: Frames, previews: Previews, shorten: Callable[[str], str]) -> None:
        self._job = job
        self._frames = frames
        self._previews = previews
        self._shorten = shorten
        self._events: deque[Event] = deque()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self, event: Event) -> None:
        """Take an event."""
        if type(event) is NodePreview:
            if not self._frames.congested:
                self._previews.offer(self._job, event)
            return
        if type(event) is NodeFailed:
            event.traceback = self._shorten(event.traceback)
        self._events.append(event)

    def start(self) -> None:
        """Tell from now on."""
        self._timer = self._loop.call_later(FIRST_SECONDS, self._tick)

    def end(self) -> None:
        """Tell what is left; nothing comes after it."""
        if self._timer is not None:
            self._timer.cancel()
        self._previews.end(self._job)
        self._tell()

    def _tick(self) -> None:
        self._tell()
        self._timer = self._loop.call_later(TELL_SECONDS, self._tick)

    def _tell(self) -> None:
        if self._events:
            events = [self._events.popleft() for _ in range(len(self._events))]
            for data in events_frame(self._job, events):
                self._frames.send_frame(data)
