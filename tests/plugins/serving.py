"""Real servers on packs, for fixtures."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.serving.conftest import Server, until

__all__ = ["Server", "served", "until"]


@contextlib.contextmanager
def served(base: Path, environment: dict[str, str] | None = None) -> Iterator[Server]:
    """A server on the base directory that listens; at the end it and what it started are killed."""
    found = Server(base, environment=environment)
    try:
        yield found.wait_until_listening()
    finally:
        children = psutil.Process(found.process.pid).children(recursive=True) if found.process.poll() is None else []
        found.kill()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
