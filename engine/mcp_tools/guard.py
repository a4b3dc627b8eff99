"""Who may call over HTTP: the rules of the server for Host, Origin and token, before anything is read."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from pathlib import Path
from typing import Any, TypeAlias

from engine.mcp_tools.callers import SHOWN
from engine.server.hosts import HostRule, same_origin, split_host
from engine.server.refusals import Refusal
from engine.server.tokens import Tokens

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


class Guard:
    """Stands before an ASGI application. Whoever shows a token may call: `token`, or a named one of `file` that may run jobs.

    Raises ValueError for an address beyond this machine without a token.
    """

    def __init__(
        self, app: App, listen: Iterable[str], allowed_hosts: Iterable[str], token: str | None, file: Path | None = None
    ) -> None:
        self._app = app
        self._hosts = HostRule(listen, allowed_hosts)
        self._tokens = Tokens(token, file)
        if self._hosts.beyond_loopback and not token:
            raise ValueError("Listening beyond this machine needs a token.")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await _answer(send, *refusal)

    def _refusal(self, scope: Scope) -> tuple[int, str, str] | None:
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        hosts = headers.get("host", [])
        host = split_host(hosts[0]) if len(hosts) == 1 else None
        if host is None:
            return 400, "bad_host", "A request needs one Host header, NAME or NAME:PORT."
        if not self._hosts.allows(host[0]):
            return 403, "unknown_host", f"This server is not called {hosts[0]!r}. --allow-host allows a further name."
        for origin in headers.get("origin", []):
            if not same_origin(origin, hosts[0]):
                return (
                    403,
                    "foreign_origin",
                    f"This comes from the page {origin[:200]!r}; pages may not use these tools.",
                )
        return self._unknown(scope, headers.get("authorization", [])) if self._tokens.needed else None

    def _unknown(self, scope: Scope, given: list[str]) -> tuple[int, str, str] | None:
        scheme, _, shown = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        try:
            who = self._tokens.of(shown.strip()) if scheme.lower() == "bearer" else None
        except Refusal as refusal:
            return refusal.status, refusal.type, refusal.message
        if who is None:
            return 401, "token_needed", "Send the header 'Authorization: Bearer TOKEN' with a token of this server."
        if not who.may("run"):
            return 403, "scope_needed", f"The token {who.name!r} may not run jobs."
        if who.owner is not None:
            scope[SHOWN] = shown.strip()
        return None


async def _answer(send: Send, status: int, kind: str, message: str) -> None:
    problem = {"type": kind, "message": message, "details": "", "extra_info": {}}
    body = json.dumps({"error": problem, "node_errors": {}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
