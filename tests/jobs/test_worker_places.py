"""Who is taken for a worker, and what is said of its end, without starting one."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from engine.jobs.messages import Hello
from engine.jobs.workers import Worker, WorkerPool
from engine.jobs.workers_process import MAX_DELAY, SHORT_LIFE, WorkerProcess, restart_delay


def accepted(*hellos: Hello) -> list[bool]:
    """What a pool of one worker, whose secret is "right", says to each in turn."""

    async def asked() -> list[bool]:
        pool = WorkerPool(["nothing"], count=1, on_message=lambda *_: None, on_change=lambda *_: None)
        worker = Worker(0)
        worker.process = SimpleNamespace(secret="right", connected=lambda frames: None, disconnected=None)  # type: ignore[assignment]
        pool.workers.append(worker)
        connection: Any = SimpleNamespace(frames=object())
        return [pool._accept(hello, connection) for hello in hellos]

    return asyncio.run(asked())


@pytest.mark.parametrize(
    "wrong", [Hello(0, "wrong", 1), Hello(0, "", 1), Hello(0, "right!", 1), Hello(1, "right", 1), Hello(-1, "right", 1)]
)
def test_only_the_secret_of_a_place_opens_it_and_only_once(wrong: Hello) -> None:
    assert accepted(wrong, Hello(0, "right", 1), Hello(0, "right", 2)) == [False, True, False]


def test_the_first_reason_of_a_kill_is_the_one_that_is_told() -> None:
    async def told() -> str:
        process = WorkerProcess(lambda line: None)
        process._process = SimpleNamespace(kill=lambda: None, get_returncode=lambda: -9)  # type: ignore[assignment]
        process.kill("sent what is no message")
        process.kill("was killed by the server")
        return process.reason()

    assert asyncio.run(told()) == "sent what is no message"


def test_waits_between_short_lives_double_from_half_a_second_and_a_long_life_ends_them() -> None:
    lives, delays = 0, []
    for _ in range(9):
        lives, delay = restart_delay(lives, 0.1)
        delays.append(delay)
    assert delays == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, MAX_DELAY, MAX_DELAY]
    assert restart_delay(lives, SHORT_LIFE) == (0, 0.0)
    assert restart_delay(lives, SHORT_LIFE - 0.01)[0] == 10
