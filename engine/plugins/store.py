"""The catalogue on disk."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import msgspec

from engine.graph.schema import NodeSpec
from engine.plugins.sources import Source

FORMAT = 3
FILE_NAME = "catalogue.msgpack"
"""Of the stored catalogue, in the cache folder."""


class ModuleRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What one module file gave when it was last imported. `raw` is the digest of all the sources its declarations come from."""

    module: str
    pack: str
    raw: str
    specs: tuple[NodeSpec, ...] = ()
    uses_context: tuple[str, ...] = ()
    """Names of the nodes that see the engine through `ctx`."""
    aliases: dict[str, str] = {}
    seconds: float = 0.0
    error: str = ""
    fatal: bool = False
    """Importing it ended the process: it is not imported again until it is another."""
    problems: tuple[str, ...] = ()
    """What is wrong with single nodes of it."""
    notes: tuple[str, ...] = ()
    """What importing it did beside, which is not wrong with it but good to know."""
    left_out: tuple[str, ...] = ()
    """Nodes whose classes raised when they were asked for their declarations; they are asked again."""
    versions: tuple[str, str] = ("", "")
    """The version of a node that does not see the engine through `ctx`, and of one that does."""
    eager: bool = False
    """Whether a worker imports it before anybody asks for a node of it: it may add routes and hear of prompts."""
    web: str = ""
    """The folder of its files for the editor."""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """Everything kept between processes."""

    format: int = FORMAT
    fingerprint: str = ""
    records: tuple[ModuleRecord, ...] = ()
    sources: dict[str, Source] = {}
    installed: str = ""
    """When packages were last installed, as far as is known."""
    distributions: tuple[tuple[str, str], ...] = ()
    """(pack, module) of each installed distribution with nodes."""


def read(path: Path) -> Stored:
    """The stored catalogue, or an empty one when there is none, it is damaged, or it has another format."""
    try:
        stored = msgspec.msgpack.decode(path.read_bytes(), type=Stored)
    except (OSError, msgspec.MsgspecError):
        return Stored()
    return stored if stored.format == FORMAT else Stored()


def write(path: Path, stored: Stored) -> None:
    """Keep the catalogue, whole or not at all; a folder that cannot be written only costs time at the next start."""
    part = path.with_name(f".{path.name}.{os.urandom(4).hex()}.part")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(msgspec.msgpack.encode(stored))
            os.replace(part, path)  # noqa: PTH105
        finally:
            part.unlink(missing_ok=True)


def forget_failures(path: Path) -> None:
    """Have packs that could not be imported, or whose nodes raised, tried again at the next start, though they are the same."""
    stored = read(path)
    if any((record.error and not record.fatal) or record.left_out for record in stored.records):
        records = tuple(record for record in stored.records if not record.left_out)
        write(path, msgspec.structs.replace(stored, fingerprint="", records=records))
