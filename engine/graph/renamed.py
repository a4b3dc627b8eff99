"""Names that earlier versions of Safelight gave to nodes, where the field has another node of that name."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

CONFIGURED_LOADER = "CheckpointLoader"
PLAIN_LOADER = "CheckpointLoaderSimple"


def current_type(class_type: str, inputs: Container[str]) -> str:
    """The type that a node saved as `class_type` with these `inputs` has today.

    The field's CheckpointLoader must have a config, which the node once so called here never had: no node of the field
    is taken for another.
    """
    return PLAIN_LOADER if class_type == CONFIGURED_LOADER and "config_name" not in inputs else class_type


def renamed(prompt: Mapping[str, Any]) -> dict[str, Any]:
    """A prompt as read from a file, with the names of today; entries that are no nodes stay as they are."""
    result = dict(prompt)
    for node_id, entry in prompt.items():
        if isinstance(entry, dict) and entry.get("class_type") == CONFIGURED_LOADER:
            inputs = entry.get("inputs")
            found = current_type(CONFIGURED_LOADER, inputs if isinstance(inputs, dict) else ())
            result[node_id] = {**entry, "class_type": found}
    return result
