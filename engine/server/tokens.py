"""The tokens that clients show: the server's own, which listening beyond loopback needs, and named ones from a file."""

from __future__ import annotations

import hmac
import logging
import secrets
import time
from collections.abc import Iterable
from pathlib import Path

from aiohttp import web

from engine.server.hosts import is_loopback
from engine.server.principals import ADMIN, LOCAL, Principal, principal_of
from engine.server.refusals import Refusal
from engine.server.token_file import NamedToken, TokenError, cookie_of, hash_of, read_tokens

log = logging.getLogger("safelight.tokens")

COOKIE = "safelight_token"
PAGE = """<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>
<title>Safelight: token</title>
<style>:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{max-width:30rem;margin:20vh auto;padding:0 1rem}</style>
<h1>Safelight</h1><p>This server asks for a token: yours, or the one that it printed when it started.
<form><label>Token <input name=token type=password autocomplete=current-password autofocus required></label>
<button>Open</button></form>
"""
"""What a person sees who opens a page without the token."""
SHORTEST = 8
TICK = 0.1
"""Seconds after a change within which another one of the file may not show in its time."""


def ensure_token(listen: Iterable[str], token: str | None) -> str | None:
    """The token to ask for: the given one, one made now when an address is not loopback, else None.

    Raises ValueError for a token that is too short to be a secret.
    """
    if token is not None:
        if len(token) < SHORTEST or not token.isascii() or not token.isprintable() or " " in token:
            raise ValueError(f"A token needs at least {SHORTEST} printable ASCII characters without spaces.")
        return token
    return None if all(map(is_loopback, listen)) else secrets.token_urlsafe(24)


class Tokens:
    """Who shows which token. A wrong one takes as long as the right one.

    `file` is read anew when it has changed. Where it is there, even with no token left in it, a token is asked for: revoking
    the last one opens nothing. One that cannot be read lets nobody in by a name.
    """

    def __init__(self, token: str | None, file: Path | None = None) -> None:
        self._token = token.encode() if token else None
        self._cookie = cookie_of(token).encode() if token else None
        self._file = file
        self._seen: tuple[int, ...] | None = None
        self._settled = False
        self._by_token: dict[str, NamedToken] = {}
        """Hash of a token → the token."""
        self._by_cookie: dict[str, NamedToken] = {}
        self._there = False
        self._problem = ""

    @property
    def needed(self) -> bool:
        """Whether requests must show a token."""
        if self._token is not None:
            return True
        self._read()
        return self._there

    def by_header(self, request: web.BaseRequest) -> Principal | None:
        """Who the bearer token of a request stands for. Raises Refusal as `of` does."""
        scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
        return self.of(shown.strip()) if scheme.lower() == "bearer" else None

    def by_cookie(self, request: web.BaseRequest) -> Principal | None:
        """Who the cookie of a request stands for. Raises Refusal as `of` does."""
        cookie = request.cookies.get(COOKIE, "")
        if cookie and self._cookie is not None and hmac.compare_digest(_bytes(cookie), self._cookie):
            return ADMIN
        return self._by_name(cookie, cookies=True)

    def of(self, text: str) -> Principal | None:
        """Who shows `text`. Raises Refusal 401 for a token past its time, 503 when the file with the tokens cannot be read."""
        if self._token is not None and hmac.compare_digest(_bytes(text), self._token):
            return ADMIN
        return self._by_name(text)

    def admits(self, principal: Principal) -> bool:
        """Whether who was let in once would be let in now: connections stay open for long."""
        if principal is LOCAL:
            return not self.needed
        if principal.owner is None:
            return True
        self._read()
        return any(one.principal() == principal and not one.is_expired() for one in self._by_token.values())

    def _by_name(self, text: str, *, cookies: bool = False) -> Principal | None:
        self._read()
        if self._problem and text:
            message = "The tokens of this server cannot be read, so nobody is let in by a named one. Its log says why."
            raise Refusal(503, "tokens_unreadable", message)
        found = (self._by_cookie if cookies else self._by_token).get(hash_of(text)) if text else None
        if found is None:
            return None
        if found.is_expired():
            day = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(found.expires))
            raise Refusal(401, "token_expired", f"The token {found.name!r} was valid until {day}. Ask for a new one.")
        return found.principal()

    def _read(self) -> None:
        """Read the file if it is another one than before."""
        if self._file is None:
            return
        try:
            now = self._file.stat()
            seen: tuple[int, ...] | None = (now.st_mtime_ns, now.st_size, now.st_ino)
        except FileNotFoundError:
            seen = None
        except OSError:
            seen = ()
        if seen == self._seen and self._settled:
            return
        # Two changes within a tick of the file system's clock look like one: one that is just made is read again.
        self._settled = not seen or time.time() - seen[0] / 1e9 > TICK
        self._seen = seen
        try:
            tokens = read_tokens(self._file)
            self._problem = ""
        except TokenError as error:
            self._problem, tokens = str(error), []
            log.error("%s", error)
        self._there = tokens is not None
        self._by_token = {one.hash: one for one in tokens or ()}
        self._by_cookie = {one.cookie_hash: one for one in tokens or ()}


TOKENS: web.AppKey[Tokens] = web.AppKey("tokens", Tokens)


def still_admitted(request: web.Request) -> bool:
    """Whether the token of a request that is answered for long is neither revoked nor past its time meanwhile."""
    tokens = request.app.get(TOKENS)
    return tokens is None or tokens.admits(principal_of(request))


def refuse_when_revoked(request: web.Request) -> None:
    """For whoever waits long before the answer. Raises Refusal 401 when the token is revoked or past its time meanwhile."""
    if not still_admitted(request):
        message = "The token of this request was revoked, or its time is over, while its answer was waited for."
        raise Refusal(401, "token_wrong", message)


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
