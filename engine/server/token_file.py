"""The named tokens of a server: a file in the user folder that holds their hashes, and what each may do.

A token is 32 random bytes, so a plain SHA-256 of it cannot be turned round: no slow hash is needed.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
import secrets
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec

from engine.server.principals import UNNAMED, Principal, Scope

FILE_NAME: Final = "tokens.json"
PREFIX: Final = "safelight_"
"""What every named token begins with, so that one in a log or a repository is recognised."""

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class TokenError(ValueError):
    """What is wrong with the file, or with what was asked of it; the message says what to do."""


class NamedToken(msgspec.Struct, frozen=True, kw_only=True):
    """One token, without the token. Times are Unix seconds."""

    name: str
    hash: str
    """SHA-256 of the token, in hexadecimal digits."""
    cookie_hash: str
    """SHA-256 of the cookie that stands for it (`cookie_of`)."""
    scopes: frozenset[Scope]
    rate: float | None = None
    """Jobs per minute."""
    queue: int | None = None
    """Jobs that wait and run."""
    created: float
    expires: float | None = None

    def is_expired(self, now: float | None = None) -> bool:
        """Whether it is past its time."""
        return self.expires is not None and self.expires <= (time.time() if now is None else now)

    def principal(self) -> Principal:
        """Who shows it."""
        return Principal(name=self.name, scopes=self.scopes, rate=self.rate, queue=self.queue, issued=self.created)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    tokens: list[NamedToken]
    version: int = 1


def hash_of(secret: str) -> str:
    """What is kept of a token or of its cookie."""
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()


def cookie_of(token: str) -> str:
    """The cookie's value: what a browser keeps is not the token itself."""
    return hmac.new(token.encode(errors="surrogateescape"), b"safelight cookie", hashlib.sha256).hexdigest()


def read_tokens(path: Path) -> list[NamedToken] | None:
    """The tokens in a file, None where there is no file. Raises TokenError for one that cannot be read."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_File)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise TokenError(
            f"The tokens in {path} cannot be read: {error}. Mend the file, or delete it and make the tokens anew."
        ) from None
    if found.version != 1:
        raise TokenError(f"The tokens in {path} are of version {found.version}, and this program knows version 1.")
    return found.tokens


def create_token(
    path: Path,
    name: str,
    scopes: frozenset[Scope],
    *,
    rate: float | None = None,
    queue: int | None = None,
    expires: float | None = None,
) -> str:
    """Make a token, keep its hash, and return it: it cannot be shown again.

    Raises TokenError for a name that is none or is taken, and when the file cannot be read.
    """
    if not _NAME.fullmatch(name) or name in UNNAMED:
        reserved = ", ".join(sorted(UNNAMED))
        raise TokenError(
            f"A token's name has 1 to 64 small letters, digits, '.', '_' and '-', begins with one of the first two, and is "
            f"none of {reserved}; got {name!r}."
        )
    if not scopes:
        raise TokenError("A token needs at least one scope of run, read, admin.")
    known = read_tokens(path) or []
    if any(one.name == name for one in known):
        raise TokenError(f"There is a token {name!r} already. Revoke it first: its jobs stay with the name.")
    token = PREFIX + secrets.token_urlsafe(32)
    made = NamedToken(
        name=name,
        hash=hash_of(token),
        cookie_hash=hash_of(cookie_of(token)),
        scopes=scopes,
        rate=rate,
        queue=queue,
        created=time.time(),
        expires=expires,
    )
    _write(path, [*known, made])
    return token


def revoke_token(path: Path, name: str) -> None:
    """Take a token out of the file. Raises TokenError when there is none of that name."""
    known = read_tokens(path) or []
    kept = [one for one in known if one.name != name]
    if len(kept) == len(known):
        names = ", ".join(one.name for one in known) or "none"
        raise TokenError(f"There is no token {name!r} in {path}; there are: {names}.")
    _write(path, kept)


def _write(path: Path, tokens: list[NamedToken]) -> None:
    """Replace the file whole, readable by its owner only: a server may be reading it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    body = msgspec.json.format(msgspec.json.encode(_File(tokens=tokens)), indent=1)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".tokens-")  # of mode 600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(body + b"\n")
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
