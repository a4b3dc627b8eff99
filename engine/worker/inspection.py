"""Answering what a link carried: from the cache, on a thread, whether or not a job runs."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec

from engine.cache.actions import SlotDigests
from engine.cache.digests import Digest
from engine.datatypes.parameterization import LatentFormat
from engine.execute.values import is_blocked
from engine.graph.prompt import prompt_from_json
from engine.jobs.messages import Inspect, Inspected
from engine.jobs.values import ValueDescription
from engine.models.handles import ModelHandle
from engine.worker.parts import Engine
from engine.worker.plain import encoded_json
from engine.worker.recent import Given, Recent

_log = logging.getLogger("safelight.worker")


class Inspector:
    """Finds values of jobs by node and slot. Belongs to the event loop; the work is done on threads."""

    def __init__(self, engine: Engine, recent: Recent) -> None:
        self._engine = engine
        self._recent = recent

    async def answer(self, message: Inspect, *, running: bool) -> Inspected:
        """The answer; never raises. `running`: the job is not over, so that what is known of it may still grow."""
        try:
            given = self._recent.get(message.job)
            if given is None and message.checked is not None:
                given = await self._recalled(message, message.checked, keep=not running)
            if given is None:
                return Inspected(message.request, "unknown_job")
            return await asyncio.to_thread(_answer, self._engine, given, message)
        except Exception:  # of a value's own code, or a file in the cache that cannot be read
            _log.exception("A value of node %s cannot be described.", message.node)
            return Inspected(message.request, "gone")

    async def _recalled(self, message: Inspect, checked: bytes, *, keep: bool) -> Given:
        prompt = prompt_from_json(msgspec.json.decode(checked))
        given = Given(prompt, await self._engine.executor.recall(prompt, message.outputs))
        if keep:
            self._recent.remember(message.job, given.prompt, given.outputs)
        return given


def _answer(engine: Engine, given: Given, message: Inspect) -> Inspected:
    outputs = given.outputs.get(message.node)
    if outputs is None:
        return Inspected(message.request, "not_run")
    if not 0 <= message.slot < len(outputs):
        return Inspected(message.request, "no_slot")
    slot = outputs[message.slot]
    names = (slot,) if isinstance(slot, bytes) else tuple(slot)
    if not names:
        empty = ValueDescription(summary="An empty list", kind="other", is_list=True, length=0)
        return Inspected(message.request, "found", encoded_json(empty))
    item = min(max(0, message.item), len(names) - 1)
    if is_blocked(names[item]):
        blocked = ValueDescription(summary="Blocked: nodes that receive it are skipped.", kind="other")
        return Inspected(message.request, "found", encoded_json(blocked))
    entry = engine.cache.get(names[item])
    if entry is None:
        return Inspected(message.request, "gone")
    told, file = _told(engine, given, message, entry.value)
    told.is_list, told.length, told.item = not isinstance(slot, bytes), len(names), item
    return Inspected(message.request, "found", encoded_json(told), file)


def _told(engine: Engine, given: Given, message: Inspect, value: Any) -> tuple[ValueDescription, bytes]:
    from engine.worker.descriptions import description
    from engine.worker.thumbnails import thumbnail

    told = description(value, _type_of(engine, given, message.node, message.slot))
    if not (message.picture and told.picture):
        return told, b""
    latent_format = _latent_format(engine, given, value) if told.kind == "latent" else None
    return told, thumbnail(value, told.kind, latent_format)


def _type_of(engine: Engine, given: Given, node_id: str, slot: int) -> str:
    node = given.prompt.get(node_id)
    spec = engine.library.catalogue.spec(node.class_type) if node is not None else None
    return spec.outputs[slot].type if spec is not None and slot < len(spec.outputs) else ""


def _latent_format(engine: Engine, given: Given, latent: Any) -> LatentFormat | None:
    """The format of the first model in the same graph whose latents have as many channels."""
    channels = int(latent["samples"].shape[1])
    for node_id, outputs in given.outputs.items():
        for slot, names in enumerate(outputs):
            if _type_of(engine, given, node_id, slot) == "MODEL":
                found = _handle(engine, names)
                if found is not None and found.latent.channels == channels:
                    return found.latent
    return None


def _handle(engine: Engine, names: SlotDigests) -> ModelHandle | None:
    name: Digest | None = names if isinstance(names, bytes) else next(iter(names), None)
    entry = engine.cache.get(name) if name is not None else None
    return entry.value if entry is not None and isinstance(entry.value, ModelHandle) else None
