#!/usr/bin/env bash
# mcp 2.3.0: over streamable HTTP a client takes no picture of more than about 786 kB from a tool, less than most PNGs of
# 1024 x 1024: the answer is one event of a stream, in base64, and the client refuses events over 1 MiB unless it is made with
# max_sse_event_size. The tool has run by then, and the server has told no error. Prints what comes of pictures below and above.
# Ends with 1 when that has changed.
# PYTHON: an interpreter.
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m pip install --quiet --disable-pip-version-check --target "$folder" mcp==2.3.0 httpx2==2.16.2 uvicorn==0.54.0
PYTHONPATH=$folder "$python" -W ignore - 2> /dev/null <<'PYTHON'
import importlib.metadata
import socket
import sys
import threading
import time

import anyio
import uvicorn
from mcp.client.session import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver import Image, MCPServer

print(*(f"{name} {importlib.metadata.version(name)}" for name in ("mcp", "httpx2")))
tools = MCPServer("pictures")
ran = []


@tools.tool()
def picture(size: int) -> Image:
    """Return so many bytes as a picture."""
    ran.append(size)
    return Image(data=bytes(size), format="png")


place = socket.socket()
place.bind(("127.0.0.1", 0))
server = uvicorn.Server(uvicorn.Config(tools.streamable_http_app(), log_level="critical"))
threading.Thread(target=lambda: server.run(sockets=[place]), daemon=True).start()
while not server.started:
    time.sleep(0.05)
address = f"http://127.0.0.1:{place.getsockname()[1]}/mcp"


def inner(error):
    """Return the error within groups of one."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def asked(size, **options):
    """Return how a call ends: the letters of the picture, or the error in words."""
    try:
        async with streamable_http_client(address, **options) as streams, ClientSession(*streams[:2]) as session:
            await session.initialize()
            answer = await session.call_tool("picture", {"size": size})
            return len(answer.content[0].data)
    except Exception as error:
        return f"{type(inner(error)).__name__}: {inner(error)}"


small = anyio.run(lambda: asked(700_000))
large = anyio.run(lambda: asked(800_000))
unbound = anyio.run(lambda: asked(800_000, max_sse_event_size=None))
for name, told in (("700,000 bytes", small), ("800,000 bytes", large), ("800,000, no bound", unbound)):
    print(f"{name}: {told}")
print(f"the tool ran {len(ran)} times")
server.should_exit = True
as_told = small == 933_336 and isinstance(large, str) and "event" in large.lower() and unbound == 1_066_668 and len(ran) == 3
sys.exit(0 if as_told else 1)
PYTHON
