"""Which node is running: packs reach progress, cancelling and saving through globals, not through an argument."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from engine.authoring.context import Cancelled, Context
from engine.plugins.compat.host import host_or_none

_running: ContextVar[Context | None] = ContextVar("running_node", default=None)
_graphs: ContextVar[list[int] | None] = ContextVar("graphs_of_the_call", default=None)
_latest: list[Context] = []


class running:  # noqa: N801 - reads as `with running(ctx):`; a class costs half of what a generator does
    """Make `ctx` the context of what is called inside, for this thread or task."""

    __slots__ = ("_ctx", "_graphs_token", "_token")

    def __init__(self, ctx: Context | None) -> None:
        self._ctx = ctx

    def __enter__(self) -> None:
        ctx = self._ctx
        self._token, self._graphs_token = _running.set(ctx), _graphs.set([0])
        if ctx is not None:
            _latest[:] = [ctx]

    def __exit__(self, *error: object) -> None:
        _running.reset(self._token)
        _graphs.reset(self._graphs_token)
        if _latest and _latest[0] is self._ctx:
            _latest.clear()


def current_context() -> Context | None:
    """The context of the running node; in a thread that a node started, that of the node called last."""
    found = _running.get()
    if found is None and _latest:
        return _latest[0]
    return found


def next_graph() -> int | None:
    """How many graphs this call of a node has built so far, and count one more; None outside of a call."""
    counted = _graphs.get()
    if counted is None:
        return None
    counted[0] += 1
    return counted[0] - 1


def check_cancelled() -> None:
    """Raise Cancelled when the job of the running node was cancelled."""
    ctx = current_context()
    if ctx is not None:
        ctx.check_cancelled()


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
