"""`comfy.lora`: tensors of a LoRA. Ours go by file, so what packs do here by tensor is refused when they do it."""

from __future__ import annotations

from typing import Any

from engine.plugins.compat.absent import refuse

_NEEDS = "weights of a pack's own as patches; comfy.sd.load_lora_for_models takes a file of them"


def load_lora(lora: Any, to_load: Any, log_missing: bool = True) -> Any:
    """Patches by tensor."""
    refuse("comfy.lora.load_lora", _NEEDS)


def model_lora_keys_unet(model: Any, key_map: Any = None) -> Any:
    """Names of a denoiser's tensors in LoRA files."""
    refuse("comfy.lora.model_lora_keys_unet", _NEEDS)


def model_lora_keys_clip(model: Any, key_map: Any = None) -> Any:
    """Names of a text encoder's tensors in LoRA files."""
    refuse("comfy.lora.model_lora_keys_clip", _NEEDS)
