"""What people do to the queue: cancel, remove, pause and order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.jobs.store_errors import StoreFullError
from tests.jobs.house import House, live


def test_what_the_disk_does_not_take_is_not_done_in_memory_either(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        for name in ("a", "b", "c"):
            await house.accept(name)
        house.start()

        async def full(*values: Any) -> None:
            raise StoreFullError(tmp_path, 0)

        store, remove, keep = house.store, house.store.remove, house.store.set_state
        store.remove = store.set_state = full  # type: ignore[method-assign]
        for change in (house.dispatcher.remove(["b", "c"]), house.dispatcher.pause(True)):
            with pytest.raises(StoreFullError):
                await change
        assert [job.id for job in house.dispatcher.queue] == ["b", "c"]
        assert not house.dispatcher.paused
        store.remove, store.set_state = remove, keep  # type: ignore[method-assign]
        assert await house.dispatcher.remove(["b"]) == ["b"]
        house.finish()
        assert house.workers[0].jobs() == ["a", "c"]

    live(tmp_path, story)


def test_a_waiting_job_that_is_cancelled_is_recorded_so_and_one_that_is_removed_is_forgotten(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        for name in ("a", "b", "c"):
            await house.accept(name)
        assert house.dispatcher.cancel("b")
        assert await house.dispatcher.remove(["c", "a", "nobody"]) == ["c"], "a runs already"
        house.start()
        house.finish()
        assert sorted(await house.history()) == [("a", "done"), ("b", "cancelled")]

    live(tmp_path, story)

    async def nothing_left(house: House) -> None:
        assert house.workers[0].jobs() == []

    live(tmp_path, nothing_left)


def test_a_pause_holds_jobs_back_over_a_restart(tmp_path: Path) -> None:
    async def pause(house: House) -> None:
        await house.dispatcher.pause(True)
        await house.accept("a")
        assert house.workers[0].jobs() == []

    async def resume(house: House) -> None:
        assert house.workers[0].jobs() == []
        await house.dispatcher.pause(False)
        assert house.workers[0].jobs() == ["a"]

    live(tmp_path, pause)
    live(tmp_path, resume)


def test_the_order_that_a_person_made_survives_a_restart(tmp_path: Path) -> None:
    async def order(house: House) -> None:
        await house.dispatcher.pause(True)
        for name in "abcd":
            await house.accept(name)
        await house.accept("e", number=-5.0)
        house.dispatcher.move(["d"], before="b")
        house.dispatcher.move(["a"])
        assert [job.id for job in house.dispatcher.queue] == ["e", "d", "b", "c", "a"]

    async def look(house: House) -> None:
        assert [job.id for job in house.dispatcher.queue] == ["e", "d", "b", "c", "a"]

    live(tmp_path, order)
    live(tmp_path, look)
