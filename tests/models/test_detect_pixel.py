"""Networks without text, or of pictures themselves, in full size: by names and shapes alone, in each layout."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.detect import detect
from engine.models.families import families, family_named
from engine.models.networks import dit_sizes, pixel_unet_sizes
from tests.models.test_detect import shapes
from tests.tiny_pixel import ddpm_unet, dit_transformer


def on_meta(make: Any, **told: Any) -> Any:
    with torch.device("meta"):
        return make(**told)


def alone(names: dict[str, tuple[int, ...]]) -> list[str]:
    return [family.name for family in families() if family.fits(names)]


def again(found: Any, make: Any) -> Any:
    return on_meta(make, **{k: tuple(v) if isinstance(v, list) else v for k, v in found.network.items()})


CAT = {
    "block_out_channels": (128, 128, 256, 256, 512, 512),
    "down_block_types": (*["DownBlock2D"] * 4, "AttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "AttnUpBlock2D", *["UpBlock2D"] * 4),
    "layers_per_block": 2,
}
CIFAR = {
    "block_out_channels": (128, 256, 256, 256),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 2,
}


@pytest.mark.parametrize("config", [CAT, CIFAR], ids=["256", "32"])
def test_ddpm_is_read_off_its_names_and_shapes(config: dict[str, Any]) -> None:
    module = on_meta(ddpm_unet, **config)
    names = shapes(module.state_dict())
    found = detect(names)
    assert (found.family, found.latent.downscale, found.latent.channels) == ("ddpm", 1, 3)
    made = again(found, ddpm_unet)
    assert shapes(made.state_dict()) == names
    assert {name: made.config[name] for name in (*config, "freq_shift", "norm_eps", "downsample_padding")} == {
        name: module.config[name] for name in (*config, "freq_shift", "norm_eps", "downsample_padding")
    }
    assert alone(names) == ["ddpm"]
    old = {
        name.replace("to_q", "query").replace("to_out.0", "proj_attn"): value
        for name, value in module.state_dict().items()
    }
    assert shapes(pixel_unet_sizes.renamed(old, found.network or {})) == names


SIZES = {"XL/2": (16, 72, 28, 2), "S/8": (6, 64, 12, 8)}


@pytest.mark.parametrize("size", SIZES)
def test_dit_is_read_off_its_names_and_shapes_in_both_layouts(size: str) -> None:
    heads, width, layers, patch = SIZES[size]
    told = {"num_attention_heads": heads, "attention_head_dim": width, "num_layers": layers, "patch_size": patch}
    module = on_meta(dit_transformer, **told, sample_size=32)
    state = module.state_dict()
    names = shapes(state)
    original = {
        f"{theirs}.{kind}": state[f"{ours}.{kind}"]
        for ours, theirs in dit_sizes.paths(module.config).items()
        for kind in ("weight", "bias")
    }
    for path, parts in dit_sizes.fused(module.config).items():
        for kind in ("weight", "bias"):
            original[f"{path}.{kind}"] = torch.cat([state[f"{part}.{kind}"] for part in parts])
    for ours, theirs in dit_sizes._SHARED.items():
        for kind in ("weight", "bias"):
            if f"transformer_blocks.0.{ours}.{kind}" in state:
                original[f"{theirs}.{kind}"] = state[f"transformer_blocks.0.{ours}.{kind}"]
    original["pos_embed"] = torch.empty(1, (32 // patch) ** 2, heads * width, device="meta")
    for layout in (names, shapes(original), {f"model.diffusion_model.{n}": s for n, s in shapes(original).items()}):
        found = detect(layout)
        assert (found.family, found.latent.scale) == ("dit", 0.18215)
        assert found.network is not None
        assert {name: again(found, dit_transformer).config[name] for name in told} == told
        assert shapes(again(found, dit_transformer).state_dict()) == names
    assert shapes(dit_sizes.renamed(original, module.config)) == names
    assert alone(names) == alone(shapes(original)) == ["dit"]
    assert family_named("dit").towers == ()
