"""What the tests of the Comfy API v2 share: requests to a server, and what a problem document must be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import msgspec
import pytest

from engine.server.api_v2.problems import REQUEST_ID, TYPE
from tests.server.conftest import Answer, Whole

PROMPT = {"1": {"class_type": "PreviewAny", "inputs": {"source": "hello"}}}
"""A graph that is sound, needs no model and waits where there are no workers."""


def ask(server: Whole, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    """A request to the API; `body` as JSON unless it is bytes. Header names with `_` for `-`."""
    data = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return server.ask(method, f"/api/v2{path}", data, named)


def form(file: bytes | None, **fields: str) -> tuple[bytes, str]:
    """A multipart body with a file, and its Content-Type."""
    parts = [f'--edge\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}' for key, value in fields.items()]
    body = "".join(f"{part}\r\n" for part in parts).encode()
    if file is not None:
        body += b'--edge\r\nContent-Disposition: form-data; name="file"; filename="sent.bin"\r\n\r\n' + file + b"\r\n"
    return body + b"--edge--\r\n", "multipart/form-data; boundary=edge"


def upload(server: Whole, file: bytes | None, **fields: str) -> Answer:
    """Upload a file."""
    body, kind = form(file, **fields)
    return ask(server, "POST", "/assets", body, Content_Type=kind)


def refused(answer: Answer, status: int, code: str) -> dict[str, Any]:
    """The problem that an answer must be."""
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    problem = answer.json()
    assert problem["status"] == status
    assert problem["code"] == problem["error"]["code"] == code, problem
    assert problem["type"] == TYPE + code
    assert problem["title"]
    assert problem["detail"] == problem["error"]["message"]
    assert problem["request_id"] == answer.headers[REQUEST_ID]
    return problem


def png(size: tuple[int, int], color: tuple[int, int, int] = (200, 100, 50)) -> bytes:
    """A picture file."""
    from PIL import Image

    file = BytesIO()
    Image.new("RGB", size, color).save(file, "PNG")
    return file.getvalue()


@contextmanager
def sdk(url: str, **options: Any) -> Iterator[Any]:
    """comfy-sdk's client of a server."""
    from comfy_sdk import Comfy

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMFY_BASE_URL", url)
        patch.delenv("COMFY_API_KEY", raising=False)
        client = Comfy(**options)
    with client:
        yield client
