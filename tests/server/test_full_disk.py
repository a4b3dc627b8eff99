"""A full disk stops the taking in of jobs with 507, and loses nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import msgspec
import pytest

from engine.jobs.store import JobStore
from engine.jobs.store_errors import StoreFullError
from engine.server import large_bodies
from engine.server.large_bodies import WRITTEN_AT_ONCE


def test_a_full_disk_is_507_with_a_message_and_what_was_accepted_stays(
    whole_servers: Callable[..., AbstractContextManager[Any]],
) -> None:
    with whole_servers(store={"max_bytes": 400_000}) as server:

        def post(index: int) -> Any:
            prompt = {"1": {"class_type": "PreviewAny", "inputs": {"source": f"{index} {os.urandom(8_000).hex()}"}}}
            return server.ask("POST", "/prompt", msgspec.json.encode({"prompt": prompt}))

        accepted = []
        for index in range(100):
            answer = post(index)
            if answer.status != 200:
                break
            accepted.append(answer.json()["prompt_id"])
        assert answer.status == 507
        error = answer.json()["error"]
        assert error["type"] == "disk_full"
        assert "disk" in error["message"].lower() or "room" in error["message"].lower()
        assert 5 < len(accepted) < 100
        pending = server.ask("GET", "/queue").json()["queue_pending"]
        assert [item[1] for item in pending] == accepted
        assert server.ask("GET", "/health").status == 503
        server.ask("POST", "/queue", msgspec.json.encode({"delete": accepted[:5]}))
        assert post(101).status == 200, "there is room again"


def test_what_cannot_be_written_or_read_is_told_by_every_route_and_changes_nothing(
    whole_servers: Callable[..., AbstractContextManager[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with whole_servers() as server:
        prompt = {"1": {"class_type": "PreviewAny", "inputs": {"source": "x"}}}
        job = server.ask("POST", "/prompt", msgspec.json.encode({"prompt": prompt})).json()["prompt_id"]

        async def full(*values: Any, **options: Any) -> None:
            raise StoreFullError(server.base, 0)

        for name in ("remove", "set_state", "clear_history", "delete_history", "history"):
            monkeypatch.setattr(JobStore, name, full)
        asked = [
            ("POST", "/queue", {"delete": [job]}),
            ("POST", "/queue", {"clear": True}),
            ("POST", "/history", {"clear": True}),
            ("POST", "/history", {"delete": ["x"]}),
            ("POST", "/api/v1/queue/pause", {}),
            ("POST", "/api/v1/queue/resume", {}),
            ("GET", "/history", None),
        ]
        for method, path, body in asked:
            answer = server.ask(method, path, msgspec.json.encode(body) if body is not None else None)
            assert (answer.status, answer.json()["error"]["type"]) == (507, "disk_full"), path
        state = server.ask("GET", "/api/v1/queue").json()
        assert (state["paused"], state["pending"]) == (False, 1), "as it is on the disk"
        assert [item[1] for item in server.ask("GET", "/queue").json()["queue_pending"]] == [job]


def test_calls_of_workflows_are_refused_alike(whole_servers: Callable[..., AbstractContextManager[Any]]) -> None:
    with whole_servers(store={"reserve": 2**60}) as server:
        (server.base / "workflows").mkdir()
        prompt = {"1": {"class_type": "PreviewAny", "inputs": {"source": "x"}}}
        (server.base / "workflows" / "shown.json").write_bytes(msgspec.json.encode(prompt))
        answer = server.ask("POST", "/api/v1/workflows/shown/run", b"{}", {"Idempotency-Key": "again"})
        assert (answer.status, answer.json()["error"]["type"]) == (507, "disk_full")
        assert server.ask("GET", "/queue").json()["queue_pending"] == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")  # noqa: PTH110
def test_a_large_body_that_does_not_fit_on_the_disk_is_507_too(
    whole: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(large_bodies.tempfile, "TemporaryFile", lambda dir: open("/dev/full", "w+b"))  # noqa: PTH123, SIM115
    long = b"x" * (WRITTEN_AT_ONCE + 50_000)
    form = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + long + b"\r\n--b--\r\n"
    multipart = {"Content-Type": "multipart/form-data; boundary=b"}
    for path, body, headers in (
        ("/prompt", msgspec.json.encode({"prompt": long.decode()}), {}),
        ("/api/v1/workflows/image_to_image/run", form, multipart),
        ("/v1/images/variations", form, multipart),
    ):
        answer = whole.ask("POST", path, body, headers)
        assert answer.status == 507, (path, answer.body)
        assert "disk is full" in answer.json()["error"]["message"]
    assert not [record for record in caplog.records if record.exc_info]
