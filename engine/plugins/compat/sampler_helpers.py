"""`comfy.sampler_helpers`: what samplers of the field prepare; ours do it themselves."""

from __future__ import annotations

from typing import Any


def prepare_mask(noise_mask: Any, shape: Any, device: Any = None) -> Any:
    """A mask (B, C, h, w) in the size of a latent of that shape."""
    import torch

    mask = noise_mask.reshape(-1, 1, *noise_mask.shape[-2:])
    mask = torch.nn.functional.interpolate(mask, size=tuple(shape[-2:]), mode="bilinear")
    mask = mask.expand(-1, shape[1], -1, -1)
    repeats = -(-shape[0] // mask.shape[0])
    return mask.repeat(repeats, 1, 1, 1)[: shape[0]].to(device)


def get_additional_models(conds: Any, dtype: Any = None) -> tuple[list[Any], int]:
    """Further models in conditionings; the manager has them."""
    return [], 0


def cleanup_additional_models(models: Any) -> None:
    """Put further models away; the manager does."""


def cleanup_models(conds: Any, models: Any) -> None:
    """Put models away; the manager does."""


def convert_cond(cond: Any) -> list[dict[str, Any]]:
    """A conditioning as dicts, with the tensor under `cross_attn`."""
    return [
        {**options, "cross_attn": tensor, "model_conds": dict(options.get("model_conds", {}))}
        for tensor, options in cond
    ]
