"""Watching a job from within the server: what is told, and how far a job is."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from engine.execute.events import (
    Counts,
    NodeFinished,
    NodeProgress,
    NodesCached,
    NodeStarted,
    RunStarted,
)
from engine.jobs.messages import JobFinished, JobPreview
from engine.jobs.records import Job
from engine.server.watching import WatchedFollower, Watcher, Watchers


class Deaf:
    """A hub without clients."""

    def client(self, client_id: str | None) -> Any:
        return None


class Notes(Watcher):
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def started(self) -> None:
        self.heard.append("started")

    def events(self, events: Any, progress: Any) -> None:
        self.heard.append(progress.now())

    def preview(self, preview: JobPreview) -> None:
        self.heard.append(preview.data)

    def waits(self, reason: str) -> None:
        self.heard.append(reason)

    def ended(self) -> None:
        self.heard.append("ended")

    def removed(self) -> None:
        self.heard.append("removed")


def started(node: str, parent: str | None = None) -> NodeStarted:
    return NodeStarted(node=node, display_node=node.split(".")[0], parent=parent, class_type="KSampler")


def done(node: str, ui: dict[str, Any] | None = None, parent: str | None = None) -> NodeFinished:
    return NodeFinished(
        node=node, display_node=node.split(".")[0], parent=parent, class_type="KSampler", seconds=0.1, ui=ui
    )


def test_a_watcher_hears_of_its_job_from_start_to_end_and_how_far_it_is() -> None:
    async def story() -> None:
        watchers, notes = Watchers(), Notes()
        stop = watchers.watch("job", notes)
        job = Job(id="job", number=1, sequence=1, prompt=b"{}", outputs=("2",))
        one = WatchedFollower(job, Deaf(), watchers)  # type: ignore[arg-type]
        assert watchers.progress("job") is None
        one.started()
        one.events([RunStarted(nodes_total=4), NodesCached(nodes=["0"], ui={"0": {"text": ["a"]}}), started("1")])
        one.events([NodeProgress(node="1", display_node="1", value=5, total=10)])
        one.preview(JobPreview("job", "1", "1", None, "jpeg", b"picture"))
        counter = watchers.progress("job")
        assert counter is not None
        assert counter.preview is not None
        now = counter.now()
        assert (now.nodes_done, now.nodes_total, now.step, now.steps, now.value) == (1, 4, 5, 10, 0.375)
        assert (now.current_node, now.current_node_class, now.message) == ("1", "KSampler", "KSampler 5/10")
        one.events([done("1"), started("2"), started("2.1", "2"), done("2.1", {"images": [{"filename": "x"}]}, "2")])
        assert counter.preview is None
        assert counter.now().nodes_done == 2, "expanded nodes are their node's"
        assert counter.shown == {"0": {"text": ["a"]}, "2": {"images": [{"filename": "x"}]}}
        one.events([done("2")])
        one.ended("done", JobFinished("job", "done", b"{}", b"{}", Counts(), 1.0), "")
        assert watchers.progress("job") is None
        assert "ended" not in notes.heard, "the history is not written yet"
        one.recorded()
        assert notes.heard[0] == "started"
        assert b"picture" in notes.heard
        assert notes.heard[-1] == "ended"
        stop()
        stop()
        assert not watchers.of("job")

    asyncio.run(story())


def test_a_lost_attempt_counts_no_more_and_a_removed_job_is_told() -> None:
    async def story() -> None:
        watchers, notes = Watchers(), Notes()
        watchers.watch("job", notes)
        job = Job(id="job", number=1, sequence=1, prompt=msgspec.json.encode({}), outputs=("2",))
        one = WatchedFollower(job, Deaf(), watchers)  # type: ignore[arg-type]
        one.started()
        one.events([RunStarted(nodes_total=2), started("1"), done("1")])
        one.retried("The worker was lost.")
        assert watchers.progress("job") is None
        watchers.removed(["other", "job"])
        assert notes.heard[-2:] == ["The worker was lost.", "removed"]

    asyncio.run(story())
