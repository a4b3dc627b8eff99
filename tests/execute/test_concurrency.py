"""What is independent runs at once; cancelling stops within one node."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import textwrap
import threading
import time
from typing import Any

import pytest

from engine.authoring.context import Cancelled
from engine.execute import events
from engine.execute.cancel import CancelToken


def test_independent_blocking_nodes_run_at_the_same_time(lab, graph):
    barrier = threading.Barrier(4)

    @lab.node("Meet")
    def meet(a: int) -> int:
        barrier.wait(timeout=20)  # passes only when all four are inside at once
        return a

    prompt = graph(**{f"m{index}": ("Meet", {"a": index}) for index in range(4)})
    lab.run(prompt, *prompt)
    assert [lab.value(f"m{index}") for index in range(4)] == [0, 1, 2, 3]


def test_branches_that_open_up_later_run_at_the_same_time(lab, graph):
    barrier = threading.Barrier(2)

    @lab.node("Meet")
    def meet(a: int, b: int) -> int:
        barrier.wait(timeout=20)
        return a + b

    prompt = graph(
        n=("Add", {"a": 1}),
        x=("Meet", {"a": "@n", "b": 1}),
        y=("Meet", {"a": "@n", "b": 2}),
        z=("Add", {"a": "@x", "b": "@y"}),
    )
    lab.run(prompt, "z")
    assert lab.value("z") == 5


def test_async_nodes_run_beside_each_other_and_beside_blocking_ones(lab, graph):
    inside = threading.Event()
    met = []

    @lab.node("Blocking")
    def blocking(a: int) -> int:
        assert inside.wait(timeout=20)
        return a

    @lab.node("Async")
    async def later(a: int) -> int:
        met.append(a)
        while len(met) < 2:
            await asyncio.sleep(0.001)
        inside.set()
        return a

    prompt = graph(b=("Blocking", {"a": 1}), x=("Async", {"a": 2}), y=("Async", {"a": 3}))
    lab.run(prompt, "b", "x", "y")
    assert lab.result.counts.ran == 3


def test_several_runs_share_one_executor(lab, graph):
    barrier = threading.Barrier(3)

    @lab.node("Meet")
    def meet(a: int) -> int:
        barrier.wait(timeout=20)
        return a

    async def all_three() -> list[Any]:
        runs = [lab.executor.run(graph(m=("Meet", {"a": n})), ["m"], values=["m"]) for n in range(3)]
        return await asyncio.gather(*runs)

    assert [result.values["m"] for result in asyncio.run(all_three())] == [(0,), (1,), (2,)]


def test_a_cancelled_run_stops_at_the_next_progress_report_and_keeps_what_is_finished(lab, graph):
    token = CancelToken()
    steps = []

    @lab.node("Slow")
    def slow(ctx: Any, a: int) -> int:
        for step in range(1000):
            steps.append(step)
            if step == 3:
                token.cancel()
            ctx.progress(step, 1000)
        return a

    prompt = graph(n=("Add", {"a": 1}), s=("Slow", {"a": "@n"}), t=("Show", {"a": "@s"}))
    lab.run(prompt, "t", cancel=token)
    assert lab.result.status == "cancelled"
    assert steps == [0, 1, 2, 3]
    assert lab.result.nodes["s"].status == "not_run"
    assert lab.result.failures == []
    assert lab.run(graph(n=("Add", {"a": 1})), "n") == "reused n"


def test_a_cancelled_run_cancels_its_coroutines(lab, graph):
    token = CancelToken()
    ended = []

    @lab.node("Forever")
    async def forever(a: int) -> int:
        token.cancel()
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(a)
        return a

    lab.run(graph(f=("Forever", {"a": 1})), "f", cancel=token)
    assert (lab.result.status, ended) == ("cancelled", [1])


def test_an_error_in_an_async_node_ends_the_other_async_nodes_that_run(lab, graph):
    begun, ended = [], []

    @lab.node("Waits")
    async def waits(a: int) -> int:
        begun.append(a)
        try:
            await asyncio.sleep(600)
        finally:
            ended.append(a)
        return a

    @lab.node("Fails")
    async def fails(a: int) -> int:
        while not begun:
            await asyncio.sleep(0.001)
        raise RuntimeError("as told")

    lab.run(graph(w=("Waits", {"a": 1}), f=("Fails", {"a": 1}), t=("Show", {"a": "@w"})), "t", "f")
    assert lab.result.status == "failed"
    assert [(one.node, one.message) for one in lab.result.failures] == [("f", "as told")]
    assert ended == [1]


def test_a_token_cancelled_before_the_run_lets_nothing_run(lab, graph):
    token = CancelToken()
    token.cancel()
    assert lab.run(graph(a=("Add", {"a": 1})), "a", cancel=token) == ""
    assert lab.result.status == "cancelled"


def test_a_node_cannot_swallow_a_cancellation_by_catching_exceptions(lab, graph):
    token = CancelToken()

    @lab.node("Greedy")
    def greedy(ctx: Any, a: int) -> int:
        token.cancel()
        try:
            ctx.check_cancelled()
        except Exception:
            return 1
        return 2

    lab.run(graph(g=("Greedy", {"a": 1})), "g", cancel=token)
    assert lab.result.nodes["g"].status == "not_run"


def test_cancelling_the_awaiting_task_cancels_the_run(lab, graph):
    started = threading.Event()
    stopped = []

    @lab.node("Slow")
    def slow(ctx: Any, a: int) -> int:
        started.set()
        try:
            while True:
                ctx.check_cancelled()
                time.sleep(0.001)
        except Cancelled:
            stopped.append(a)
            raise

    async def main() -> None:
        task = asyncio.create_task(lab.executor.run(graph(s=("Slow", {"a": 1})), ["s"]))
        while not started.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert stopped == [1]


def test_ctrl_c_keeps_finished_results_and_raises_keyboard_interrupt(tmp_path):
    program = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from typing import Any
        from engine.api import node
        from engine.authoring.decorator import definition_of
        from engine.cache.facade import Cache
        from engine.execute.executor import Executor
        from engine.graph.prompt import Link, Node
        from engine.graph.schema import Catalogue

        @node("First")
        def first() -> int:
            return 4

        @node("Wait")
        def wait(ctx: Any, a: int) -> int:
            print("waiting", flush=True)
            while True:
                ctx.check_cancelled()
                time.sleep(0.005)

        definitions = {d.spec.name: d for d in map(definition_of, (first, wait))}
        cache = Cache(Path(sys.argv[1]))
        executor = Executor(definitions.__getitem__, Catalogue([d.spec for d in definitions.values()]), cache)
        try:
            executor.run_sync({"f": Node("First", {}), "w": Node("Wait", {"a": Link("f", 0)})}, ["w"])
        except KeyboardInterrupt:
            print("interrupted", cache.info().actions, flush=True)
        executor.close()
        cache.close()
        """
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=30)
    assert rest == "interrupted 1\n"
    assert process.returncode == 0


def test_progress_is_throttled_but_the_last_step_is_always_told(lab, graph):
    @lab.node("Busy")
    def busy(ctx: Any, a: int) -> int:
        for step in range(1, 1001):
            ctx.progress(step, 1000)
        return a

    lab.run(graph(b=("Busy", {"a": 1})), "b")
    told = [event for event in lab.events if isinstance(event, events.NodeProgress)]
    assert told[-1].value == 1000
    assert told[0].value == 1
    assert len(told) < 500


def test_previews_and_progress_name_their_node(lab, graph):
    @lab.node("Look")
    def look(ctx: Any, a: int) -> int:
        ctx.preview("a picture")
        ctx.progress(1, 2)
        return a

    lab.run(graph(x=("Look", {"a": 1})), "x")
    seen = [event for event in lab.events if isinstance(event, events.NodePreview | events.NodeProgress)]
    assert [(type(event).__name__, event.node) for event in seen] == [("NodePreview", "x"), ("NodeProgress", "x")]


def test_wide_graphs_of_slow_nodes_use_several_threads(lab, graph):
    threads = set()

    @lab.node("Nap")
    def nap(a: int) -> int:
        threads.add(threading.get_ident())
        time.sleep(0.01)
        return a

    prompt = graph(**{f"n{index}": ("Nap", {"a": index}) for index in range(16)})
    lab.run(prompt, *prompt)
    assert len(threads) > 1


def test_a_chain_is_finished_before_the_next_one_begins(lab, graph):
    """So that what it holds is let go early."""
    lab.executor.max_threads = 1
    prompt = graph(
        a=("Add", {"a": 1}), a2=("Add", {"a": "@a", "b": 1}), b=("Add", {"a": 3}), b2=("Add", {"a": "@b", "b": 3})
    )
    assert lab.run(prompt, "a2", "b2") == "ran a\nran a2\nran b\nran b2"
