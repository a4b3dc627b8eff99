"""Wan's networks in full size, by names and shapes alone, in each layout; networks with parts of other models are not taken for it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models import autoencoders
from engine.models.autoencoders import wan22
from engine.models.detect import detect
from engine.models.families import families
from engine.models.networks import wan_sizes
from engine.models.networks.wan_module import transformer
from tests import tiny_wan
from tests.models.test_detect import shapes

LARGE: dict[str, Any] = {
    "patch_size": [1, 2, 2],
    "num_attention_heads": 40,
    "attention_head_dim": 128,
    "in_channels": 16,
    "out_channels": 16,
    "text_dim": 4096,
    "freq_dim": 256,
    "ffn_dim": 13824,
    "num_layers": 40,
}
SMALL = LARGE | {"num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30}
SEES = {"image_dim": 1280, "added_kv_proj_dim": 5120}
FULL: dict[str, dict[str, Any]] = {
    "2.1 t2v 1.3B": SMALL,
    "2.1, 2.2 t2v 14B": LARGE,
    "2.1 i2v 14B": LARGE | SEES | {"in_channels": 36},
    "2.1 flf2v 14B": LARGE | SEES | {"in_channels": 36, "pos_embed_seq_len": 514},
    "2.2 i2v 14B": LARGE | {"in_channels": 36},
    "2.2 5B": LARGE
    | {"num_attention_heads": 24, "ffn_dim": 14336, "num_layers": 30, "in_channels": 48, "out_channels": 48},
    "2.1 VACE 1.3B": SMALL | {"vace_layers": list(range(0, 30, 2)), "vace_in_channels": 96},
    "2.1 VACE 14B": LARGE | {"vace_layers": list(range(0, 40, 5)), "vace_in_channels": 96},
    "2.1 Fun control 1.3B": SMALL | {"in_channels": 48, "image_dim": 1280, "added_kv_proj_dim": 1536},
    "2.2 Fun control 14B": LARGE | {"in_channels": 52, "reference_channels": 16},
    "2.1 Fun camera 14B": LARGE | SEES | {"in_channels": 32, "camera_channels": 1536, "camera_blocks": 1},
    "2.2 Fun camera 14B": LARGE | {"in_channels": 36, "camera_channels": 1536, "camera_blocks": 1},
}
"""By github.com/huggingface/diffusers (its script) and github.com/aigc-apps/VideoX-Fun (its configurations)."""


@pytest.mark.parametrize("name", FULL)
def test_a_full_size_network_is_read_off_its_names_and_shapes(name: str) -> None:
    told = FULL[name]
    with torch.device("meta"):
        state = transformer(**told).state_dict()
    original = tiny_wan.to_original(state)
    family = "wan22" if "5B" in name else "wan"
    for prefix, named in (("", original), ("model.diffusion_model.", original), ("", state)):
        found = detect({f"{prefix}{key}": shape for key, shape in shapes(named).items()})
        assert found.family == family
        network = {key: value for key, value in (found.network or {}).items() if value is not None}
        assert network == told | {"cross_attn_norm": True}
        assert (found.latent.channels, found.latent.downscale, found.latent.axes) == (
            (48, 16, 3) if family == "wan22" else (16, 8, 3)
        )
    assert shapes(wan_sizes.renamed(original, told)) == shapes(state)
    assert [one.name for one in families() if one.fits(shapes(original))] == [family]


def test_names_are_those_of_the_librarys_converter_which_knows_no_places_of_two_pictures() -> None:
    from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers as convert

    for told in ({"image_dim": 32}, {"vace_layers": [0, 1]}):
        state = tiny_wan.transformer(**told).state_dict()
        original = tiny_wan.to_original(state)
        assert {name: wan_sizes.library_name(name) for name in original} == {
            theirs: ours for ours, theirs in convert({name: name for name in original}).items()
        }


@pytest.mark.parametrize("part", ["face_adapter.fuser_blocks.0.k_norm", "audio_proj.proj1", "pose_patch_embedding"])
def test_a_network_with_parts_of_other_models_is_not_taken_for_it(part: str) -> None:
    state = shapes(tiny_wan.to_original(tiny_wan.transformer().state_dict()))
    assert [one.name for one in families() if one.fits(state)] == ["wan"]
    assert [one.name for one in families() if one.fits(state | {f"{part}.weight": (4, 4)})] == []


def test_every_module_with_a_weight_has_a_path_in_the_original_layout() -> None:
    module = tiny_wan.transformer(image_dim=32, vace_layers=[0])
    paths = wan_sizes.paths({**module.config, "image_dim": 32, "vace_layers": [0]})
    assert set(paths) == {
        name for name, part in module.named_modules() if any(True for _ in part.parameters(recurse=False))
    } - {"", "blocks.0", "blocks.1", "vace_blocks.0", "condition_embedder.image_embedder"}
    assert paths["blocks.1.attn1.to_out.0"] == "blocks.1.self_attn.o"


def test_the_second_autoencoder_is_read_off_its_names_and_shapes() -> None:
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan

    told = {"z_dim": 48, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 2, "temperal_downsample": [False, True, True]}
    with torch.device("meta"):
        module = AutoencoderKLWan(
            base_dim=160, decoder_base_dim=256, is_residual=True, in_channels=12, out_channels=12, patch_size=2,
            scale_factor_spatial=16, latents_mean=[0.0] * 48, latents_std=[1.0] * 48, **told,
        )  # fmt: skip
    state = shapes(module.state_dict())
    assert autoencoders.kind_in(state) == "wan22"
    found = wan22.config(state, {})
    assert {name: found[name] for name in told} == told
    assert (found["base_dim"], found["decoder_base_dim"], found["scale_factor_temporal"]) == (160, 256, 4)
    assert wan22.space(found) == (48, 16)
