"""kill -9 at random moments: every accepted job ends exactly once in the history, with its outputs."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import psutil
import pytest

JOBS = 50
KILLS = 12


def job(index: int) -> dict[str, Any]:
    """Three slow steps, each noted, and an output that is unlike any other job's."""
    prompt: dict[str, Any] = {}
    for step in range(3):
        value: Any = [f"{step - 1}", 0] if step else index * 1000
        prompt[f"{step}"] = {
            "class_type": "TestStep",
            "inputs": {"value": value, "seconds": 0.02, "name": f"{index}.{step}"},
        }
    prompt["show"] = {"class_type": "TestShow", "inputs": {"value": ["2", 0], "name": f"job {index}"}}
    return prompt


def tell(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def kill_workers(server: Any, spared: set[str]) -> list[str] | None:
    """Kill the workers, unless one of the jobs in `spared` runs: the jobs that ran, or None.

    They are stopped while that is asked, so that no other job begins meanwhile.
    """
    pids = server.workers()
    for pid in pids:
        tell(pid, signal.SIGSTOP)
    running = [item["id"] for item in server.get("/api/jobs?status=in_progress")["jobs"]]
    number = signal.SIGKILL if spared.isdisjoint(running) else signal.SIGCONT
    for pid in pids:
        tell(pid, number)
    return running if number == signal.SIGKILL else None


def test_fifty_jobs_survive_random_kills_of_worker_and_server(
    serve: Callable[..., Any], wait: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    draw = random.Random(11)
    server = serve()
    server.wait_for_worker()
    accepted = [server.post(job(index)) for index in range(20)]
    hit: set[str] = set()
    kills: Counter[str] = Counter()
    for turn in range(KILLS):
        time.sleep(draw.uniform(0.05, 0.5))
        if draw.random() < 0.5:
            running = kill_workers(server, hit)
            if running is not None:  # a job that loses two workers fails, and rightly so
                hit.update(running)
                kills["worker"] += 1
        else:
            for index in range(len(accepted), min(JOBS, len(accepted) + draw.randint(3, 6))):
                accepted.append(server.post(job(index)))
            server.kill()
            kills["server"] += 1
            server = serve()
        if turn % 3 == 0:
            server.wait_for_worker()
    accepted += [server.post(job(index)) for index in range(len(accepted), JOBS)]
    wait(lambda: server.get("/prompt")["exec_info"]["queue_remaining"] == 0, "all jobs to end", server.log)

    history = server.get("/history?max_items=1000")
    assert sorted(history) == sorted(accepted)
    assert len(set(accepted)) == JOBS
    for index, identifier in enumerate(accepted):
        entry = history[identifier]
        assert entry["status"]["status_str"] == "success", (index, entry["status"]["messages"][-1])
        assert entry["outputs"]["show"] == {"text": [str(index * 1000 + 3)], "name": [f"job {index}"]}
    assert kills["worker"] >= 3
    assert kills["server"] >= 3
    ran = Counter(server.noted())
    assert len(ran) == 3 * JOBS
    again = sum(ran.values()) - 3 * JOBS
    assert again <= 2 * sum(kills.values()), "only what a kill interrupted, or what was not yet on the disk, ran again"
    with capsys.disabled():
        print(f"\n{JOBS} jobs, {dict(kills)} kills; {sum(ran.values())} node runs for {3 * JOBS} nodes")  # noqa: T201


def test_no_process_is_left_behind_by_kills_of_the_server(serve: Callable[..., Any], wait: Any) -> None:
    pids = []
    for _ in range(3):
        server = serve()
        pids.append(server.wait_for_worker())
        server.kill()
    wait(lambda: not any(psutil.pid_exists(pid) for pid in pids), "the workers to end")
