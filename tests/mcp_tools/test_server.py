"""Where a server has the base directory, or is named, calls go to it."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from mcp import MCPError
from PIL import Image

from engine.server.token_file import FILE_NAME, create_token
from tests.harness import Server, served
from tests.mcp_tools.talking import (
    Talk,
    cancelled_call,
    listening,
    new_tools,
    over_http,
    over_stdio,
    picture_of,
    talking,
)

TOKEN = "secret-enough"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, core_catalogue: Path) -> Iterator[Server]:
    with served(new_tools(tmp_path_factory.mktemp("served"), core_catalogue), "--token", TOKEN) as found:
        yield found


@pytest.fixture(scope="module")
def talk(server: Server) -> Iterator[Talk]:
    """A client of the command on the server's base directory: nobody tells it of the server."""
    with talking(over_stdio(server.base, "--token", TOKEN)) as found:
        yield found


def test_its_workflows_are_tools_with_their_schemas(talk: Talk) -> None:
    listed = {one.name: one for one in talk.do(talk.client.list_tools()).tools}
    assert {"picture", "tools_Look_at_it", "text_to_image"} <= set(listed)
    assert listed["text_to_image"].input_schema["properties"]["steps"]["maximum"] == 10_000
    assert "data URL" in listed["tools_Look_at_it"].input_schema["properties"]["image"]["description"]


def test_a_call_runs_there_with_progress(talk: Talk, server: Server) -> None:
    told: list[str] = []

    async def tell(done: float, total: float | None, message: str | None) -> None:
        told.append(f"{done:g} of {total:g}: {message}")

    answer = talk.call("picture", {"seed": 9}, progress_callback=tell)
    facts = answer.structured_content
    (file,) = facts["outputs"][0]["files"]
    assert facts["seed"] == 9
    assert "path" not in file
    headers = {"Authorization": f"Bearer {TOKEN}"}
    status, data = server.ask("GET", file["url"].removeprefix(server.url), headers=headers)
    assert status == 200
    assert picture_of(answer).tobytes() == Image.open(io.BytesIO(data)).tobytes()
    assert told
    again = talk.call("picture", {"seed": 9}).structured_content
    assert (again["outputs"], again["nodes"]) == (facts["outputs"], {"ran": 0, "reused": 1})


def test_pictures_go_there_and_come_from_there(talk: Talk) -> None:
    file = io.BytesIO()
    Image.new("RGB", (3, 2)).save(file, "PNG")
    sent = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    assert talk.call("tools_Look_at_it", {"image": sent}).content[0].text == "3 x 2"
    made = talk.call("picture").structured_content["outputs"][0]["files"][0]["uri"]
    assert talk.call("tools_Look_at_it", {"image": made}).content[0].text == "8 x 8"


def test_its_outputs_are_resources(talk: Talk) -> None:
    made = [talk.call("picture", {"seed": seed}).structured_content["outputs"][0]["files"][0] for seed in (31, 32)]
    uris = [one.uri for one in talk.do(talk.client.list_resources()).resources]
    assert uris.index(made[1]["uri"]) < uris.index(made[0]["uri"])
    contents = talk.do(talk.client.read_resource(made[0]["uri"])).contents[0]
    assert contents.mime_type == "image/png"
    assert Image.open(io.BytesIO(base64.b64decode(contents.blob))).size == (8, 8)
    with pytest.raises(MCPError, match=r"no file|leads out"):
        talk.do(talk.client.read_resource("safelight://output/../jobs.db"))


def test_all_that_it_refuses_is_told(talk: Talk) -> None:
    text = talk.call("text_to_image", {"promt": "a", "steps": "4"}).content[0].text
    assert "Did you mean prompt?" in text
    assert "INT from 1 to 10000" in text
    assert "the lamp is broken" in talk.call("fail").content[0].text
    assert "NotThere" in talk.call("missing").content[0].text


def test_over_http_a_call_is_the_job_of_the_token_that_the_client_shows_within_its_limits(server: Server) -> None:
    alice = create_token(server.base / "user" / FILE_NAME, "alice", frozenset({"run"}), rate=1.0)
    with listening(server.base, "--token", TOKEN) as url, talking(over_http(url, token=alice)) as talk:
        assert picture_of(talk.call("picture", {"seed": 51})).size == (8, 8), (
            "though alice may not read: it is her result"
        )
        assert "The token 'alice' may make 1 jobs a minute" in talk.call("picture", {"seed": 52}).content[0].text
        with pytest.raises(MCPError, match="scope 'read'"):
            talk.do(talk.client.list_resources())


def test_a_call_that_is_cancelled_is_cancelled_there(talk: Talk, server: Server) -> None:
    cancelled_call(talk, server.base)


def test_a_server_that_is_named_is_asked_whatever_the_base_directory(server: Server, tmp_path: Path) -> None:
    with talking(over_stdio(tmp_path, "--server", server.url, "--token", TOKEN, "--workflow", "wai?")) as found:
        assert [one.name for one in found.do(found.client.list_tools()).tools] == ["wait"]
        assert found.call("wait", {"steps": 1}).content[0].text == "1 steps"


@pytest.mark.parametrize(("port", "told"), [("", "token"), ("1", "cannot be reached")])
def test_a_server_that_does_not_answer_is_told(server: Server, tmp_path: Path, port: str, told: str) -> None:
    url = f"http://127.0.0.1:{port}" if port else server.url
    with talking(over_stdio(tmp_path, "--server", url)) as found, pytest.raises(MCPError, match=told):
        found.do(found.client.list_tools())
