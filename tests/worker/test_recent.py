"""What the last jobs gave: how many are remembered, and which is forgotten first."""

from __future__ import annotations

from engine.worker import recent
from engine.worker.recent import Recent


def test_the_job_that_was_asked_for_longest_ago_is_forgotten_first(monkeypatch) -> None:
    monkeypatch.setattr(recent, "JOBS", 3)
    known = Recent()
    for job in "abc":
        known.remember(job, {}, {job: ()})
    assert known.get("a").outputs == {"a": ()}
    known.remember("d", {}, {})
    assert [job for job in "abcd" if known.get(job) is not None] == ["a", "c", "d"]


def test_jobs_of_many_nodes_are_fewer_but_the_last_is_kept_whatever_it_has(monkeypatch) -> None:
    monkeypatch.setattr(recent, "NODES", 10)
    known = Recent()
    outputs = {str(index): () for index in range(5)}
    for job in "ab":
        known.remember(job, {}, outputs)
    assert known.get("a") is not None
    known.remember("c", {}, {"x": ()})
    assert [job for job in "abc" if known.get(job) is not None] == ["a", "c"]
    known.remember("d", {}, {str(index): () for index in range(99)})
    assert [job for job in "abcd" if known.get(job) is not None] == ["d"]
