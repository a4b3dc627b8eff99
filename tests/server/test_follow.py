"""What a client hears of a job, and what the history keeps of it."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from engine.execute.events import (
    Counts,
    NodeCollected,
    NodeExpanded,
    NodeFailed,
    NodeFinished,
    NodePicture,
    NodeProgress,
    NodeReused,
    NodesCached,
    NodeStarted,
    NodeText,
    RunFinished,
    RunStarted,
)
from engine.jobs.messages import JobFinished, JobPreview
from engine.jobs.records import Job
from engine.server import follow
from engine.server.follow import JobFollower
from engine.server.watching import Watches
from tests.harness import PATIENCE

PICTURE = {"filename": "a_00001_.png", "subfolder": "", "type": "output"}
TEMPORARY = {"filename": "b_00001_.png", "subfolder": "", "type": "temp"}


class Desk:
    """A hub with one client that writes down what it is sent."""

    def __init__(self, there: bool = True, wants_previews: bool = False) -> None:
        self.sent: list[tuple[str, Any]] = []
        self.there = there
        self.wants_previews = wants_previews
        self.watches = Watches()

    def client(self, client_id: str | None, owner: str | None = None) -> Any:
        if not self.there or client_id != "me":
            return None
        copy = msgspec.json.encode
        return SimpleNamespace(
            wants_previews=self.wants_previews,
            send=lambda type, data: self.sent.append((type, msgspec.json.decode(copy(data)))),
            send_preview=lambda preview, place: self.sent.append(("preview", preview.data)),
            send_result=lambda data, place: self.sent.append(("result", data)),
            send_text=lambda body, job: self.sent.append(("text", (body, job))),
        )

    def types(self) -> list[str]:
        return [type for type, _ in self.sent]

    def of(self, type: str) -> list[Any]:
        return [data for one, data in self.sent if one == type]


def follower(desk: Desk, client: str | None = "me", extra_data: Any = None) -> JobFollower:
    prompt = msgspec.json.encode({"1": {"class_type": "One"}, "2": {"class_type": "Two"}})
    extra = msgspec.json.encode(extra_data or {})
    job = Job(id="job", number=1, sequence=1, prompt=prompt, outputs=("2",), client_id=client, extra_data=extra)
    return JobFollower(job, desk)


def finished(outputs: dict[str, Any] | None = None, status: Any = "done") -> JobFinished:
    return JobFinished(
        job="job", status=status, outputs=msgspec.json.encode(outputs or {}), nodes=b"{}", counts=Counts(), seconds=1.0
    )


def started(node: str) -> NodeStarted:
    return NodeStarted(node=node, display_node=node, class_type="One")


def done(node: str, ui: dict[str, Any] | None = None) -> NodeFinished:
    return NodeFinished(node=node, display_node=node, class_type="One", seconds=0.1, ui=ui)


def live(story: Any) -> Any:
    async def run() -> Any:
        return await story()

    return asyncio.run(run())


def test_a_run_is_told_in_the_order_that_editors_expect() -> None:
    desk = Desk()

    async def story() -> None:
        one = follower(desk)
        one.started()
        one.events([RunStarted(nodes_total=2), NodesCached(nodes=["0"]), started("1")])
        one.events([NodeProgress(node="1", display_node="1", value=1, total=4), done("1")])
        one.events([started("2"), done("2", {"images": [PICTURE]})])
        one.events([RunFinished(status="done", counts=Counts(ran=2), seconds=1.0)])
        one.ended("done", finished({"2": {"images": [PICTURE]}}), "")
        assert "execution_success" not in desk.types(), "the history is not written yet"
        one.recorded()

    live(story)
    told = [type for type in desk.types() if type != "progress_state"]
    assert told == [
        "execution_start",
        "execution_cached",
        "executing",
        "progress",
        "executing",
        "executed",
        "execution_success",
        "executing",
    ]
    assert desk.sent[-1] == ("executing", {"node": None, "display_node": None, "prompt_id": "job"})
    assert desk.of("executed") == [
        {"node": "2", "display_node": "2", "output": {"images": [PICTURE]}, "prompt_id": "job"}
    ]


def test_progress_state_names_only_nodes_that_changed_and_ends_with_all_finished() -> None:
    desk = Desk()

    async def story() -> None:
        one = follower(desk)
        one.started()
        one.events([started("0")])
        for index in range(500):
            one.events([done(str(index)), started(str(index + 1))])
        one.ended("done", finished(), "")

    live(story)
    states = desk.of("progress_state")
    named = [node for state in states for node in state["nodes"]]
    assert len(states) < 50, "twenty a second at most"
    assert len(named) <= 501 + len(states)
    last: dict[str, Any] = {}
    for state in states:
        last |= state["nodes"]
    assert {last[str(index)]["state"] for index in range(500)} == {"finished"}
    assert set(last["3"]) == {
        "value",
        "max",
        "state",
        "node_id",
        "prompt_id",
        "display_node_id",
        "parent_node_id",
        "real_node_id",
    }


def test_reused_nodes_are_named_once_and_what_they_showed_is_shown_again() -> None:
    desk = Desk()

    async def story() -> None:
        one = follower(desk)
        one.started()
        one.events([NodesCached(nodes=["1", "2"], ui={"2": {"images": [PICTURE]}})])
        one.events([NodeReused(node="3", display_node="3", ui={"text": ["x"]})])

    live(story)
    assert desk.of("execution_cached")[0]["nodes"] == ["1", "2"]
    assert desk.of("executing") == []
    assert [data["node"] for data in desk.of("executed")] == ["2", "3"]


def test_nodes_found_unchanged_after_the_start_are_named_as_reused_and_each_only_once() -> None:
    desk = Desk()

    def late(node: str, parent: str | None = None) -> NodeReused:
        return NodeReused(node=node, display_node=parent or node, parent=parent)

    async def story() -> Any:
        one = follower(desk)
        one.started()
        one.events([NodesCached(nodes=["1", "6.0"], inner={"6.0": "6"}, ui={"6.0": {"text": ["x"]}})])
        one.events(
            [started("2"), done("2"), late("3"), late("4"), late("4.0", "4"), started("5"), done("5"), late("7")]
        )
        return one.ended("done", finished(), "")

    outcome = live(story)
    told = [data["nodes"] for data in desk.of("execution_cached")]
    assert told == [["1"], ["3", "4"], ["7"]], "what runs once per submitted node is counted once"
    ran = [data["node"] for data in desk.of("executing")]
    assert sorted([*ran, *told[0], *told[1], *told[2]]) == ["1", "2", "3", "4", "5", "7"]
    assert desk.of("executed") == [{"node": "6.0", "display_node": "6", "output": {"text": ["x"]}, "prompt_id": "job"}]
    kept = [data["nodes"] for type, data in msgspec.json.decode(outcome.messages) if type == "execution_cached"]
    assert kept == [["1"], ["3", "4", "7"]]


PREVIEW = JobPreview(job="job", node="1", display_node="1", parent=None, format="jpeg", data=b"small")


@pytest.mark.parametrize(
    ("announced", "extra_data", "shown"),
    [
        (False, {}, False),
        (True, {}, True),
        (False, {"preview_method": "auto"}, True),
        (False, {"preview_method": "latent2rgb"}, True),
        (False, {"preview_method": "none"}, False),
        (False, {"preview_method": "default"}, False),
        (False, {"preview_method": [1]}, False),
    ],
)
def test_previews_go_to_clients_that_announced_flags_or_whose_job_asks(announced, extra_data, shown) -> None:
    desk = Desk(wants_previews=announced)
    follower(desk, extra_data=extra_data).preview(PREVIEW)
    assert desk.sent == ([("preview", b"small")] if shown else [])


def test_pictures_sent_as_results_go_to_every_client_behind_the_name_of_their_node() -> None:
    desk = Desk()

    def picture(node: str, data: bytes) -> NodePicture:
        return NodePicture(node=node, display_node=node, data=data)

    async def story() -> None:
        one = follower(desk)
        one.started()
        one.events([started("1"), picture("1", b"a"), picture("1", b"b"), started("2"), picture("1", b"c"), done("1")])

    live(story)
    told = [(type, data["node"] if type == "executing" else data) for type, data in desk.sent]
    told = [one for one in told if one[0] in ("executing", "result")]
    assert told == [
        ("executing", "1"),
        ("result", b"a"),
        ("result", b"b"),
        ("executing", "2"),
        ("executing", "1"),
        ("result", b"c"),
    ]


def test_a_failure_names_the_node_of_the_submitted_graph_and_comes_last() -> None:
    desk = Desk()
    failure = NodeFailed(
        node="2.0",
        display_node="2",
        parent="2",
        class_type="Two",
        message="No room.",
        exception_type="ValueError",
        expected="a number",
        got="a text",
        hint="Write a number.",
        traceback='Traceback\n  File "/home/me/base/custom_nodes/pack/one.py", line 3, in run\n',
        current_inputs={"x": "'text'"},
    )

    async def story() -> Any:
        one = follower(desk)
        one.started()
        one.events([NodesCached(nodes=["1"]), started("2.0"), failure, started("5"), done("5")])
        outcome = one.ended("failed", finished(status="failed"), "")
        one.recorded()
        return outcome

    outcome = live(story)
    error = desk.of("execution_error")[0]
    assert desk.types()[-2:] == ["execution_error", "executing"]
    assert error["node_id"] == "2"
    assert error["node_type"] == "Two"
    assert error["executed"] == ["1"]
    assert error["exception_message"] == "No room.\nExpected: a number\nGot: a text\nWrite a number."
    assert error["traceback"] == ["Traceback\n", '  File "custom_nodes/pack/one.py", line 3, in run\n'], "no folders"
    assert error["current_inputs"] == {"x": ["'text'"]}
    assert msgspec.json.decode(outcome.error)["node_id"] == "2"
    assert [type for type, _ in msgspec.json.decode(outcome.messages)] == [
        "execution_start",
        "execution_cached",
        "execution_error",
    ]


def test_of_two_failures_the_first_is_told_and_when_in_milliseconds() -> None:
    desk = Desk()

    async def story() -> Any:
        one = follower(desk)
        one.started()
        for node in ("1", "2"):
            one.events([started(node), NodeFailed(node=node, display_node=node, class_type="One", message="No.")])
        return one.ended("failed", finished(status="failed"), "")

    before = time.time()
    outcome = live(story)
    assert msgspec.json.decode(outcome.error)["node_id"] == "1"
    told = dict(msgspec.json.decode(outcome.messages))
    for name in ("execution_start", "execution_error"):
        assert before * 1000 - 2 <= told[name]["timestamp"] <= time.time() * 1000


def test_of_several_saved_pictures_the_last_stands_for_the_job() -> None:
    later = PICTURE | {"filename": "a_00002_.png"}

    async def story() -> Any:
        one = follower(Desk())
        one.started()
        return one.ended("done", finished({"2": {"images": [PICTURE, later]}}), "")

    assert msgspec.json.decode(live(story).preview)["filename"] == "a_00002_.png"


def test_a_lost_worker_fails_the_job_at_the_node_that_ran() -> None:
    desk = Desk()

    async def story() -> None:
        one = follower(desk)
        one.started()
        one.events([started("1")])
        one.ended("failed", None, "Worker 0 was killed.")
        one.recorded()

    live(story)
    error = desk.of("execution_error")[0]
    assert (error["node_id"], error["node_type"]) == ("1", "One")
    assert error["exception_message"] == "Worker 0 was killed."


def test_a_second_attempt_forgets_the_first() -> None:
    desk = Desk()

    async def story() -> Any:
        one = follower(desk)
        one.started()
        one.events([started("1"), done("1")])
        one.retried("Worker 0 was killed.")
        one.started()
        one.events([NodesCached(nodes=["1"]), started("2"), done("2")])
        return one.ended("done", finished(), "")

    outcome = live(story)
    messages = msgspec.json.decode(outcome.messages)
    assert [type for type, _ in messages] == ["execution_start", "execution_cached", "execution_success"]


def test_the_saved_picture_stands_for_the_job_rather_than_a_temporary_one() -> None:
    async def story() -> Any:
        one = follower(Desk())
        one.started()
        return one.ended(
            "done", finished({"2": {"images": [PICTURE]}, "3": {"images": [TEMPORARY], "text": ["t"]}}), ""
        )

    outcome = live(story)
    assert outcome.outputs_count == 2
    preview = msgspec.json.decode(outcome.preview)
    assert preview == PICTURE | {"nodeId": "2", "mediaType": "images"}
    assert set(msgspec.json.decode(outcome.meta)) == {"2", "3"}


def test_nobody_hears_of_a_job_without_a_client_but_the_history_does() -> None:
    desk = Desk()

    async def story() -> Any:
        one = follower(desk, client=None)
        one.started()
        one.events([NodesCached(nodes=[]), started("1"), done("1")])
        outcome = one.ended("done", finished(), "")
        one.recorded()
        return outcome

    outcome = live(story)
    assert desk.sent == []
    assert [type for type, _ in msgspec.json.decode(outcome.messages)][-1] == "execution_success"


def test_a_client_that_comes_back_is_told_where_the_job_stands() -> None:
    desk = Desk(there=False)

    async def story() -> None:
        one = follower(desk)
        one.started()
        one.events([started("1"), done("1"), started("2")])
        desk.there = True
        one.resume()

    live(story)
    assert desk.types() == ["execution_start", "progress_state", "executing"]
    assert {node: state["state"] for node, state in desk.sent[1][1]["nodes"].items()} == {
        "1": "finished",
        "2": "running",
    }
    assert desk.sent[2][1]["node"] == "2"


def test_states_are_sent_soon_even_when_nothing_else_happens(monkeypatch: Any) -> None:
    monkeypatch.setattr(follow, "STATES_EVERY", 0.01)
    desk = Desk()

    async def story() -> None:
        one = follower(desk)
        one.started()
        one.events([started("1")])
        one.events([NodeProgress(node="1", display_node="1", value=2, total=4)])
        async with asyncio.timeout(PATIENCE):
            while not any(one["nodes"]["1"]["value"] == 2 for one in desk.of("progress_state")):
                await asyncio.sleep(0.005)

    live(story)
    assert desk.of("progress_state")[-1]["nodes"]["1"]["value"] == 2


def test_passes_of_a_loop_are_told_while_they_run_and_then_forgotten() -> None:
    desk = Desk()

    def inner(event: Any, index: int, **facts: Any) -> Any:
        return event(node=f"2.{index}", display_node="2", parent="2", class_type="One", **facts)

    async def story() -> None:
        one = follower(desk)
        one.started()
        one.events([started("2"), done("2"), NodeExpanded(node="2", display_node="2", nodes=["2.0"])])
        one.events([inner(NodeStarted, 0)])
        one._tell_states()
        for index in range(1000):
            expanded = NodeExpanded(node=f"2.{index}", display_node="2", parent="2", nodes=[f"2.{index + 1}"])
            one.events([inner(NodeFinished, index, seconds=0.1), expanded, inner(NodeStarted, index + 1)])
        assert len(one._states) <= 3
        one.events([inner(NodeFinished, 1000, seconds=0.1), NodeCollected(node="2", display_node="2")])
        failed = NodeFailed(node="1", display_node="1", class_type="One", message="No.")
        one.events([failed])
        outcome = one.ended("failed", finished({"2": {"text": ["x"]}}, "failed"), "")
        assert len(outcome.messages) < 2000
        assert msgspec.json.decode(outcome.error)["executed"] == ["2"]

    live(story)
    states = [state["nodes"] for state in desk.of("progress_state")]
    assert states[0]["2"]["state"] == "running"
    told: dict[str, Any] = {}
    for nodes in states:
        told |= {name: state["state"] for name, state in nodes.items()}
    assert told.pop("1") == "error"
    assert set(told.values()) == {"finished"}, "whatever was told to run is told to have ended"
    assert len(told) < 20
    assert len(desk.of("executing")) == 1 + 1001, "each that runs is named"


def test_a_client_that_comes_back_hears_of_the_end_of_what_ran() -> None:
    desk = Desk()

    async def story() -> None:
        one = follower(desk)
        one.started()
        begun = NodeStarted(node="2.0", display_node="2", parent="2", class_type="One")
        one._flushed = 1e12
        one.events([begun])
        one.resume()
        one.events([NodeFinished(node="2.0", display_node="2", parent="2", class_type="One", seconds=0.1)])
        one._tell_states()

    live(story)
    assert [state["nodes"]["2.0"]["state"] for state in desk.of("progress_state")] == ["running", "finished"]


def test_a_text_that_grows_reaches_whoever_posted_the_job_by_the_node_s_id() -> None:
    """As the field's progress text: u32 length of the node's id, the id, the text."""
    desk = Desk()

    async def story() -> None:
        one = follower(desk)
        one.started()
        one.events([started("12"), NodeText(node="12.1", display_node="12", text="Ein Bär"), done("12")])
        follower(Desk(there=False)).events([NodeText(node="1", display_node="1", text="nobody")])

    live(story)
    assert desk.of("text") == [(b"\x00\x00\x00\x0212" + "Ein Bär".encode(), "job")]
