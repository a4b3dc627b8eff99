"""The runner: threads that take ready nodes and run them, and the event loop that runs the async ones.

A thread that finishes a node settles what follows it and goes on with that, so a chain never changes threads and a cheap
node costs no hand-over. Further threads are woken only where that pays: when a node took long and others are ready, or
when the watch on the event loop finds nodes ready while a thread is still busy with one.
"""

from __future__ import annotations

import time
from typing import Any

from engine.authoring.context import Cancelled
from engine.authoring.definition import ExecutionBlocker, NodeDefinition, NodeResult
from engine.execute.attempt import Attempt
from engine.execute.calls import calls_of
from engine.execute.coroutines import run_async
from engine.execute.cycles import break_cycle
from engine.execute.events import NodeStarted
from engine.execute.finish import finish, finish_cancelled, finish_failed
from engine.execute.keys import action_key
from engine.execute.lazies import ask_status, run_errand
from engine.execute.measures import device_peak
from engine.execute.phases import RAN, RUNNING
from engine.execute.plan import queue_to_run, settle
from engine.execute.problems import is_out_of_memory
from engine.execute.run import Run
from engine.execute.state import NodeState, StoredInput
from engine.execute.supply import Inputs, collect, request
from engine.execute.wanted import collect_wanted
from engine.graph.prompt import Link

SLOW_SECONDS = 0.001
"""After a node that took longer than this, another thread is woken for what else is ready."""

WATCH_SECONDS = 0.005
"""How often the event loop looks whether nodes are ready while threads are busy."""


def work(run: Run) -> None:
    """A thread's part in a run: take what is ready until nothing is."""
    crew = run.crew
    try:
        while True:
            if run.cancel.cancelled:
                crew.ready.clear()
            try:
                item = crew.ready.pop()
            except IndexError:
                if run.leave():
                    return
                continue
            crew.steps += 1
            if type(item) is NodeState:
                start(run, item)
            else:
                item()
    except BaseException as error:  # a bug of the engine, or a sink that raised: end the run, not the thread
        run.crashed(error)


def start(run: Run, state: NodeState) -> None:
    """Run one node as far as this thread can."""
    inputs: Inputs | None = None
    try:
        if state.errand is not None:
            definition = None
            found = collect(run, state, ())
        else:
            definition = run.executor.definition(state.facts.spec.name)
            found = collect(run, state, _lazy_names(state, definition))
        if isinstance(found, list):
            with run.lock:
                request(run, state, found)
                settle(run)
            return
        inputs = found
        if definition is None:
            run_errand(run, state, inputs)
            return
        _run_node(Attempt(run, state, definition, inputs))
    except Cancelled as error:
        finish_cancelled(run, state, inputs, error)
    except BaseException as error:
        if state.errand is not None:
            raise
        finish_failed(run, state, inputs, error)


def _lazy_names(state: NodeState, definition: NodeDefinition) -> Any:
    """Which lazy inputs to collect before the call: those that the class protocol asked for, and its constants."""
    if state.lazy is None or definition.lazy_inputs:
        return ()
    for name in sorted(state.facts.lazy):
        if name in state.node.inputs and type(state.node.inputs[name]) not in (Link, StoredInput):
            state.lazy.reads.setdefault(name, None)
    return state.lazy.reads


def _run_node(attempt: Attempt) -> None:
    run, state = attempt.run, attempt.state
    if state.reads_stale:
        _renew_key(run, state)
    if attempt.definition.lazy_status is not None and state.lazy is not None and ask_status(attempt):
        return
    if not _take_inputs(attempt):
        return
    state.enter(RUNNING)
    kind = state.node.class_type
    run.emit(NodeStarted(node=state.id, display_node=state.display, parent=state.parent, class_type=kind))
    if attempt.definition.is_async:
        run.begin_coroutine(run_async(attempt))
    else:
        _run_here(attempt)


def _take_inputs(attempt: Attempt) -> bool:
    """Note which nodes have which values; False (queued again) when one was written into since it was collected."""
    run, state = attempt.run, attempt.state
    if state.private:
        attempt.set_apart()
        return True
    if run.executor.sharing.begin(attempt.inputs):
        return True
    with run.lock:
        queue_to_run(run, state)
        settle(run)
    return False


def _run_here(attempt: Attempt) -> None:
    """Run a blocking node on this thread and go on with what follows it."""
    run, state = attempt.run, attempt.state
    began = time.perf_counter()
    results = _with_retry(attempt)
    state.seconds = time.perf_counter() - began
    if state.seconds > SLOW_SECONDS:
        state.peak_memory = run.executor.peak.growth()
        state.device_memory = device_peak()
        if run.crew.ready:
            run.wake()
    finish(run, state, attempt.inputs, results)


def _with_retry(attempt: Attempt) -> list[NodeResult | ExecutionBlocker]:
    """Call the node; when memory runs out, free what nobody uses and try once more."""
    try:
        return _call_all(attempt)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    attempt.run.free_memory()
    return _call_all(attempt)


def _call_all(attempt: Attempt) -> list[NodeResult | ExecutionBlocker]:
    results: list[NodeResult | ExecutionBlocker] = []
    for call in calls_of(attempt.state.facts, attempt.inputs):
        if isinstance(call, ExecutionBlocker):
            results.append(call)
        else:
            attempt.run.cancel.check()
            results.append(attempt.call(call))
    return results


def _renew_key(run: Run, state: NodeState) -> None:
    """An input was remade to another value: what this node gives belongs under another key."""
    state.reads_stale = False
    with run.lock:
        key = action_key(run, state)
        if state.lazy is None:
            state.key = key
        else:
            state.lazy.start_key = key


def watch(run: Run) -> None:
    """On the event loop, every few milliseconds: wake a thread when nodes are ready and those at work are stuck."""
    if run.finished.done():
        return
    if run.crew.stuck():
        run.wake()
    run.watched = run.loop.call_later(WATCH_SECONDS, watch, run)


def conclude(run: Run) -> bool:
    """No thread has anything to do: break a cycle if that is why; True when the run is over.

    Raises RuntimeError when nodes are left that nothing will ever settle: a bug of the engine.
    """
    if run.cancel.cancelled:
        return run.crew.coroutines == 0
    if run.crew.coroutines > len(set(run.errand_owners.values())):
        return False
    with run.lock:
        while not run.crew.ready and break_cycle(run):
            settle(run)
    if run.crew.ready or run.crew.coroutines:
        return False
    left = [state.id for state in run.states.values() if state.phase < RAN]
    if left:
        raise RuntimeError(f"The executor stopped with unfinished nodes: {', '.join(left[:10])}.")
    with run.lock:
        collect_wanted(run)
        settle(run)
    return not run.crew.ready
