"""Who may call over HTTP, and what the command says when it cannot serve."""

from __future__ import annotations

import asyncio
import http.client
import json
import sys
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import pytest
from mcp import MCPError

from engine.__main__ import main
from engine.mcp_tools.guard import Guard
from engine.server.token_file import create_token
from tests.mcp_tools.talking import HELLO, listening, over_http, talking


def post(url: str, headers: dict[str, str]) -> tuple[int, Any]:
    """Status of an opening request, and the JSON of a refusal."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
    accepted = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    connection.request("POST", place.path, json.dumps(HELLO), {**accepted, **headers})
    answer = connection.getresponse()
    body = answer.read() if answer.status >= 400 else b"{}"
    connection.close()
    return answer.status, json.loads(body)


@pytest.mark.parametrize(
    ("headers", "status", "kind"),
    [
        ({"Host": "evil.example"}, 403, "unknown_host"),
        ({"Host": "a b"}, 400, "bad_host"),
        ({"Origin": "https://evil.example"}, 403, "foreign_origin"),
        ({"Origin": "null"}, 403, "foreign_origin"),
    ],
)
def test_pages_and_other_names_are_refused(url: str, headers: dict[str, str], status: int, kind: str) -> None:
    found, answer = post(url, headers)
    assert (found, answer["error"]["type"]) == (status, kind)


def test_our_own_names_are_taken(url: str) -> None:
    port = urlsplit(url).port
    assert post(url, {})[0] == 200
    assert post(url, {"Host": f"localhost:{port}", "Origin": f"http://localhost:{port}"})[0] == 200


def test_a_token_is_asked_for_when_there_is_one(tools: Path) -> None:
    with listening(tools, "--token", "secret-enough") as url:
        for headers in ({}, {"Authorization": "Bearer wrong-enough"}, {"Authorization": "secret-enough"}):
            status, answer = post(url, headers)
            assert (status, answer["error"]["type"]) == (401, "token_needed")
        with talking(over_http(url, token="secret-enough")) as talk:
            assert talk.do(talk.client.list_tools()).tools
        with pytest.raises((MCPError, BaseExceptionGroup)), talking(over_http(url, token="wrong-enough")):
            pass


def test_nobody_else_is_let_in_without_a_token() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    with pytest.raises(ValueError, match="token"):
        Guard(app, ["0.0.0.0"], [], None)


def test_named_tokens_of_the_base_directory_are_taken_when_they_may_run_jobs(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    run = create_token(file, "runner", frozenset({"run"}))
    read = create_token(file, "reader", frozenset({"read"}))

    def status(token: str | None) -> int:
        """What a guard on loopback, without a token of its own, answers."""
        sent: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any: ...

        shown = [(b"authorization", f"Bearer {token}".encode())] if token else []
        scope = {"type": "http", "headers": [(b"host", b"127.0.0.1:8189"), *shown]}
        asyncio.run(Guard(app, ["127.0.0.1"], [], None, file)(scope, receive, send))
        return int(sent[0]["status"])

    assert [status(run), status(read), status("wrong-enough"), status(None)] == [200, 403, 401, 401]


def test_without_the_package_it_says_how_to_install_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone = {name: None for name in sys.modules if name.partition(".")[0] in ("mcp", "mcp_types")}
    with mock.patch.dict(sys.modules, {"mcp": None, "mcp_types": None, **gone}):
        for name in ("transports", "protocol", "content"):
            sys.modules.pop(f"engine.mcp_tools.{name}", None)
        assert main(["mcp", "--base-directory", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert told == "safelight mcp needs the package `mcp`: pip install 'safelight[mcp]'.\n"


def test_an_address_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(
            ["mcp", "--http", "--listen", "203.0.113.7", "--token", "secret-enough", "--base-directory", str(tmp_path)]
        )
        == 2
    )
    assert "203.0.113.7" in capsys.readouterr().err
