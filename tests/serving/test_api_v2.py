"""The Comfy API v2 over a real server and its worker, by the unmodified comfy-sdk, sync and async."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.harness import PATIENCE, ROOT, Server, environ
from tests.server.api_v2 import png, sdk

SAMPLED = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "emoji-64.safetensors"}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": "red apple"}},
    "3": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
    "4": {
        "class_type": "KSampler",
        "inputs": {
            "model": ["1", 0],
            "positive": ["2", 0],
            "negative": ["2", 0],
            "latent_image": ["3", 0],
            "seed": 5,
            "steps": 6,
            "cfg": 1.0,
            "sampler_name": "euler",
            "scheduler": "normal",
            "denoise": 1.0,
        },
    },
    "5": {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["1", 2]}},
    "6": {"class_type": "PreviewImage", "inputs": {"images": ["5", 0]}},
    "7": {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "v2/apple"}},
}


def pixels(data: bytes) -> bytes:
    return Image.open(BytesIO(data)).convert("RGB").tobytes()


def hold(sign: Path) -> dict[str, Any]:
    """A graph that runs until there is a file."""
    return {
        "1": {"class_type": "TestHold", "inputs": {"value": 1, "sign": str(sign), "name": "held"}},
        "2": {"class_type": "TestShow", "inputs": {"value": ["1", 0]}},
    }


def test_a_picture_is_uploaded_run_through_a_graph_and_downloaded_with_its_pixels(server: Server) -> None:
    picture = png((6, 4), (10, 200, 30))
    with sdk(server.url) as client:
        graph = client.workflows.from_json(
            {
                "1": {"class_type": "LoadImage", "inputs": {"image": "…"}},
                "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "green"}},
            }
        )
        graph.set_input("1", "image", client.assets.from_bytes(picture, filename="green field.png"))
        job = client.run(graph)
        assert job.status == "succeeded"
        (output,) = job.get_outputs("2")
        assert (output.type, output.content_type, output.job_id) == ("image", "image/png", job.id)
        data = output.to_bytes()
        assert len(data) == output.size_bytes
        assert pixels(data) == pixels(picture)
        assert output.to_bytes(range=(1, 3)) == b"PNG"
        told = job.get_workflow()
        assert (told.format, told.graph["1"]["inputs"]["image"]) == ("api", "green field.png")

        again = client.jobs.get(client.run(graph).id)
        assert again.id != job.id
        assert pixels(again.outputs[0].to_bytes()) == pixels(picture)
        assert server.get(f"/api/v2/jobs/{again.id}")["outputs_reused"] is True

        # what a job put out is an asset, also for a graph
        asset = client.assets.get(output.id)
        assert asset.hash == client.assets.from_bytes(data, filename="x.png").hash
        graph.set_input("1", "image", asset)
        third = client.run(graph)
        assert third.get_workflow().graph["1"]["inputs"]["image"].endswith(" [output]")
        assert pixels(third.outputs[0].to_bytes()) == pixels(picture)
        client.assets.delete(output.id)
        assert output.id not in [one.id for one in client.jobs.get(job.id).outputs]


def test_events_tell_progress_previews_and_outputs_before_the_last_status(server: Server) -> None:
    from comfy_sdk.events import OutputReady, Preview, Progress, StatusChange

    with sdk(server.url) as client:
        server.ask("POST", "/api/v1/queue/pause")
        job = client.submit(client.workflows.from_json(SAMPLED))
        heard = []
        for event in job.events():
            if not heard:
                server.ask("POST", "/api/v1/queue/resume")
            heard.append(event)
        assert [one.status for one in heard if isinstance(one, StatusChange)][-1] == "succeeded"
        assert heard[0] == StatusChange("queued", 1)
        assert isinstance(heard[-1], StatusChange)
        outputs = [one.output for one in heard if isinstance(one, OutputReady)]
        assert {one.node_id for one in outputs} == {"6", "7"}
        progress = [one for one in heard if isinstance(one, Progress)]
        assert progress
        assert [one.value for one in progress] == sorted(one.value for one in progress)
        assert {one.nodes_total for one in progress} == {7}
        assert progress[-1].value == 1.0
        for one in heard:
            if isinstance(one, Preview):
                assert one.node_id == "4"
                assert one.to_pil().size[0] >= 8
        job.refresh()
        assert [one.node_id for one in job.outputs] == ["7", "6"], "what was saved comes first"
        assert pixels(job.outputs[0].to_bytes()) == pixels(job.outputs[1].to_bytes())
        assert {one.id for one in job.outputs} == {one.id for one in outputs}

        late = list(client.jobs.get(job.id).events())
        assert [type(one) for one in late] == [Progress, OutputReady, OutputReady, StatusChange]


def test_the_async_client_runs_hears_cancels_and_is_told_why_a_job_failed(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from comfy_sdk import AsyncComfy
    from comfy_sdk.events import StatusChange
    from comfy_sdk.exceptions import JobFailed

    monkeypatch.setenv("COMFY_BASE_URL", server.url)

    async def story() -> None:
        async with asyncio.timeout(PATIENCE), AsyncComfy() as client:
            make = client.workflows.from_json
            job = await client.submit(make(hold(tmp_path / "never")), metadata={"kind": "held"})
            async for event in job.events():
                if event == StatusChange("running"):
                    break
            while not server.noted():
                await asyncio.sleep(0.01)
            assert (await client.jobs.get(job.id)).status == "running"
            assert (await job.cancel()).status in ("canceling", "canceled")
            await job.wait()
            assert job.status == "canceled"
            assert job.metadata == {"kind": "held"}
            assert [one.id async for one in client.list_jobs(metadata={"kind": "held"})] == [job.id]

            sign = tmp_path / "go"
            job = await client.submit(make(hold(sign)))
            statuses: list[str] = []
            async for event in job.events():
                if isinstance(event, StatusChange):
                    statuses.append(event.status)
                    sign.touch()
            assert statuses[-1] == "succeeded"
            (text,) = (await job.refresh()).outputs
            assert (text.type, text.node_id, await text.to_bytes()) == ("text", "2", b"1")

            failing = {
                "1": {"class_type": "TestFail", "inputs": {"value": 1, "message": "No such colour."}},
                "2": {"class_type": "TestShow", "inputs": {"value": ["1", 0]}},
            }
            with pytest.raises(JobFailed) as failed:
                await client.run(make(failing))
            error = failed.value.error
            assert (error.code, error.node_id, error.class_type) == ("node_execution_error", "1", "TestFail")
            assert "No such colour." in error.message
            assert "ValueError" in error.traceback

            asset = client.assets.from_bytes(png((3, 3)), filename="three.png")
            graph = make(
                {
                    "1": {"class_type": "LoadImage", "inputs": {"image": asset}},
                    "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
                }
            )
            job = await client.run(graph)
            assert pixels(await job.outputs[0].to_bytes()) == pixels(png((3, 3)))

    asyncio.run(story())


def test_jobs_assets_and_keys_survive_the_end_of_the_server(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve()
    server.ask("POST", "/api/v1/queue/pause")
    sign = tmp_path / "go"
    sign.touch()
    key = {"Idempotency-Key": "over a restart", "Content-Type": "application/json"}
    with sdk(server.url) as client:
        asset = client.assets.from_bytes(png((2, 2)), filename="two.png")
        asset.commit()
    status, job = server.ask("POST", "/api/v2/jobs", {"workflow": hold(sign), "metadata": {"a": "b"}}, key)
    assert status == 201
    server.kill()
    again = serve()
    status, problem = again.ask("POST", "/api/v2/jobs", {"workflow": hold(sign), "metadata": {"a": "b"}}, key)
    assert (status, problem["code"]) == (422, "idempotency_key_reuse")
    assert problem["error"]["details"]["job_id"] == job["id"]
    with sdk(again.url) as client:
        found = client.jobs.get(job["id"])
        assert (found.status, found.metadata) == ("queued", {"a": "b"})
        same = client.assets.from_bytes(png((2, 2)), filename="two.png")
        assert same.commit() == asset.id
        assert same.created_new is False
        again.ask("POST", "/api/v1/queue/resume")
        assert found.result().status == "succeeded"


def test_the_program_of_the_page_runs(server: Server, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "api_v2.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "photo.png").write_bytes(png((64, 64)))
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environ(COMFY_BASE_URL=server.url),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "succeeded" in done.stdout
    assert Image.open(tmp_path / "painted.png").size == (64, 64)
