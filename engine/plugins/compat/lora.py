"""`comfy.lora`: the tensors of a LoRA, matched to the weights of a model."""

from __future__ import annotations

from typing import Any

from engine.models.families import tower_of
from engine.models.lora import UNET_PREFIXES, split_name
from engine.plugins.compat.weight_patches import PARTS, TEXT_KEYS, UNET_KEYS, calculate_weight, keys_of

__all__ = ["calculate_weight"]

_NEEDED = {"lora": "down", "loha": "hada_w1_b", "glora": "b2", "oft": "oft_blocks"}
"""Kind of a patch → a part that only it has."""


def load_lora(lora: Any, to_load: Any, log_missing: bool = True) -> dict[Any, Any]:
    """Return the patches of a LoRA's tensors: {weight of the model: patch}; `to_load` is {name in the file: weight}."""
    found: dict[Any, dict[str, Any]] = {}
    for name, tensor in lora.items():
        base, part = split_name(name)
        if part and base in to_load:
            found.setdefault(to_load[base], {})[part] = tensor
    patches: dict[Any, Any] = {}
    for key, parts in found.items():
        for part in {"diff_b", "b_norm"} & parts.keys():
            if isinstance(key, str):
                patches[f"{key.removesuffix('.weight')}.bias"] = ("diff", (parts[part],))
        patch = _patch(parts)
        if patch is not None:
            patches[key] = patch
    return patches


def model_lora_keys_unet(model: Any, key_map: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the names that LoRA files have for a denoiser's weights: {name in the file: weight}, added to `key_map`."""
    found = {} if key_map is None else key_map
    for key, ours in keys_of(model.handle).items():
        if not key.endswith(".weight"):
            continue
        module = key.removeprefix(UNET_KEYS).removesuffix(".weight")
        for spelling in (module, ours.removesuffix(".weight")):
            flat = spelling.replace(".", "_")
            found |= {f"{prefix}{flat}": key for prefix in UNET_PREFIXES}
            found |= {f"{prefix}{spelling}": key for prefix in ("", "unet.", UNET_KEYS, "base_model.model.")}
    return found


def model_lora_keys_clip(model: Any, key_map: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the names that LoRA files have for a text encoder's weights: {name in the file: weight}."""
    found = {} if key_map is None else key_map
    prefixes = tower_of(model.handle.family, model.handle.tower).lora_prefixes
    for key, ours in keys_of(model.handle).items():
        if not key.endswith(".weight"):
            continue
        module = ours.removesuffix(".weight")
        flat = module.replace(".", "_")
        found |= {f"{prefix}{flat}": key for prefix in prefixes}
        found |= {f"{prefix}{module}": key for prefix in ("", "text_encoder.", "text_encoders.clip_l.transformer.")}
        found[TEXT_KEYS + module] = key
    return found


def _patch(parts: dict[str, Any]) -> Any:
    if "set_weight" in parts:
        return "set", (parts["set_weight"],)
    for part in {"diff", "w_norm"} & parts.keys():
        return "diff", (parts[part],)
    kind = next((kind for kind, part in _NEEDED.items() if part in parts), None)
    if kind is None and any(name.startswith("lokr_") for name in parts):
        kind = "lokr"
    if kind is None:
        return None
    if kind == "oft" and parts["oft_blocks"].ndim == 4:
        kind = "boft"
    alpha = parts.get("alpha")
    parts = {**parts, "alpha": None if alpha is None else float(alpha)}
    return kind, tuple(parts.get(name) for name in PARTS[kind])
