"""The worker process, driven through the pool as the server does."""

from __future__ import annotations

import asyncio
import io
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.execute.events import NodeFailed, NodeFinished, NodePreview, RunFinished, RunStarted
from engine.jobs.messages import (
    CheckedPrompt,
    CheckPrompt,
    DeviceState,
    FreeMemory,
    JobFinished,
    JobPreview,
    JobStarted,
)
from engine.worker.pictures import MIN_SECONDS
from tests.harness import PATIENCE, until

SUM = {"1": ("PrimitiveInt", {"value": 20}), "2": ("PreviewAny", {"source": ["1", 0]})}


def test_a_job_is_told_from_its_start_to_its_end_and_then_reused(workers: Any, run: Any) -> None:
    async def scene() -> None:
        async with workers() as bench:
            first = await bench.run("a", SUM)
            second = await bench.run("b", SUM)
            assert first.status == second.status == "done"
            assert msgspec.json.decode(first.outputs) == {"2": {"text": ["20"]}}
            assert second.outputs == first.outputs
            assert (first.counts.ran, second.counts.ran, second.counts.reused) == (2, 0, 2)
            nodes = msgspec.json.decode(first.nodes)
            assert {node: facts["status"] for node, facts in nodes.items()} == {"1": "ran", "2": "ran"}
            assert nodes["2"]["display_node"] == "2"
            kinds = [type(message) for message in bench.messages if getattr(message, "job", "") == "a"]
            assert (kinds[0], kinds[-1]) == (JobStarted, JobFinished)
            events = bench.events("a")
            assert (type(events[0]), type(events[-1])) == (RunStarted, RunFinished)

    run(scene)


def test_many_jobs_sent_at_once_end_in_their_order(workers: Any, run: Any) -> None:
    async def scene() -> None:
        async with workers() as bench:
            ends = [bench.begin(str(number), SUM) for number in range(200)]
            await asyncio.wait_for(asyncio.gather(*ends), PATIENCE)
            told = [message.job for message in bench.messages if isinstance(message, JobFinished)]
            assert told == [str(number) for number in range(200)]

    run(scene)


def test_a_running_job_is_cancelled_and_a_waiting_one_never_starts(workers: Any, run: Any) -> None:
    graph = {"1": ("TestSlow", {"steps": 3000}), "2": ("PreviewAny", {"source": ["1", 0]})}

    async def scene() -> None:
        async with workers() as bench:
            slow, waiting, after = bench.begin("slow", graph), bench.begin("waiting", SUM), bench.begin("after", SUM)
            await bench.until(lambda: any(type(event).__name__ == "NodeProgress" for event in bench.events("slow")))
            bench.cancel("waiting")
            assert (await asyncio.wait_for(waiting, PATIENCE)).status == "cancelled"
            bench.cancel("slow")
            bench.cancel("unheard of")
            assert (await asyncio.wait_for(slow, PATIENCE)).status == "cancelled"
            assert (await asyncio.wait_for(after, PATIENCE)).status == "done"
            assert [m.job for m in bench.messages if isinstance(m, JobStarted)] == ["slow", "after"]

    run(scene)


def test_progress_comes_while_the_node_runs(workers: Any, run: Any) -> None:
    graph = {"1": ("TestSlow", {"steps": 9000}), "2": ("PreviewAny", {"source": ["1", 0]})}

    async def scene() -> None:
        async with workers() as bench:
            end = bench.begin("a", graph)
            await bench.until(lambda: any(type(event).__name__ == "NodeProgress" for event in bench.events("a")))
            assert not end.done()
            bench.cancel("a")
            assert (await asyncio.wait_for(end, PATIENCE)).status == "cancelled"

    run(scene)


@pytest.mark.parametrize("kind", ["ValueError", "exit", "base"])
def test_a_node_that_fails_in_any_way_fails_its_job_and_the_worker_goes_on(
    workers: Any, run: Any, worker_base: Path, kind: str
) -> None:
    async def scene() -> None:
        async with workers() as bench:
            failed = await bench.run("a", {"1": ("TestRaise", {"kind": kind})})
            assert (failed.status, failed.crash, failed.counts.failed) == ("failed", "", 1)
            [problem] = [event for event in bench.events("a") if isinstance(event, NodeFailed)]
            assert problem.node == "1"
            assert "custom_nodes/odd_pack.py" in problem.traceback
            assert str(worker_base) not in problem.traceback
            assert (await bench.run("b", SUM)).status == "done"
            assert bench.reasons == []

    run(scene)


def test_what_a_node_shows_arrives_as_json_whatever_it_is(workers: Any, run: Any) -> None:
    async def scene() -> None:
        async with workers() as bench:
            ended = await bench.run("a", {"1": ("TestOdd", {})})
            assert ended.status == "done"
            shown = msgspec.json.decode(ended.outputs)["1"]
            assert shown["text"][:2] == ["lone ? surrogate", str(2**70)]
            assert shown["5"] == ["number as key"]
            assert [type(event).__name__ for event in bench.events("a")][-1] == "RunFinished"
            assert (await bench.run("b", SUM)).status == "done"

    run(scene)


def test_a_prompt_that_cannot_be_read_ends_its_job_with_a_crash_and_the_worker_goes_on(workers: Any, run: Any) -> None:
    from engine.jobs.messages import RunJob

    async def scene() -> None:
        async with workers() as bench:
            end = bench.begin("never sent", SUM)
            await end
            bench._ends["a"] = asyncio.get_running_loop().create_future()
            bench.worker.send(RunJob("a", b'{"1": ', ("1",), b"{}"))
            ended = await asyncio.wait_for(bench._ends["a"], PATIENCE)
            assert ended.status == "failed"
            assert "DecodeError" in ended.crash
            assert (await bench.run("b", SUM)).status == "done"

    run(scene)


@pytest.mark.parametrize(
    ("how", "reason", "words"),
    [
        ("exit", "ended with exit code 7", ""),
        ("kill", "was killed by signal 9 (SIGKILL)", ""),
        ("crash", "was killed by signal 11 (SIGSEGV)", "Segmentation fault"),
    ],
)
def test_a_node_that_ends_the_process_costs_the_worker_only_a_restart(
    workers: Any, run: Any, how: str, reason: str, words: str
) -> None:
    async def scene() -> None:
        async with workers() as bench:
            await bench.run("a", SUM)
            bench.worker.send(FreeMemory(unload_models=False, free_memory=True))  # what it gave is on the disk then
            bench.begin("b", {"1": ("TestDie", {"how": how})})
            await bench.until(lambda: bench.reasons)
            assert reason in bench.reasons[0]
            assert words in "\n".join(bench.worker.lost_output)
            assert any(isinstance(message, JobStarted) and message.job == "b" for message in bench.messages)
            await bench.until(lambda: bench.worker.usable)
            again = await bench.run("c", SUM)
            assert again.counts.reused == 2  # the cache outlives the process

    run(scene)


def test_what_nodes_print_is_heard_line_by_line(workers: Any, run: Any) -> None:
    async def scene() -> None:
        async with workers() as bench:
            await bench.run("a", {"1": ("TestPrint", {"text": "hello from a node"})})
            await bench.until(lambda: "hello from a node" in bench.lines)
            ended = await bench.run("b", {"1": ("TestPrint", {"text": "x" * 1000, "times": 20_000})})
            assert ended.status == "done"
            await bench.until(lambda: any("further lines are left out" in line for line in bench.lines))

    run(scene)


def test_previews_are_small_pictures_and_only_some_of_many(workers: Any, run: Any) -> None:
    from PIL import Image

    async def scene() -> None:
        async with workers() as bench:
            graph = {"1": ("TestPreview", {"count": 60, "size": 700, "seconds": 0.005})}
            await bench.run("a", graph)
            shown = [message for message in bench.messages if isinstance(message, JobPreview)]
            [seconds] = [event.seconds for event in bench.events("a") if isinstance(event, NodeFinished)]
            assert 1 <= len(shown) <= seconds / MIN_SECONDS + 2
            assert {(one.job, one.node, one.display_node, one.format) for one in shown} == {("a", "1", "1", "jpeg")}
            picture = Image.open(io.BytesIO(shown[0].data))
            assert (picture.format, picture.size) == ("JPEG", (512, 512))
            assert not any(isinstance(event, NodePreview) for event in bench.events("a"))
            assert isinstance(bench.messages[-1], JobFinished)

    run(scene)


def test_a_prompt_is_checked_where_the_packs_are(workers: Any, run: Any) -> None:
    prompt = {
        "1": {"class_type": "PrimitiveInt", "inputs": {"value": "7"}},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
        "3": {"class_type": "PreviewAny", "inputs": {}},
    }

    async def scene() -> None:
        async with workers() as bench:
            bench.worker.send(CheckPrompt(5, msgspec.json.encode(prompt)))
            answer = await bench.hear(CheckedPrompt)
            assert (answer.request, answer.outputs) == (5, ("2",))
            assert msgspec.json.decode(answer.checked)["1"]["inputs"] == {"value": 7}
            assert [one["node_id"] for one in msgspec.json.decode(answer.problems)] == ["3"]
            assert msgspec.json.decode(answer.dependents) == {"3": ["3"]}

    run(scene)


def test_torch_is_loaded_ahead_of_time_and_without_warm_up_by_the_first_job_that_needs_it(
    workers: Any, run: Any, worker_base: Path
) -> None:
    picture = {"1": ("EmptyImage", {"width": 8, "height": 8, "batch_size": 1, "color": 0})}

    async def warm() -> None:
        async with workers(count=1) as bench:
            await bench.until(lambda: bench.worker.state == "ready")

    async def cold() -> None:
        async with workers(count=1) as bench:
            await bench.run("a", SUM)
            await asyncio.sleep(0.1)
            assert (bench.worker.state, bench.worker.torch_version) == ("connected", "")
            await bench.run("b", picture | {"2": ("PreviewImage", {"images": ["1", 0]})})
            await bench.until(lambda: bench.worker.state == "ready")
            assert bench.worker.torch_version

    settings = worker_base / "safelight.toml"
    run(cold)
    usual = settings.read_text()
    settings.write_text(usual.replace("false", "true"))
    run(warm)
    settings.write_text(usual)


def test_memory_is_freed_between_jobs(workers: Any, run: Any) -> None:
    async def scene() -> None:
        async with workers() as bench:
            await bench.run("torch", {"1": ("EmptyImage", {}), "2": ("PreviewImage", {"images": ["1", 0]})})
            await bench.until(lambda: bench.worker.state == "ready")
            assert bench.worker.torch_version
            assert bench.worker.devices[0].type == "cpu"
            assert bench.worker.devices[0].vram_total > 2**28
            await bench.run("a", SUM)
            bench.worker.send(FreeMemory(unload_models=True, free_memory=True))
            await bench.hear(DeviceState)
            again = await bench.run("b", SUM)
            assert again.counts.reused == 2  # from disk

    run(scene)


def test_two_workers_share_one_cache(workers: Any, run: Any) -> None:
    graph = {"1": ("PrimitiveInt", {"value": 4711}), "2": ("PreviewAny", {"source": ["1", 0]})}

    async def scene() -> None:
        async with workers(count=2) as bench:
            await bench.run("a", graph)
            bench.worker.send(FreeMemory(unload_models=False, free_memory=True))
            await bench.run("after it", {"1": ("TestPrint", {})})  # what the first one gave is on the disk
            bench.pool.workers.reverse()
            ended = await bench.run("b", graph)
            bench.pool.workers.reverse()
            assert (ended.counts.ran, ended.counts.reused) == (0, 2)

    run(scene)


@pytest.mark.parametrize("node", ["TestHang", "TestThread", "TestSlow"])
def test_a_worker_ends_within_seconds_whatever_its_nodes_do(workers: Any, run: Any, node: str) -> None:
    async def scene() -> None:
        async with workers(count=1) as bench:
            graph = {"1": (node, {}), "2": ("PreviewAny", {"source": ["1", 0]})}
            bench.begin("a", graph, "2" if node == "TestSlow" else "1")
            await bench.until(lambda: any(type(event).__name__ == "NodeStarted" for event in bench.events("a")))
            pid = bench.worker.pid
            await asyncio.wait_for(bench.pool.stop(2 * PATIENCE), PATIENCE)  # sooner than the pool would end it
            assert not alive(pid)

    run(scene)


@pytest.mark.parametrize("node", ["TestSlow", "TestHang", "TestHangLoop"])
def test_no_worker_outlives_a_server_that_was_killed(worker_base: Path, node: str) -> None:
    script = f"""
import asyncio, sys
from engine.jobs.messages import RunJob
from engine.jobs.workers import WorkerPool
async def main():
    def on_message(worker, message):
        if type(message).__name__ == "CatalogueReady":
            worker.send(RunJob("a", b'{{"1": {{"class_type": "{node}", "inputs": {{}}}}}}', ("1",), b"{{}}"))
        if type(message).__name__ == "JobStarted":
            print(worker.pid, pool._listener.address.removeprefix("unix:"), flush=True)
    pool = WorkerPool([sys.executable, "-m", "engine", "worker", "--base-directory", sys.argv[1]], count=1,
                      on_message=on_message, on_change=lambda worker: None)
    await pool.start()
    await asyncio.sleep(100)
asyncio.run(main())
"""
    server = subprocess.Popen([sys.executable, "-c", script, str(worker_base)], stdout=subprocess.PIPE)
    assert server.stdout is not None
    pid_text, socket = server.stdout.readline().decode().split()
    pid = int(pid_text)
    time.sleep(0.2)
    server.send_signal(signal.SIGKILL)
    server.wait()
    server.stdout.close()
    until(lambda: not alive(pid), "the worker to end")
    assert node == "TestHangLoop" or not Path(socket).parent.exists()


def test_a_worker_that_is_started_by_hand_says_so(worker_base: Path) -> None:
    command = [sys.executable, "-m", "engine", "worker", "--base-directory", str(worker_base)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ended.returncode == 2
    assert "started by the server" in ended.stderr


def alive(pid: int | None) -> bool:
    """Whether the process runs: a zombie, which only waits for its parent, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        assert Path("/proc/self").exists()
        return False
