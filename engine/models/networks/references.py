"""Pictures to go by: how a conditioning says that a network is to tell them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.models.errors import ModelError


def placing(options: Mapping[str, Any], known: Sequence[str], usual: str, title: str) -> str:
    """Return the way to place references that a conditioning's options name, else `usual`; ModelError for none of `known`."""
    method = str(options.get("reference_latents_method", usual))
    if method not in known:
        raise ModelError(
            f"reference_latents_method: {title} knows {', '.join(known)}, got {method!r}. Choose one of these."
        )
    return method
