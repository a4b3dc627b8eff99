"""Looking at what links carried, through a real server and its workers."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from PIL import Image

from engine.datatypes.sockets import types_match

PICTURE = {
    "image": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 32, "batch_size": 1, "color": 0xFF0000}},
    "latent": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 2}},
    "text": {"class_type": "PrimitiveString", "inputs": {"value": "a fox"}},
    "show": {"class_type": "PreviewImage", "inputs": {"images": ["image", 0]}},
    "any": {"class_type": "PreviewAny", "inputs": {"source": ["text", 0]}},
    "any2": {"class_type": "PreviewAny", "inputs": {"source": ["latent", 0]}},
}


def ask(server: Any, job: str, node: str, slot: int = 0, query: str = "") -> tuple[int, Any]:
    answer: tuple[int, Any] = server.ask("GET", f"/api/v1/jobs/{job}/nodes/{node}/outputs/{slot}{query}")
    return answer


def sound(server: Any, job: str, node: str) -> Any:
    status, told = ask(server, job, node)
    assert status == 200, told
    return told


def test_every_output_of_a_job_can_be_looked_at_also_after_a_restart(serve: Callable[..., Any]) -> None:
    server = serve()
    job = server.post(PICTURE)
    assert server.entry(job)["status"]["completed"]
    look(server, job)
    assert server.end() == 0
    again = serve()
    again.wait_for_worker()
    look(again, job)


def look(server: Any, job: str) -> None:
    image = sound(server, job, "image")
    assert (image["kind"], image["type"], image["shape"]) == ("image", "IMAGE", [1, 32, 64, 3])
    assert (image["min"], image["max"]) == (0.0, 1.0)
    assert sum(image["histogram"]["counts"]) == 64 * 32 * 3
    text = sound(server, job, "text")
    assert (text["kind"], text["text"]) == ("text", "a fox")
    latent = sound(server, job, "latent")
    assert (latent["kind"], latent["shape"]) == ("latent", [2, 4, 8, 8])
    assert types_match(latent["type"], "LATENT")
    for node, size in (("image", (64, 32)), ("latent", None)):
        status, data = ask(server, job, node, query="?as=thumbnail")
        assert status == 200
        picture = Image.open(io.BytesIO(data))
        assert picture.format == "WEBP"
        assert size is None or picture.size == size


def test_what_cannot_be_shown_is_a_problem_with_a_reason(server: Any) -> None:
    job = server.post(PICTURE)
    server.entry(job)
    for node, slot, query, status, type in (
        ("image", 1, "", 404, "value_no_slot"),
        ("nobody", 0, "", 404, "value_not_run"),
        ("text", 0, "?as=thumbnail", 404, "no_picture"),
        ("image", "x", "", 404, "value_no_slot"),
        ("image", 0, "?as=song", 400, "invalid_query"),
        ("image", 0, "?item=-1", 400, "invalid_query"),
    ):
        found, problem = ask(server, job, node, slot, query)
        assert (found, problem["error"]["type"]) == (status, type)
    assert ask(server, "no-job", "image")[0] == 404


def test_finished_nodes_of_a_running_job_can_be_looked_at(server: Any, wait: Callable[..., Any]) -> None:
    job = server.post(
        {
            "1": {"class_type": "TestStep", "inputs": {"value": 41, "name": "first"}},
            "2": {"class_type": "TestStep", "inputs": {"value": ["1", 0], "seconds": 30}},
            "3": {"class_type": "TestShow", "inputs": {"value": ["2", 0]}},
        }
    )
    wait(lambda: server.noted() == ["first"], "the first node")
    told = wait(lambda: (found := ask(server, job, "1"))[0] == 200 and found[1], "its value")
    assert (told["kind"], told["value"]) == ("number", 42)
    status, problem = ask(server, job, "2")
    assert (status, problem["error"]["type"]) == (404, "value_not_run")
    server.ask("POST", "/interrupt", {})
    server.entry(job)
    assert sound(server, job, "1")["value"] == 42


def test_values_that_were_freed_are_gone_or_come_from_the_disk(server: Any) -> None:
    job = server.post(PICTURE)
    server.entry(job)
    server.ask("POST", "/free", {"free_memory": True})
    assert sound(server, job, "image")["shape"] == [1, 32, 64, 3]
