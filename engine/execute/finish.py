"""What happens after a node ran: its values are stored, its action recorded, and what follows it settled."""

from __future__ import annotations

from engine.authoring.definition import ExecutionBlocker, NodeResult
from engine.cache.actions import Record, SlotDigests
from engine.cache.digests import Digest
from engine.cache.memory import Stored
from engine.execute.calls import outputs_of, ui_of
from engine.execute.endless import beyond
from engine.execute.events import NodeFinished, Warned
from engine.execute.expansion import encode
from engine.execute.keys import Blocked, extended_key
from engine.execute.links import release_borrowed, release_inputs
from engine.execute.phases import RAN
from engine.execute.plan import expand, fail, report_block, resolve, settle, settle_followers, skip
from engine.execute.problems import problem_of
from engine.execute.run import Run
from engine.execute.sharing import spoilt
from engine.execute.shown import bounded
from engine.execute.state import SILENT, Held, NodeState
from engine.execute.summaries import describe
from engine.execute.supply import Inputs
from engine.execute.values import blocker_digest, store, store_items
from engine.graph.prompt import Link


def finish(run: Run, state: NodeState, inputs: Inputs, results: list[NodeResult | ExecutionBlocker]) -> None:
    """Take over the results of the calls of `state`; a blocker stands for a call that was not made."""
    if inputs.writable and spoilt(run, state, inputs):
        return
    only = results[0] if len(results) == 1 else None
    if type(only) is NodeResult and not only.expand:  # nearly every node: no need to sort its calls
        _finish_with_values(run, state, [only])
        return
    made = [result if type(result) is NodeResult else None for result in results]
    blockers = [result for result in results if type(result) is ExecutionBlocker]
    if blockers and len(blockers) == len(results):
        with run.lock:
            skip(run, state, Blocked(blocker_digest(blockers[0].message), Link("", 0)))
            settle(run)
        return
    _report_blockers(run, state, blockers)
    if any(result is not None and result.expand for result in made):
        _finish_expanding(run, state, made)
    else:
        _finish_with_values(run, state, made)


def finish_failed(run: Run, state: NodeState, inputs: Inputs | None, error: BaseException) -> None:
    """`state` raised `error`."""
    if inputs is not None and spoilt(run, state, inputs):
        return
    problem = problem_of(state, error, inputs)
    with run.lock:
        fail(run, state, problem)
        settle(run)


def finish_cancelled(run: Run, state: NodeState, inputs: Inputs | None, error: BaseException) -> None:
    """A node stopped because the run was cancelled; one that says so on its own failed."""
    if inputs is not None:
        run.executor.sharing.end(inputs)
    if not run.cancel.cancelled:
        finish_failed(run, state, inputs, error)


def finish_beside(run: Run, state: NodeState, inputs: Inputs | None, failed: NodeState) -> None:
    """A coroutine was broken off because another one, `failed`, raised an error."""
    if inputs is not None:
        run.executor.sharing.end(inputs)
    with run.lock:
        state.upstream = state.upstream or failed
        run.agenda.queue.append(state)
        settle(run)


def finish_without_upstream(run: Run, state: NodeState, inputs: Inputs) -> None:
    """A lazy input that `state` read could not be had."""
    run.executor.sharing.end(inputs)
    with run.lock:
        state.upstream = state.upstream or _failed_read(run, state)
        run.agenda.queue.append(state)
        settle(run)


def _failed_read(run: Run, state: NodeState) -> NodeState:
    """The producer of the lazy input whose failure ended `state`."""
    assert state.lazy is not None
    for name in state.lazy.reads:
        value = state.node.inputs[name]
        producer = run.states.get(getattr(value, "node", ""))
        if producer is not None and (producer.problem is not None or producer.upstream is not None):
            return producer
    return state


def _report_blockers(run: Run, state: NodeState, blockers: list[ExecutionBlocker]) -> None:
    """Items that were blocked with a message: report it, and have it reported again next time."""
    for blocker in blockers:
        name = blocker_digest(blocker.message)
        if name != SILENT:
            state.recorded = False
            with run.lock:
                report_block(run, state, name)


def _finish_with_values(run: Run, state: NodeState, results: list[NodeResult | None]) -> None:
    key = state.key
    digests: list[SlotDigests] = []
    held: list[Held] = []
    only = results[0] if len(results) == 1 else None
    if only is not None and len(only.values) == state.facts.outputs and not state.facts.gives_lists:
        for slot, value in enumerate(only.values):
            name, entry = store(run, value, b"%s:%d" % (key, slot), state.seconds)
            digests.append(name)
            held.append(entry)
    else:
        for slot, items in enumerate(outputs_of(state.facts, results)):
            names, entries = store_items(run, items, b"%s:%d" % (key, slot), state.seconds)
            digests.append(names)
            held.append(entries)
    ui = bounded(run, state, ui_of(results))
    with run.lock:
        state.ui = ui
        _complete(run, state, tuple(digests), held)
        settle(run)


def _complete(run: Run, state: NodeState, outputs: tuple[SlotDigests, ...], held: list[Held]) -> None:
    if state.uses:
        state.held = held
    if state.recorded:
        _record(run, state, Record(outputs=outputs, ui=state.ui, seconds=state.seconds))
    _report(run, state, held)
    if state.remaking:
        _complete_remake(run, state, outputs)
        return
    resolve(run, state, outputs, RAN)
    settle_followers(run, state)


def _complete_remake(run: Run, state: NodeState, outputs: tuple[SlotDigests, ...]) -> None:
    """The values are there again. If they differ, the node reads something behind the cache's back: say so."""
    changed = outputs != state.outputs
    state.outputs = outputs
    state.remaking = False
    state.enter(RAN)
    release_inputs(run, state)
    release_borrowed(run, state)
    waiters, state.waiters = state.waiters or [], None
    for waiter in waiters:
        waiter.reads_stale |= changed
        waiter.waiting -= 1
        if not waiter.waiting:
            run.agenda.queue.append(waiter)
    if changed:
        message = (
            f"Node {state.id} ({state.node.class_type}) gave another result for the same inputs. It probably reads a "
            f"clock, a file or a global variable; make that an input, or declare the node with cache=False."
        )
        run.emit(Warned(message=message, node=state.id))


def _finish_expanding(run: Run, state: NodeState, results: list[NodeResult | None]) -> None:
    count = sum([len(result.expand or ()) for result in results if result is not None])
    problem = beyond(run, state, count, 0) if state.stands_for is None else None
    if problem is not None:  # before its values are kept
        with run.lock:
            fail(run, state, problem)
            settle(run)
        return
    stash: dict[Digest, Stored] = {}
    calls = tuple([encode(run, state, _or_blocked(r, state), i, stash) for i, r in enumerate(results)])
    ui = bounded(run, state, ui_of(results))
    with run.lock:
        state.ui = ui
        if state.recorded:
            _record(run, state, Record(expand=calls, ui=ui, seconds=state.seconds))
        _report(run, state, [], expands=True)
        if state.stands_for is not None:
            _refill(run, state, stash)
        else:
            expand(run, state, calls, stash)
        settle(run)


def _refill(run: Run, state: NodeState, stash: dict[Digest, Stored]) -> None:
    """An expanded node ran again for values that it made itself; its nodes are in the run already."""
    expanded = state.stands_for
    assert expanded is not None
    assert expanded.expansion is not None
    assert state.outputs is not None
    run.growth.drop(expanded.expansion.stash)
    run.growth.add(0, 0, stash)
    expanded.expansion.stash = stash
    expanded.waiters = None
    _complete_remake(run, state, state.outputs)


def _or_blocked(result: NodeResult | None, state: NodeState) -> NodeResult:
    return result or NodeResult((ExecutionBlocker(None),) * state.facts.outputs)


def _record(run: Run, state: NodeState, record: Record) -> None:
    """Remember the action, after the chain of the lazy inputs that it read."""
    lazy = state.lazy
    if lazy is not None:
        key = lazy.start_key
        for name in lazy.reads:
            run.cache.actions.put(key, Record(reads=name))
            key = extended_key(run, state, key, name)
        state.key = key
    run.cache.actions.put(state.key, record)
    run.cache.recorded(record.seconds)


def _report(run: Run, state: NodeState, held: list[Held], *, expands: bool = False) -> None:
    state.ran = True
    declared = held[: len(state.facts.spec.outputs)]
    outputs = [describe(h.value) if isinstance(h, Stored) else f"list of {len(h)}" for h in declared]
    event = NodeFinished(
        node=state.id,
        display_node=state.display,
        parent=state.parent,
        class_type=state.node.class_type,
        seconds=state.seconds,
        peak_memory=state.peak_memory,
        device_memory=state.device_memory,
        ui=state.ui,
        outputs=outputs,
        remade=state.remaking,
        expands=expands,
    )
    run.emit(event)
