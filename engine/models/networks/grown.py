"""Layers that take more channels than the file's: new ones count nothing until a LoRA gives them weight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.models.shapes import Shapes

if TYPE_CHECKING:
    from engine.models.families.base import NetworkKind
    from engine.models.lora import Matched


def grown_config(network: NetworkKind, config: Mapping[str, Any], match: Matched, shapes: Shapes) -> dict[str, Any]:
    """Return `config` with layers as wide as a LoRA wants them, of those that may grow; `shapes`: of the LoRA's tensors."""
    found = dict(config)
    for name, key in network.grows.items():
        change = match.changes.get(name)
        if change is not None and "down" in change.parts:
            found[key] = max(int(found[key]), shapes[change.parts["down"]][1])
    return found


def grown(network: NetworkKind, config: Mapping[str, Any], tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Return a network's tensors (or arrays) with zeros for what its layers take beyond the file's."""
    found = dict(tensors)
    for name, key in network.grows.items():
        if name in found and found[name].ndim == 2:
            found[name] = widened(found[name], int(config[key]))
    return found


def widened(value: Any, columns: int) -> Any:
    """Return a matrix with zeros to the right up to `columns`; itself when it has as many."""
    missing = columns - value.shape[1]
    if missing <= 0:
        return value
    if isinstance(value, np.ndarray):
        return np.concatenate([value, np.zeros((value.shape[0], missing), value.dtype)], axis=1)
    import torch

    return torch.cat([value, value.new_zeros(value.shape[0], missing)], dim=1)
