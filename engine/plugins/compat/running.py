"""Which node is running: packs reach progress, cancelling and saving through globals, not through an argument."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Any

from engine.authoring.context import Cancelled, Context
from engine.plugins.compat.host import host_or_none

_log = logging.getLogger(__name__)


class running:  # noqa: N801 - reads as `with running(ctx):`; a class costs half of what a generator does
    """Make `ctx` the context of what is called inside, for this thread or task."""

    __slots__ = ("_token", "ctx", "graphs")

    def __init__(self, ctx: Context | None) -> None:
        self.ctx = ctx
        self.graphs = 0
        """How many graphs the call has built."""

    def __enter__(self) -> None:
        self._token = _running.set(self)
        if self.ctx is not None:
            _latest[:] = [self.ctx]

    def __exit__(self, *error: object) -> None:
        _running.reset(self._token)
        if _latest and _latest[0] is self.ctx:
            _latest.clear()


_running: ContextVar[running | None] = ContextVar("running_node", default=None)
_latest: list[Context] = []


def current_context() -> Context | None:
    """The context of the running node; in a thread that a node started, that of the node called last."""
    call = _running.get()
    if call is not None and call.ctx is not None:
        return call.ctx
    return _latest[0] if _latest else None


def next_graph() -> int | None:
    """How many graphs this call of a node has built so far, and count one more; None outside of a call."""
    call = _running.get()
    if call is None:
        return None
    call.graphs += 1
    return call.graphs - 1


def check_cancelled() -> None:
    """Raise Cancelled when the job of the running node was cancelled."""
    ctx = current_context()
    if ctx is not None:
        ctx.check_cancelled()


def warn(message: str) -> None:
    """Tell the person something that does not stop the running node; the log where none runs."""
    ctx = current_context()
    if ctx is None:
        _log.warning("%s", message)
    else:
        ctx.warn(message)


def is_cancelled() -> bool:
    """Whether the job of the running node was cancelled."""
    try:
        check_cancelled()
    except Cancelled:
        return True
    return False


def model_manager() -> Any:
    """The model manager of the running node, else that of the host. Raises RuntimeError when there is neither."""
    ctx, host = current_context(), host_or_none()
    if ctx is not None and ctx.models is not None:
        return ctx.models
    if host is not None and host.models is not None:
        return host.models()
    raise RuntimeError("No node is running, so there is no model manager. Load models inside a node's function.")
