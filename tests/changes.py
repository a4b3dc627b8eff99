"""LoRAs for tiny networks: random ones, under the names of trainers, and the same done to a library's module by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

KOHYA = "lora_unet_"
Pairs = Mapping[str, tuple[torch.Tensor, torch.Tensor]]
"""Module path → (down, up)."""


def low_rank(module: Any, wanted: Callable[[str], bool] = lambda name: True, scale: float = 0.2) -> Pairs:
    """A change of rank 2 of every linear layer that is wanted, always the same."""
    torch.manual_seed(4)
    return {
        name: (torch.randn(2, part.in_features) * scale, torch.randn(part.out_features, 2))
        for name, part in module.named_modules()
        if isinstance(part, torch.nn.Linear) and wanted(name)
    }


def under(prefix: str, pairs: Pairs, paths: Mapping[str, str] | None = None) -> dict[str, torch.Tensor]:
    """As a file has them: kohya's names flat, the others' with points; `paths` are those of another layout."""
    tensors = {}
    for name, (down, up) in pairs.items():
        path = paths[name] if paths else name
        flat = prefix == KOHYA
        ends = ("lora_down", "lora_up") if flat else ("lora_A", "lora_B")
        for end, value in zip(ends, (down, up), strict=True):
            tensors[f"{prefix}{path.replace('.', '_') if flat else path}.{end}.weight"] = value
    return tensors


@contextmanager
def applied(module: Any, pairs: Pairs, strength: float) -> Iterator[None]:
    """Have the module's weights changed for the block."""
    parts = {name: module.get_submodule(name) for name in pairs}
    kept = {name: part.weight.clone() for name, part in parts.items()}
    with torch.no_grad():
        for name, part in parts.items():
            down, up = pairs[name]
            part.weight += strength * (up @ down)
        try:
            yield
        finally:
            for name, part in parts.items():
                part.weight.copy_(kept[name])
