"""The token that clients show when the server listens beyond loopback."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable

from aiohttp import web

from engine.server.hosts import is_loopback

COOKIE = "safelight_token"
PAGE = """<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>
<title>Safelight: token</title>
<style>:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{max-width:30rem;margin:20vh auto;padding:0 1rem}</style>
<h1>Safelight</h1><p>This server asks for its token, which it printed when it started.
<form><label>Token <input name=token type=password autocomplete=current-password autofocus required></label>
<button>Open</button></form>
"""
"""What a person sees who opens a page without the token."""
SHORTEST = 8


def ensure_token(listen: Iterable[str], token: str | None) -> str | None:
    """The token to ask for: the given one, one made now when an address is not loopback, else None.

    Raises ValueError for a token that is too short to be a secret.
    """
    if token is not None:
        if len(token) < SHORTEST or not token.isascii() or not token.isprintable() or " " in token:
            raise ValueError(f"A token needs at least {SHORTEST} printable ASCII characters without spaces.")
        return token
    return None if all(map(is_loopback, listen)) else secrets.token_urlsafe(24)


class TokenRule:
    """Compares what a request shows with the token. Takes as long for a wrong one as for the right one."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self.cookie = hmac.new(self._token, b"safelight cookie", hashlib.sha256).hexdigest()
        """The cookie's value: what a browser keeps is not the token itself."""

    def is_token(self, text: str) -> bool:
        """Whether `text` is the token."""
        return hmac.compare_digest(text.encode(errors="surrogateescape"), self._token)

    def in_header_or_cookie(self, request: web.BaseRequest) -> bool:
        """Whether the request shows the token as a bearer, or the cookie that stands for it."""
        scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.is_token(shown.strip()):
            return True
        cookie = request.cookies.get(COOKIE, "")
        return hmac.compare_digest(cookie.encode(errors="surrogateescape"), self.cookie.encode())
