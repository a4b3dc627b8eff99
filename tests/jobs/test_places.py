"""The places of jobs in the queue, number by number."""

from __future__ import annotations

import pytest

from engine.jobs.queue import JobQueue
from engine.jobs.records import Job


def job(name: str, number: float, sequence: int) -> Job:
    return Job(id=name, number=number, sequence=sequence, prompt=b"{}", outputs=())


def test_of_one_number_the_job_that_was_accepted_first_is_first_whatever_its_id() -> None:
    queue = JobQueue([job("b", 1, 1), job("a", 1, 2)])
    assert [one.id for one in queue] == ["b", "a"]
    assert queue.take("a").id == "a"
    assert [one.id for one in queue] == ["b"]


@pytest.mark.parametrize(
    ("wish", "order", "low", "high"),
    [
        ({"before": "b"}, "adebc", 1.0, 2.0),
        ({"front": True}, "deabc", None, 1.0),
        ({}, "abcde", 3.0, None),
    ],
)
def test_jobs_that_move_lie_between_their_neighbours_and_no_other_changes(wish, order, low, high) -> None:
    queue = JobQueue(job(name, index + 1, index + 1) for index, name in enumerate("abcde"))
    changed = queue.move(["d", "e"], **wish)
    assert "".join(one.id for one in queue) == order
    assert [one.id for one in changed] == ["d", "e"]
    assert all(low is None or one.number > low for one in changed)
    assert all(high is None or one.number < high for one in changed)
    assert [queue.get(name).number for name in "abc"] == [1, 2, 3]
