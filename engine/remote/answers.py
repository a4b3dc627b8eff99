"""Reading what a service answers: pictures as bytes or addresses, prompts as it revised them, what was used."""

from __future__ import annotations

import binascii
from typing import Any

import msgspec

from engine.remote.errors import RemoteError, Said, said
from engine.remote.services import Service


class Given(msgspec.Struct):
    """One picture of an answer: its bytes, or where they are."""

    data: bytes | None = None
    url: str = ""
    revised_prompt: str = ""


class Answer(msgspec.Struct):
    """All pictures of an answer, and its `usage` as it is."""

    pictures: list[Given]
    usage: dict[str, Any] | None = None


class Event(msgspec.Struct):
    """One event of a stream: the last word of its type (`partial_image`, `completed`), and what it holds."""

    kind: str
    picture: Given
    usage: dict[str, Any] | None = None


def read_answer(service: Service, body: bytes) -> Answer:
    """Read `{data: [{b64_json or url, revised_prompt}], usage}`. Raises RemoteError for what is none."""
    found = _json(service, body)
    data = found.get("data")
    if not isinstance(data, list) or not data:
        raise RemoteError(f"Service {service.name!r} answered without pictures: expected a list `data`. Run it again.")
    return Answer([_given(service, one) for one in data], _mapping(found.get("usage")))


def read_event(service: Service, data: bytes) -> Event | None:
    """Read an event of a stream; None for one that holds no picture. Raises RemoteError for an error, and for what is no JSON."""
    if data.strip() == b"[DONE]":
        return None
    found = _json(service, data)
    kind = str(found.get("type", "")).rpartition(".")[2]
    if kind in ("error", "failed") or found.get("error") is not None:
        raise RemoteError(refusal_words(service, "broke off", said(data)))
    if kind not in ("partial_image", "completed"):
        return None
    return Event(kind, _given(service, found), _mapping(found.get("usage")))


def refusal_words(service: Service, what: str, words: Said) -> str:
    """`Service 'x' refused (400 invalid_value, size): …`, from what it said."""
    facts = ", ".join(service.scrub(one) for one in (words.code or words.type, words.param) if one)
    told = service.scrub(words.message)
    return f"Service {service.name!r} {what}{f' ({facts})' if facts else ''}{f': {told}' if told else '.'}"


def _json(service: Service, body: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise RemoteError(
            f"Service {service.name!r} answered with what is no JSON object. Check `url` under [services.{service.name}] "
            "in safelight.toml: is it the address of the API, such as https://HOST/v1?"
        )
    return found


def _given(service: Service, entry: Any) -> Given:
    entry = _mapping(entry) or {}
    coded, url, revised = (entry.get(name) for name in ("b64_json", "url", "revised_prompt"))
    prompt = revised if isinstance(revised, str) else ""
    if isinstance(coded, str):
        try:
            return Given(binascii.a2b_base64(coded.encode("ascii"), strict_mode=True), revised_prompt=prompt)
        except (binascii.Error, UnicodeEncodeError):
            raise RemoteError(f"Service {service.name!r} gave a picture that is no base64. Run it again.") from None
    if isinstance(url, str) and url:
        return Given(url=url, revised_prompt=prompt)
    raise RemoteError(f"Service {service.name!r} gave a picture without `b64_json` and `url`. Run it again.")


def _mapping(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None
