"""Networks without text, or of pictures themselves, in full size: by names and shapes alone, in each layout."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from engine.models import sd_keys
from engine.models.detect import detect
from engine.models.errors import CheckpointError
from engine.models.families import families, family_named
from engine.models.networks import cascade_sizes, dit_sizes, pixel_unet_sizes
from tests.models.test_detect import shapes
from tests.tiny_pixel import cascade_to_original, classed_unet, ddpm_unet, dit_transformer


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


SD2 = {
    "block_out_channels": (320, 640, 1280, 1280),
    "down_block_types": (*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"),
    "up_block_types": ("UpBlock2D", *["CrossAttnUpBlock2D"] * 3),
    "layers_per_block": 2,
    "cross_attention_dim": 1024,
    "attention_head_dim": (5, 10, 20, 20),
    "class_embed_type": "projection",
}
CLASSED: dict[str, tuple[str, dict[str, Any]]] = {
    "x4": (
        "sd_x4",
        {
            "block_out_channels": (256, 512, 512, 1024),
            "down_block_types": ("DownBlock2D", *["CrossAttnDownBlock2D"] * 3),
            "up_block_types": (*["CrossAttnUpBlock2D"] * 3, "UpBlock2D"),
            "layers_per_block": 2,
            "cross_attention_dim": 1024,
            "in_channels": 7,
            "num_class_embeds": 1000,
            "only_cross_attention": (True, True, True, False),
        },
    ),
    "unclip_h": ("sd2_unclip", SD2 | {"projection_class_embeddings_input_dim": 2048}),
    "unclip_l": ("sd2_unclip", SD2 | {"projection_class_embeddings_input_dim": 1536}),
    "lotus": ("lotus", SD2 | {"projection_class_embeddings_input_dim": 4}),
}


@pytest.mark.parametrize("kind", CLASSED)
def test_upscaler_unclip_and_lotus_are_read_off_their_names_and_shapes_in_both_layouts(kind: str) -> None:
    family, config = CLASSED[kind]
    module = on_meta(classed_unet, **config)
    names = shapes(module.state_dict())
    original = sd_keys.unet_to_original(module.state_dict(), module.config)
    for layout in (names, shapes(original)):
        found = detect(layout)
        assert (found.family, found.parameterization.prediction) == (family, "img_to_img" if kind == "lotus" else "v")
        made = again(found, classed_unet)
        assert shapes(made.state_dict()) == names
        for name, part in module.named_modules():
            if hasattr(part, "attn1"):
                assert made.get_submodule(name).attn1.heads == part.attn1.heads
                assert made.get_submodule(name).only_cross_attention == part.only_cross_attention
    assert shapes(sd_keys.unet_to_diffusers(original, module.config)) == names
    assert alone(names) == [family]


def test_deepfloyd_if_is_read_with_its_config_and_refused_without() -> None:
    """As its first stage in the largest size has it, from memory; what matters is that config and tensors agree."""
    config: dict[str, Any] = {
        "act_fn": "gelu",
        "attention_head_dim": 64,
        "block_out_channels": (704, 1408, 2112, 2816),
        "down_block_types": ("ResnetDownsampleBlock2D", *["SimpleCrossAttnDownBlock2D"] * 3),
        "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
        "up_block_types": (*["SimpleCrossAttnUpBlock2D"] * 3, "ResnetUpsampleBlock2D"),
        "layers_per_block": 3,
        "cross_attention_dim": 2816,
        "encoder_hid_dim": 4096,
        "addition_embed_type": "text",
        "addition_embed_type_num_heads": 64,
        "cross_attention_norm": "group_norm",
        "resnet_time_scale_shift": "scale_shift",
        "in_channels": 3,
        "out_channels": 6,
    }
    module = on_meta(classed_unet, **config, use_linear_projection=False)
    names = shapes(module.state_dict())
    found = detect(names, {"safelight.config": json.dumps({"unet": config})})
    assert (found.family, found.latent.channels, found.latent.downscale) == ("deepfloyd_if", 3, 1)
    assert found.network is not None
    made = on_meta(
        classed_unet,
        use_linear_projection=False,
        **{name: tuple(value) if isinstance(value, list) else value for name, value in found.network.items()},
    )
    assert shapes(made.state_dict()) == names
    assert {name: made.config[name] for name in config} == config
    assert alone(names) == ["deepfloyd_if"]
    with pytest.raises(CheckpointError, match=r"a folder of diffusers, whose config\.json tells act_fn"):
        detect(names)


CASCADE: dict[str, dict[str, Any]] = {
    "stable_cascade_c": {
        "block_out_channels": (2048, 2048),
        "num_attention_heads": (32, 32),
        "down_num_layers_per_block": (8, 24),
        "up_num_layers_per_block": (24, 8),
        "clip_text_in_channels": 1280,
        "clip_image_in_channels": 768,
        "switch_level": (False,),
    },
    "stable_cascade_b": {
        "in_channels": 4,
        "out_channels": 4,
        "patch_size": 2,
        "conditioning_dim": 1280,
        "block_out_channels": (320, 640, 1280, 1280),
        "num_attention_heads": (-1, -1, 20, 20),
        "down_num_layers_per_block": (2, 6, 28, 6),
        "up_num_layers_per_block": (6, 28, 6, 2),
        "down_blocks_repeat_mappers": (1, 1, 1, 1),
        "up_blocks_repeat_mappers": (3, 3, 2, 2),
        "block_types_per_layer": (
            *[["SDCascadeResBlock", "SDCascadeTimestepBlock"]] * 2,
            *[["SDCascadeResBlock", "SDCascadeTimestepBlock", "SDCascadeAttnBlock"]] * 2,
        ),
        "effnet_in_channels": 16,
        "pixel_mapper_in_channels": 3,
        "timestep_conditioning_type": ("sca",),
        "dropout": (0.0, 0.0, 0.1, 0.1),
    },
}


@pytest.mark.parametrize("family", CASCADE)
def test_stable_cascade_is_read_off_its_names_and_shapes_in_both_layouts(family: str) -> None:
    from diffusers.models.unets.unet_stable_cascade import StableCascadeUNet

    config = CASCADE[family]
    module = on_meta(StableCascadeUNet, **config)
    names = shapes(module.state_dict())
    original = cascade_to_original(module.state_dict(), second=family.endswith("b"))
    for layout in (names, shapes(original)):
        found = detect(layout)
        assert (found.family, found.parameterization.schedule) == (family, "cosine_time")
        assert found.network is not None
        told = {name: tuple(value) if isinstance(value, list) else value for name, value in found.network.items()}
        made = on_meta(StableCascadeUNet, **told, dropout=config.get("dropout", (0.1, 0.1)))
        assert shapes(made.state_dict()) == names
        assert {name: made.config[name] for name in config} == config
    assert shapes(cascade_sizes.renamed(original, {})) == names
    assert alone(names) == alone(shapes(original)) == [family]
