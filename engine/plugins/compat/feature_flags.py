"""`comfy_api.feature_flags`: what clients say they can do."""

from __future__ import annotations

from typing import Any


def supports_feature(sockets_metadata: Any, sid: str | None, feature_name: str) -> bool:
    """Whether a client can do it; a worker does not know."""
    return bool((sockets_metadata or {}).get(sid, {}).get("feature_flags", {}).get(feature_name, False))


def get_connection_feature(sockets_metadata: Any, sid: str | None, feature_name: str, default: Any = False) -> Any:
    """What a client says of it; a worker does not know."""
    return (sockets_metadata or {}).get(sid, {}).get("feature_flags", {}).get(feature_name, default)


def get_server_features() -> dict[str, Any]:
    """What this side can do."""
    return {"supports_preview_metadata": True}
