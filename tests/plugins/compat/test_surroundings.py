# ruff: noqa: PT018 - facts that belong together
"""What packs do beside nodes: routes, messages to clients, a word in what is posted, threads."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp


def test_a_packs_routes_answer_with_and_without_api_before_them(server: Any) -> None:
    server.get("/api/v1/packs")
    for prefix in ("", "/api"):
        assert server.get(f"{prefix}/server_pack/hello/a%20b?c=d") == {"hello": "a b", "query": {"c": "d"}}
        status, body = server.ask("POST", f"{prefix}/server_pack/echo", b"\x00bytes" * 50_000)
        assert status == 201 and body == b"\x00bytes" * 50_000


def test_a_name_in_a_route_may_hold_a_slash_that_is_quoted(server: Any) -> None:
    assert server.get("/server_pack/hello/loras%2Fsub%2Fa.png")["hello"] == "loras/sub/a.png"
    assert server.ask("GET", "/server_pack/hello/loras/a.png")[0] == 404


def test_a_route_that_fails_is_an_answer_and_the_server_goes_on(server: Any) -> None:
    for name in ("fails", "leaves"):
        status, body = server.ask("GET", f"/server_pack/{name}")
        assert status == 500 and body["error"]["type"] == "pack_failed", body
    assert server.get("/server_pack/hello/you")["hello"] == "you"


def test_a_pack_cannot_take_a_route_of_the_servers_own(server: Any) -> None:
    assert "KSampler" in server.get("/object_info")
    assert server.ask("GET", "/server_pack/nothing")[0] == 404


def test_a_route_of_a_pack_is_guarded_like_any_other(server: Any) -> None:
    assert server.ask("POST", "/server_pack/echo", b"x", {"Origin": "http://elsewhere.example"})[0] == 403


async def heard(url: str, prompt: dict[str, Any], flags: dict[str, Any] | None = None) -> list[Any]:
    """The messages of a job: JSON as it is, binary ones as {"type": number, "data": body}."""
    found: list[Any] = []
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/ws?clientId=teller") as socket:
        await socket.send_json({"type": "feature_flags", "data": flags or {}})
        async with session.post(f"{url}/prompt", json={"prompt": prompt, "client_id": "teller"}) as answer:
            assert answer.status == 200, await answer.text()
        async for message in socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                found.append({"type": int.from_bytes(message.data[:4], "big"), "data": message.data[4:]})
            elif message.type is aiohttp.WSMsgType.TEXT:
                found.append(json.loads(message.data))
                if found[-1]["type"] == "execution_success":
                    return found
    return found


def test_messages_of_any_name_reach_clients(server: Any) -> None:
    prompt = {"4": {"class_type": "Tell", "inputs": {"text": "hi"}}}
    found = {one["type"]: one["data"] for one in asyncio.run(heard(server.url, prompt))}
    assert found["server-pack/own event"] == {"text": "hi", "node": "4", "odd": [None, 1.5]}
    assert found["server-pack-thread"] == {"text": "hi"}
    assert found["executed"]["output"] == {"client": ["teller"], "node": ["4"]}
    assert found[77] == b"\x00own"


def test_a_text_on_a_node_names_its_job_to_clients_that_understand_that(server: Any) -> None:
    prompt = {"4": {"class_type": "Tell", "inputs": {"text": "some"}}}
    found = {one["type"]: one["data"] for one in asyncio.run(heard(server.url, prompt))}
    assert found[3] == b"\x00\x00\x00\x014some so far"
    found = {
        one["type"]: one["data"]
        for one in asyncio.run(heard(server.url, prompt, {"supports_progress_text_metadata": True}))
    }
    job = found["execution_success"]["prompt_id"].encode()
    assert found[3] == len(job).to_bytes(4, "big") + job + b"\x00\x00\x00\x014some so far"


def test_a_pack_may_change_what_is_posted_before_it_is_checked(server: Any) -> None:
    shown = server.run({"1": {"class_type": "OneFile", "inputs": {"n": 1000}}})["outputs"]["1"]["n"]
    assert shown in ([14], [21])


def test_an_error_in_a_thread_of_a_pack_stops_nothing(server: Any) -> None:
    assert server.run({"1": {"class_type": "FailingThread", "inputs": {}}})["outputs"]["1"] == {"went": ["on"]}
