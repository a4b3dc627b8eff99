"""`comfy_api.feature_flags`: what clients say they can do."""

from __future__ import annotations

from typing import Any

from engine.plugins.compat.host import the_host


def supports_feature(sockets_metadata: Any, sid: str | None, feature_name: str) -> bool:
    """Whether a client can do it; a worker does not know."""
    return bool((sockets_metadata or {}).get(sid, {}).get("feature_flags", {}).get(feature_name, False))


def get_connection_feature(sockets_metadata: Any, sid: str | None, feature_name: str, default: Any = False) -> Any:
    """What a client says of it; a worker does not know."""
    return (sockets_metadata or {}).get(sid, {}).get("feature_flags", {}).get(feature_name, default)


SERVER_FEATURE_FLAGS: dict[str, Any] = {
    "supports_preview_metadata": True,
    "max_upload_size": the_host().server.max_upload_size,
}
"""What the server can do; `max_upload_size` in bytes. Packs add to it."""


def get_server_features() -> dict[str, Any]:
    """What this side can do."""
    return SERVER_FEATURE_FLAGS.copy()
