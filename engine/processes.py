"""Starting Python programs of ours from any folder, and what they are told: what lies about in a folder is no part of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

import engine

SERVER: Final = "SAFELIGHT_SERVER"
"""Environment variable: what a worker is told of its server, as JSON."""


class ServerFacts(msgspec.Struct, frozen=True):
    """What packs ask of the server that they run behind; without one, how the field's starts."""

    address: str = "127.0.0.1"
    port: int = 8188
    max_upload_size: int = 100 * 1024 * 1024
    """Bytes of a request's body."""


def told_environment(facts: ServerFacts) -> dict[str, str]:
    """The environment that tells a worker of its server."""
    return {SERVER: msgspec.json.encode(facts).decode()}


def server_facts() -> ServerFacts:
    """What this process was told of its server."""
    try:
        return msgspec.json.decode(os.environ.get(SERVER, "{}"), type=ServerFacts)
    except msgspec.MsgspecError:
        return ServerFacts()


def python_command(*arguments: str) -> list[str]:
    """The command of this interpreter; it does not look for modules in the folder in which it runs."""
    return [sys.executable, "-P", *arguments]


def python_environment(given: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment (None: ours) of such a program: the engine can be imported there as it can here.

    Empty entries of PYTHONPATH are left out, as they stand for the folder in which a program runs.
    """
    environment = dict(os.environ if given is None else given)
    named = [entry for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]
    root = str(Path(engine.__file__).resolve().parent.parent)
    if root not in (str(Path(entry).resolve()) for entry in [*named, *engine.PLACES]):
        named.insert(0, root)
    environment.pop("PYTHONPATH", None)
    return environment | ({"PYTHONPATH": os.pathsep.join(named)} if named else {})
