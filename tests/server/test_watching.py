"""Watching a job from within the server: what is heard, in which order, and that nobody waits for ever."""

from __future__ import annotations

import asyncio

import pytest

from engine.execute.events import (
    NodeFailed,
    NodeFinished,
    NodeProgress,
    NodeReused,
    NodesCached,
    NodeSkipped,
    NodeStarted,
    RunStarted,
    Warned,
)
from engine.jobs.messages import JobPreview
from engine.jobs.records import Job, Outcome
from engine.server.watching import Began, Ended, NodeChanged, Previewed, Progressed, Told, Watches


def job(id="a", **facts):
    return Job(id=id, number=1, sequence=1, prompt=b"{}", outputs=(), attempts=1, **facts)


def node(kind, id, parent=None, **facts):
    return kind(node=id, display_node=id.split(".")[0], parent=parent, **facts)


def test_what_happens_is_heard_in_order_with_how_far_it_is():
    watches, heard = Watches(), []
    watches.watch("a", heard.append)
    watches.began(job())
    watches.events(
        "a",
        [
            RunStarted(4),
            NodesCached(["1"]),
            node(NodeStarted, "2", class_type="K"),
            node(NodeProgress, "2", value=3.0, total=8.0),
            node(NodeFinished, "2", class_type="K", seconds=0.5),
            node(NodeReused, "3"),
            node(NodeFailed, "4", class_type="S", message="No."),
            Warned("Take care."),
        ],
    )
    watches.preview(JobPreview("a", "2", "2", None, "jpeg", b"data"))
    done = Outcome(status="done", ended=2.0)
    watches.ended(job(), done)
    assert heard[:-1] == [
        Began(1),
        NodeChanged("2", "running", 1, 4, "K"),
        Progressed("2", 3.0, 8.0, 1, 4),
        NodeChanged("2", "finished", 2, 4, "K", 0.5),
        NodeChanged("3", "reused", 3, 4),
        NodeChanged("4", "failed", 4, 4, "S", 0.0, "No."),
        Told("Take care."),
        Previewed("2", "jpeg", b"data"),
    ]
    assert (heard[-1].status, heard[-1].outcome) == ("done", done)


def test_of_nodes_that_expansions_made_only_progress_is_heard_on_the_node_they_belong_to():
    watches, heard = Watches(), []
    watches.watch("a", heard.append)
    inner = "2.0.1"
    watches.events(
        "a",
        [
            RunStarted(2),
            NodesCached(["1", "2.9"], inner={"2.9": "2"}),
            node(NodeStarted, inner, "2", class_type="K"),
            node(NodeProgress, inner, "2", value=1.0, total=2.0),
            node(NodeFinished, inner, "2", class_type="K", seconds=1.0),
            node(NodeSkipped, inner, "2", reason="blocked"),
        ],
    )
    assert heard == [Progressed("2", 1.0, 2.0, 1, 2)]


def test_another_attempt_counts_from_the_beginning():
    watches, heard = Watches(), []
    watches.watch("a", heard.append)
    for _ in range(2):
        watches.began(job())
        watches.events("a", [RunStarted(1), node(NodeFinished, "1", class_type="K", seconds=0.0)])
        watches.told("a", "Again.")
    assert [one.done for one in heard if isinstance(one, NodeChanged)] == [1, 1]


def test_who_no_longer_watches_hears_nothing_and_nothing_is_kept():
    watches, first, second = Watches(), [], []
    forget = watches.watch("a", first.append)
    watches.watch("a", second.append)
    forget()
    forget()
    watches.told("a", "x")
    watches.told("other", "x")
    assert (first, second) == ([], [Told("x")])
    watches.removed(["a"])
    assert second[-1] == Ended("removed")
    assert len(watches) == 0


@pytest.mark.parametrize("how", ["ended", "removed", "lost"])
def test_the_end_is_awaited_without_asking(how):
    async def story():
        watches = Watches()
        ending = watches.ending("a")
        given_up = watches.ending("a")
        given_up.cancel()
        await asyncio.sleep(0)
        if how == "ended":
            watches.ended(job(), Outcome(status="failed", ended=1.0))
        elif how == "removed":
            watches.removed(["a"])
        else:
            watches.close()
        return await ending, await asyncio.gather(watches.ending("b") if how == "lost" else ending)

    found, later = asyncio.run(story())
    assert found.status == {"ended": "failed"}.get(how, how)
    assert later[0].status == found.status


def test_one_that_hears_may_stop_hearing_within_it():
    watches, heard = Watches(), []

    def once(event):
        heard.append(event)
        forget()

    forget = watches.watch("a", once)
    watches.watch("a", heard.append)
    watches.told("a", "x")
    watches.told("a", "y")
    assert heard == [Told("x"), Told("x"), Told("y")]
