"""Values that trusted nodes write into though they must not: a bug of ours, kept from doing harm.

After each run of a node the stamps of its inputs are compared. One that changed is dropped from the cache and the node is
named. While several nodes have a value at the same time, nobody can say which of them wrote, nor whether the others read it
before or after: all of them run again, each with copies of its own, and the writer gives itself away.
"""

from __future__ import annotations

from typing import Any

from engine.cache.digests import Digest
from engine.cache.memory import Stored
from engine.execute.events import Warned
from engine.execute.plan import queue_to_run, settle
from engine.execute.run import Run
from engine.execute.state import NodeState, StoredInput
from engine.execute.summaries import describe
from engine.execute.supply import Inputs


def spoilt(run: Run, state: NodeState, inputs: Inputs) -> bool:
    """Check the inputs of `state` after it ran; True when its result counts for nothing and it is queued again."""
    if not inputs.writable:
        return False
    shared = run.executor.sharing.end(inputs)
    for name, held in inputs.linked.items():
        for entry in (held,) if isinstance(held, Stored) else held:
            if not entry.intact:
                _drop(run, state, name, entry)
                if not shared:
                    _blame(run, state, name, entry)
    if shared:
        state.private = True
        with run.lock:
            queue_to_run(run, state)
            settle(run)
    return shared


def _drop(run: Run, state: NodeState, name: str, entry: Stored) -> None:
    for digest in _digests(run, state.node.inputs[name]):
        run.cache.drop(digest, entry)


def _blame(run: Run, state: NodeState, name: str, entry: Stored) -> None:
    message = (
        f"Node {state.id} ({state.node.class_type}) wrote into the value of its input {name!r} "
        f"({describe(entry.value)}). That value is dropped and made again where it is needed. "
        f"Nodes must not change their inputs; copy them first."
    )
    run.emit(Warned(message=message, node=state.id))


def _digests(run: Run, value: Any) -> tuple[Digest, ...]:
    if type(value) is StoredInput:
        return value.digests
    outputs = run.states[value.node].outputs or ()
    found = outputs[value.slot] if value.slot < len(outputs) else ()
    return (found,) if isinstance(found, bytes) else found
