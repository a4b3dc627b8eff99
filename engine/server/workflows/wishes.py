"""In which form, and how soon, a client wants what a call gives: its `Accept` and `Prefer` (RFC 9110, RFC 7240)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, TypeAlias

import msgspec
from aiohttp import web

from engine.graph.signature import Kind
from engine.server.refusals import Refusal

JSON: Final = "application/json"
EVENTS: Final = "text/event-stream"
FILES: Final = ("image", "video", "audio", "model")
"""Types of files that are sent themselves."""

Form: TypeAlias = str
"""`JSON`, `EVENTS`, or a type of files: `image/png`, `image/*`."""

_KINDS: Final[dict[Kind, str]] = {
    "image": "image",
    "mask": "image",
    "video": "video",
    "audio": "audio",
    "mesh": "model",
}
_MOST_RANGES: Final = 32
_RANGE: Final = re.compile(r"([a-z0-9!#$&^_.+*-]+)/([a-z0-9!#$&^_.+*-]+)")
_LONGEST_WAIT: Final = 24 * 3600.0


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What the client wants. `forms`: the best first, never empty."""

    forms: tuple[Form, ...]
    wait: float | None = None
    """Seconds after which to answer with the job instead of its result; 0: at once. None: it waits."""
    embed: bool = False
    """Files in the JSON itself, as base64."""
    cancel_when_gone: bool = False
    previews: bool = True

    @property
    def streams(self) -> bool:
        """Whether it wants events."""
        return self.forms[0] == EVENTS

    def check_kinds(self, kinds: Iterable[Kind]) -> None:
        """Raises Refusal 406 when none of the forms can come of a workflow whose outputs are of these kinds."""
        kinds = list(kinds)
        possible = {_KINDS[kind] for kind in kinds if kind in _KINDS}
        if "file" not in kinds and not any(
            form in (JSON, EVENTS) or form.partition("/")[0] in possible for form in self.forms
        ):
            gives = ", ".join(sorted({JSON, EVENTS, *(f"{type}/*" for type in possible)}))
            message = f"This workflow cannot give what Accept asks for ({', '.join(self.forms)}): it gives {gives}."
            raise Refusal(406, "not_acceptable", message, gives=gives.split(", "))


def read_wishes(request: web.Request) -> Wishes:
    """What a request asks for. Raises Refusal 400 for what is no preference, 406 for a form that there is not."""
    return Wishes(
        forms=_forms(request.headers.getall("Accept", [])),
        wait=_wait(request.headers.getall("Prefer", [])),
        embed=_one_of(request, "embed", ("none", "base64")) == "base64",
        cancel_when_gone=_one_of(request, "on_disconnect", ("continue", "cancel")) == "cancel",
        previews=_one_of(request, "previews", ("true", "false")) == "true",
    )


def _forms(headers: list[str]) -> tuple[Form, ...]:
    ranges: list[tuple[float, int, str]] = []
    for at, part in enumerate(",".join(headers).lower().split(",")[:_MOST_RANGES]):
        type, *parameters = (word.strip() for word in part.split(";"))
        if _RANGE.fullmatch(type):
            ranges.append((-_quality(parameters), at, type))
    if not ranges:
        return (JSON,)
    forms = [form for quality, _, type in sorted(ranges) if quality < 0 and (form := _form(type)) is not None]
    if not forms:
        asked = ", ".join(headers)[:200]
        message = f"Accept: expected some of {JSON}, {EVENTS}, {', '.join(f'{one}/*' for one in FILES)}; got {asked!r}."
        raise Refusal(406, "not_acceptable", message)
    return tuple(dict.fromkeys(forms))


def _form(type: str) -> Form | None:
    if type in ("*/*", "application/*", JSON):
        return JSON
    if type == EVENTS:
        return EVENTS
    return type if type.partition("/")[0] in FILES else None


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return max(0.0, min(1.0, float(value)))
            except ValueError:
                return 1.0
    return 1.0


def _wait(headers: list[str]) -> float | None:
    """Seconds to wait at most. `respond-async` alone: none; with `wait=N`: so long, and then asynchronously."""
    preferences = [part.strip().lower() for part in re.split("[,;]", ",".join(headers))]
    waits = [one.partition("=")[2].strip(' "') for one in preferences if one.startswith("wait=")]
    if waits:
        if not re.fullmatch(r"\d{1,9}", waits[0], re.ASCII):
            raise Refusal(
                400, "invalid_header", f"Prefer: expected wait=SECONDS, a whole number; got {waits[0][:40]!r}."
            )
        return min(float(waits[0]), _LONGEST_WAIT)
    return 0.0 if "respond-async" in preferences else None


def _one_of(request: web.Request, name: str, choices: tuple[str, ...]) -> str:
    value = request.query.get(name, choices[0])
    if value not in choices:
        message = f"{name}: expected {' or '.join(choices)}, got {value[:80]!r}."
        raise Refusal(400, "invalid_query", message, field=name)
    return value
