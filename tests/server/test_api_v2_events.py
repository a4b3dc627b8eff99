"""What a stream of the Comfy API v2 tells of a job, and that it tells nothing twice."""

from __future__ import annotations

import base64
from typing import Any

from engine.jobs.messages import JobPreview
from engine.server.api_v2.asset_index import Asset
from engine.server.api_v2.events import _Told


class Paper:
    """A stream that writes down what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []

    def send(self, event: str, data: Any, *, id: str | None = None, replaces: object = None) -> None:
        assert id is None, "there is no replay"
        self.sent.append((event, data))


def asset(id: str) -> Asset:
    return Asset(
        id=id,
        hash=None,
        size=3,
        content_type="image/png",
        file_path="a.png",
        kind="output",
        subfolder="",
        name="a.png",
        mtime_ns=1,
        ours=True,
        made=1.0,
        job_id="job",
        node_id="9",
        media="image",
    )


def test_only_what_changed_is_told() -> None:
    paper = Paper()
    told = _Told(paper, "http://here/api/v2")  # type: ignore[arg-type]
    for _ in range(2):
        told.status("queued", 3)
        told.progress(None)
        told.preview(None)
    told.status("queued", 2)
    told.status("running", None)
    told.progress({"value": 0.5})
    told.progress({"value": 0.5})
    assert paper.sent == [
        ("status", {"status": "queued", "queue_position": 3}),
        ("status", {"status": "queued", "queue_position": 2}),
        ("status", {"status": "running"}),
        ("progress", {"value": 0.5}),
    ]


def test_a_preview_is_told_once_with_the_node_of_the_submitted_graph() -> None:
    paper = Paper()
    told = _Told(paper, "http://here/api/v2")  # type: ignore[arg-type]
    preview = JobPreview("job", "4.1", "4", "4", "jpeg", b"picture")
    told.preview(preview)
    told.preview(preview)
    told.preview(JobPreview("job", "4.1", "4", "4", "jpeg", b"picture"))
    assert [event for event, _ in paper.sent] == ["preview", "preview"]
    data = base64.b64encode(b"picture").decode()
    assert paper.sent[0][1] == {"node_id": "4", "content_type": "image/jpeg", "data_base64": data}


def test_an_output_is_told_once_and_a_node_that_shows_something_else_is_looked_at_again() -> None:
    paper = Paper()
    told = _Told(paper, "http://here/api/v2")  # type: ignore[arg-type]
    shown: dict[str, Any] = {"9": {"images": []}}
    assert told.shows_more(shown)
    assert not told.shows_more(shown)
    assert told.shows_more({"9": {"images": []}})
    told.outputs([asset("a"), asset("b")])
    told.outputs([asset("a"), asset("c")])
    assert [data["id"] for _, data in paper.sent] == ["a", "b", "c"]
    assert paper.sent[0][1]["url"] == "http://here/api/v2/assets/a/content"
