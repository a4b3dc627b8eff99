"""A full disk stops the taking in of jobs with 507, and loses nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import msgspec


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
