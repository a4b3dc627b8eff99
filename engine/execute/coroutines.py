"""Async nodes: run on the event loop, their list items concurrently, and taken over by a thread when they end."""

from __future__ import annotations

import asyncio
import time

from engine.authoring.context import Cancelled
from engine.authoring.definition import ExecutionBlocker, NodeResult
from engine.execute.attempt import Attempt
from engine.execute.calls import Call, calls_of
from engine.execute.finish import finish, finish_beside, finish_cancelled, finish_failed, finish_without_upstream
from engine.execute.lazies import LazyBlockedError, LazyEmptyError, UpstreamFailedError, lazy_objects, longest_read
from engine.execute.problems import is_out_of_memory


async def run_async(attempt: Attempt) -> None:
    """Run an async node to its end, whatever that is, and hand it to a thread."""
    began = time.perf_counter()
    try:
        results = await _with_retry(attempt)
    except BaseException as error:
        attempt.run.post(_Outcome(attempt, error=error))
    else:
        attempt.state.seconds = time.perf_counter() - began
        attempt.run.post(_Outcome(attempt, results))


async def _with_retry(attempt: Attempt) -> list[NodeResult | ExecutionBlocker]:
    """Call the node; when memory runs out, free what nobody uses and try once more."""
    try:
        return await _call_all(attempt)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    attempt.run.free_memory()
    return await _call_all(attempt)


async def _call_all(attempt: Attempt) -> list[NodeResult | ExecutionBlocker]:
    state = attempt.state
    calls = calls_of(state.facts, attempt.inputs)
    results = await _together(attempt, calls, 0)
    if state.lazy is None or not calls or state.facts.spec.input_is_list:
        return [result for result in results if result is not None]
    if None in results:  # a lazy input turned out to be an empty list
        return []
    while len(calls) < (count := longest_read(state)):  # ... or to be a list longer than the others
        more = [calls[-1]] * (count - len(calls))  # inputs that are shorter repeat their last item
        results += await _together(attempt, more, len(calls))
        calls += more
    return [result for result in results if result is not None]


async def _together(attempt: Attempt, calls: list[Call], first: int) -> list[NodeResult | ExecutionBlocker | None]:
    """Several calls at once, numbered from `first`; one that fails cancels the others."""
    if len(calls) == 1:
        return [await _call(attempt, calls[0], first)]
    tasks = [asyncio.ensure_future(_call(attempt, call, first + index)) for index, call in enumerate(calls)]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()


async def _call(attempt: Attempt, call: Call, index: int) -> NodeResult | ExecutionBlocker | None:
    """One call: its result, a blocker where it received one, None where a lazy input is an empty list."""
    if isinstance(call, ExecutionBlocker):
        return call
    if attempt.definition.lazy_inputs:
        call = {**call, **lazy_objects(attempt, index)}
    try:
        return await attempt.call_async(call)
    except LazyBlockedError as blocked:
        return blocked.blocker
    except LazyEmptyError:
        return None


class _Outcome:
    """How a coroutine ended, to be taken over by a thread."""

    __slots__ = ("_attempt", "_error", "_results")

    def __init__(
        self,
        attempt: Attempt,
        results: list[NodeResult | ExecutionBlocker] | None = None,
        error: BaseException | None = None,
    ) -> None:
        self._attempt = attempt
        self._results = results
        self._error = error

    def __call__(self) -> None:
        run, state, inputs = self._attempt.run, self._attempt.state, self._attempt.inputs
        if (
            isinstance(self._error, asyncio.CancelledError)
            and run.async_nodes.broken_off_by is not None
            and not run.cancel.cancelled
        ):
            finish_beside(run, state, inputs, run.async_nodes.broken_off_by)
        elif isinstance(self._error, Cancelled | asyncio.CancelledError):
            finish_cancelled(run, state, inputs, self._error)
        elif isinstance(self._error, UpstreamFailedError):
            finish_without_upstream(run, state, inputs)
        elif self._error is not None:
            finish_failed(run, state, inputs, self._error)
            run.async_nodes.break_off(state)
        else:
            assert self._results is not None
            finish(run, state, inputs, self._results)
