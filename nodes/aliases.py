"""Names by which saved workflows of the field call nodes that have a name of their own here."""

from __future__ import annotations

from collections.abc import Mapping

_WITHOUT_MODELS: Mapping[str, str] = {
    "ComfySwitchNode": "Switch",
    "EmptyLatentImage": "EmptyLatent",
}

_WITH_MODELS: Mapping[str, str] = {
    "CLIPTextEncode": "TextEncode",
    "DeprecatedCheckpointLoader": "CheckpointLoader",
    "DeprecatedDiffusersLoader": "DiffusersLoader",
    "LoraLoader": "LoRALoader",
    "SaveLoRANode": "SaveLoRA",
    "LoraLoaderModelOnly": "LoRALoaderModelOnly",
}

ALIASES: dict[str, str] = {**_WITHOUT_MODELS, **_WITH_MODELS}
"""Name in a saved workflow → name of the node here; inputs and outputs are those of the field under either name."""
