"""T2I-Adapter's style adapter against its authors' sums."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from engine.models.errors import ModelError
from engine.models.vision import Seen
from nodes.style_model import style_model_apply, style_model_loader
from tests.conftest import Bench, _save

WIDTH, TEXT, TOKENS = 256, 32, 3


def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) * 0.1

    found = {"style_embedding": drawn(1, TOKENS, WIDTH), "proj": drawn(WIDTH, TEXT)}
    names = ["ln_pre", "ln_post", *(f"transformer_layes.{i}.ln_{j}" for i in range(2) for j in (1, 2))]
    for name in names:
        found |= {f"{name}.weight": 1 + drawn(WIDTH), f"{name}.bias": drawn(WIDTH)}
    for i in range(2):
        layer = f"transformer_layes.{i}"
        found |= {
            f"{layer}.attn.in_proj_weight": drawn(3 * WIDTH, WIDTH),
            f"{layer}.attn.in_proj_bias": drawn(3 * WIDTH),
        }
        found |= {f"{layer}.attn.out_proj.weight": drawn(WIDTH, WIDTH), f"{layer}.attn.out_proj.bias": drawn(WIDTH)}
        found |= {f"{layer}.mlp.c_fc.weight": drawn(4 * WIDTH, WIDTH), f"{layer}.mlp.c_fc.bias": drawn(4 * WIDTH)}
        found |= {f"{layer}.mlp.c_proj.weight": drawn(WIDTH, 4 * WIDTH), f"{layer}.mlp.c_proj.bias": drawn(WIDTH)}
    return found


def by_hand(seen: torch.Tensor) -> torch.Tensor:
    """As github.com/TencentARC/T2I-Adapter has it at commit 16bba67 (ldm/modules/encoders/adapter.py), head by head."""
    own = tensors()

    def normed(x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.layer_norm(x, (WIDTH,), own[f"{name}.weight"], own[f"{name}.bias"])

    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        return x @ own[f"{name}.weight"].T + own[f"{name}.bias"]

    x = normed(torch.cat([seen, own["style_embedding"].expand(len(seen), -1, -1)], 1), "ln_pre")
    for i in range(2):
        layer = f"transformer_layes.{i}"
        stacked = normed(x, f"{layer}.ln_1") @ own[f"{layer}.attn.in_proj_weight"].T + own[f"{layer}.attn.in_proj_bias"]
        heads = [stacked[..., k * WIDTH : (k + 1) * WIDTH].unflatten(-1, (2, 128)) for k in range(3)]
        scores = torch.einsum("bqhd,bkhd->bhqk", heads[0], heads[1]) / 128**0.5
        looked = torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), heads[2]).flatten(2)
        x = x + linear(looked, f"{layer}.attn.out_proj")
        inner = linear(normed(x, f"{layer}.ln_2"), f"{layer}.mlp.c_fc")
        x = x + linear(inner * torch.sigmoid(1.702 * inner), f"{layer}.mlp.c_proj")
    return normed(x[:, -TOKENS:], "ln_post") @ own["proj"]


@pytest.fixture
def loaded(bench: Bench, tiny_sd: Any) -> Any:
    _save(tiny_sd.file("style_models", "t2i.safetensors"), tensors())
    return style_model_loader(bench, "t2i.safetensors")


def seen(width: int = WIDTH) -> Seen:
    states = torch.randn(2, 5, width, generator=torch.Generator().manual_seed(4))
    return Seen(states, states[:, 0], torch.zeros_like(states))


def test_tokens_of_a_style_follow_the_text(bench: Bench, loaded: Any) -> None:
    text = torch.randn(1, 7, TEXT)
    ((context, _),) = style_model_apply(bench, [[text, {}]], loaded, seen(), 0.5)
    wanted = by_hand(seen().last_hidden_state).flatten(0, 1)[None] * 0.5
    assert torch.equal(context[:, :7], text)
    assert float((context[:, 7:] - wanted).abs().max()) <= 1e-5


def test_what_another_encoder_saw_is_refused(bench: Bench, loaded: Any) -> None:
    with pytest.raises(ModelError, match=r"an image encoder of width 256 \(CLIP ViT-L\) saw, got 64"):
        style_model_apply(bench, [[torch.zeros(1, 7, TEXT), {}]], loaded, seen(64))
