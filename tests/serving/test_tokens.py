"""Named tokens on a server process of its own, over a restart."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.server.audit import FILE_NAME as AUDIT
from engine.server.token_file import FILE_NAME as TOKENS
from engine.server.token_file import create_token
from tests.harness import until
from tests.serving.test_jobs import chain

USES = frozenset({"run", "read"})


def test_owners_and_their_jobs_are_known_after_a_restart(serve: Callable[..., Any], base: Path) -> None:
    server = serve()
    assert server.ask("GET", "/queue")[0] == 200
    file = base / "user" / TOKENS
    root = create_token(file, "root", frozenset({"admin"}))
    alice, bob = (create_token(file, name, USES) for name in ("alice", "bob"))
    assert server.ask("GET", "/queue")[0] == 401, "from now on, and without a restart"

    def ask(token: str, method: str, path: str, body: Any = None) -> Any:
        status, answer = server.ask(method, path, body, {"Authorization": f"Bearer {token}"})
        assert status == 200, answer
        return answer

    ask(root, "POST", "/api/v1/queue/pause")
    job = ask(alice, "POST", "/prompt", {"prompt": chain({"name": "a"})})["prompt_id"]
    assert server.end() == 0
    (line,) = [
        one for one in map(json.loads, (base / "user" / AUDIT).read_text().splitlines()) if one["action"] == "run"
    ]
    assert (line["principal"], line["target"], line["outcome"]) == ("alice", job, "accepted")

    server = serve()
    assert [item[1] for item in ask(alice, "GET", "/queue")["queue_pending"]] == [job]
    assert ask(bob, "GET", "/queue") == {"queue_running": [], "queue_pending": []}
    ask(root, "POST", "/api/v1/queue/resume")
    until(lambda: ask(alice, "GET", f"/history/{job}"), "the job to end", server.log)
    assert ask(bob, "GET", "/history") == {}
    assert ask(alice, "GET", f"/history/{job}")[job]["outputs"]["show"]["text"] == ["1"]
