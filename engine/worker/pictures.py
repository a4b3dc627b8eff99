"""Previews on their way to the server: only the latest of each node, encoded away from nodes and event loop."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Literal

from engine.execute.events import NodePreview
from engine.jobs.messages import JobPreview

MIN_SECONDS: Final = 0.1
"""Between two previews of one node; what comes sooner is left out."""

MAX_SIDE: Final = 512
QUALITY: Final = 80


class Previews:
    """Encodes on a thread of its own, and calls `send` there with what is ready."""

    def __init__(self, send: Callable[[JobPreview], None]) -> None:
        self._send = send
        self._waiting: dict[tuple[str, str], NodePreview] = {}
        self._taken: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()
        self._work = threading.Event()
        self._thread: threading.Thread | None = None

    def offer(self, job: str, event: NodePreview) -> None:
        """Show `event` unless a preview of the same node was shown just now; it replaces one that still waits."""
        key, now = (job, event.node), time.monotonic()
        with self._lock:
            if now - self._taken.get(key, -MIN_SECONDS) < MIN_SECONDS:
                return
            self._taken[key] = now
            self._waiting[key] = event
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="previews", daemon=True)
                self._thread.start()
        self._work.set()

    def end(self, job: str) -> None:
        """Forget what waits of a job that is over."""
        with self._lock:
            for known in (self._waiting, self._taken):
                for key in [key for key in known if key[0] == job]:
                    del known[key]

    def _loop(self) -> None:
        while self._work.wait():
            self._work.clear()
            with self._lock:
                waiting, self._waiting = self._waiting, {}
            for (job, _), event in waiting.items():
                try:
                    kind, data = encode(event.image)
                except Exception:  # a preview that is no picture harms nothing else
                    continue
                self._send(JobPreview(job, event.node, event.display_node, event.parent, kind, data))


def encode(image: Any) -> tuple[Literal["jpeg", "png"], bytes]:
    """A PIL image or a uint8 array (H, W, 1, 3 or 4) as a file of at most MAX_SIDE pixels a side; PNG if it has alpha.

    Raises what Pillow raises for anything else.
    """
    from PIL import Image

    picture = image if isinstance(image, Image.Image) else Image.fromarray(_squeezed(image))
    alpha = picture.has_transparency_data
    picture = picture.convert("RGBA" if alpha else "RGB")
    if max(picture.size) > MAX_SIDE:
        picture.thumbnail((MAX_SIDE, MAX_SIDE))
    file = io.BytesIO()
    if alpha:
        picture.save(file, "PNG", compress_level=1)
        return "png", file.getvalue()
    picture.save(file, "JPEG", quality=QUALITY)
    return "jpeg", file.getvalue()


def _squeezed(array: Any) -> Any:
    """Without the last axis of a grey picture, as Pillow wants it."""
    return array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array
