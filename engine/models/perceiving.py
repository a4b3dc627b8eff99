"""Files of networks that see what is in a picture, to handles: told by tensor names, and a config.json beside them. No torch."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from engine.models import detect, perception
from engine.models.checkpoints import read_json
from engine.models.errors import CheckpointError, shortened
from engine.models.handles import ClipHandle, FileDigest, Handle, PerceptionHandle, Source, digest_file
from engine.models.header import Header
from engine.models.packed import Contents, read_header

_READERS = {"sam3": "sam3_text"}
"""Kinds whose file holds the reader of the texts that they are asked for too, and its kind."""


def open_perception(path: Path, among: Collection[str] = (), files: FileDigest = digest_file) -> PerceptionHandle:
    """Return the handle of a file that holds a network of one of the kinds `among`; of any where none are named.

    Raises CheckpointError, saying what it holds instead where that is known.
    """
    header = read_header(path)
    name = perception.kind_in(header.shapes, among)
    if name is None:
        raise CheckpointError(_other(path, header, among))
    return _handle(path, name, header, files)


def open_seeing(
    path: Path, files: FileDigest, header: Contents
) -> tuple[PerceptionHandle, PerceptionHandle | None] | None:
    """Return the handle of the network that a file holds and that of its reader of texts; None for no such file."""
    name = perception.kind_in(header.shapes)
    if name is None:
        return None
    if (kind := perception.kind_named(name)).LOADER not in _CHECKPOINTS:
        raise CheckpointError(f"{path}: holds {kind.TITLE}, which is no checkpoint. Load it by {kind.LOADER}.")
    text = _READERS.get(name)
    there = text is not None and perception.kind_named(text).is_there(header.shapes)
    reader = _handle(path, text, header, files) if text and there else None
    return _handle(path, name, header, files), reader


_CHECKPOINTS = ("UNETLoader", "CheckpointLoaderSimple")


def reader(handle: Handle) -> ClipHandle | None:
    """Return the text encoder by which the tokenizer of a handle is sought; None for what reads no text."""
    if isinstance(handle, ClipHandle):
        return handle
    if not isinstance(handle, PerceptionHandle) or not perception.kind_named(handle.kind).READS:
        return None
    return ClipHandle(source=handle.source, family="sd1", config={"vocab_size": handle.config["vocab_size"]})


def _handle(path: Path, name: str, header: Contents, files: FileDigest) -> PerceptionHandle:
    kind = perception.kind_named(name)
    try:
        config = kind.config(header.shapes, _hints(path, kind.MODEL_TYPES, header))
    except (KeyError, IndexError) as problem:
        raise CheckpointError(f"{path}: looks like {kind.TITLE}, but lacks tensor {problem}.") from problem
    return PerceptionHandle(source=Source(str(path), files(path)), kind=name, config=config)


def _hints(path: Path, types: Collection[str], header: Contents) -> dict[str, Any]:
    """What a config.json in the file's folder says of a network of these types, and the file's own metadata."""
    beside = path.with_name("config.json")
    told = read_json(beside) if beside.is_file() else {}
    known = told if told.get("model_type") in types else {}
    return {**known, **detect.metadata_facts(header.metadata, str(path)).get("perception", {}), "file": path.name}


def _other(path: Path, header: Header | Contents, among: Collection[str]) -> str:
    wanted = (
        " or ".join(perception.kind_named(name).TITLE for name in among) or "a network that sees what is in a picture"
    )
    found = perception.kind_in(header.shapes)
    if found is not None:
        kind = perception.kind_named(found)
        return f"{path}: holds {kind.TITLE}, expected {wanted}. Load it by {kind.LOADER}."
    got = f"{len(header.shapes)} tensors: {shortened(list(header.shapes))}"
    return f"{path}: expected {wanted}, got a file of {got}. Use a .safetensors file of one of these."
