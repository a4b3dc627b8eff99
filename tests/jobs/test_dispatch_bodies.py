"""What a worker is sent with a job, also where that is long."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from engine.jobs.dispatch import workflow_of
from engine.jobs.messages import CancelJob
from tests.harness import PATIENCE
from tests.jobs.house import House, live


@pytest.mark.parametrize(
    ("extra", "workflow"),
    [
        (b'{"extra_pnginfo": {"workflow": {"nodes": []}}, "client_id": "a"}', b'{"nodes": []}'),
        (b'{"extra_pnginfo": {"workflow": null}}', None),
        (b'{"extra_pnginfo": {}}', None),
        (b"{}", None),
        (b'{"extra_pnginfo": 5}', None),
    ],
)
def test_the_workflow_is_taken_from_the_extra_data(extra: bytes, workflow: bytes | None) -> None:
    assert workflow_of(extra) == workflow


def test_a_worker_gets_the_workflow_of_the_job(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.accept("a", extra_data=b'{"extra_pnginfo": {"workflow": {"nodes": [1]}}}')
        assert house.workers[0].heard[0].workflow == b'{"nodes": [1]}'

    live(tmp_path, story)


def test_a_client_may_choose_how_its_job_is_previewed(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.accept("a", extra_data=b'{"preview_method": "none"}')
        await house.accept("b", extra_data=b'{"preview_method": "default"}')
        for _ in range(2):
            house.start()
            house.finish()
        assert [message.preview_method for message in house.workers[0].heard] == ["none", "auto"]

    live(tmp_path, story)


LONG = b'{"1": "%s"}' % (b"x" * 300_000)


async def until_heard(house: House, count: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while len(house.workers[0].jobs()) < count:
            await asyncio.sleep(0.001)


def test_a_long_job_is_held_on_disk_and_sent_whole(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        extra = {"preview_method": "taesd", "extra_pnginfo": {"workflow": {"id": "w" * 5000}}}
        await house.accept("a", prompt=LONG, extra_data=msgspec.json.encode(extra))
        await house.accept("b", prompt=LONG)
        [running] = house.dispatcher.active()
        assert running.extra_data == b'{"preview_method":"taesd"}', "what is short of it is held, as it is asked for"
        assert [job.prompt for job in (*house.dispatcher.active(), *house.dispatcher.queue)] == [b"{}", b"{}"]
        for count in (1, 2):
            await until_heard(house, count)
            house.start()
            house.finish()
        assert await house.history() == [("a", "done"), ("b", "done")]

    house = live(tmp_path, story)
    first, second = house.workers[0].heard
    assert [first.prompt, second.prompt] == [LONG, LONG]
    assert first.workflow == msgspec.json.encode({"id": "w" * 5000})
    assert first.preview_method == "taesd"


def test_a_long_job_that_is_cancelled_before_it_is_sent_ends_without_the_worker(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.accept("a", prompt=LONG)
        assert house.dispatcher.cancel("a")
        await house.dispatcher.settled()
        await house.accept("b")
        house.start()
        house.finish()
        assert await house.history() == [("a", "cancelled"), ("b", "done")]

    house = live(tmp_path, story)
    assert house.workers[0].jobs() == ["b"]
    assert not any(isinstance(message, CancelJob) for message in house.workers[0].heard)
