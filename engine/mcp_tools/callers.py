"""Whose calls they are: what runs on a server is the job of whoever shows a named token here, with that one's limits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

SHOWN: Final = "safelight.token"
"""Key of an ASGI scope: the named token that the request shows."""

_CALLER: ContextVar[str | None] = ContextVar("caller", default=None)


@contextmanager
def as_caller(request: Any) -> Iterator[None]:
    """What is asked of a server in this block is asked with the token that `request`, if there is one, has in its scope."""
    before = _CALLER.set(request.scope.get(SHOWN) if request is not None else None)
    try:
        yield
    finally:
        _CALLER.reset(before)


def caller() -> str | None:
    """The named token of whoever calls; None: that of the command itself."""
    return _CALLER.get()
