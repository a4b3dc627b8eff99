"""What a saving node does to its files beside writing them, and what of that its results depend on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.execute.run import Run
from engine.execute.state import NodeState
from engine.graph.schema import NodeSpec

OFF = (
    "Content credentials are asked for, and switched off here: the files have none. Set credentials under [provenance] in "
    "safelight.toml."
)


def seal_of(run: Run, state: NodeState, warn: Callable[[str], None]) -> Any:
    """The seal (`engine.media.provenance.sealing.Seal`) of what a node saves; None for nothing."""
    provenance = run.services.provenance
    if provenance is None or not provenance.signs:
        if run.credentials():
            warn(OFF)
        if provenance is None or not provenance.is_active:
            return None
    return provenance.seal(_origin(run, state), run.credentials(), warn)


def seal_bytes(run: Run, state: NodeState) -> bytes:
    """What a saving node's results depend on, beside its inputs."""
    provenance = run.services.provenance
    if not provenance.is_active:
        return repr(provenance.embed_workflow).encode()
    found: bytes = provenance.facts(_origin(run, state), run.credentials())
    return found


def _origin(run: Run, state: NodeState) -> Any:
    """Of a node in an expansion: that of the node of the submitted graph which it belongs to."""
    from engine.media.provenance.origin import origin_of

    name = state.id if state.id in run.prompt else state.display
    if name not in run.origins:
        run.origins[name] = origin_of(run.prompt, name, lambda kind: _spec(run, kind))
    return run.origins[name]


def _spec(run: Run, class_type: str) -> NodeSpec | None:
    facts = run.executor.facts(class_type)
    return facts.spec if facts is not None else None
