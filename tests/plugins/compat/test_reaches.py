# ruff: noqa: PT018 - facts that belong together
"""What packs reach for around nodes: routes of every kind, sockets, messages, model folders, the editor's files."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest


@pytest.fixture(scope="module")
def opened(server: Any) -> Any:
    """The server, whose worker has told what the packs bring."""
    server.run({"1": {"class_type": "ReachesSends", "inputs": {}}})
    return server


def test_static_routes_and_handlers_of_every_kind_answer(opened: Any) -> None:
    assert opened.ask("GET", "/reaches/static/file.txt") == (200, b"a file\n")
    assert opened.ask("GET", "/reaches/static/../__init__.py")[0] == 404
    for prefix in ("", "/api"):
        own = {"own": {"attribute": 1}, "ran": ["a task from import on"]}
        assert opened.get(f"{prefix}/reaches/plain") == {"plain": True, **own}
        assert opened.ask("PATCH", f"{prefix}/reaches/patched", {"a": [1]}) == (200, {"a": [1]})
        assert opened.ask("GET", f"{prefix}/reaches/view") == (200, b"got")
        assert opened.ask("DELETE", f"{prefix}/reaches/view")[0] == 204
    assert opened.ask("POST", "/reaches/plain", b"")[0] in (404, 405)


def test_a_form_with_a_file_reaches_a_route_with_parts_in_its_path(opened: Any) -> None:
    async def post() -> Any:
        form = aiohttp.FormData()
        form.add_field("field", "a value")
        form.add_field("file", b"content", filename="x.txt")
        url = f"{opened.url}/api/reaches/deep/a b/42"
        async with aiohttp.ClientSession() as session, session.post(url, data=form) as answer:
            return await answer.json()

    assert asyncio.run(post()) == {"one": "a b", "two": "42", "field": "a value", "file": "content"}
    assert opened.ask("POST", "/reaches/deep/a/b", b"")[0] in (404, 405)


def test_an_answer_in_parts_arrives_as_it_is_made(opened: Any) -> None:
    async def parts() -> list[bytes]:
        async with aiohttp.ClientSession() as session, session.get(f"{opened.url}/reaches/stream") as answer:
            first = await answer.content.readany()
            async with session.get(f"{opened.url}/reaches/go_on") as go_on:
                assert go_on.status == 200
            return [first, await answer.content.read()]

    assert asyncio.run(parts()) == [b"first", b"second"]


def test_redirects_are_passed_on_and_answers_that_are_none_are_errors(opened: Any) -> None:
    assert opened.get("/reaches/redirect")["plain"] is True
    status, found = opened.ask("GET", "/reaches/nothing")
    assert status == 500 and "NoneType" in found["error"]["message"]


def test_a_websocket_of_a_pack_passes_messages_both_ways(opened: Any) -> None:
    async def talk(path: str) -> list[Any]:
        url, protocols = f"{opened.url}{path}?a=b", ["other", "reaches"]
        async with aiohttp.ClientSession() as session, session.ws_connect(url, protocols=protocols) as socket:
            heard = [await socket.receive_json()]
            await socket.send_str("this")
            heard.append(await socket.receive_str())
            await socket.send_bytes(b"\x00" + b"x" * 300_000)
            heard.append((await socket.receive_bytes())[-2:])
            await socket.send_str("close")
            heard.append((await socket.receive()).type)
            return [*heard, socket.close_code]

    for path in ("/reaches/socket", "/api/reaches/socket"):
        greeting = {"protocol": "reaches", "query": {"a": "b"}}
        assert asyncio.run(talk(path)) == [greeting, "heard this", b"x\x00", aiohttp.WSMsgType.CLOSE, 4004]


def test_a_websocket_of_a_pack_is_guarded_and_other_routes_open_none(opened: Any) -> None:
    async def refused(path: str, **options: Any) -> int:
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError) as error:
                await session.ws_connect(f"{opened.url}{path}", **options)
            return error.value.status

    assert asyncio.run(refused("/reaches/socket", origin="http://elsewhere.example")) == 403
    assert asyncio.run(refused("/reaches/plain")) >= 400


async def _heard(url: str) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/ws?clientId=reaching") as socket:
        prompt = {"5": {"class_type": "ReachesSends", "inputs": {}}}
        async with session.post(f"{url}/prompt", json={"prompt": prompt, "client_id": "reaching"}) as answer:
            assert answer.status == 200, await answer.text()
        async for message in socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                found.append((int.from_bytes(message.data[:4], "big"), message.data[4:]))
            else:
                data = json.loads(message.data)
                found.append((data["type"], data["data"]))
                if {"execution_success", "reaches-tick"} <= {kind for kind, _ in found}:
                    return found
    return found


def test_messages_of_every_form_reach_clients_and_odd_ones_stop_nothing(opened: Any) -> None:
    found = dict(asyncio.run(_heard(opened.url)))
    assert found[1][:4] == b"\x00\x00\x00\x02" and found[1][4:8] == b"\x89PNG"
    assert found[901] == b"viewed" and found["reaches async"] == 1
    assert found["reaches odd"]["nan"] is None and found["reaches odd"]["path"] == ""
    assert "reaches circle" in found and "nobody hears" not in found
    assert found["reaches-tick"] == {"from": "import"}
    assert found["executed"]["output"]["last"] == ["5"]


def test_model_folders_of_packs_are_known_everywhere(opened: Any) -> None:
    models = opened.base / "models"
    for folder, name in (("reaches", "a.weights"), ("reaches", "b.txt"), ("early", "c.any")):
        (models / folder).mkdir(parents=True, exist_ok=True)
        (models / folder / name).touch()
    assert {"reaches_models", "early_models"} <= set(opened.get("/models"))
    assert opened.get("/models/reaches_models") == ["a.weights"] and opened.get("/models/early_models") == ["c.any"]
    more = opened.base / "custom_nodes" / "reaches" / "more_loras"
    more.mkdir()
    (more / "own.safetensors").touch()
    assert "own.safetensors" in opened.get("/models/loras")
    choices = opened.get("/object_info/LoraLoader")["LoraLoader"]["input"]["required"]["lora_name"][0]
    assert "own.safetensors" in choices
    shown = opened.run({"1": {"class_type": "ReachesPicks", "inputs": {"file": "a.weights"}}})["outputs"]["1"]
    assert shown["path"] == [str(models / "reaches" / "a.weights")]


def test_files_that_packs_put_where_the_core_has_its_own_are_served(opened: Any) -> None:
    assert "/extensions/reaches_copied/copied.js" in opened.get("/extensions")
    assert opened.ask("GET", "/extensions/reaches_copied/copied.js") == (200, b"// copied")
    assert opened.ask("GET", "/extensions/reaches_named/file.txt")[0] == 200


def test_a_handler_of_prompts_that_fails_is_passed_over(opened: Any) -> None:
    entry = opened.run({"1": {"class_type": "OneFile", "inputs": {"n": 3}}})
    assert entry["prompt"][3]["seen by"] == "reaches"
    assert any("a prompt handler that fails" in line for line in opened.log)


def test_all_that_a_client_wants_embedded_arrives_and_stands_in_saved_pictures(opened: Any) -> None:
    from PIL import Image

    extra = {
        "extra_pnginfo": {"workflow": {"nodes": []}, "mine": {"a": 1}, "": 1, "long" * 30: 2, "prompt": "not this"}
    }
    prompt = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "extra"}},
        "3": {"class_type": "RuleHidden", "inputs": {}, "_meta": {"title": "Hidden"}},
    }
    entry = opened.run(prompt, extra_data=extra)
    assert entry["status"]["status_str"] == "success", str(entry["status"]["messages"][-1])
    outputs = entry["outputs"]
    assert outputs["3"]["info"] == [extra["extra_pnginfo"]]
    with Image.open(opened.base / "output" / outputs["2"]["images"][0]["filename"]) as saved:
        assert {name: json.loads(text) for name, text in saved.text.items() if name != "prompt"} == {
            "workflow": {"nodes": []},
            "mine": {"a": 1},
        }
        assert set(json.loads(saved.text["prompt"])) == {"1", "2", "3"}
