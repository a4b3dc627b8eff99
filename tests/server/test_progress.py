"""How far a job is, as its follower counts it."""

from __future__ import annotations

import asyncio
from typing import Any

from engine.execute.events import NodeFinished, NodeProgress, NodesCached, NodeStarted, RunStarted
from engine.jobs.messages import JobPreview
from engine.jobs.records import Job
from engine.server.follow import JobFollower
from tests.server.test_follow import Desk


def started(node: str, parent: str | None = None) -> NodeStarted:
    return NodeStarted(node=node, display_node=node.split(".")[0], parent=parent, class_type="KSampler")


def done(node: str, ui: dict[str, Any] | None = None, parent: str | None = None) -> NodeFinished:
    return NodeFinished(
        node=node, display_node=node.split(".")[0], parent=parent, class_type="KSampler", seconds=0.1, ui=ui
    )


def test_nodes_steps_pictures_and_what_was_shown_are_counted_and_an_attempt_begins_anew() -> None:
    async def story() -> None:
        job = Job(id="job", number=1, sequence=1, prompt=b"{}", outputs=("2",))
        one = JobFollower(job, Desk(there=False))  # type: ignore[arg-type]
        one.started()
        assert one.progress.now().value == 0.0
        one.events([RunStarted(nodes_total=4), NodesCached(nodes=["0"], ui={"0": {"text": ["a"]}}), started("1")])
        one.events([NodeProgress(node="1", display_node="1", value=5, total=10)])
        one.preview(JobPreview("job", "1", "1", None, "jpeg", b"picture"))
        now = one.progress.now()
        assert (now.nodes_done, now.nodes_total, now.step, now.steps, now.value) == (1, 4, 5, 10, 0.375)
        assert (now.current_node, now.current_node_class, now.message) == ("1", "KSampler", "KSampler 5/10")
        assert one.progress.preview is not None
        one.events([done("1"), started("2"), started("2.1", "2"), done("2.1", {"images": [{"filename": "x"}]}, "2")])
        assert one.progress.preview is None
        assert one.progress.now().nodes_done == 2, "expanded nodes are their node's"
        assert one.progress.shown == {"0": {"text": ["a"]}, "2": {"images": [{"filename": "x"}]}}
        one.retried("The worker was lost.")
        assert one.progress.now().nodes_done == 0
        assert not one.progress.shown

    asyncio.run(story())
