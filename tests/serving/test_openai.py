"""The unmodified `openai` client against a real server with the bundled model, and our own nodes against our own routes."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import openai
import pytest
from PIL import Image

from engine.config import load_settings
from tests.harness import PATIENCE, ROOT, Server, new_base, served, until
from tests.serving.openai_models import PACK, SETTINGS, WORKFLOWS

TOKEN = "token-of-the-test"
HERE = "http://127.0.0.1:8188"
PAGE = (ROOT / "docs" / "openai.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, core_catalogue: Path) -> Iterator[Server]:
    base = new_base(tmp_path_factory.mktemp("openai"), core_catalogue, SETTINGS)
    (base / "custom_nodes").mkdir()
    (base / "custom_nodes" / "sounds.py").write_text(PACK)
    (base / "workflows").mkdir()
    for name, graph in WORKFLOWS.items():
        file = base / "workflows" / f"{name}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(graph))
    with served(base, "--token", TOKEN) as found:
        found.token = TOKEN
        yield found


@pytest.fixture(scope="module")
def client(server: Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=TOKEN, timeout=PATIENCE)


def opened(data: str | bytes) -> Any:
    """A picture as numbers (H, W, C)."""
    raw = base64.b64decode(data) if isinstance(data, str) else data
    return np.array(Image.open(io.BytesIO(raw)))


def picture(colour: tuple[int, ...] = (30, 200, 90), size: int = 64) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGBA" if len(colour) == 4 else "RGB", (size, size), colour).save(buffer, "PNG")
    return buffer.getvalue()


def test_saved_workflows_are_models(client: openai.OpenAI) -> None:
    models = {model.id: model for model in client.models.list()}
    assert {"draw", "text_to_image", "edit", "of/invert", "speak"} <= models.keys()
    assert "gone" not in models
    assert models["edit"].abilities == ["edit", "variation"]  # type: ignore[attr-defined]
    assert models["of/invert"].abilities == ["variation"]  # type: ignore[attr-defined]
    assert client.models.retrieve("of/invert").owned_by == "safelight"
    with pytest.raises(openai.NotFoundError, match="Did you mean text_to_image") as raised:
        client.models.retrieve("text_to_imag")
    assert raised.value.code == "model_not_found"


def test_a_picture_is_drawn_and_the_same_seed_draws_it_again(client: openai.OpenAI) -> None:
    first = client.images.generate(prompt="red apple", extra_body={"seed": 7})
    assert first.data is not None
    assert first.size == "64x64"
    assert first.usage is not None
    again = client.images.generate(model="draw", prompt="red apple", extra_body={"seed": 7}, output_format="webp")
    other = client.images.generate(
        model="draw", prompt="red apple", size="auto", quality="high", extra_body={"seed": 7}
    )
    assert again.data is not None
    assert other.data is not None
    drawn = opened(first.data[0].b64_json or "")
    assert drawn.shape == (64, 64, 3)
    assert np.abs(opened(again.data[0].b64_json or "").astype(int)[..., :3] - drawn).mean() < 4  # encoded anew, by WebP
    assert not np.array_equal(opened(other.data[0].b64_json or ""), drawn)


def test_several_pictures_of_a_size_come_as_addresses(client: openai.OpenAI, server: Server) -> None:
    made = client.images.generate(prompt="green tree", n=2, size="32x48", response_format="url", output_format="jpeg")
    assert made.data is not None
    assert len(made.data) == 2
    found = []
    for one in made.data:
        assert (one.url or "").startswith(server.url)
        path = (one.url or "").removeprefix(server.url)
        assert server.ask("GET", path)[0] == 401
        status, data = server.ask("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})
        assert status == 200
        found.append(opened(data))
    behind = {"X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/drawn"}
    proxied = client.images.generate(prompt="tree", response_format="url", extra_headers=behind)
    assert proxied.data is not None
    assert (proxied.data[0].url or "").startswith(f"https://127.0.0.1:{server.port}/drawn/api/view?")
    assert found[0].shape == (48, 32, 3)
    assert not np.array_equal(found[0], found[1])


def test_an_edit_changes_what_the_mask_lays_open(client: openai.OpenAI) -> None:
    mask = Image.new("RGBA", (64, 64), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (0, 0, 64, 32))
    buffer = io.BytesIO()
    mask.save(buffer, "PNG")
    made = client.images.edit(
        model="edit", image=("a.png", picture()), mask=("mask.png", buffer.getvalue()), prompt="red apple", n=2
    )
    assert made.data is not None
    first, second = (opened(one.b64_json or "") for one in made.data)
    assert np.array_equal(first[32:], opened(picture())[32:])
    assert not np.array_equal(first[:32], opened(picture())[:32])
    assert not np.array_equal(first, second)


def test_a_variation_needs_no_prompt(client: openai.OpenAI) -> None:
    made = client.images.create_variation(model="of/invert", image=picture((0, 100, 255)))
    assert made.data is not None
    assert opened(made.data[0].b64_json or "")[0, 0].tolist() == [255, 155, 0]


def test_a_stream_ends_with_the_picture_that_the_same_seed_gives(client: openai.OpenAI) -> None:
    more = {"seed": 11, "steps": 60}
    events = list(client.images.generate(prompt="blue ball", stream=True, partial_images=2, extra_body=more))
    kinds = [event.type for event in events]
    assert kinds[-1] == "image_generation.completed"
    assert kinds.count("image_generation.completed") == 1
    assert set(kinds[:-1]) <= {"image_generation.partial_image"}
    assert [event.partial_image_index for event in events[:-1]] == list(range(len(events) - 1)) in ([], [0], [0, 1])
    whole = client.images.generate(prompt="blue ball", extra_body=more)
    assert whole.data is not None
    assert events[-1].b64_json == whole.data[0].b64_json


def test_an_edit_is_streamed_too(client: openai.OpenAI) -> None:
    with client.images.edit(model="edit", image=picture((9, 9, 9, 0)), prompt="red apple", stream=True, n=2) as stream:
        first, second = list(stream)
    assert first.type == second.type == "image_edit.completed"
    assert opened(first.b64_json).shape == (64, 64, 3)
    assert first.b64_json != second.b64_json


def test_the_asynchronous_client_does_the_same(server: Server) -> None:
    async def run() -> list[Any]:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key=TOKEN, timeout=PATIENCE) as client:
            drawn = await client.images.generate(prompt="moon", extra_body={"seed": 3})
            edited, varied = await asyncio.gather(
                client.images.edit(model="edit", image=picture(), prompt="moon"),
                client.images.create_variation(model="of/invert", image=picture()),
            )
            stream = await client.images.generate(prompt="moon", stream=True, extra_body={"seed": 3})
            events = [event async for event in stream]
            return [drawn, edited, varied, events, [model.id async for model in client.models.list()]]

    drawn, edited, varied, events, models = asyncio.run(run())
    assert events[-1].b64_json == drawn.data[0].b64_json
    assert len(edited.data) == len(varied.data) == 1
    assert "draw" in models


@pytest.mark.parametrize(
    ("fields", "status", "code", "param", "words"),
    [
        ({"model": "text_to_imag"}, 404, "model_not_found", "model", "Did you mean text_to_image"),
        ({"model": "gone"}, 404, "model_not_found", "model", "no such workflow"),
        ({"model": "edit"}, 400, "model_not_fit", "model", "for edits"),
        ({"n": 11}, 400, "invalid_value", "n", "from 1 to 10"),
        ({"n": "two"}, 400, "invalid_value", "n", "whole number"),
        ({"size": "big"}, 400, "invalid_value", "size", "WIDTHxHEIGHT"),
        ({"size": "33x64"}, 400, "invalid_value", "size", "divisible by"),
        ({"size": "64000x64"}, 400, "value_bigger_than_max", "size", "16384"),
        ({"output_format": "gif"}, 400, "invalid_value", "output_format", "png, jpeg, webp"),
        ({"background": "transparent"}, 400, "invalid_value", "background", "opaque"),
        ({"stream": True, "response_format": "url"}, 400, "invalid_value", "response_format", "b64_json"),
        ({"extra_body": {"stepps": 3}}, 400, "unknown_parameter", "stepps", "Did you mean"),
        ({"extra_body": {"steps": "many"}}, 400, "invalid_input_type", "steps", "INT"),
        ({"model": "odd", "n": 2, "extra_body": {"steps": "many"}}, 400, "invalid_input_type", "seed", "INT"),
        ({"prompt": openai.NOT_GIVEN}, 400, "missing_required_parameter", "prompt", "prompt"),
        ({"prompt": "x" * 40_000}, 400, "string_above_max_length", "prompt", "32,000"),
    ],
)
def test_what_is_wrong_is_told_in_the_form_of_the_api(
    client: openai.OpenAI, fields: dict[str, Any], status: int, code: str, param: str, words: str
) -> None:
    more = dict(fields.pop("extra_body", {}))
    body = {"prompt": "a", **{name: value for name, value in fields.items() if value is not openai.NOT_GIVEN}, **more}
    if fields.get("prompt") is openai.NOT_GIVEN:
        del body["prompt"]
    with pytest.raises(openai.APIStatusError) as raised:
        client.post("/images/generations", body=body, cast_to=object)
    assert (raised.value.status_code, raised.value.code, raised.value.param) == (status, code, param)
    assert words in raised.value.message


def test_a_request_with_a_key_is_one_however_often_it_comes(client: openai.OpenAI, server: Server) -> None:
    def draw(prompt: str) -> Any:
        headers = {"Idempotency-Key": "the key"}
        return client.images.generate(prompt=prompt, extra_headers=headers, model="draw").data

    first, again = draw("star"), draw("star")
    assert first == again
    with pytest.raises(openai.UnprocessableEntityError, match="another request"):
        draw("moon")


def test_a_workflow_that_fails_is_told_and_not_run_again(client: openai.OpenAI, server: Server) -> None:
    with pytest.raises(openai.InternalServerError, match=r"failed in TestBroken: .*It is broken") as raised:
        client.images.create_variation(model="broken", image=picture())
    assert raised.value.code == "job_failed"
    assert server.noted() == ["broken"]


def test_pictures_that_are_none_are_told(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.images.edit(model="edit", image=b"no picture", prompt="a")
    assert raised.value.param == "image"
    with pytest.raises(openai.BadRequestError, match="takes 1 picture") as raised:
        client.images.edit(model="edit", image=[picture(), picture()], prompt="a")
    with pytest.raises(openai.BadRequestError, match="no transparency") as raised:
        client.images.edit(model="edit", image=picture(), mask=picture(), prompt="a")
    with pytest.raises(openai.BadRequestError, match="one size") as raised:
        client.images.edit(model="edit", image=picture(), mask=picture((0, 0, 0, 0), 8), prompt="a")
    with pytest.raises(openai.BadRequestError, match="Addresses are not fetched"):
        client.post("/images/edits", body={"model": "edit", "prompt": "a", "image": "http://a.example"}, cast_to=object)


def test_the_wrong_token_is_told_to_the_client(server: Server) -> None:
    with pytest.raises(openai.AuthenticationError, match="token") as raised:
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="wrong").models.list()
    assert (raised.value.code, raised.value.type) == ("token_wrong", "authentication_error")


def test_a_film_is_asked_for_waited_for_and_fetched(client: openai.OpenAI) -> None:
    asked = client.videos.create(model="film", prompt="the sea")
    assert asked.status in ("queued", "in_progress", "completed")
    done = until(lambda: (one := client.videos.retrieve(asked.id)).status == "completed" and one, "the film")
    assert (done.progress, done.prompt) == (100, "the sea")
    assert client.videos.download_content(asked.id).content == b"film of the sea"


def test_speech_is_the_sound_of_a_workflow_and_film_is_refused_where_there_is_none(client: openai.OpenAI) -> None:
    assert (
        client.audio.speech.create(model="speak", voice="any", input="good day", speed=2).content
        == b"fLaC good day 200"
    )
    with pytest.raises(openai.BadRequestError, match="audio/flac"):
        client.audio.speech.create(model="speak", voice="any", input="good day", response_format="mp3")
    with pytest.raises(openai.BadRequestError, match="gives no audio"):
        client.audio.speech.create(model="draw", voice="any", input="good day")
    with pytest.raises(openai.BadRequestError, match="gives no video"):
        client.videos.create(model="draw", prompt="a film")
    with pytest.raises(openai.NotFoundError, match="no video"):
        client.videos.retrieve("video_none")


def test_the_examples_of_the_page_work(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    programs = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(programs) == 3
    for program in programs:
        exec(program.replace(HERE, server.url).replace("the token", TOKEN), names)
    assert [opened((tmp_path / f"apple_{number}.png").read_bytes()).shape for number in (0, 1)] == [(64, 64, 3)] * 2
    assert opened(names["edited"].data[0].b64_json).shape == (64, 64, 3)
    assert names["event"].type == "image_generation.completed"


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_curl_command_of_the_page_works(server: Server) -> None:
    (command,) = re.findall(r"```bash\n(curl .*?)```", PAGE, re.DOTALL)
    command = command.replace(HERE, server.url).replace("curl", "curl -sS --fail", 1)
    environment = {**os.environ, "no_proxy": "127.0.0.1", "TOKEN": TOKEN}
    done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["data"][0]["seed"] == 1


def test_the_settings_of_the_page_are_sound(tmp_path: Path) -> None:
    for number, example in enumerate(re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)):
        (tmp_path / "safelight.toml").write_text(example, encoding="utf-8")
        settings = load_settings(tmp_path)
        assert [settings.openai.models, settings.services][number]


def test_a_client_that_goes_away_takes_its_run_along(server: Server, client: openai.OpenAI) -> None:
    stream = client.images.generate(
        prompt="sun", stream=True, partial_images=3, extra_body={"seed": 5, "steps": 10_000}
    )
    event = next(iter(stream))
    assert (event.type, event.partial_image_index) == ("image_generation.partial_image", 0)  # type: ignore[union-attr]
    assert opened(event.b64_json).ndim == 3
    stream.close()
    headers = {"Authorization": f"Bearer {TOKEN}"}
    until(
        lambda: not server.ask("GET", "/prompt", headers=headers)[1]["exec_info"]["queue_remaining"], "the job to end"
    )
    entries = server.ask("GET", "/history", headers=headers)[1].values()
    assert [entry["status"]["status_str"] for entry in entries][-1] == "error"


def test_our_nodes_draw_through_our_routes_and_the_token_stays_out_of_sight(
    server: Server, tmp_path: Path, core_catalogue: Path
) -> None:
    settings = f"""
[services.there]
url = "{server.url}/v1"
key_variable = "THERE_TOKEN"
model = "draw"
sends_seed = true
response_format = "url"

[services.there.prices.draw]
picture = 0.5
"""
    base = new_base(tmp_path / "here", core_catalogue, settings)
    with served(base, environment={"THERE_TOKEN": TOKEN}) as here:
        choices = here.get("/object_info/RemoteImageGenerate")["RemoteImageGenerate"]["input"]["required"]["service"][0]
        assert choices == ["there"]
        first = here.run(remote_prompt(seed=5))
        again = here.run(remote_prompt(seed=5))
        assert first["status"]["status_str"] == again["status"]["status_str"] == "success", first["status"]
        assert first["outputs"]["1"]["text"] == ["there (draw): 2 pictures, 1.0000 USD"]
        drawn = [opened(here.ask("GET", "/view?" + urlencode(one))[1]) for one in first["outputs"]["3"]["images"]]
        edited, varied = (first["outputs"][node]["images"][0] for node in ("5", "7"))
        assert "1" in cached(again)
        log = "".join(here.log)
    there = openai.OpenAI(base_url=f"{server.url}/v1", api_key=TOKEN).images.generate(
        prompt="red apple", n=2, extra_body={"seed": 5}
    )
    assert there.data is not None
    assert [picture.tolist() for picture in drawn] == [opened(one.b64_json or "").tolist() for one in there.data]
    inverted = opened((base / "output" / varied["filename"]).read_bytes())[0, 0]
    assert np.abs(inverted - np.array([255 - 30, 255 - 200, 255 - 90])).max() <= 1  # files are truncated to 8 bits
    assert opened((base / "output" / edited["filename"]).read_bytes()).shape == (64, 64, 3)
    assert TOKEN not in log + repr(first)
    assert all(TOKEN.encode() not in file.read_bytes() for file in base.rglob("*") if file.is_file())


def cached(entry: Any) -> list[str]:
    """The nodes that a job took from the cache."""
    return [node for kind, told in entry["status"]["messages"] if kind == "execution_cached" for node in told["nodes"]]


def remote_prompt(seed: int) -> dict[str, Any]:
    """Two pictures drawn elsewhere, an edit and a variation of a plain one, all saved here."""
    common = {"service": "there", "size": "auto", "n": 1, "seed": seed, "options": ""}
    drawing = {**common, "quality": "auto", "background": "auto", "partial_images": 0}
    saved = {f"{node}": ["images", f"{node - 1 if node > 3 else 1}"] for node in (3, 5, 7)}
    return {
        "1": {"class_type": "RemoteImageGenerate", "inputs": {**drawing, "prompt": "red apple", "model": "", "n": 2}},
        "2": {
            "class_type": "EmptyImage",
            "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 30 << 16 | 200 << 8 | 90},
        },
        "4": {
            "class_type": "RemoteImageEdit",
            "inputs": {**drawing, "image": ["2", 0], "prompt": "red apple", "model": "edit", "partial_images": 1},
        },
        "6": {
            "class_type": "RemoteImageVariation",
            "inputs": {**common, "image": ["2", 0], "model": "of/invert", "seed": 0},
        },
        **{
            node: {"class_type": "SaveImage", "inputs": {"images": [source, 0], "filename_prefix": f"there_{node}"}}
            for node, (_, source) in saved.items()
        },
    }
