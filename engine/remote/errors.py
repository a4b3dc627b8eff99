"""What can be told of a service that fails: without its address, and without its key."""

from __future__ import annotations

from typing import Final

import msgspec

MOST_WORDS: Final = 400
"""Characters of what a service says that are passed on."""


class RemoteError(RuntimeError):
    """A service that gave no pictures; the message names the service, what it said and what to do."""


class BusyError(RemoteError):
    """The same, of a service that may well give them at another try. `wait`: seconds that it asks for, or None."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class Said(msgspec.Struct):
    """The error that an answer holds; all of it may be missing, as services differ."""

    message: str = ""
    type: str = ""
    param: str = ""
    code: str = ""


def said(body: bytes) -> Said:
    """Read `{"error": {message, type, param, code}}`, or what is like it: a text, or an error that is a text itself."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return Said(message=body.decode("utf-8", "replace"))
    if isinstance(found, dict):
        found = found.get("error", found.get("detail", found))
    if not isinstance(found, dict):
        return Said(message=str(found))
    texts = {name: found.get(name) for name in Said.__struct_fields__}
    return Said(**{name: str(value) for name, value in texts.items() if value is not None})


def remedy(status: int, code: str, service: str) -> str:
    """What somebody can do about a status of a refusal, as one sentence."""
    variable = f"SAFELIGHT_SERVICE_{service.upper().replace('-', '_')}_KEY"
    if status in (401, 403):
        return f"Check the key: `key_variable` under [services.{service}] in safelight.toml, or {variable}."
    if code in ("insufficient_quota", "billing_hard_limit_reached"):
        return "What was paid for is used up: see to the account of that service."
    if status == 404:
        return f"Check the model, and `url` under [services.{service}] in safelight.toml."
    if status == 413:
        return "Send smaller pictures, or fewer."
    if status == 429:
        return "Run it again later, or ask for less at once."
    if status >= 500:
        return "The service has trouble of its own: run it again later."
    return "Change the input that it names."
