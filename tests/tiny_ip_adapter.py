"""Tiny IP-Adapters with random weights, in their authors' layout, and the image encoder that they belong to."""

from __future__ import annotations

from typing import Any

import torch

SEEN, HIDDEN, SIDE = 20, 24, 28
"""Width of the encoder's vector and of its tokens, and pixels a side of what it sees."""


def encoder() -> Any:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(51)
    sizes = {"hidden_size": HIDDEN, "intermediate_size": 32, "num_attention_heads": 4, "num_hidden_layers": 3}
    told = {"image_size": SIDE, "patch_size": 14, "projection_dim": SEEN, "hidden_act": "gelu"}
    return CLIPVisionModelWithProjection(CLIPVisionConfig(**sizes, **told)).eval().requires_grad_(False)


def adapter(unet: Any, kind: str) -> dict[str, torch.Tensor]:
    """For a U-Net, named as its authors' file: `kind` plain, plus or full."""
    generator = torch.Generator().manual_seed(len(kind))
    text = unet.config.cross_attention_dim

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) * 0.3

    found = {}
    names = [name for name in unet.attn_processors if name.endswith("attn2.processor")]
    for number, name in enumerate(names):
        width = unet.get_submodule(name.removesuffix(".processor")).to_q.out_features
        for part in ("to_k_ip", "to_v_ip"):
            found[f"ip_adapter.{2 * number + 1}.{part}.weight"] = drawn(width, text)
    return found | {f"image_proj.{name}": value for name, value in _PROJECTIONS[kind](drawn, text).items()}


def _plain(drawn: Any, text: int) -> dict[str, torch.Tensor]:
    return {"proj.weight": drawn(4 * text, SEEN), "proj.bias": drawn(4 * text)} | _norm(drawn, "norm", text)


def _full(drawn: Any, text: int) -> dict[str, torch.Tensor]:
    first = {"proj.0.weight": drawn(HIDDEN, HIDDEN), "proj.0.bias": drawn(HIDDEN)}
    return first | {"proj.2.weight": drawn(text, HIDDEN), "proj.2.bias": drawn(text)} | _norm(drawn, "proj.3", text)


def _plus(drawn: Any, text: int) -> dict[str, torch.Tensor]:
    width = 32
    found = {"latents": drawn(1, 5, width), "proj_in.weight": drawn(width, HIDDEN), "proj_in.bias": drawn(width)}
    found |= {"proj_out.weight": drawn(text, width), "proj_out.bias": drawn(text)} | _norm(drawn, "norm_out", text)
    for i in range(4):
        block = f"layers.{i}"
        found |= _norm(drawn, f"{block}.0.norm1", width) | _norm(drawn, f"{block}.0.norm2", width)
        found |= {f"{block}.0.to_q.weight": drawn(64, width), f"{block}.0.to_kv.weight": drawn(128, width)}
        found |= {f"{block}.0.to_out.weight": drawn(width, 64)} | _norm(drawn, f"{block}.1.0", width)
        found |= {f"{block}.1.1.weight": drawn(4 * width, width), f"{block}.1.3.weight": drawn(width, 4 * width)}
    return found


def _norm(drawn: Any, name: str, width: int) -> dict[str, torch.Tensor]:
    return {f"{name}.weight": 1 + drawn(width), f"{name}.bias": drawn(width)}


_PROJECTIONS = {"plain": _plain, "full": _full, "plus": _plus}
