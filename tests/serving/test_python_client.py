"""One workflow called in this process and through a real server: the same pixels, computed once; and a server that dies."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from PIL import Image

import engine
from engine.client import (
    AsyncClient,
    Client,
    InvalidWorkflowError,
    OutOfRangeError,
    RunCancelledError,
    UnknownParameterError,
)
from tests.harness import Server, free_port, until

HELD = {
    "1": {"class_type": "TestStep", "inputs": {"value": 1, "name": "first"}},
    "2": {"class_type": "TestHold", "inputs": {"value": ["1", 0], "sign": "", "name": "held"}},
    "3": {"class_type": "TestShow", "inputs": {"value": ["2", 0]}},
}
INVERTED = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "none.png"}},
    "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "inverted"}},
}


def save(base: Path, name: str, graph: dict) -> None:
    folder = base / "workflows"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(graph))


def holding(sign: Path) -> dict:
    graph = json.loads(json.dumps(HELD))
    graph["2"]["inputs"]["sign"] = str(sign)
    return graph


@pytest.fixture
def client(server: Server):
    with Client(server.url) as found:
        yield found


def test_here_and_there_give_the_same_pixels_and_the_second_is_served_from_the_cache(server, client):
    given = {"prompt": "sunflower", "seed": 5, "steps": 2}
    with engine.Engine(server.base) as here:
        first = here.workflow("text_to_image").run(given)
        assert first.ran >= 3  # what loads the model may be there from other tests
        assert first.ran + first.reused == 7
        picture = first.images[0]
        save(server.base, "inverted", INVERTED)
        inverted = here.workflow("inverted").run(image=picture)
        assert inverted.ran == 3
    there = client.workflow("text_to_image").run(given)  # the results of a run here are on disk when it ends
    assert (there.ran, there.reused) == (0, 7)
    assert there.images[0].tobytes() == picture.tobytes()
    assert there.values == first.values

    async def on_a_loop():
        async with AsyncClient(server.url) as found:
            return await (await found.workflow("inverted")).run(image=picture)

    again = asyncio.run(on_a_loop())
    assert (again.ran, again.reused) == (0, 3)
    assert again.images[0].tobytes() == inverted.images[0].tobytes()


def test_a_run_there_tells_how_far_it_is_with_pictures(client):
    told = []
    result = client.workflow("text_to_image").run(
        prompt="sunflower", seed="random", steps=3, progress=told.append, previews=True
    )
    assert {one.title for one in told} >= {"KSampler", "VAEDecode"}
    assert told[-1].fraction == 1.0
    assert any(one.preview is not None for one in told)
    assert isinstance(result.values["seed"], int)


def test_what_is_wrong_is_the_same_error_as_here(server, client):
    workflow = client.workflow("text_to_image")
    for given, kind, words in (
        ({"promt": "a"}, UnknownParameterError, "Did you mean prompt"),
        ({"steps": 0}, OutOfRangeError, "from 1 to"),
    ):
        with pytest.raises(kind, match=words):
            workflow.run(given)
    assert workflow.schema["properties"]["steps"]["minimum"] == 1
    assert "text_to_image" in client.workflows()


def test_a_picture_goes_to_the_server_as_json_and_as_a_form(server, client):
    save(server.base, "inverted", INVERTED)
    workflow = client.workflow("inverted")
    small = workflow.run(image=Image.new("RGB", (8, 8), (255, 0, 0)))
    assert small.images[0].getpixel((0, 0)) == (0, 255, 255)
    noise = Image.effect_noise((2400, 2000), 200)  # of over four MiB, as noise cannot be packed
    large = workflow.run(image=noise)
    assert large.images[0].getpixel((7, 7))[0] == 255 - noise.getpixel((7, 7))


def test_a_graph_that_is_built_here_runs_there(server, client, builtin_catalogue):
    from engine.build import Graph

    with Graph(builtin_catalogue) as g:
        g.SaveImage(images=g.EmptyImage(width=8, height=4, color=255), filename_prefix="blue", _id="save")
    result = client.run_graph(g)
    assert [image.size for image in result.outputs["node_save"].images] == [(8, 4)]
    assert "workflow" in result.images[0].info
    with pytest.raises(InvalidWorkflowError, match="SaveImgae"):
        client.run_graph({"1": {"class_type": "SaveImgae", "inputs": {}}})


def test_a_job_that_is_cancelled_here_ends_there(server, client, tmp_path):
    save(server.base, "held", holding(tmp_path / "never"))
    run = client.workflow("held").start()
    until(lambda: "held" in server.noted(), "the node to begin", server.log)
    run.cancel()
    with pytest.raises(RunCancelledError):
        run.wait()
    until(lambda: not server.get("/prompt")["exec_info"]["queue_remaining"], "the job to end", server.log)
    with pytest.raises(RunCancelledError):
        client.result(run.job)


def test_a_server_that_is_killed_and_comes_back_goes_on_and_is_found(base, serve, tmp_path):
    sign = tmp_path / "go"
    save(base, "held", holding(sign))
    port = free_port()
    first = serve("--port", str(port))
    with Client(first.url, patience=300) as client:
        run = client.workflow("held").start()
        until(lambda: "held" in first.noted(), "the node to begin", first.log)
        first.wipe_out()
        serve("--port", str(port))
        sign.touch()
        result = run.wait()
    assert result.texts == ["2"]
    assert result.job == run.job
