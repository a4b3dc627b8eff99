"""Clients take turns by what they have used, and what the queue shows is what runs."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import defaultdict
from statistics import mean

import pytest

from engine.jobs.queue import JobQueue
from engine.jobs.records import Job
from engine.jobs.shares import Shares, client_of

_sequence = itertools.count(1)


def job(client: str, number: float | None = None, *, owner: str | None = None) -> Job:
    sequence = next(_sequence)
    place = float(sequence) if number is None else number
    id = f"{owner or client}-{sequence}"
    return Job(id=id, number=place, sequence=sequence, prompt=b"{}", outputs=(), client_id=client, owner=owner)


def clients(jobs) -> str:
    return "".join(one.client_id for one in jobs)


def run(queue: JobQueue, seconds: float = 1.0) -> Job:
    """The next job, run to its end."""
    (first,) = queue.first(1)
    queue.settle(first, queue.begin(first), seconds)
    return first


def drained(queue: JobQueue, seconds=lambda job: 1.0) -> list[Job]:
    return [run(queue, seconds(queue.first(1)[0])) for _ in range(len(queue))]


def waits(posted: list[tuple[float, str, float]], workers: int = 1) -> dict[str, list[float]]:
    """How long jobs wait: `posted` are (when, client, seconds it takes), in their order. A clock of its own, no time passes."""
    queue, found = JobQueue(), defaultdict(list)
    takes, since, ends = {}, {}, []
    now, coming = 0.0, list(posted)
    while coming or len(queue) or ends:
        while coming and coming[0][0] <= now:
            at, client, seconds = coming.pop(0)
            made = job(client)
            takes[made.id], since[made.id] = seconds, at
            queue.add(made)
        while len(queue) and len(ends) < workers:
            (first,) = queue.first(1)
            found[first.client_id].append(now - since[first.id])
            charge = queue.begin(first)
            heapq.heappush(ends, (now + takes[first.id], first.id, first, charge))
        now = min([*(end[0] for end in ends[:1]), *(one[0] for one in coming[:1])], default=now)
        while ends and ends[0][0] <= now:
            _, id, ended, charge = heapq.heappop(ends)
            queue.settle(ended, charge, takes[id])
    return found


@pytest.mark.parametrize("workers", [1, 2])
def test_of_ten_clients_with_as_much_to_do_none_waits_more_than_twice_the_mean(workers):
    """Each posts 20 jobs of half to one and a half seconds, one client after the other, all within a second."""
    draw = random.Random(1)
    posted = [(at / 200, "abcdefghij"[at // 20], draw.uniform(0.5, 1.5)) for at in range(200)]
    each = {client: mean(found) for client, found in waits(posted, workers).items()}
    assert len(each) == 10
    assert max(each.values()) < 1.25 * mean(each.values())


def test_who_posts_many_jobs_first_keeps_nobody_waiting():
    """One client posts 200 jobs, and a second later nine others post 5 each: a first-come queue lets them wait for 200."""
    posted = [(0.0, "a", 1.0)] * 200 + [(1.0, client, 1.0) for client in "bcdefghij" for _ in range(5)]
    found = waits(posted)
    others = [max(found[client]) for client in "bcdefghij"]
    assert max(others) <= 5 * 10
    everybody = mean(wait for each in found.values() for wait in each)
    assert all(mean(found[client]) < everybody for client in "bcdefghij")


def test_turns_are_of_time_and_not_of_jobs():
    """While one with jobs of ten seconds and one with jobs of one second both wait, each gets about half of the time."""
    queue = JobQueue([*(job("a") for _ in range(20)), *(job("b") for _ in range(100))])
    used = {"a": 0.0, "b": 0.0}
    for _ in range(60):
        seconds = 10.0 if queue.first(1)[0].client_id == "a" else 1.0
        used[run(queue, seconds).client_id] += seconds
    assert abs(used["a"] - used["b"]) <= 10


def test_a_client_is_charged_when_its_job_begins_so_that_it_does_not_get_all_workers():
    queue = JobQueue([*(job("a") for _ in range(4)), *(job("b") for _ in range(4))])
    begun = []
    for _ in range(4):
        (first,) = queue.first(1)
        queue.begin(first)
        begun.append(first)
    assert clients(begun) == "abab"


def test_who_comes_later_begins_where_the_others_are():
    queue = JobQueue(job("a") for _ in range(10))
    for _ in range(5):
        run(queue)
    for _ in range(4):
        queue.add(job("b"))
    assert clients(queue.first(6)) == "bababa", "the others' turns are not made up for"


def test_what_was_used_while_nobody_waited_is_not_held_against_anybody():
    queue = JobQueue(job("a") for _ in range(5))
    drained(queue)
    for client in "ab":
        for _ in range(3):
            queue.add(job(client))
    assert clients(queue) == "ababab"


def test_a_token_is_one_client_whatever_its_clients_call_themselves():
    queue = JobQueue([*(job(str(at), owner="alice") for at in range(4)), job("x", owner="bob"), job("y")])
    assert [one.owner for one in queue] == ["alice", "bob", None, "alice", "alice", "alice"]


def test_numbers_come_before_turns():
    queue = JobQueue(job("a") for _ in range(3))
    queue.add(job("b"))
    queue.add(job("b", number=1e6))
    queue.add(job("a", number=-5.0))
    queue.add(job("a", number=-5.0))
    queue.add(job("b", number=-5.0))
    queue.add(job("a", number=-9.0))
    assert [one.number for one in queue][:4] == [-9, -5, -5, -5]
    assert clients(queue) == "a" + "baa" + "baaa" + "b"


def naive(queue: JobQueue) -> list[str]:
    """The order in which jobs run, found by looking at all of them each time."""
    shares, left, ahead, order = queue.shares, queue.unordered(), defaultdict(float), []
    numbers = {one.number for one in left if one.number != one.sequence}

    def is_usual(one):
        return one.number not in numbers

    while left:
        front = min(left, key=lambda one: (one.number, one.sequence))
        if is_usual(front):
            barrier = min(((one.number, one.sequence) for one in left if not is_usual(one)), default=(float("inf"), 0))
            same = [one for one in left if is_usual(one) and (one.number, one.sequence) < barrier]
        else:
            same = [one for one in left if one.number == front.number]
        heads = {}
        for one in sorted(same, key=lambda one: (one.number, one.sequence)):
            heads.setdefault(client_of(one.owner, one.client_id), one)
        client, head = min(
            heads.items(),
            key=lambda item: (shares.account(item[0]) + ahead[item[0]], item[1].number, item[1].sequence),
        )
        ahead[client] += shares.cost(client)
        left.remove(head)
        order.append(head.id)
    return order


@pytest.mark.parametrize("seed", range(8))
def test_the_queue_agrees_with_one_that_looks_at_every_job_each_time(seed):
    draw = random.Random(seed)
    queue, running = JobQueue(), []
    for _ in range(300):
        act = draw.random()
        if act < 0.5:
            number = draw.choice([None, None, None, None, 7.0, -3.0, float(draw.randint(1, 4000))])
            queue.add(job(draw.choice("abcde"), number))
        elif act < 0.65 and len(queue):
            (first,) = queue.first(1)
            running.append((first, queue.begin(first)))
        elif act < 0.8 and running:
            ended, charge = running.pop(draw.randrange(len(running)))
            queue.settle(ended, charge, draw.choice([0.0, 0.1, 1.0, 30.0]), ended=draw.random() < 0.8)
            if draw.random() < 0.2:
                queue.add(ended)
        elif act < 0.9 and len(queue):
            queue.take(draw.choice(queue.unordered()).id)
        elif len(queue):
            some = [one.id for one in draw.sample(queue.unordered(), min(2, len(queue)))]
            shown = [one.id for one in queue if one.id not in some]
            before = draw.choice([None, *shown])
            queue.move(some, before)
            at = len(shown) if before is None else shown.index(before)
            now = [one.id for one in queue]
            assert now[at : at + len(some)] == some
            assert set(now[:at]) == set(shown[:at])
        assert [one.id for one in queue] == naive(queue)
        assert [one.id for one in queue.first(8)] == naive(queue)[:8]


@pytest.mark.parametrize("seed", range(4))
def test_the_order_that_is_shown_is_the_order_that_is_run(seed):
    """Where jobs take what those of their client took before; else it is corrected with each end."""
    draw = random.Random(seed)
    takes = {client: draw.choice([0.5, 1.0, 4.0]) for client in "abcde"}
    queue = JobQueue(job(client) for client in takes)
    drained(queue, lambda one: takes[one.client_id])
    for _ in range(100):
        queue.add(job(draw.choice("abcde"), draw.choice([None] * 8 + [-1.0, 5e5])))
    for client in takes:
        queue.shares._takes["client", client] = takes[client]  # what it becomes after enough of them
    shown = [one.id for one in queue]
    assert [one.id for one in drained(queue, lambda one: takes[one.client_id])] == shown


def test_a_place_that_somebody_gave_a_job_is_kept_where_clients_take_turns():
    queue = JobQueue([*(job("a") for _ in range(5)), *(job("b") for _ in range(3))])
    assert clients(queue) == "ababab" + "aa"
    third, last = [*queue][2], [*queue][-1]
    queue.move([last.id], before=third.id)
    assert [*queue][2] is last
    assert clients(queue) == "ab" + "a" + clients(queue)[3:]
    queue.move([third.id])
    assert [*queue][-1] is third
    assert len(queue) == 8


def test_accounts_are_taken_up_where_they_stood():
    waiting = [job("a"), job("b"), job("b")]
    waiting[0].account, waiting[1].account = 30.0, 10.0
    shares = Shares()
    shares.restore(waiting, [(("client", "b"), 40.0), (("client", "c"), 99.0), (("client", "b"), 20.0)])
    assert [shares.account(("client", name)) for name in "abc"] == [30, 40, 99]
    assert shares.account(("client", "new")) == 30
    empty = Shares()
    empty.restore([], [(("client", "a"), 5.0), (("client", "b"), 7.0)])
    assert empty.account(("client", "new")) == 7


def test_the_first_of_ten_thousand_jobs_are_found_without_looking_at_all(monkeypatch):
    queue = JobQueue(job(str(at % 5_000)) for at in range(10_000))
    looked = []
    account = Shares.account
    monkeypatch.setattr(Shares, "account", lambda self, client: looked.append(client) or account(self, client))
    for _ in range(20):
        assert len(queue.first(8)) == 8
        run(queue)
    assert len(looked) < 20 * 50


def test_clients_that_are_gone_are_forgotten():
    queue = JobQueue()
    stays = job("stays", number=1e9)
    queue.add(stays)
    for at in range(3_000):
        queue.add(job(str(at)))
        run(queue, 0.01)
    assert len(queue.shares._used) < 1_000
    assert len(queue.shares._takes) < 1_000
    drained(queue)
    assert not queue.shares._used
