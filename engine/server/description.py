"""`python -m engine.server.description > web/openapi.json`: the routes as a file, from which the editor's types are made."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from engine.config import Settings
from engine.paths import Paths
from engine.plugins.library import Library
from engine.server.app import all_routes
from engine.server.limits import Limits
from engine.server.log_ring import LogRing
from engine.server.openapi import describe, openapi_routes
from engine.server.options import ServeOptions
from engine.server.run import Server


@dataclass(frozen=True)
class _Engine:
    """As much of an engine as a server has that never starts."""

    paths: Paths
    settings: Settings = Settings()  # noqa: RUF009 - it never changes
    stored_library: Callable[[bool], Library | None] = lambda as_it_is: None


def description() -> dict[str, Any]:
    """The OpenAPI description of a server, without its version."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(_Engine(Paths(Path(folder))), ServeOptions(), LogRing(), [])
        routes = all_routes(server.parts(), Limits())
    told = describe([*routes, *openapi_routes(routes)])
    told["info"]["version"] = "0"
    return told


def as_text(told: dict[str, Any]) -> str:
    """The same as the file has it."""
    return msgspec.json.format(msgspec.json.encode(told, order="sorted"), indent=1).decode() + "\n"


if __name__ == "__main__":
    sys.stdout.write(as_text(description()))
