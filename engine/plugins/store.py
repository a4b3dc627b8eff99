"""The catalogue on disk."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import msgspec
from xxhash import xxh3_128_digest

from engine.graph.schema import NodeSpec
from engine.sources import Source

FORMAT = 5
FILE_NAME = "catalogue.msgpack"
"""Of the stored catalogue, in the cache folder."""

_CHECKSUM = 16
"""Bytes at the beginning of the file: a digest of the rest, for a damaged one may well decode."""


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
    """Importing it ended the process again and again: it is not imported until it is another."""
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
        data = path.read_bytes()
        if xxh3_128_digest(data[_CHECKSUM:]) != data[:_CHECKSUM]:
            return Stored()
        stored = msgspec.msgpack.decode(data[_CHECKSUM:], type=Stored)
    except (OSError, msgspec.MsgspecError):
        return Stored()
    return stored if stored.format == FORMAT else Stored()


def write(path: Path, stored: Stored) -> None:
    """Keep the catalogue, whole or not at all; a folder that cannot be written only costs time at the next start."""
    part = path.with_name(f".{path.name}.{os.urandom(4).hex()}.part")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            data = msgspec.msgpack.encode(stored)
            part.write_bytes(xxh3_128_digest(data) + data)
            os.replace(part, path)  # noqa: PTH105
        finally:
            part.unlink(missing_ok=True)


def forget_failures(path: Path, *, fatal: bool = False) -> None:
    """Have packs that could not be imported, or whose nodes raised, tried again at the next start, though they are the same.

    `fatal`: also those whose import ended the process.
    """
    stored = read(path)
    kept = tuple(one for one in stored.records if not (one.left_out or (fatal and one.fatal)))
    if len(kept) < len(stored.records) or any(record.error and not record.fatal for record in stored.records):
        write(path, msgspec.structs.replace(stored, records=kept, fingerprint=""))
