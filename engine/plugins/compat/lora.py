"""`comfy.lora`: the tensors of a LoRA, matched to the weights of a model."""

from __future__ import annotations

from typing import Any

from engine.models.lora import TEXT_PREFIXES, UNET_PREFIXES, split_name
from engine.plugins.compat.weight_patches import TEXT_KEYS, UNET_KEYS, calculate_weight, keys_of

__all__ = ["calculate_weight"]

_LORA = ("up", "down", "alpha", "mid", "dora_scale")
_LOHA = ("hada_w1_a", "hada_w1_b", "alpha", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2", "dora_scale")
_LOKR = ("lokr_w1", "lokr_w2", "alpha", "lokr_w1_a", "lokr_w1_b", "lokr_w2_a", "lokr_w2_b", "lokr_t2", "dora_scale")


def load_lora(lora: Any, to_load: Any, log_missing: bool = True) -> dict[Any, Any]:
    """Return the patches of a LoRA's tensors: {weight of the model: patch}; `to_load` is {name in the file: weight}."""
    found: dict[Any, dict[str, Any]] = {}
    for name, tensor in lora.items():
        base, part = split_name(name)
        if part and base in to_load:
            found.setdefault(to_load[base], {})[part] = tensor
    patches: dict[Any, Any] = {}
    for key, parts in found.items():
        if "diff_b" in parts and isinstance(key, str):
            patches[f"{key.removesuffix('.weight')}.bias"] = ("diff", (parts["diff_b"],))
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
    for key, ours in keys_of(model.handle).items():
        if not key.endswith(".weight"):
            continue
        module = ours.removesuffix(".weight")
        flat = module.replace(".", "_")
        found |= {f"{prefix}{flat}": key for prefix in TEXT_PREFIXES}
        found |= {f"{prefix}{module}": key for prefix in ("", "text_encoder.", "text_encoders.clip_l.transformer.")}
        found[TEXT_KEYS + module] = key
    return found


def _patch(parts: dict[str, Any]) -> Any:
    if "diff" in parts:
        return "diff", (parts["diff"],)
    alpha = parts.get("alpha")
    parts = {**parts, "alpha": None if alpha is None else float(alpha)}
    for kind, order, needed in (("lora", _LORA, "down"), ("loha", _LOHA, "hada_w1_b"), ("lokr", _LOKR, "")):
        if needed in parts or (not needed and any(name.startswith("lokr_") for name in parts)):
            return kind, tuple(parts.get(name) for name in order)
    return None
