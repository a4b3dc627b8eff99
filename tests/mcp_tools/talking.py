"""`safelight mcp` as a process of its own, and the official client of the protocol, which lives on a loop beside the test."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import re
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from PIL import Image

from tests.harness import PATIENCE, ROOT, command, environ, new_base, until

PACK = '''
"""Nodes that need no torch, print what they can, and note what becomes of them."""

import os
import time
from typing import Annotated

from engine.api import Context, Files, In, WithUi, node
from engine.media.atomic import write_numbered


def note(ctx: Context, text: str) -> None:
    with open(ctx.paths.base / "noted.txt", "a") as file:
        file.write(text + "\\n")


print("a pack that prints when it is imported")


@node("TestPicture", output=True)
def picture(ctx: Context, seed: Annotated[int, In(ge=0, le=2**64 - 1, widget="seed")] = 1, width: int = 8) -> None:
    """Save a picture of noise."""
    import io
    import random

    from PIL import Image

    print("a node that prints")
    os.write(1, b"and one that writes past Python\\n")
    image = Image.frombytes("RGB", (width, width), random.Random(seed).randbytes(width * width * 3))
    file = io.BytesIO()
    image.save(file, "PNG")
    path = write_numbered(ctx.paths.directory("output") / "made here", "noise", ".png", file.getvalue())
    return WithUi(ui={"images": [{"filename": path.name, "subfolder": "made here", "type": "output"}]})


@node("TestSound", output=True)
def sound(ctx: Context, seed: int = 1) -> None:
    """Save a sound."""
    path = write_numbered(ctx.paths.directory("output"), "sound", ".wav", b"RIFF\\x24\\0\\0\\0WAVEfmt " + bytes(28))
    return WithUi(ui={"audio": [{"filename": path.name, "subfolder": "", "type": "output"}]})


@node("TestLook", output=True)
def look(ctx: Context, image: Annotated[str, In(choices=Files("input"), options={"image_upload": True})]) -> None:
    """Tell how large a picture is."""
    from PIL import Image

    with Image.open(ctx.paths.find("input", image)) as opened:
        return WithUi(ui={"text": [f"{opened.width} x {opened.height}"]})


@node("TestWait", output=True, cache=False)
def wait(ctx: Context, steps: Annotated[int, In(ge=1, le=100_000)] = 3) -> None:
    """Take steps."""
    try:
        for step in range(steps):
            ctx.progress(step + 1, steps)
            time.sleep(0.01)
    except BaseException as error:
        note(ctx, type(error).__name__)
        raise
    return WithUi(ui={"text": [f"{steps} steps"]})


@node("TestFail", output=True)
def fail(ctx: Context, steps: int = 1) -> None:
    """Fail."""
    raise RuntimeError("the lamp is broken")
'''

WORKFLOWS: dict[str, Any] = {
    "picture": {"1": {"class_type": "TestPicture", "inputs": {"seed": 1, "width": 8}}},
    "large": {"1": {"class_type": "TestPicture", "inputs": {"seed": 1, "width": 1200}}},
    "sound": {"1": {"class_type": "TestSound", "inputs": {"seed": 1}}},
    "tools/Look at it!": {"1": {"class_type": "TestLook", "inputs": {"image": "gone.png"}}},
    "wait": {"1": {"class_type": "TestWait", "inputs": {"steps": 3}, "_meta": {"title": "Waiting"}}},
    "fail": {"1": {"class_type": "TestFail", "inputs": {"steps": 1}}},
    "missing": {
        "1": {"class_type": "TestPicture", "inputs": {}},
        "2": {"class_type": "NotThere", "inputs": {"a": ["1", 0]}},
    },
}


HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}


class Talk:
    """A client that is connected, on a loop of its own."""

    def __init__(self, connect: Callable[[Callable[..., Any]], Client]) -> None:
        self.messages: list[Any] = []
        """What the server sent without having been asked, and lines that were no message."""
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()
        self._ready: Any = None
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._live(connect),), daemon=True)
        self._begun = threading.Event()
        self._thread.start()
        assert self._begun.wait(PATIENCE)
        if isinstance(self._ready, BaseException):
            raise self._ready
        self.client: Client = self._ready

    async def _live(self, connect: Callable[[Callable[..., Any]], Client]) -> None:
        async def take(message: Any) -> None:
            self.messages.append(message)

        try:
            async with connect(take) as client:
                self._ready = client
                self._begun.set()
                await self._ended.wait()
        except BaseException as error:
            self._ready = self._ready or error
            self._begun.set()

    def do(self, work: Awaitable[Any]) -> Any:
        """The result of `work`, which uses `client`."""

        async def done() -> Any:
            return await work

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(PATIENCE)

    def call(self, name: str, arguments: dict[str, Any] | None = None, **more: Any) -> Any:
        """The answer to a call of a tool."""
        return self.do(self.client.call_tool(name, arguments or {}, **more))

    def end(self) -> None:
        """Let go of the server."""
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(PATIENCE)


def new_tools(folder: Path, catalogue: Path) -> Path:
    """A base directory with the pack and the workflows."""
    base = new_base(folder, catalogue)
    (base / "custom_nodes").mkdir()
    (base / "custom_nodes" / "mcp_pack.py").write_text(PACK)
    for name, prompt in WORKFLOWS.items():
        path = base / "workflows" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(prompt))
    return base


def over_stdio(base: Path, *options: str, mode: str = "auto") -> Callable[[Callable[..., Any]], Client]:
    """Starts the command and connects to it over its standard streams."""
    told = ["-m", "engine", "mcp", "--base-directory", str(base), *options]
    parameters = StdioServerParameters(command=sys.executable, args=told, env=environ(), cwd=ROOT)
    return lambda take: Client(parameters, mode=mode, message_handler=take, cache=None)


def over_http(url: str, *, mode: str = "auto", token: str = "") -> Callable[[Callable[..., Any]], Client]:
    """Connects over streamable HTTP."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}

    def connect(take: Callable[..., Any]) -> Client:
        http = httpx2.AsyncClient(headers=headers, timeout=PATIENCE)
        return Client(streamable_http_client(url, http_client=http), mode=mode, message_handler=take, cache=None)

    return connect


@contextlib.contextmanager
def talking(connect: Callable[[Callable[..., Any]], Client]) -> Iterator[Talk]:
    """A client, connected until the end."""
    talk = Talk(connect)
    try:
        yield talk
    finally:
        talk.end()


@contextlib.contextmanager
def listening(base: Path, *options: str) -> Iterator[str]:
    """`safelight mcp --http`; the address that it tells."""
    told = command("mcp", "--http", "--port", "0", "--base-directory", str(base), *options)
    process = subprocess.Popen(told, stderr=subprocess.PIPE, stdout=subprocess.PIPE, env=environ(), cwd=ROOT, text=True)
    try:
        assert process.stderr is not None
        url = next((found[0] for line in process.stderr if (found := re.search(r"http://\S+/mcp", line))), None)
        assert url is not None, process.wait(PATIENCE)
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield url
    finally:
        process.terminate()
        process.wait(PATIENCE)


def picture_of(answer: Any) -> Image.Image:
    """The first picture in an answer."""
    found = next(block for block in answer.content if block.type == "image")
    return Image.open(io.BytesIO(base64.b64decode(found.data)))


def cancelled_call(talk: Talk, tools: Path) -> None:
    """Cancel a call once it takes steps, and wait until the node has stopped."""
    noted = tools / "noted.txt"
    noted.unlink(missing_ok=True)

    async def work() -> None:
        begun = asyncio.Event()

        async def tell(done: float, total: float | None, message: str | None) -> None:
            if message is not None and "of 100000" in message:
                begun.set()

        call = asyncio.create_task(talk.client.call_tool("wait", {"steps": 100_000}, progress_callback=tell))
        await begun.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    talk.do(work())
    until(lambda: noted.exists() and noted.read_text().strip() == "Cancelled", "the node to stop")
