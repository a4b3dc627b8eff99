"""What the server runs on: versions, memory, devices, and the flags that clients ask for."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any, Final

import msgspec
from aiohttp import web

from engine.jobs.messages import Device
from engine.server.refusals import json_response
from engine.server.routing import Route

PROTOCOL_LEVEL: Final = "0.3.64"
"""The release of the field's standard whose routes and messages are spoken; clients choose what to ask for by it."""

TESTED_FRONT_END: Final = "1.27.10"


class SystemInfo(msgspec.Struct, kw_only=True):
    """What the server knows of the system. `devices` and `torch_version` tell what workers said; nothing before that."""

    devices: Callable[[], Sequence[Device]] = tuple
    torch_version: Callable[[], str] = str
    argv: Sequence[str] = ()
    features: Mapping[str, Any] = {}


def system_routes(info: SystemInfo) -> list[Route]:
    """`/system_stats` and `/features`."""

    async def system_stats(request: web.Request) -> web.StreamResponse:
        return json_response(await asyncio.to_thread(_stats, info))

    async def features(request: web.Request) -> web.StreamResponse:
        return json_response(dict(info.features))

    rows = (
        ("/system_stats", system_stats, "Versions, memory and devices."),
        ("/features", features, "What this server can do, by flag."),
    )
    return [
        Route(method="GET", path=path, handler=handler, summary=summary, tag="system", answer={"type": "object"})
        for path, handler, summary in rows
    ]


def _stats(info: SystemInfo) -> dict[str, Any]:
    import psutil

    memory = psutil.virtual_memory()
    return {
        "system": {
            "os": os.name,
            "platform": platform.platform(terse=True),
            "ram_total": memory.total,
            "ram_free": memory.available,
            "comfyui_version": PROTOCOL_LEVEL,
            "safelight_version": _version("safelight", "0.1.0"),
            "required_frontend_version": TESTED_FRONT_END,
            "installed_templates_version": None,
            "required_templates_version": None,
            "python_version": sys.version,
            "pytorch_version": info.torch_version() or _version("torch", "unknown"),
            "embedded_python": False,
            "argv": list(info.argv),
        },
        "devices": list(info.devices()) or [_processor(memory.total, memory.available)],
    }


def _version(package: str, otherwise: str) -> str:
    """The installed version, read without importing the package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return otherwise


def _processor(total: int, free: int) -> Device:
    """What stands for a device until a worker has said which there are."""
    return Device(
        name="cpu", type="cpu", vram_total=total, vram_free=free, torch_vram_total=total, torch_vram_free=free
    )
