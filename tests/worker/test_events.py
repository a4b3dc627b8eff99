"""In which order a job's events and what packs say leave the worker."""

from __future__ import annotations

import asyncio
from typing import Any

from engine.execute.events import NodeFinished, NodePicture, NodePreview, NodeStarted
from engine.jobs.frames import Unframer
from engine.jobs.messages import FromWorker, JobEvents, PackMessage
from engine.worker import events
from engine.worker.events import JobSink


class Wire:
    """The server's end of the connection."""

    congested = False
    unsent = 0

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self._unframer = Unframer(FromWorker)

    def send_frame(self, data: bytes) -> None:
        self._unframer.feed(data, self._hear)

    def send(self, message: Any) -> None:
        self._hear(message)

    def _hear(self, message: Any) -> None:
        self.heard += message.events if isinstance(message, JobEvents) else [message]


class NoPreviews:
    def __init__(self) -> None:
        self.offered: list[Any] = []

    def offer(self, job: str, event: NodePreview) -> None:
        self.offered.append(event)

    def end(self, job: str) -> None:
        """Nothing waits."""


def started(node: str) -> NodeStarted:
    return NodeStarted(node=node, display_node=node, class_type="X")


def done(node: str) -> NodeFinished:
    return NodeFinished(node=node, display_node=node, class_type="X", seconds=0.0)


def test_what_packs_say_and_finished_pictures_keep_their_place_among_the_events() -> None:
    """Clients take a binary message for that of the node named last."""
    wire, previews = Wire(), NoPreviews()

    async def story() -> None:
        sink = JobSink("job", wire, previews, str)
        told = PackMessage("", b"picture", "me", 1)
        picture = NodePicture(node="2", display_node="2", data=bytes(300))
        for one in (started("1"), told, done("1"), started("2"), picture, done("2")):
            await asyncio.to_thread(sink.pass_on if one is told else sink, one)
        sink(NodePreview(node="2", display_node="2", image=None))
        sink.end()
        sink.pass_on(PackMessage("late", b"{}"))
        await asyncio.sleep(0)

    asyncio.run(story())
    kinds = [type(one).__name__ for one in wire.heard]
    assert kinds == [
        "NodeStarted",
        "PackMessage",
        "NodeFinished",
        "NodeStarted",
        "NodePicture",
        "NodeFinished",
        "PackMessage",
    ]
    assert wire.heard[4].data == bytes(300)
    assert len(previews.offered) == 1


def test_what_waits_when_a_job_ends_is_told_first() -> None:
    wire, previews = Wire(), NoPreviews()

    async def story() -> None:
        sink = JobSink("job", wire, previews, str)
        sink(started("1"))
        sink(done("1"))
        assert wire.heard == []
        sink.end()

    asyncio.run(story())
    assert [type(one) for one in wire.heard] == [NodeStarted, NodeFinished]


def test_what_is_too_long_is_not_passed_on_and_too_much_waits(monkeypatch: Any) -> None:
    monkeypatch.setattr(events, "LONGEST", 100)
    monkeypatch.setattr(events, "BACKLOG", 150)
    monkeypatch.setattr(events, "PATIENCE", 0.0)
    wire = Wire()

    async def story() -> None:
        sink = JobSink("job", wire, NoPreviews(), str)
        sink.pass_on(PackMessage("long", bytes(101)))
        wire.unsent = 100
        sink.tell()
        sink.pass_on(PackMessage("much", bytes(60)))
        sink.pass_on(PackMessage("little", bytes(50)))
        wire.unsent = 0
        sink.tell()
        sink.pass_on(PackMessage("later", bytes(60)))
        sink.tell()

    asyncio.run(story())
    assert [message.event for message in wire.heard] == ["little", "later"]
