"""Expansion: a node gave a subgraph in place of values.

Its nodes join the run under ids `parent.child` (`parent[i].child` where the node was called for several list items), or
under a hash of that where it is long, so that equal expansions have equal ids, and each of them is planned and cached like any
other node. Inputs there that are no JSON (tensors, handles) go into the cache and are named by digest, so that the expansion
itself can be recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from xxhash import xxh3_128_digest, xxh3_128_hexdigest

from engine.authoring.definition import NodeResult
from engine.cache.actions import ExpandedNode, Expansion, Reference, SlotDigests
from engine.cache.digests import Digest
from engine.cache.memory import Stored
from engine.execute.endless import beyond, constants_size
from engine.execute.events import NodeExpanded, NodeFailed
from engine.execute.keys import BadLinkError
from engine.execute.links import need, node_event, release_inputs, wait_for
from engine.execute.phases import EXPANDED
from engine.execute.run import Run
from engine.execute.state import ExpansionState, Held, Inner, NodeState, StoredInput
from engine.execute.values import store
from engine.graph.prompt import ALWAYS, DISPLAY, Link, Node

LONGEST_ID: Final = 64
"""Characters of the id of an expanded node. A copy of a loop has the ids of the copy before it in its own, and so would grow."""

_ANEW: Final = {ALWAYS: True}
_JSON_SCALARS = frozenset({str, int, float, bool, type(None)})


def encode(run: Run, state: NodeState, result: NodeResult, index: int, stash: dict[Digest, Stored]) -> Expansion:
    """What call `index` of `state` gave, in recordable form; values that are no JSON go into `stash`."""
    nodes = {}
    for child_id, node in (result.expand or {}).items():
        constants, references = {}, {}
        for name, value in node.inputs.items():
            if type(value) is Link:
                references[name] = Reference(value.node, value.slot)
            elif _is_json(value):
                constants[name] = value
            else:
                references[name] = _stashed(run, state, [value], f"{index}.{child_id}.{name}", stash)
        nodes[child_id] = ExpandedNode(
            node.class_type, constants, references, node.meta.get(DISPLAY), ALWAYS in node.meta
        )
    values = []
    for slot, is_list in enumerate(state.facts.lists):
        value = result.values[slot] if slot < len(result.values) else None
        if type(value) is Link:
            values.append(Reference(value.node, value.slot))
        else:
            items = list(value) if is_list and isinstance(value, list | tuple) else [value]
            values.append(_stashed(run, state, items, f"{index}:{slot}", stash))
    return Expansion(nodes, tuple(values))


def instantiate(
    run: Run, state: NodeState, calls: tuple[Expansion, ...], stash: dict[Digest, Stored]
) -> NodeFailed | None:
    """Let the nodes of `calls` join the run; `state` waits for those that its outputs link to and for output nodes.

    Gives the problem of `state` when that would be more than a run may grow; then nothing is changed.
    """
    around = run.expanded.get(state.id)
    root, depth = (state.id, 1) if around is None else (around.root, around.depth + 1)
    nodes: dict[str, tuple[Node, str | None]] = {}
    own: list[Expansion] = []
    for index, call in enumerate(calls):
        ids = {name: _child_id(run, state, root, index if len(calls) > 1 else None, name) for name in call.nodes}
        for child_id, child in call.nodes.items():
            inputs: dict[str, Any] = dict(child.constants)
            for name, reference in child.references.items():
                inputs[name] = _input(state, ids, reference)
            nodes[ids[child_id]] = Node(child.class_type, inputs, _ANEW if child.always else None), child.display
        own.append(Expansion({}, tuple([_own(ids, value) for value in call.values])))
    size = constants_size([node for node, _ in nodes.values()])
    problem = beyond(run, state, len(nodes), size + sum([entry.size for entry in stash.values()]))
    if problem is not None:
        return problem
    for name, (node, display) in nodes.items():
        run.expanded[name] = Inner(node, _display(run, state, display), state.id, root, depth)
    run.growth.add(len(nodes), size, stash)
    names = list(nodes)
    state.expansion = ExpansionState(tuple(own), stash, _passing(run, own, nodes.values()))
    state.enter(EXPANDED)
    run.emit(NodeExpanded(**node_event(state), nodes=names))
    _wait_for_children(run, state, names)
    release_inputs(run, state)
    return None


def finish_expansion(run: Run, state: NodeState) -> tuple[SlotDigests, ...]:
    """The outputs of an expanded node once those that they link to are known. Raises BadLinkError."""
    assert state.expansion is not None
    outputs: list[SlotDigests] = []
    for slot in range(state.facts.outputs):
        items: list[Digest] = []
        for call in state.expansion.calls:
            items += _digests(run, call.values[slot])
        outputs.append(items[0] if len(items) == 1 else tuple(items))
    if state.uses:
        state.held = _held(run, state)
    return tuple(outputs)


def _wait_for_children(run: Run, state: NodeState, names: list[str]) -> None:
    assert state.expansion is not None
    wanted = {value.node for call in state.expansion.calls for value in call.values if value.digests is None}
    nodes = {name: run.expanded[name].node.class_type for name in names}
    showing = {kind for kind in set(nodes.values()) if _shows(run, kind)}
    if showing:
        wanted |= {name for name, kind in nodes.items() if kind in showing}
    state.borrowed = []
    for name in [*(name for name in names if name in wanted), *sorted(wanted.difference(names))]:
        child = need(run, name)
        wait_for(state, child)
        state.borrowed.append(child)
    if not state.waiting:
        run.agenda.queue.append(state)


def _display(run: Run, state: NodeState, wanted: str | None) -> str:
    """The node of the submitted graph to show a node of an expansion on: that of the expanding node, or as it wants."""
    if wanted is None or wanted in run.prompt:
        return wanted or state.display
    return run.expanded[wanted].display if wanted in run.expanded else state.display


def _shows(run: Run, kind: str) -> bool:
    facts = run.executor.facts(kind)
    return facts is not None and facts.spec.output_node


def _child_id(run: Run, parent: NodeState, root: str, index: int | None, name: str) -> str:
    """Id of the node that call `index` of `parent` (None: the only one) named `name`; it says nothing but that place."""
    full = f"{parent.id}.{name}" if index is None else f"{parent.id}[{index}].{name}"
    if len(full) <= LONGEST_ID and full not in run.prompt:
        return full
    return f"{root}.~{xxh3_128_hexdigest(full.encode())[:20]}"


def _input(state: NodeState, ids: Mapping[str, str], reference: Reference) -> Link | StoredInput:
    if reference.digests is not None:
        return StoredInput(state.id, reference.digests)
    return Link(ids.get(reference.node, reference.node), reference.slot)


def _own(ids: Mapping[str, str], reference: Reference) -> Reference:
    """A reference by the ids of the run: nodes of the expansion have those of `ids`, all others are nodes around it."""
    if reference.digests is None and reference.node in ids:
        return Reference(ids[reference.node], reference.slot)
    return reference


def _passing(run: Run, own: list[Expansion], nodes: Iterable[tuple[Node, str | None]]) -> bool:
    """Whether values of the expansion are needed no more once those of its nodes that are needed at once have read them."""
    if any(value.digests is not None for call in own for value in call.values):
        return False
    kinds = {node.class_type for node, _ in nodes}
    return not any(facts.lazy for kind in kinds if (facts := run.executor.facts(kind)) is not None)


def _digests(run: Run, reference: Reference) -> tuple[Digest, ...]:
    if reference.digests is not None:
        return reference.digests
    outputs = run.states[reference.node].outputs
    assert outputs is not None
    if not 0 <= reference.slot < len(outputs):
        raise BadLinkError("(result)", Link(reference.node, reference.slot), len(outputs))
    found = outputs[reference.slot]
    return (found,) if isinstance(found, bytes) else found


def _held(run: Run, state: NodeState) -> list[Held] | None:
    """The values of an expanded node, if all that they come from are still held."""
    assert state.expansion is not None
    slots: list[Held] = []
    for slot in range(state.facts.outputs):
        items: list[Stored] = []
        for call in state.expansion.calls:
            reference = call.values[slot]
            if reference.digests is not None:
                entries: list[Stored | None] = [state.expansion.stash.get(name) for name in reference.digests]
            else:
                held = run.states[reference.node].held
                found = held[reference.slot] if held is not None else None
                entries = [*found] if isinstance(found, list) else [found]
            if None in entries:
                return None
            items += [entry for entry in entries if entry is not None]
        slots.append(items[0] if len(items) == 1 else items)
    return slots


def _stashed(run: Run, state: NodeState, items: list[Any], place: str, stash: dict[Digest, Stored]) -> Reference:
    names = []
    for index, item in enumerate(items):
        fallback = xxh3_128_digest(state.key + f"{place}:{index}".encode())
        name, entry = store(run, item, fallback, state.seconds)
        stash[name] = entry
        names.append(name)
    return Reference(digests=tuple(names))


def _is_json(value: Any) -> bool:
    kind = type(value)
    if kind in _JSON_SCALARS:
        return True
    if kind is list:
        return all(_is_json(item) for item in value)
    if kind is dict:
        return all(type(key) is str and _is_json(item) for key, item in value.items())
    return False
