"""What a reverse proxy says of the request that it passes on: under which name, by which scheme, below which path it came.

Pages cannot set these headers on another origin without asking first, which is refused; programs can, and mislead themselves.
"""

from __future__ import annotations

import re
from typing import Final

from aiohttp import hdrs, web

from engine.server.hosts import split_host

_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9._~@-]+)+")


def forwarded_host(request: web.BaseRequest) -> str | None:
    """The `Host` by which a client called the proxy, with its port where that is told; None when no proxy says."""
    told = _first(request, "X-Forwarded-Host")
    found = split_host(told)
    if found is None:
        return None
    port = _first(request, "X-Forwarded-Port")
    return f"{told}:{port}" if found[1] is None and port.isascii() and port.isdecimal() else told


def is_secure(request: web.BaseRequest) -> bool:
    """Whether the client speaks https, be it to us or to a proxy."""
    return request.secure or _first(request, "X-Forwarded-Proto").lower() == "https"


def prefix_of(request: web.BaseRequest) -> str:
    """The path below which a proxy shows this server, such as `/safelight`; empty when none is told."""
    told = _first(request, "X-Forwarded-Prefix").rstrip("/")
    return told if _PREFIX.fullmatch(told) and "/.." not in told else ""


def base_of(request: web.BaseRequest) -> str:
    """How the client calls this server, such as `https://pictures.example/safelight`: for addresses that others follow."""
    scheme = "https" if is_secure(request) else "http"
    return f"{scheme}://{forwarded_host(request) or request.host}{prefix_of(request)}"


def add_prefix(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Let a redirect to a path of this server lead to where the proxy shows it."""
    target = response.headers.get(hdrs.LOCATION, "")
    prefix = prefix_of(request)
    if prefix and target.startswith("/") and not target.startswith(("//", f"{prefix}/")):
        response.headers[hdrs.LOCATION] = prefix + target


def keeps_prefix(request: web.BaseRequest) -> str:
    """What to tell somebody whose proxy passes its prefix on to us; empty when that is not so."""
    prefix = prefix_of(request)
    if not prefix or not f"{request.path}/".startswith(f"{prefix}/"):
        return ""
    return (
        f"The proxy passes its path {prefix} on, which is none of ours. Let it take that off "
        f"(nginx: location {prefix}/ {{ proxy_pass http://127.0.0.1:8188/; }}, with the slash at the end)."
    )


def _first(request: web.BaseRequest, name: str) -> str:
    """The value of the first of several proxies, which the client called."""
    return request.headers.get(name, "").partition(",")[0].strip()
