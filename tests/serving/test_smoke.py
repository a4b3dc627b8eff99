"""The main job over plain HTTP and a websocket, as a script does it: submit, follow, fetch the picture."""

from __future__ import annotations

import asyncio
import io
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
from PIL import Image

from tests.harness import until

WORKFLOWS = Path(__file__).resolve().parent.parent.parent / "workflows"


async def follow(
    url: str, body: dict[str, Any], flags: dict[str, Any] | None = None, query: str = ""
) -> tuple[str, list[Any]]:
    """Post a job and listen to its end: its id, and all messages (bytes, or parsed JSON)."""
    heard: list[Any] = []
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/ws?clientId=script{query}") as socket:
        if flags is not None:
            await socket.send_json({"type": "feature_flags", "data": flags})
        async with session.post(f"{url}/prompt", json={**body, "client_id": "script"}) as answer:
            posted = await answer.json()
            assert answer.status == 200, posted
        async for message in socket:
            heard.append(json.loads(message.data) if message.type is aiohttp.WSMsgType.TEXT else message.data)
            last = heard[-1]
            if isinstance(last, dict) and last["type"] == "executing" and last["data"]["node"] is None:
                return posted["prompt_id"], heard
    raise AssertionError("the server closed the websocket")


def test_a_saved_workflow_becomes_a_picture_with_live_previews(serve: Callable[..., Any]) -> None:
    server = serve()
    workflow = json.loads((WORKFLOWS / "text_to_image.json").read_text())
    flags = {"supports_preview_metadata": True}
    job, heard = asyncio.run(follow(server.url, {"prompt": workflow}, flags))

    types = [message["type"] for message in heard if isinstance(message, dict)]
    assert types[:2] == ["status", "feature_flags"]
    assert types.index("execution_start") < types.index("execution_cached") < types.index("executing")
    assert types[-2:] == ["execution_success", "executing"]
    assert "progress" in types
    assert "progress_state" in types
    previews = [message for message in heard if isinstance(message, bytes)]
    assert previews
    kind, length = struct.unpack_from(">II", previews[0])
    place = json.loads(previews[0][8 : 8 + length])
    assert kind == 4
    assert place["prompt_id"] == job
    assert Image.open(io.BytesIO(previews[0][8 + length :])).size >= (64, 64)

    shown = [
        message["data"]["output"] for message in heard if isinstance(message, dict) and message["type"] == "executed"
    ]
    picture = shown[-1]["images"][0]
    query = "&".join(f"{key}={value}" for key, value in picture.items())
    data = server.get(f"/view?{query}")
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (64, 64)
        assert json.loads(image.text["workflow"])["nodes"] == workflow["nodes"]
        prompt = json.loads(image.text["prompt"])
        assert {node["class_type"] for node in prompt.values()} >= {"KSampler", "VAEDecode"}
    entry = server.get(f"/history/{job}")[job]
    assert [images["images"] for images in entry["outputs"].values()] == [[picture]]

    status, again = server.ask("POST", "/prompt", data)
    assert status == 200, again
    entry = server.entry(again["prompt_id"])
    assert {node["status"] for node in entry["nodes"].values()} == {"reused"}, (
        "the picture, posted, is its own workflow"
    )

    def listed() -> Any:  # what is in the history is among those that run for a moment yet
        found = server.get("/api/jobs?status=completed&limit=10")["jobs"]
        return len(found) == 2 and found

    assert [item["preview_output"]["filename"] for item in until(listed, "both jobs in the list")] == (
        [picture["filename"]] * 2
    )
    programs_get_their_picture_and_previews_only_when_they_ask(server, prompt)


def programs_get_their_picture_and_previews_only_when_they_ask(server: Any, prompt: dict[str, Any]) -> None:
    """Part of the test above, for whose server and models another would have to be started."""
    (save,) = [id for id, node in prompt.items() if node["class_type"] == "SaveImage"]
    prompt[save] = {"class_type": "SaveImageWebsocket", "inputs": {"images": prompt[save]["inputs"]["images"]}}
    sampler = next(node for node in prompt.values() if node["class_type"] == "KSampler")

    def run(seed: int, query: str = "", extra_data: Any = None) -> list[Any]:
        sampler["inputs"]["seed"] = seed
        body = {"prompt": prompt, "extra_data": extra_data or {}}
        return asyncio.run(follow(server.url, body, query=query))[1]

    heard = run(1001)
    (result,) = [message for message in heard if isinstance(message, bytes)]
    assert struct.unpack_from(">II", result) == (1, 2)
    assert Image.open(io.BytesIO(result[8:])).size == (64, 64)
    place = heard.index(result)
    named = [one["data"]["node"] for one in heard[:place] if isinstance(one, dict) and one["type"] == "executing"]
    assert named[-1] == save
    again = run(1001)
    assert [one for one in again if isinstance(one, bytes)] == [result], "the node is never reused"
    for asked in (run(1002, "&previews=true"), run(1003, extra_data={"preview_method": "latent2rgb"})):
        kinds = [struct.unpack_from(">II", one) for one in asked if isinstance(one, bytes)]
        assert set(kinds[:-1]) == {(1, 1)}
        assert kinds[-1] == (1, 2)


def test_a_client_that_loses_its_connection_hears_the_rest_after_it_came_back(server: Any, tmp_path: Path) -> None:
    server.wait_for_worker()
    sign = tmp_path / "go on"
    prompt = {
        "1": {"class_type": "TestHold", "inputs": {"value": 1, "sign": str(sign)}},
        "2": {"class_type": "TestStep", "inputs": {"value": ["1", 0], "seconds": 0.5}},
        "3": {"class_type": "TestShow", "inputs": {"value": ["2", 0]}},
    }

    async def story() -> list[Any]:
        async with aiohttp.ClientSession() as session:
            socket = await session.ws_connect(f"{server.url}/ws?clientId=me")
            await session.post(f"{server.url}/prompt", json={"prompt": prompt, "client_id": "me"})
            async for message in socket:
                if json.loads(message.data)["type"] == "executing":
                    break
            await socket.close()
            heard = []
            async with session.ws_connect(f"{server.url}/ws?clientId=me") as back:
                async for message in back:
                    heard.append(json.loads(message.data))
                    sign.touch()  # it is back
                    if heard[-1]["type"] == "executing" and heard[-1]["data"]["node"] is None:
                        return heard
        raise AssertionError("the server closed the websocket")

    heard = asyncio.run(story())
    assert heard[0]["data"]["sid"] == "me"
    running = [message["data"]["node"] for message in heard if message["type"] == "executing"]
    assert running == ["1", "2", "3", None]
    assert "executed" in [message["type"] for message in heard]


def test_messages_of_a_job_go_to_the_client_that_posted_it_and_the_status_to_all(server: Any, tmp_path: Path) -> None:
    shown = {"class_type": "TestShow", "inputs": {"value": ["1", 0]}}

    sign = tmp_path / "go on"

    def remaining(message: Any) -> int:
        return int(message["data"]["status"]["exec_info"]["queue_remaining"])

    async def story() -> list[Any]:
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{server.url}/ws?clientId=other") as other:
            # It goes on once its status was told: of changes that follow each other quickly the last one is.
            hold = {"class_type": "TestHold", "inputs": {"value": 1, "sign": str(sign)}}
            job = asyncio.create_task(follow(server.url, {"prompt": {"1": hold, "2": shown}}, {}))
            heard = []
            for left in (1, 0):
                while not heard or remaining(heard[-1]) != left:
                    heard.append(await other.receive_json(timeout=60))
                sign.touch()
            await job
            return heard

    assert {message["type"] for message in asyncio.run(story())} == {"status"}
