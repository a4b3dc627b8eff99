"""Outputs as resources, and what clients are told of changes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from mcp import MCPError
from mcp_types import ToolListChangedNotification

from tests.harness import until
from tests.mcp_tools.talking import Talk, over_http, over_stdio, talking


def test_outputs_are_listed_newest_first_and_read_with_their_type(stdio: Talk) -> None:
    first = stdio.call("picture", {"seed": 101}).structured_content["outputs"][0]["files"][0]
    second = stdio.call("sound", {"seed": 101}).structured_content["outputs"][0]["files"][0]
    listed = stdio.do(stdio.client.list_resources()).resources
    uris = [one.uri for one in listed]
    assert uris.index(second["uri"]) < uris.index(first["uri"])
    found = next(one for one in listed if one.uri == first["uri"])
    assert (found.mime_type, found.size) == ("image/png", Path(first["path"]).stat().st_size)
    contents = stdio.do(stdio.client.read_resource(second["uri"])).contents[0]
    assert contents.mime_type == "audio/wav"


def test_texts_are_read_as_texts(stdio: Talk, tools: Path) -> None:
    (tools / "output" / "told.txt").write_text("Grüße")
    contents = stdio.do(stdio.client.read_resource("safelight://output/told.txt")).contents[0]
    assert (contents.mime_type, contents.text) == ("text/plain", "Grüße")


def test_templates_name_the_folders(stdio: Talk) -> None:
    listed = stdio.do(stdio.client.list_resource_templates()).resource_templates
    assert {one.uri_template for one in listed} == {
        f"safelight://{name}/{{+name}}" for name in ("output", "temp", "input")
    }


@pytest.mark.parametrize(
    "uri",
    [
        "safelight://output/../safelight.toml",
        "safelight://output/%2e%2e/safelight.toml",
        "safelight://output//etc/passwd",
        "safelight://output/gone.png",
        "safelight://user/jobs.db",
        "safelight://output/.hidden",
        "file:///etc/passwd",
    ],
)
def test_nothing_else_is_read(stdio: Talk, tools: Path, uri: str) -> None:
    (tools / "output").mkdir(exist_ok=True)
    (tools / "output" / ".hidden").write_text("a")
    with pytest.raises(MCPError, match=r"no file|no address"):
        stdio.do(stdio.client.read_resource(uri))


def test_a_client_hears_of_a_new_workflow(url: str, tools: Path) -> None:
    async def listen(talk: Talk) -> list[str]:
        async with talk.client.listen(tools_list_changed=True) as changes:
            shutil.copy(tools / "workflows" / "picture.json", tools / "workflows" / "heard_of.json")
            async for _ in changes:
                return [one.name for one in (await talk.client.list_tools()).tools]
        return []

    with talking(over_http(url)) as talk:
        assert "heard_of" in talk.do(listen(talk))


def test_a_client_of_before_2026_hears_of_it_too(tools: Path) -> None:
    with talking(over_stdio(tools, "--workflow", "pic*", "--workflow", "wait", mode="legacy")) as talk:
        assert [one.name for one in talk.do(talk.client.list_tools()).tools] == ["picture", "wait"]
        (tools / "workflows" / "pic_new.json").write_text((tools / "workflows" / "picture.json").read_text())
        until(lambda: any(isinstance(one, ToolListChangedNotification) for one in talk.messages), "the news")
        assert [one.name for one in talk.do(talk.client.list_tools()).tools] == ["pic_new", "picture", "wait"]
