"""Executor: runs prompts on this process's threads and event loop. The only entry to this package."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from engine.authoring.context import PreviewMethod
from engine.authoring.definition import NodeDefinition
from engine.cache.facade import Cache
from engine.execute.cancel import CancelToken
from engine.execute.documents import Documents, JsonSource
from engine.execute.events import Counts, NodesCached, RunFinished, RunStarted, Sink, Status, Warned
from engine.execute.facts import SpecFacts
from engine.execute.growth import ExpansionLimits
from engine.execute.links import need
from engine.execute.measures import Peak
from engine.execute.phases import FAILED, RAN, REUSED, SKIPPED
from engine.execute.plan import settle
from engine.execute.recall import Recalled, outputs_of, recall
from engine.execute.result import NodeOutcome, RunResult
from engine.execute.run import Run
from engine.execute.runner import conclude, watch, work
from engine.execute.services import Services
from engine.execute.shared_use import Sharing
from engine.execute.state import NodeState
from engine.execute.threads import Threads
from engine.execute.wanted import wanted_values
from engine.graph.prompt import NodeId, Prompt
from engine.graph.schema import Catalogue

INSTANCES_KEPT = 4096
"""Instances of class nodes kept between runs, by node id."""


class Executor:
    """Runs graphs, any number at once, on one cache.

    `definitions` gives the runnable node of a type (by `spec.name`) and may import its module; it is called only for
    nodes that must run, and for those with a fingerprint. At most `max_threads` blocking nodes run at a time, and a node whose
    expansions grow beyond `expansion_limits` fails.
    """

    def __init__(
        self,
        definitions: Callable[[str], NodeDefinition],
        catalogue: Catalogue,
        cache: Cache,
        *,
        services: Services | None = None,
        max_threads: int | None = None,
        expansion_limits: ExpansionLimits | None = None,
    ) -> None:
        self.definition = definitions
        self.cache = cache
        self.services = services or Services()
        self.max_threads = max_threads or max(8, (os.cpu_count() or 1) + 4)
        self.expansion_limits = expansion_limits or ExpansionLimits()
        self.flush_at_end = True
        """Whether a run ends only when its results are on disk. Else they follow within a moment, as a server can afford."""
        self.sharing = Sharing()
        self.peak = Peak()
        self._catalogue = catalogue
        self._facts: dict[str, SpecFacts] = {}
        self._instances: OrderedDict[tuple[str, str], tuple[NodeDefinition, Any]] = OrderedDict()
        self._instances_lock = threading.Lock()
        self._threads = Threads(self.max_threads, "executor")

    async def run(
        self,
        prompt: Prompt,
        outputs: Sequence[NodeId],
        *,
        sink: Sink | None = None,
        cancel: CancelToken | None = None,
        prompt_json: JsonSource | None = None,
        workflow: JsonSource | None = None,
        extra_pnginfo: JsonSource | None = None,
        values: Sequence[NodeId] = (),
        preview_method: PreviewMethod = "none",
        credentials: Callable[[], bool] | None = None,
    ) -> RunResult:
        """Compute the nodes `outputs` of `prompt`, and what they need that is not there yet.

        Nodes that fail do not raise: see `RunResult.failures`. `values` are ids of nodes whose output values the caller
        wants in the result. `prompt_json`, `workflow` and `extra_pnginfo` (all that the client wants embedded in pictures,
        the workflow among it) may be functions, called when a node first asks for them.
        `preview_method` says whether samplers show how far they are, and how; `credentials` whether saved files shall carry
        content credentials, where the settings leave that to requests.
        Cancelling the awaiting task cancels the run, waits for the node that is running to stop,
        keeps what is finished, and raises CancelledError.
        """
        token = cancel or CancelToken()
        documents = Documents(self.cache.copies.of, prompt, prompt_json, workflow, extra_pnginfo)
        run = Run(self, prompt, asyncio.get_running_loop(), sink, token, documents)
        run.preview_method = preview_method
        run.credentials = credentials or run.credentials
        token.on_cancel(run.async_nodes.cancel_all)
        run.crew.join()
        self._threads.submit(_begin, run, list(outputs), list(values))
        watch(run)
        try:
            await _until_finished(run)
        finally:
            token.forget(run.async_nodes.cancel_all)
            if run.watched is not None:
                run.watched.cancel()  # else it wakes the loop once more for each run
        crash = run.crash or run.telling.failure
        if crash is not None:
            raise crash
        return run.result

    async def recall(self, prompt: Prompt, outputs: Sequence[NodeId]) -> Recalled:
        """What the nodes that `outputs` need gave when they last ran, as digests for the cache; nothing is run."""
        run = Run(
            self, prompt, asyncio.get_running_loop(), None, CancelToken(), Documents(self.cache.copies.of, prompt)
        )
        return await asyncio.to_thread(recall, run, list(outputs))

    def run_sync(self, prompt: Prompt, outputs: Sequence[NodeId], **options: Any) -> RunResult:
        """The same for callers without an event loop; takes the same options.

        On Ctrl-C the running node is cancelled, what is finished is kept, and KeyboardInterrupt is raised.
        """
        return asyncio.run(self.run(prompt, outputs, **options))

    def close(self) -> None:
        """Let the threads end; the cache is the caller's to close."""
        self._threads.close()

    def facts(self, class_type: str) -> SpecFacts | None:
        """What is known of a node type (or an alias of one), or None."""
        spec = self._catalogue.spec(class_type)
        if spec is None:
            return None
        found = self._facts.get(class_type)
        if found is None or found.spec is not spec:
            found = self._facts[class_type] = SpecFacts(spec)
        return found

    def instance(self, node_id: str, definition: NodeDefinition) -> list[Any]:
        """The instance of a class node that stays with its node id between runs, as leading arguments of the call."""
        if definition.make is None:
            return []
        key = (node_id, definition.spec.name)
        with self._instances_lock:
            known = self._instances.get(key)
            if known is None or known[0] is not definition:
                known = self._instances[key] = (definition, definition.make())
            self._instances.move_to_end(key)
            if len(self._instances) > INSTANCES_KEPT:
                self._instances.popitem(last=False)
        return [known[1]]

    def submit(self, run: Run) -> None:
        """Have a thread work on `run`, which has counted it already."""
        self._threads.submit(work, run)

    def idle(self, run: Run) -> None:
        """The last thread of `run` has left: is it over?"""
        try:
            done = conclude(run)
        except BaseException as error:
            run.crash, done = run.crash or error, True
        if run.crew.resume():
            self.submit(run)
        elif done and run.crew.end():
            _end(run)


def _begin(run: Run, outputs: list[NodeId], values: list[NodeId]) -> None:
    """Plan on a thread, then work there."""
    try:
        with run.cache.actions.reading(), run.lock:
            for node_id in reversed(outputs):
                need(run, node_id)
            for node_id in values:
                need(run, node_id).uses += 1
            run.wanted = values
            settle(run)
            shown = {state.id: state.ui for state in run.agenda.cached_at_start if state.ui is not None}
            inner = {state.id: state.display for state in run.agenda.cached_at_start if state.parent is not None}
            cached = NodesCached(nodes=[state.id for state in run.agenda.cached_at_start], ui=shown, inner=inner)
            run.telling.announce(RunStarted(nodes_total=len(run.states)), cached)
    except BaseException as error:
        run.crashed(error)
        return
    work(run)


def _end(run: Run) -> None:
    """On the last thread: report, write, and wake whoever awaits the run."""
    try:
        if run.executor.flush_at_end:
            run.cache.flush()
        else:
            run.cache.write_soon()
        for warning in run.cache.take_warnings():
            run.emit(Warned(message=warning))
        run.result = _result(run)
        run.emit(RunFinished(status=run.result.status, counts=run.result.counts, seconds=run.result.seconds))
    except BaseException as error:
        run.crash = run.crash or error
    for state in run.states.values():
        state.consumers = None
        state.leader = state.upstream = state.held = state.expansion = state.borrowed = None
    run.async_nodes.call(_set_finished, run)


def _set_finished(run: Run) -> None:
    if not run.finished.done():
        run.finished.set_result(None)


async def _until_finished(run: Run) -> None:
    """Wait for the end of the run; when the waiting task is cancelled, cancel the run and wait on."""
    try:
        await asyncio.shield(run.finished)
    except asyncio.CancelledError:
        run.cancel.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(run.finished)
        raise


def _result(run: Run) -> RunResult:
    nodes = {
        state.id: NodeOutcome(_status_of(run, state), state.seconds, state.display) for state in run.states.values()
    }
    counts: dict[str, int] = {}
    for outcome in nodes.values():
        counts[outcome.status] = counts.get(outcome.status, 0) + 1
    counts["reused"] = counts.get("reused", 0) + counts.get("remade", 0)
    return RunResult(
        status=_run_status(run),
        nodes=nodes,
        ui={state.id: state.ui for state in run.states.values() if state.ui is not None and state.outputs is not None},
        failures=run.failures,
        counts=Counts(**counts),
        seconds=time.perf_counter() - run.started,
        values=wanted_values(run),
        digests=outputs_of(run),
    )


def _run_status(run: Run) -> Status:
    if run.cancel.cancelled:
        return "cancelled"
    return "failed" if run.failures else "done"


def _status_of(run: Run, state: NodeState) -> Any:
    if state.phase in (RAN, REUSED):
        if state.id in run.remade:
            return "remade"
        return "ran" if state.phase == RAN else "reused"
    return {FAILED: "failed", SKIPPED: "skipped"}.get(state.phase, "not_run")
