"""Events of a running job: gathered from the executor's threads, told in their order a few times a second."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from engine.execute.events import AnyEvent, NodeFailed, NodePicture, NodePreview
from engine.jobs.frames import Frames
from engine.jobs.messages import PackMessage
from engine.worker.pictures import Previews
from engine.worker.plain import events_frame

FIRST_SECONDS: Final = 0.002
TELL_SECONDS: Final = 0.01
"""How soon after the start of a job, and then how often, its events are sent. The event loop looks by itself: waking it
for an event would cost more than many a node."""


LONGEST: Final = 64 * 1024 * 1024
"""Bytes of a pack's message that is still passed on."""

BACKLOG: Final = 128 * 1024 * 1024
"""Bytes of pictures and messages that may wait for the server; nodes that send more wait for it."""

PATIENCE: Final = 30.0
"""Seconds that they wait at most."""

log = logging.getLogger("safelight.worker")


class JobSink:
    """The executor's sink for one job. `start` and `end` belong to the event loop, the call to the executor's threads."""

    def __init__(self, job: str, frames: Frames, previews: Previews, shorten: Callable[[str], str]) -> None:
        self._job = job
        self._frames = frames
        self._previews = previews
        self._shorten = shorten
        self._events: deque[AnyEvent | PackMessage] = deque()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._thread = threading.get_ident()
        self._untold = 0
        """Bytes of pictures and pack's messages that wait here."""
        self._unread = 0
        """Bytes that the server had not read when it was told last."""

    def __call__(self, event: AnyEvent) -> None:
        """Take an event."""
        if type(event) is NodePreview:
            if not self._frames.congested:
                self._previews.offer(self._job, event)
            return
        if type(event) is NodeFailed:
            event.traceback = self._shorten(event.traceback)
        if type(event) is NodePicture:
            self._has_room(len(event.data))
        self._events.append(event)

    def start(self) -> None:
        """Tell from now on."""
        self._timer = self._loop.call_later(FIRST_SECONDS, self._tick)

    def end(self) -> None:
        """Tell what is left; nothing comes after it."""
        if self._timer is not None:
            self._timer.cancel()
        self._previews.end(self._job)
        self.tell()

    def pass_on(self, message: PackMessage) -> None:
        """Tell what a pack says, from any thread, after the events so far: clients go by which node runs."""
        if not self._has_room(len(message.data)):
            log.warning("A pack's message %r of %d bytes is left out.", message.event, len(message.data))
            return
        self._events.append(message)
        self._loop.call_soon_threadsafe(self.tell)

    def _has_room(self, size: int) -> bool:
        """Count what is to be told, once the server has read enough of what was told before; False when it does not."""
        if size > LONGEST:
            return False
        end = time.monotonic() + PATIENCE
        while self._waiting + size > BACKLOG:
            if threading.get_ident() == self._thread or time.monotonic() > end:
                return False
            time.sleep(TELL_SECONDS)
        self._untold += size
        return True

    @property
    def _waiting(self) -> int:
        return self._untold + self._unread

    def _tick(self) -> None:
        self.tell()
        self._timer = self._loop.call_later(TELL_SECONDS, self._tick)

    def tell(self) -> None:
        """Tell what has happened so far."""
        self._untold = 0
        events: list[AnyEvent] = []
        for _ in range(len(self._events)):
            one = self._events.popleft()
            if not isinstance(one, PackMessage):
                events.append(one)
                continue
            self._send(events)
            events = []
            self._frames.send(one)
        self._send(events)
        self._unread = self._frames.unsent

    def _send(self, events: list[AnyEvent]) -> None:
        if events:
            for data in events_frame(self._job, events):
                self._frames.send_frame(data)
