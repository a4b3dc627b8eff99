"""Planning: which nodes are needed, and for each whether it is reused or must run.

One forward pass, O(nodes + links): a node is settled once the digests of its inputs are known. The same code plans before
the run and goes on during it: a node that ran settles what follows it, and equal digests lead to known keys (early
cut-off). Nothing here recurses, so a chain may be as long as it likes.
"""

from __future__ import annotations

from typing import Any

from engine.cache.actions import Expansion, Record, SlotDigests
from engine.cache.digests import Digest
from engine.cache.memory import Stored
from engine.execute.events import NodeCollected, NodeFailed, NodeReused, NodeSkipped
from engine.execute.expansion import finish_expansion, instantiate
from engine.execute.keys import BadLinkError, Blocked, action_key, extended_key
from engine.execute.links import (
    count_stashed,
    need,
    node_event,
    release,
    release_borrowed,
    release_inputs,
    wait_for,
)
from engine.execute.phases import EXPANDED, FAILED, FOLLOWING, NOT_RUN, RAN, READY, REUSED, SKIPPED, SUPPLY
from engine.execute.run import Run
from engine.execute.state import SILENT, LazyState, NodeState, StoredInput
from engine.execute.values import blocker_of
from engine.graph.prompt import Link


def settle(run: Run) -> None:
    """Follow fresh links, then decide about every state whose inputs are known; what must run is made ready."""
    agenda = run.agenda
    while agenda.fresh or agenda.queue:
        if agenda.fresh:
            _follow_links(run)
        if agenda.queue:
            _settle_one(run, agenda.queue.popleft())
    if agenda.found_ready:
        run.crew.ready.extend(agenda.take_ready())


def resolve(run: Run, state: NodeState, outputs: tuple[SlotDigests, ...], phase: int) -> None:
    """The digests of `state` are known: tell those that wait for them."""
    state.outputs = outputs
    state.enter(phase)
    if state.uses_inputs:
        release_inputs(run, state)
    if state.borrowed:
        release_borrowed(run, state)
    if state.consumers:
        for consumer in state.consumers:
            consumer.waiting -= 1
            if not consumer.waiting:
                run.agenda.queue.append(consumer)
        state.consumers = None


def fail(run: Run, state: NodeState, problem: NodeFailed) -> None:
    """`state` failed: report it, and everything that needs it cannot run."""
    state.problem = problem
    run.failures.append(problem)
    run.emit(problem)
    _broken(run, state, FAILED)


def queue_to_run(run: Run, state: NodeState) -> None:
    """Put a state among those that must run (again)."""
    state.enter(READY)
    run.agenda.found_ready.append(state)


def _follow_links(run: Run) -> None:
    while run.agenda.fresh:
        state = run.agenda.fresh.pop()
        lazy = state.facts.lazy
        state.uses_inputs = True
        for name, value in state.node.inputs.items():
            if type(value) is Link:
                if name not in lazy:
                    wait_for(state, run.states.get(value.node) or need(run, value.node))
            elif type(value) is StoredInput:
                run.states[value.owner].uses += 1
        if state.parent is not None:
            count_stashed(run, state, 1)
        if not state.waiting:
            run.agenda.queue.append(state)


def _settle_one(run: Run, state: NodeState) -> None:
    if state.phase >= RAN:  # it failed in the meantime
        return
    if state.upstream is not None:
        _give_up(run, state, state.upstream)
    elif state.phase == EXPANDED:
        _finish_expanded(run, state)
    elif state.phase == SUPPLY or state.errand is not None:
        queue_to_run(run, state)
    elif state.problem is not None:
        fail(run, state, state.problem)
    else:
        _decide(run, state)


def _finish_expanded(run: Run, state: NodeState) -> None:
    try:
        outputs = finish_expansion(run, state)
    except BadLinkError as bad:
        fail(run, state, bad_link(state, bad))
        return
    if state.parent is None:
        run.emit(NodeCollected(**node_event(state)))
    resolve(run, state, outputs, RAN if state.ran else REUSED)
    settle_followers(run, state)


def _decide(run: Run, state: NodeState) -> None:
    """Reuse `state`, or have it run, or have it wait for a lazy input that it read the last time."""
    try:
        key = action_key(run, state) if state.lazy is None else _continued_key(run, state)
    except Blocked as blocked:
        skip(run, state, blocked)
        return
    except BadLinkError as bad:
        fail(run, state, bad_link(state, bad))
        return
    state.key = key
    if state.facts.lazy and state.lazy is None:
        state.lazy = LazyState(key)
    if not state.recorded:
        queue_to_run(run, state)
        return
    leader = run.agenda.leaders.get(key)
    if leader is not None:
        _follow(run, state, leader)
        return
    record = run.cache.actions.get(key)
    if record is None or not _reuse(run, state, record):
        if state.lazy is None:
            run.agenda.leaders[key] = state
        queue_to_run(run, state)


def _continued_key(run: Run, state: NodeState) -> bytes:
    assert state.lazy is not None
    return extended_key(run, state, state.key, state.lazy.needed[-1])


def _reuse(run: Run, state: NodeState, record: Record) -> bool:
    """Take over what `record` says; False when it does not fit or files that it mentions are gone."""
    if record.reads is not None:
        return _read_again(run, state, record.reads)
    if record.ui is not None and not _files_exist(run, record.ui):
        return False
    state.ui = record.ui
    if record.expand is not None:
        report_reuse(run, state)
        expand(run, state, record.expand, {})
        return True
    if record.outputs is None or len(record.outputs) != state.facts.outputs:
        return False
    report_reuse(run, state)
    resolve(run, state, record.outputs, REUSED)
    return True


def expand(run: Run, state: NodeState, calls: tuple[Expansion, ...], stash: dict[Digest, Stored]) -> None:
    """Let the nodes that `state` expands into join the run, unless that is more than a run may grow: then it fails."""
    problem = instantiate(run, state, calls, stash)
    if problem is not None:
        fail(run, state, problem)


def _read_again(run: Run, state: NodeState, name: str) -> bool:
    """The recorded action read the lazy input `name` next: settle `state` again once that one's digests are known."""
    assert state.lazy is not None
    if name in state.lazy.needed or name not in state.node.inputs:
        return False
    state.lazy.needed.append(name)
    value = state.node.inputs[name]
    if type(value) is Link:
        wait_for(state, need(run, value.node))
    if not state.waiting:
        run.agenda.queue.append(state)
    return True


def _files_exist(run: Run, ui: dict[str, Any]) -> bool:
    for entries in ui.values():
        for entry in entries if isinstance(entries, list | tuple) else ():
            if isinstance(entry, dict) and "filename" in entry:
                path = run.services.ui_file(entry)
                if path is not None and not path.exists():
                    return False
    return True


def report_reuse(run: Run, state: NodeState) -> None:
    """Say that `state` is reused: in one list before anything ran, one by one afterwards."""
    if not run.telling.announced:
        run.agenda.cached_at_start.append(state)
    else:
        run.emit(NodeReused(node=state.id, display_node=state.display, parent=state.parent, ui=state.ui))


def _follow(run: Run, state: NodeState, leader: NodeState) -> None:
    state.leader = leader
    if leader.outputs is not None:
        take_over(run, state, leader)
    elif leader.phase >= FAILED:
        take_over_failure(run, state, leader)
    else:
        state.enter(FOLLOWING)
        leader.uses += 1
        run.agenda.follow(state, leader)


def settle_followers(run: Run, leader: NodeState) -> None:
    """What `leader` gave is what its followers give."""
    for state in run.agenda.take_followers(leader):
        if leader.outputs is not None:
            take_over(run, state, leader)
        else:
            take_over_failure(run, state, leader)
        release(run, leader)


def take_over(run: Run, state: NodeState, leader: NodeState) -> None:
    """Reuse within the run what `leader` gave."""
    assert leader.outputs is not None
    state.ui = leader.ui
    state.held = leader.held if state.uses else None
    report_reuse(run, state)
    resolve(run, state, leader.outputs, REUSED)


def take_over_failure(run: Run, state: NodeState, leader: NodeState) -> None:
    """An equal node failed; so does this one."""
    if leader.problem is None:
        _give_up(run, state, leader.upstream or leader)
        return
    facts = {name: getattr(leader.problem, name) for name in leader.problem.__struct_fields__}
    fail(run, state, NodeFailed(**{**facts, **node_event(state)}))


def skip(run: Run, state: NodeState, blocked: Blocked) -> None:
    """`state` receives a blocked value: it passes on a silent one, and reports the message if there is one."""
    state.outputs = (SILENT,) * state.facts.outputs
    if blocked.digest != SILENT:
        report_block(run, state, blocked.digest)
    else:
        run.emit(NodeSkipped(**node_event(state), reason="blocked"))
    resolve(run, state, state.outputs, SKIPPED)


def report_block(run: Run, state: NodeState, digest: bytes) -> None:
    """Report the message of a blocker on the first node that receives it; the run goes on."""
    problem = NodeFailed(
        **node_event(state),
        class_type=state.node.class_type,
        message=blocker_of(run, digest).message or "",
        exception_type="ExecutionBlocked",
        hint="A node before this one blocked it on purpose; see what that node asks for.",
    )
    run.failures.append(problem)
    run.emit(problem)


def _give_up(run: Run, state: NodeState, upstream: NodeState) -> None:
    """A producer failed: `state` cannot run."""
    if state.errand is None:
        run.emit(NodeSkipped(**node_event(state), reason="upstream_failed", because=upstream.id))
    else:
        errand, state.errand = state.errand, None
        run.errand_owners.pop(state, None)
        errand(None)
    _broken(run, state, NOT_RUN)


def _broken(run: Run, state: NodeState, phase: int) -> None:
    """`state` ended without outputs (or, remade, without values)."""
    state.enter(phase)
    if state.stands_for is not None:
        state.stands_for.waiters = None
    state.remaking = False
    release_inputs(run, state)
    release_borrowed(run, state)
    for consumer in (*(state.consumers or ()), *(state.waiters or ())):
        consumer.upstream = state
        consumer.waiting -= 1
        if not consumer.waiting:
            run.agenda.queue.append(consumer)
    state.consumers = None
    state.waiters = None
    settle_followers(run, state)


def bad_link(state: NodeState, bad: BadLinkError) -> NodeFailed:
    """The problem of a link to an output that is not there."""
    return NodeFailed(
        **node_event(state),
        class_type=state.node.class_type,
        message=f"Input {bad.name!r} is linked to output {bad.link.slot} of node {bad.link.node}.",
        input=bad.name,
        expected=f"an output from 0 to {bad.outputs - 1}" if bad.outputs else "a node that has outputs",
        got=str(bad.link.slot),
        hint="Link the input to an output that exists.",
    )
