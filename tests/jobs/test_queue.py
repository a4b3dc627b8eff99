from __future__ import annotations

import math
import random

from engine.jobs.queue import JobQueue
from engine.jobs.records import Job


def job(name: str, number: float, sequence: int) -> Job:
    return Job(id=name, number=number, sequence=sequence, prompt=b"{}", outputs=())


def names(queue: JobQueue) -> list[str]:
    return [one.id for one in queue]


def queue_of(*ids: str) -> JobQueue:
    return JobQueue(job(name, index + 1, index + 1) for index, name in enumerate(ids))


def test_jobs_come_in_order_of_number_then_of_acceptance() -> None:
    queue = JobQueue([job("late", 2, 1), job("second", 1, 3), job("first", 1, 2), job("front", -4, 4)])
    assert names(queue) == ["front", "first", "second", "late"]


def test_a_later_job_for_the_front_goes_before_an_earlier_one() -> None:
    queue = queue_of("a", "b")
    queue.add(job("front 3", -3, 3))
    queue.add(job("front 4", -4, 4))
    assert names(queue) == ["front 4", "front 3", "a", "b"]


def test_a_job_that_is_taken_is_gone_and_taking_it_again_gives_none() -> None:
    queue = queue_of("a", "b")
    assert queue.take("a").id == "a"
    assert queue.take("a") is None
    assert names(queue) == ["b"]
    assert "a" not in queue
    assert len(queue) == 1


def test_jobs_move_before_another_to_the_front_and_to_the_end() -> None:
    queue = queue_of("a", "b", "c", "d")
    queue.move(["d", "c"], before="b")
    assert names(queue) == ["a", "d", "c", "b"]
    queue.move(["b"], front=True)
    assert names(queue) == ["b", "a", "d", "c"]
    queue.move(["a", "nobody"])
    assert names(queue) == ["b", "d", "c", "a"]


def test_jobs_of_one_number_can_be_told_apart_by_a_move() -> None:
    queue = JobQueue([job("a", 5, 1), job("b", 5, 2), job("c", 5, 3)])
    changed = queue.move(["c"], before="b")
    assert names(queue) == ["a", "c", "b"]
    again = JobQueue(sorted(queue, key=lambda one: one.sequence))
    assert names(again) == ["a", "c", "b"]
    assert {one.id for one in changed} >= {"c"}


def test_random_moves_agree_with_a_list_and_survive_being_loaded_anew() -> None:
    draw = random.Random(3)
    ids = [str(index) for index in range(12)]
    queue, expected = queue_of(*ids), list(ids)
    for _ in range(2_000):
        some = draw.sample(ids, draw.randint(1, 3))
        before = draw.choice([None, *(one for one in ids if one not in some)])
        front = draw.random() < 0.3
        queue.move(some, before=before, front=front)
        expected = [one for one in expected if one not in some]
        index = expected.index(before) if before is not None else 0 if front else len(expected)
        expected[index:index] = some
        assert names(queue) == expected
        assert all(math.isfinite(one.number) for one in queue)
    assert names(JobQueue(sorted(queue, key=lambda one: one.sequence))) == expected


def test_numbering_anew_leaves_jobs_alone_that_were_put_in_front_and_those_that_run() -> None:
    running = job("front 3", -3, 3)
    queue = JobQueue([job("front 4", -4, 4), *(job(name, 5, sequence) for sequence, name in enumerate("abcd", 5))])
    changed = queue.move(["d"], before="b")
    assert names(queue) == ["front 4", "a", "d", "b", "c"]
    assert {one.id for one in changed} == {"d", "b", "c"}
    assert (queue.get("front 4").number, queue.get("a").number) == (-4, 5)
    queue.add(running)  # its worker was lost: it comes back
    queue.add(job("new", 9, 9))
    assert names(queue) == ["front 4", "front 3", "a", "d", "b", "c", "new"]


def test_many_jobs_of_one_number_are_told_apart_in_good_time() -> None:
    queue = JobQueue(job(str(index), 7, index) for index in range(5_000))
    queue.move(["4999"], before="1")
    assert names(queue)[:3] == ["0", "4999", "1"]
    assert names(queue)[-1] == "4998"
