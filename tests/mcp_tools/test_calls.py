"""The official client calls saved workflows as tools, over standard streams and over HTTP."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from mcp import MCPError
from PIL import Image

from tests.harness import PATIENCE, ROOT, command, environ
from tests.mcp_tools.talking import HELLO, Talk, cancelled_call, over_http, picture_of, talking


def test_every_sound_workflow_is_a_tool_with_its_schema(stdio: Talk) -> None:
    listed = {one.name: one for one in stdio.do(stdio.client.list_tools()).tools}
    assert {"picture", "sound", "tools_Look_at_it", "wait", "fail", "text_to_image"} <= set(listed)
    picture = listed["picture"]
    assert picture.title == "Picture"
    assert "Gives file (file)" in picture.description
    assert "Gives image (image)" in listed["text_to_image"].description
    assert picture.input_schema["properties"]["seed"]["default"] == 1
    assert picture.input_schema["additionalProperties"] is False
    look = listed["tools_Look_at_it"]
    assert look.input_schema["required"] == ["image"]
    assert "data URL" in look.input_schema["properties"]["image"]["description"]
    steps = listed["text_to_image"].input_schema["properties"]["steps"]
    assert (steps["type"], steps["minimum"]) == ("integer", 1)


def test_a_picture_comes_as_content_and_as_a_file(stdio: Talk, tools: Path) -> None:
    answer = stdio.call("picture", {"seed": 5})
    assert not answer.is_error
    facts = answer.structured_content
    assert (facts["seed"], facts["values"]["seed"]) == (5, 5)
    (file,) = facts["outputs"][0]["files"]
    assert file["path"].startswith(str(tools / "output"))
    with Image.open(file["path"]) as saved:
        assert picture_of(answer).tobytes() == saved.tobytes()
    assert file["uri"].startswith("safelight://output/made%20here/noise_")
    assert [block.uri for block in answer.content if block.type == "resource_link"] == [file["uri"]]
    assert json.loads(answer.content[-1].text) == facts


def test_the_same_call_is_served_from_the_cache(stdio: Talk) -> None:
    first, second = (stdio.call("picture", {"seed": 6}).structured_content for _ in range(2))
    assert first["outputs"] == second["outputs"]
    assert second["nodes"] == {"ran": 0, "reused": 1}


def test_a_large_picture_comes_smaller_with_a_link_to_the_whole(stdio: Talk) -> None:
    (name,) = [one.name for one in stdio.do(stdio.client.list_tools()).tools if one.name == "large"]
    answer = stdio.call(name)
    small = picture_of(answer)
    assert max(small.size) <= 1024
    assert small.format == "JPEG"
    assert any(block.type == "text" and "1200 x 1200" in block.text for block in answer.content)
    assert sum(len(block.data) for block in answer.content if block.type == "image") < 1024 * 1024
    file = answer.structured_content["outputs"][0]["files"][0]
    whole = stdio.do(stdio.client.read_resource(file["uri"])).contents[0]
    assert Image.open(io.BytesIO(base64.b64decode(whole.blob))).size == (1200, 1200)


def test_sounds_and_texts_come_as_such(stdio: Talk) -> None:
    sound = next(block for block in stdio.call("sound").content if block.type == "audio")
    assert sound.mime_type == "audio/wav"
    assert base64.b64decode(sound.data).startswith(b"RIFF")
    answer = stdio.call("wait", {"steps": 1})
    assert answer.content[0].text == "1 steps"
    assert answer.structured_content["outputs"][0]["texts"] == ["1 steps"]


def test_progress_counts_steps(stdio: Talk) -> None:
    told: list[tuple[float, float | None, str | None]] = []

    async def tell(done: float, total: float | None, message: str | None) -> None:
        told.append((done, total, message))

    stdio.call("wait", {"steps": 40}, progress_callback=tell)
    assert any(
        message is not None and message.startswith("Waiting: ") and message.endswith("of 40") for *_, message in told
    )
    assert [done for done, *_ in told] == sorted(done for done, *_ in told)
    assert {total for _, total, _ in told} == {1.0}


def test_all_that_is_wrong_with_arguments_is_told_at_once(stdio: Talk) -> None:
    answer = stdio.call("text_to_image", {"promt": "a", "steps": "4", "cfg": 1000})
    assert answer.is_error
    text = answer.content[0].text
    for part in (
        "Did you mean prompt?",
        "steps: Value has the wrong type",
        "INT from 1 to 10000",
        "cfg: Value is bigger",
    ):
        assert part in text


def test_what_cannot_run_says_why(stdio: Talk) -> None:
    assert stdio.call("fail").content[0].text.startswith("TestFail (node 1) failed: the lamp is broken")
    missing = stdio.call("missing").content[0].text
    assert "NotThere" in missing
    with pytest.raises(MCPError, match=r"Did you mean picture\?"):
        stdio.call("pictur")


def test_pictures_are_given_as_data_as_names_and_as_earlier_outputs(stdio: Talk, tools: Path) -> None:
    file = io.BytesIO()
    Image.new("RGB", (3, 2)).save(file, "PNG")
    sent = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    answer = stdio.call("tools_Look_at_it", {"image": sent})
    assert answer.content[0].text == "3 x 2"
    kept = answer.structured_content["values"]["image"]
    assert (tools / "input" / kept).read_bytes() == file.getvalue()
    assert stdio.call("tools_Look_at_it", {"image": kept}).content[0].text == "3 x 2"
    made = stdio.call("picture").structured_content["outputs"][0]["files"][0]["uri"]
    assert stdio.call("tools_Look_at_it", {"image": made}).content[0].text == "8 x 8"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("data:image/png;base64,a", "no base64"),
        ("data:image/png;base64,aGVsbG8=", "cannot be read as a picture"),
        ("data:nonsense", "data:TYPE;base64"),
        ("https://example.org/a.png", "not fetched"),
        ("safelight://elsewhere/a.png", "not in list"),
        ("../secret.png", "not in list"),
        ("safelight://output/../../secret.png", "not in list"),
    ],
)
def test_files_that_are_none_are_refused(stdio: Talk, value: str, told: str) -> None:
    answer = stdio.call("tools_Look_at_it", {"image": value})
    assert answer.is_error
    assert told in answer.content[0].text


def test_a_call_that_is_cancelled_stops_the_node(stdio: Talk, tools: Path) -> None:
    cancelled_call(stdio, tools)
    assert stdio.call("wait", {"steps": 2}).content[0].text == "2 steps"


def test_calls_take_turns_and_one_that_waits_says_so(stdio: Talk) -> None:
    async def work() -> Any:
        begun, waits = asyncio.Event(), asyncio.Event()

        async def first(done: float, total: float | None, message: str | None) -> None:
            if message is not None and "of 100000" in message:
                begun.set()

        async def second(done: float, total: float | None, message: str | None) -> None:
            if message == "waits for another call":
                waits.set()

        running = asyncio.create_task(stdio.client.call_tool("wait", {"steps": 100_000}, progress_callback=first))
        await begun.wait()
        waiting = asyncio.create_task(stdio.client.call_tool("picture", {"seed": 55}, progress_callback=second))
        await waits.wait()
        running.cancel()
        return await waiting

    assert stdio.do(work()).structured_content["seed"] == 55


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_over_http_it_is_the_same(url: str, tools: Path, mode: str) -> None:
    told: list[str | None] = []

    async def tell(done: float, total: float | None, message: str | None) -> None:
        told.append(message)

    with talking(over_http(url, mode=mode)) as talk:
        assert talk.client.server_capabilities.tools.list_changed
        answer = talk.call("picture", {"seed": 5}, progress_callback=tell)
        with Image.open(answer.structured_content["outputs"][0]["files"][0]["path"]) as saved:
            assert picture_of(answer).tobytes() == saved.tobytes()
        assert told
        assert talk.call("picture", {"sead": 5}).is_error
        cancelled_call(talk, tools)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_it_is_told_to_though_its_input_stays_open(tools: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        command("mcp", "--base-directory", str(tools)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environ(),
        cwd=ROOT,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(HELLO).encode() + b"\n")
        process.stdin.flush()
        process.stdout.readline()
        process.send_signal(number)
        assert process.wait(PATIENCE) == 0


def test_nothing_but_messages_leaves_over_standard_output(stdio: Talk, tools: Path) -> None:
    """The pack prints when it is imported, in its nodes, and past Python; what Python still holds back at the end counts too."""
    assert not [message for message in stdio.messages if isinstance(message, Exception)]
    asked = [
        HELLO,
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "picture", "arguments": {"seed": 77}}},
    ]
    with subprocess.Popen(
        command("mcp", "--base-directory", str(tools)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environ(PYTHONUNBUFFERED=""),
        cwd=ROOT,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"".join(json.dumps(one).encode() + b"\n" for one in asked))
        process.stdin.flush()
        lines = [process.stdout.readline()]
        while json.loads(lines[-1]).get("id") != 2:
            lines.append(process.stdout.readline())
        process.stdin.close()
        lines += process.stdout.readlines()
        assert process.wait(PATIENCE) == 0
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in lines)
