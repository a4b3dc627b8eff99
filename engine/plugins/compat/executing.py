"""`comfy_execution.utils`: which node runs, as packs ask for it."""

from __future__ import annotations

from typing import NamedTuple

from engine.plugins.compat.host import host_or_none
from engine.plugins.compat.running import current_context


class ExecutionContext(NamedTuple):
    """The job and node that run, and which of the items of a list."""

    prompt_id: str
    node_id: str
    list_index: int | None


def get_executing_context() -> ExecutionContext | None:
    """The context of the running node; None where none runs. Calls of one node for the items of a list are not told apart."""
    ctx, host = current_context(), host_or_none()
    if ctx is None:
        return None
    return ExecutionContext((host.prompt_id if host is not None else None) or "", ctx.node_id, None)
