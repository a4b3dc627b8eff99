"""Values of nodes as messages: what is no JSON becomes text, so that nothing that a node shows can end the worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from engine.execute.events import AnyEvent, Warned
from engine.jobs.frames import frame
from engine.jobs.messages import JobEvents

MAX_DEPTH: Final = 64
"""Deeper lists and objects become text."""

_UNENCODABLE: Final = (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError)


def as_json(value: Any) -> Any:
    """What stands for a value that has no JSON: the number of a numeric scalar, else its text."""
    try:
        return value.item() if value.ndim == 0 else str(value)
    except Exception:  # it has no such attributes, or its own code fails
        return _text(value)


_json: Final = msgspec.json.Encoder(enc_hook=as_json).encode
_msgpack: Final = msgspec.msgpack.Encoder(enc_hook=as_json).encode


def encoded_json(value: Any) -> bytes:
    """`value` as JSON; parts that cannot be encoded are replaced by their text."""
    try:
        return _json(value)
    except _UNENCODABLE:
        return _json(plain(value))


def events_frame(job: str, events: list[AnyEvent]) -> list[bytes]:
    """`JobEvents` as frames: one, or more when they are too long or hold what cannot be encoded."""
    try:
        return [frame(JobEvents(job, events), _msgpack)]
    except _UNENCODABLE:
        return [_event_frame(job, event) for event in events]


def _event_frame(job: str, event: AnyEvent) -> bytes:
    for tell in (_as_it_is, _plain_event):
        try:
            return frame(JobEvents(job, [tell(event)]), _msgpack)
        except _UNENCODABLE as error:
            problem = error
    node = getattr(event, "node", None)
    message = f"{type(event).__name__} could not be told: {problem}"
    return frame(JobEvents(job, [Warned(message=plain(message), node=node)]))


def _as_it_is(event: AnyEvent) -> AnyEvent:
    return event


def _plain_event(event: AnyEvent) -> AnyEvent:
    fields = {name: plain(getattr(event, name)) for name in event.__struct_fields__}
    return type(event)(**fields)


def plain(value: Any, depth: int = 0) -> Any:
    """`value` as JSON has it: numbers within bounds, text without lone surrogates, keys that are text."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else str(value)
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if depth < MAX_DEPTH:
        if isinstance(value, Mapping):
            return {str(plain(str(key))): plain(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [plain(item, depth + 1) for item in value]
        if isinstance(value, msgspec.Struct):
            return value
    return plain(_text(value))


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception as error:  # a value whose own code fails
        return f"<{type(value).__name__}: {type(error).__name__}>"
