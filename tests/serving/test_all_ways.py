"""One saved workflow with the same values, called in every way there is: one picture, and each way is served what another made.

The ways stand in a ring. Each computes a seed of its own, whose pixels are those of another cache that nobody else uses; the
next way in the ring is then asked for the same, and has it from the cache.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import os
import runpy
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import openai
import pytest
from mcp import Client as McpClient
from PIL import Image

import engine
from engine.client import AsyncClient, Client
from engine.mcp_tools.protocol import ToolServer
from engine.mcp_tools.remote import RemoteBackend
from tests.cli.conftest import Base
from tests.harness import PATIENCE, Server, new_base, until
from tests.mcp_tools.talking import picture_of
from tests.server.api_v2 import sdk
from tests.serving.calling import asked, events_of, form, run
from tests.serving.test_smoke import WORKFLOWS, follow

NAME = "text_to_image"
PROMPT = "orange cat in every way"
STEPS = 2
NODES = 7

Answer = tuple[bytes, list[str]]
"""The pixels, and what ran for them, each node by whatever the way calls it."""

Way = Callable[[Server, int], Answer]


def values(seed: int) -> dict[str, Any]:
    return {"prompt": PROMPT, "seed": seed, "steps": STEPS}


def pixels(picture: bytes | Path | Image.Image) -> bytes:
    """RGB (H, W, 3) as bytes."""
    if isinstance(picture, Image.Image):
        return picture.convert("RGB").tobytes()
    with Image.open(io.BytesIO(picture) if isinstance(picture, bytes) else picture) as opened:
        return opened.convert("RGB").tobytes()


def shown(server: Server, job: str) -> Answer:
    """The picture and the nodes of a job, by its entry of the history, for ways that tell of one of them only."""
    entry = server.entry(job)
    (picture,) = [one for output in entry["outputs"].values() for one in output.get("images", [])]
    query = "&".join(f"{name}={value}" for name, value in picture.items())
    return pixels(server.get(f"/view?{query}")), ran_by(entry)


def ran_by(entry: Any) -> list[str]:
    graph = entry["prompt"][2]
    return [graph[node]["class_type"] for node, one in entry["nodes"].items() if one["status"] != "reused"]


def told(answer: Any) -> Answer:
    """Those of a call as JSON with its files in it."""
    (file,) = answer["outputs"]["image"]["files"]
    assert len(answer["ran"]) + len(answer["reused"]) == NODES
    return pixels(base64.b64decode(file["base64"])), [one["node"] for one in answer["ran"]]


def graph_of(seed: int) -> Any:
    """The workflow as it is saved, with the values set by hand, as programs of the field do."""
    workflow = json.loads((WORKFLOWS / f"{NAME}.json").read_text())
    nodes = {node["id"]: node["widgets_values"] for node in workflow["nodes"]}
    nodes[2][0], nodes[5][0], nodes[5][2] = PROMPT, seed, STEPS
    return workflow


def is_known_on_disk(base: Path, name: str) -> bool:
    """Whether the cache of a base directory knows, for every process, which node saved the file of that name."""
    found = sqlite3.connect(base / ".safelight" / "cache" / "cache.sqlite", timeout=PATIENCE)
    with contextlib.closing(found):
        return bool(
            found.execute("SELECT count(*) FROM actions WHERE instr(record, ?)", (name.encode(),)).fetchone()[0]
        )


def exported(server: Server, seed: int, *more: str) -> str:
    """What `safelight export` prints, with the values in the graph."""
    given = [word for name, value in values(seed).items() for word in ("--set", f"{name}={value}")]
    return Base(server.base).run("export", NAME, *given, *more, apart=False).out


# -- through the server


def prompt_and_websocket(server: Server, seed: int) -> Answer:
    job, heard = asyncio.run(follow(server.url, {"prompt": graph_of(seed)}))
    messages = [one for one in heard if isinstance(one, dict)]
    (cached,) = [one["data"]["nodes"] for one in messages if one["type"] == "execution_cached"]
    executing = [one["data"]["node"] for one in messages if one["type"] == "executing" and one["data"]["node"]]
    data, ran = shown(server, job)
    assert (len(cached) == NODES, len(executing)) == (not ran, len(ran))
    return data, ran


def run_with_json(server: Server, seed: int) -> Answer:
    status, answer = run(server, NAME, values(seed), "?embed=base64")
    assert status == 200, answer
    return told(answer)


def run_with_a_form(server: Server, seed: int) -> Answer:
    body, headers = form([(name, str(value)) for name, value in values(seed).items()])
    path = f"/api/v1/workflows/{NAME}/run"
    status, answered, data = asked(server, path, {**headers, "Accept": "image/png"}, body, "POST")
    assert (status, answered["content-type"]) == (200, "image/png")
    job = server.get(f"/api/v1/jobs/{answered['safelight-job']}")
    return pixels(data), [one["node"] for one in job["ran"]]


def run_with_events(server: Server, seed: int) -> Answer:
    path = f"/api/v1/workflows/{NAME}/run?embed=base64"
    status, _, data = asked(server, path, {"Accept": "text/event-stream"}, json.dumps(values(seed)).encode(), "POST")
    assert status == 200
    events = list(events_of(io.BytesIO(data)))
    states = {one["node"]: one["state"] for name, one in events if name == "node"}
    picture, ran = told(events[-1][1])
    assert sorted(ran) == sorted(node for node, state in states.items() if state == "finished")
    assert ("progress" in [name for name, _ in events]) == bool(ran), "steps are told of a sampler that runs"
    return picture, ran


def run_and_come_back(server: Server, seed: int) -> Answer:
    status, begun = run(server, NAME, values(seed), Prefer="respond-async")
    assert status == 202, begun
    status, answer = server.ask("GET", f"{begun['url']}?embed=base64", headers={"Prefer": f"wait={int(PATIENCE)}"})
    assert status == 200, answer
    return told(answer)


def comfy_api_v2(server: Server, seed: int) -> Answer:
    """comfy-sdk sends no workflow as editors save it, so this is the graph as `safelight export` writes it."""
    graph = json.loads(exported(server, seed, "--to", "prompt"))
    with sdk(server.url) as client:
        job = client.run(client.workflows.from_json(graph))
        data = pixels(job.outputs[0].to_bytes())
        ran = shown(server, job.id)[1]
        assert server.get(f"/api/v2/jobs/{job.id}")["outputs_reused"] is True, "the model, if nothing else"
    return data, ran


def openai_images(server: Server, seed: int) -> Answer:
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="any", timeout=PATIENCE)
    extra = {"seed": seed, "steps": STEPS}
    with client, client.images.with_streaming_response.generate(model=NAME, prompt=PROMPT, extra_body=extra) as raw:
        (made,) = raw.parse().data or []
    (latest,) = server.get("/api/jobs?limit=1")["jobs"]  # this API has no word for what was reused
    return pixels(base64.b64decode(made.b64_json or "")), shown(server, latest["id"])[1]


def model_context_protocol(server: Server, seed: int) -> Answer:
    async def call() -> Any:
        backend = RemoteBackend(server.url, None)
        try:
            async with McpClient(ToolServer(backend, "1")) as client:
                return await client.call_tool(NAME, values(seed))
        finally:
            await backend.close()

    answer = asyncio.run(call())
    assert answer.structured_content["seed"] == seed
    return pixels(picture_of(answer)), [""] * answer.structured_content["nodes"]["ran"]


def client(server: Server, seed: int) -> Answer:
    with Client(server.url) as there:
        return of(there.workflow(NAME).run(values(seed)))


def asynchronous_client(server: Server, seed: int) -> Answer:
    async def call() -> Any:
        async with AsyncClient(server.url) as there:
            return await (await there.workflow(NAME)).run(values(seed))

    return of(asyncio.run(call()))


def command_to_the_server(server: Server, seed: int) -> Answer:
    return command_line(server, seed, "--server", server.url, "--out", str(server.base / "fetched"))


# -- without the server, on its base directory


def of(result: Any) -> Answer:
    assert result.ran + result.reused == NODES
    return pixels(result.images[0]), [""] * result.ran


def function_in_the_process(server: Server, seed: int) -> Answer:
    with engine.Workflow.load(NAME, base=server.base) as workflow:
        return of(workflow.run(values(seed)))


def command_line(server: Server, seed: int, *more: str) -> Answer:
    done = Base(server.base).json("run", NAME, *options(seed), *more, apart=False)
    (file,) = done["outputs"]
    return pixels(Path(file["path"])), [""] * done["counts"]["ran"]


def options(seed: int) -> list[str]:
    return [word for name, value in values(seed).items() for word in (f"--{name}", str(value))]


def exported_script(server: Server, seed: int) -> Answer:
    """It prints the files alone: when something ran, a new one is among them."""
    script = server.base / "as_python.py"
    exported(server, seed, "--to", "python", "--out", str(script))
    before = set((server.base / "output").iterdir())
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), mock.patch.dict(os.environ, {"SAFELIGHT_BASE": str(server.base)}):
        runpy.run_path(str(script), run_name="__main__")
    path = Path(printed.getvalue().strip())
    return pixels(path), [] if path in before else ["SaveImage"]


SERVER_WAYS = (
    prompt_and_websocket,
    run_with_json,
    run_with_a_form,
    run_with_events,
    run_and_come_back,
    comfy_api_v2,
    openai_images,
    model_context_protocol,
    client,
    asynchronous_client,
    command_to_the_server,
)
LOCAL_WAYS = (function_in_the_process, command_line, exported_script)
WAYS = (*SERVER_WAYS, *LOCAL_WAYS)
"""Locals are last: what the server computed is on disk a moment after its job has ended, and that is waited for once."""

SEEDS = {way: 7_000 + number for number, way in enumerate(WAYS)}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, core_catalogue: Path) -> Iterator[Callable[[int], bytes]]:
    """The pixels of a seed, from a base directory on which nothing but this works."""
    with engine.Engine(new_base(tmp_path_factory.mktemp("apart"), core_catalogue)) as apart:
        yield lambda seed: pixels(apart.workflow(NAME).run(values(seed)).images[0])


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_each_way_gives_the_same_pixels_and_the_next_one_has_them_from_the_cache(
    server: Server, expected: Callable[[int], bytes], way: Way
) -> None:
    seed = SEEDS[way]
    picture, ran = way(server, seed)
    assert ran, "nobody had asked for this seed"
    assert picture == expected(seed)
    after = WAYS[(WAYS.index(way) + 1) % len(WAYS)]
    saved = set((server.base / "output").rglob("*.png"))
    if way in SERVER_WAYS and after in LOCAL_WAYS:
        newest = max(saved, key=lambda path: path.stat().st_mtime_ns)
        until(lambda: is_known_on_disk(server.base, newest.name), "the server's results on disk", server.log)
    assert after(server, seed) == (picture, [])
    assert set((server.base / "output").rglob("*.png")) == saved
