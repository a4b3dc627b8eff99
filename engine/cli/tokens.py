"""`safelight token`: named tokens for those who use the server."""

from __future__ import annotations

import argparse
import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from engine.cli import exits
from engine.cli.exits import CliError
from engine.cli.folders import folder_or_none
from engine.cli.terminal import columns, put, put_json, say
from engine.server.principals import SCOPES, Scope
from engine.server.token_file import FILE_NAME, NamedToken, TokenError, create_token, read_tokens, revoke_token

if TYPE_CHECKING:
    from engine.cli.app import App

_UNITS: Final = {"s": 1, "sec": 1, "min": 60, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
"""Seconds."""


def tokens(app: App, options: argparse.Namespace) -> int:
    """Make, list or revoke tokens. Raises CliError USAGE for what cannot be done."""
    path = (folder_or_none(options.user_directory) or app.paths.user) / FILE_NAME
    try:
        if options.action == "create":
            made = create_token(
                path,
                options.name,
                scopes_of(options.scope),
                rate=rate_of(options.rate),
                queue=queue_of(options.queue),
                expires=expiry_of(options.expires),
            )
            say(
                f"The token {options.name!r}, shown this once. A server that runs takes it at once, and asks everybody for one."
            )
            put(made)
        elif options.action == "revoke":
            revoke_token(path, options.name)
            say(f"Revoked {options.name!r}. Its jobs stay with the name.")
            if not read_tokens(path):
                say(
                    f"No token is left. The server asks for one still; delete {path} to have it ask nobody on loopback."
                )
        else:
            _list(read_tokens(path) or [], as_json=options.json)
    except TokenError as error:
        raise CliError(exits.USAGE, str(error)) from None
    return exits.OK


def _list(known: list[NamedToken], *, as_json: bool) -> None:
    if as_json:
        put_json([_facts(one) for one in known])
        return
    if not known:
        say("There is no named token. Make one: safelight token create NAME")
        return
    rows = [("name", "scopes", "limits", "made", "valid until")]
    rows += [(one.name, ",".join(sorted(one.scopes)), _limits(one), _day(one.created), _until(one)) for one in known]
    for line in columns(rows, indent=""):
        put(line)


def _facts(one: NamedToken) -> dict[str, Any]:
    return {
        "name": one.name,
        "scopes": sorted(one.scopes),
        "rate_per_minute": one.rate,
        "queue": one.queue,
        "created": one.created,
        "expires": one.expires,
        "expired": one.is_expired(),
    }


def _limits(one: NamedToken) -> str:
    told = [f"{one.rate:g}/min"] if one.rate is not None else []
    return ", ".join(told + ([f"{one.queue} in the queue"] if one.queue is not None else [])) or "none"


def _until(one: NamedToken) -> str:
    if one.expires is None:
        return "revoked"
    return _day(one.expires) + (" (over)" if one.is_expired() else "")


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def scopes_of(text: str) -> frozenset[Scope]:
    """`run,read` as scopes. Raises TokenError."""
    names = [part.strip() for part in text.split(",") if part.strip()]
    found = frozenset(scope for scope in SCOPES if scope in names)
    unknown = [name for name in names if name not in SCOPES]
    if unknown or not found:
        raise TokenError(f"--scope: expected some of {', '.join(SCOPES)} with commas, got {text!r}.")
    return found


def rate_of(text: str | None) -> float | None:
    """`30/min` (also `/s`, `/h`, `/d`; `30` alone: per minute) as jobs per minute. Raises TokenError."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(?:\s*/\s*(sec|s|min|m|h|d))?", text.strip())
    if found is None or not 0 < float(found[1]) <= 1e9:
        raise TokenError(f"--rate: expected a number of jobs per time such as 30/min or 2/s, got {text!r}.")
    return float(found[1]) * 60 / _UNITS[found[2] or "min"]


def queue_of(number: int | None) -> int | None:
    """A number of jobs, at least 1. Raises TokenError."""
    if number is not None and not 1 <= number <= 1_000_000:
        raise TokenError(f"--queue: expected a number of jobs from 1 to 1000000, got {number}.")
    return number


def expiry_of(text: str | None, now: float | None = None) -> float | None:
    """`90d`, `12h` or a day as `2027-01-31` (its beginning, UTC) as Unix seconds. Raises TokenError for others, and the past."""
    if text is None:
        return None
    now = time.time() if now is None else now
    span = re.fullmatch(r"(\d{1,6})(min|h|d|w)", text.strip())
    if span is not None:
        return now + int(span[1]) * _UNITS[span[2]]
    try:
        told = datetime.fromisoformat(text.strip())
    except ValueError:
        raise TokenError(
            f"--expires: expected a span such as 90d or 12h, or a day as 2027-01-31; got {text!r}."
        ) from None
    end = (told if told.tzinfo is not None else told.replace(tzinfo=UTC)).timestamp()
    if end <= now:
        raise TokenError(f"--expires: {text} is over.")
    return end
