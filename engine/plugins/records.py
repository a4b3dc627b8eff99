"""The records of modules: what each declares, and the version of each of its nodes, taken again or read by importing it."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec

from engine.models.rooms import ROOMS, is_room
from engine.plugins.attempts import Attempts, ended_words
from engine.plugins.importing import Importer
from engine.plugins.loader import Loaded, NodeLoadError
from engine.plugins.packs import NAMESPACE, ModuleFile
from engine.plugins.store import ModuleRecord, Stored
from engine.sources import Sources

VALUE_PACKAGES = ("engine.datatypes", "engine.denoising", "engine.sampling", "engine.models", "engine.media")
"""Packages of the engine whose code decides what a node computes; the rest only carries values around."""

CONTEXT_PACKAGES = ("engine.models", "engine.media.saver")
"""What a node reaches through `ctx` without importing it."""

OPENING = frozenset(
    f"ctx.models.{name}"
    for name in ("checkpoint", "denoiser", "text_encoder", "text_encoders", "vae", "controlnet", "vision", "lora")
)
"""What a node asks of its context to make a handle of a file, which any family's page may have a say in."""

ADAPTED_BY = ("engine.plugins.loader", "engine.plugins.adapters.v1", "engine.plugins.adapters.v3")
"""Modules that make nodes of what packs declare: what they gave is stale once one of them changes."""

SHIM_PACKAGES = ("engine.plugins.adapters", "engine.plugins.compat")
"""What stands between packs and the engine, at names that no source of a pack leads to; it hands out every core node."""


def read_records(
    files: Sequence[ModuleFile], own: Mapping[str, Path], stored: Stored, importer: Importer, attempts: Attempts
) -> tuple[list[ModuleRecord], Sources]:
    """The record of every module file, and the sources that were read for them; `own` are the modules of the engine."""
    sources = Sources({**own} | {name: path for file in files for name, path in file.files}, stored.sources)
    everything = _valued(sources.reach(name for name in own if name.startswith(CONTEXT_PACKAGES)))
    shared = [name for name in everything if not is_room(name)]
    context = _valued(sources.reach(shared, closed=ROOMS))
    shim = [name for name in own if any(file.foreign for file in files) and name.startswith(SHIM_PACKAGES)]
    core = [file.module for file in files if shim and not file.foreign]  # what packs get as classes, by any name
    behind_packs = {*shim, *_valued(sources.reach([*shim, *core]))}
    known = {record.module: record for record in stored.records if record.fatal or not record.error}
    records = []
    for file in files:
        own_files = [name for name, _ in file.files] if file.module.startswith(f"{NAMESPACE}.") else [file.module]
        reached = sources.reach(own_files)
        read_by = reached if not file.foreign else sources.reach([*reached, *ADAPTED_BY])
        record = record_of(file, sources.raw_digest(read_by), known.get(file.module), importer, attempts)
        # What handles name of a family's own code is told by their identity: only who makes them depends on every page.
        opens = file.foreign or any(OPENING.intersection(sources.source(name).imports) for name in own_files)
        valued = _valued(reached if opens else sources.reach(own_files, closed=ROOMS))
        plain = sorted({*valued, *(behind_packs if file.foreign else ())})
        through_context = sorted({*plain, *(everything if opens else context)})
        records.append(versioned(record, sources.code_digest(plain), sources.code_digest(through_context)))
    return records, sources


def _valued(modules: Sequence[str]) -> list[str]:
    """Those whose code can change a value: the packs' own, and VALUE_PACKAGES of the engine."""
    return [name for name in modules if not f"{name}.".startswith("engine.") or name.startswith(VALUE_PACKAGES)]


def record_of(
    file: ModuleFile, raw: str, known: ModuleRecord | None, importer: Importer, attempts: Attempts
) -> ModuleRecord:
    """The module's declarations: the known ones when no source they come from changed, else by importing it."""
    if known is not None and known.raw == raw:
        return known
    start = time.perf_counter()
    loaded, error, notes = Loaded({}, {}), "", tuple[str, ...]()
    fatal = file.foreign and attempts.is_out(file.module, raw)
    if fatal:
        error = ended_words(file.path)
    else:
        try:
            with attempts.importing(file.module, raw) if file.foreign else nullcontext():
                loaded = importer.load(file)
            notes = loaded.notes
        except NodeLoadError as problem:
            error, notes = str(problem), problem.notes
    record = ModuleRecord(
        module=file.module,
        pack=file.pack,
        raw=raw,
        specs=tuple(found.spec for found in loaded.definitions.values()),
        uses_context=tuple(name for name, found in loaded.definitions.items() if found.wants_ctx),
        aliases=loaded.aliases,
        seconds=time.perf_counter() - start,
        error=error,
        fatal=fatal,
        problems=loaded.problems,
        notes=notes,
        left_out=tuple(loaded.again),
        eager=loaded.eager,
        web=loaded.web,
    )
    return _storable(record, file)


def _storable(record: ModuleRecord, file: ModuleFile) -> ModuleRecord:
    """The record, or one that says why it cannot be kept: then the catalogue could not be written, and no pack would load."""
    try:
        try:
            msgspec.msgpack.encode(record)
        except OverflowError:
            record = msgspec.structs.replace(record, specs=tuple(map(_bounded, record.specs)))
            msgspec.msgpack.encode(record)
    except (UnicodeEncodeError, msgspec.MsgspecError, TypeError, ValueError, RecursionError, OverflowError) as problem:
        error = f"{file.path}: what it declares cannot be stored: {problem!r}."
        return ModuleRecord(module=file.module, pack=file.pack, raw=record.raw, error=error)
    return record


def _bounded(value: Any) -> Any:
    """The declaration with floats for whole numbers that no 64 bits hold: the field itself bounds seconds by -(2^64 - 1)."""
    if type(value) is int and not -(1 << 63) <= value < 1 << 64:
        return float(value) if abs(value) < 1 << 1023 else math.copysign(sys.float_info.max, value)
    if isinstance(value, dict):
        return {key: _bounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_bounded(one) for one in value)
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.replace(
            value, **{name: _bounded(getattr(value, name)) for name in value.__struct_fields__}
        )
    return value


def versioned(record: ModuleRecord, plain: str, through_context: str) -> ModuleRecord:
    """The record with each spec's version: the digest of the code that the node can reach."""
    specs = (
        msgspec.structs.replace(
            spec, version=through_context if spec.name in record.uses_context else plain, pack=record.pack
        )
        for spec in record.specs
    )
    return msgspec.structs.replace(record, specs=tuple(specs), versions=(plain, through_context))
