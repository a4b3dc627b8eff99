"""Addresses and times as the Comfy API v2 writes them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from aiohttp import web

from engine.server.proxies import forwarded_host, is_secure, prefix_of

NEVER: Final = "9999-01-01T00:00:00+00:00"
"""When something expires that does not: the contract wants a time."""


def base_of(request: web.Request) -> str:
    """The address by which the client called this server, down to `/api/v2`."""
    scheme = "https" if is_secure(request) else "http"
    return f"{scheme}://{forwarded_host(request) or request.host}{prefix_of(request)}/api/v2"


def job_url(base: str, job_id: str, what: str = "") -> str:
    """The address of a job, or of something of it."""
    return f"{base}/jobs/{quote(job_id, safe='')}" + (f"/{what}" if what else "")


def content_url(base: str, asset_id: str) -> str:
    """Where the bytes of an asset are."""
    return f"{base}/assets/{asset_id}/content"


def iso(seconds: float | None) -> str | None:
    """A time in seconds since 1970 as RFC 3339 has it."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()
