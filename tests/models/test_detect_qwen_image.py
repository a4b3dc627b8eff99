"""Qwen-Image's networks and its autoencoder in full size, by names and shapes alone, in each layout; and as a diffusers folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.models import autoencoders, weights
from engine.models.autoencoders import wan
from engine.models.detect import detect
from engine.models.families import families
from engine.models.manager import ModelManager
from engine.models.networks import qwen_image_sizes
from tests.models.test_detect import shapes
from tests.tiny_qwen_image import autoencoder, to_original, transformer

KINDS = {
    "plain": {},
    "2511": {"zero_cond_t": True},
    "layered": {"use_additional_t_cond": True, "use_layer3d_rope": True},
}


def full(**told: Any) -> Any:
    from diffusers.models.transformers.transformer_qwenimage import QwenImageTransformer2DModel

    with torch.device("meta"):
        return QwenImageTransformer2DModel(**told)


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_size_network_is_read_off_its_names_and_shapes(kind: str) -> None:
    module = full(**KINDS[kind])
    names = shapes(module.state_dict())
    assert len(names) == (1934 if kind == "layered" else 1933)
    own = {**names, "__index_timestep_zero__": (0,)} if kind == "2511" else names
    for prefix in ("", "model.diffusion_model."):
        found = detect({f"{prefix}{name}": shape for name, shape in own.items()})
        assert (found.family, found.network_prefix) == ("qwen_image", prefix)
        assert found.network is not None
        again = full(**found.network)
        assert shapes(again.state_dict()) == names
        told = {name: value for name, value in module.config.items() if not name.startswith("_")}
        assert {name: again.config[name] for name in told} == {**told, "axes_dims_rope": [16, 56, 56]}
        assert (found.latent.channels, found.latent.axes, len(found.latent.means)) == (16, 3, 16)
    with torch.device("meta"):
        tensors = {name: torch.empty(shape) for name, shape in own.items()}
    assert shapes(qwen_image_sizes.renamed(tensors, module.config)) == names
    assert [family.name for family in families() if family.fits(own)] == ["qwen_image"]


@pytest.mark.parametrize("colours", [3, 4])
def test_a_full_size_autoencoder_is_read_off_its_names_and_shapes(colours: int) -> None:
    from diffusers.models.autoencoders.autoencoder_kl_qwenimage import AutoencoderKLQwenImage

    with torch.device("meta"):
        state = AutoencoderKLQwenImage(input_channels=colours).state_dict()
    wanted, original = shapes(state), to_original(state)
    assert len(original) == len(wanted) == 194
    for named in (original, state):
        assert autoencoders.kind_in(shapes(named)) == "wan"
        told = wan.config(shapes(named), {})
        assert (told["base_dim"], told["dim_mult"], told["num_res_blocks"]) == (96, [1, 2, 4, 4], 2)
        assert (told["temperal_downsample"], told["in_channels"]) == ([False, True, True], colours)
        assert wan.space(told) == (16, 8)
        assert shapes(wan.renamed(named, told)) == wanted
    found = detect({f"vae.{name}": shape for name, shape in shapes(original).items()})
    assert (found.vae_kind, found.vae_prefix, found.network) == ("wan", "vae.", None)


def test_a_folder_of_diffusers_gives_what_a_file_gives(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    parts = {"transformer": transformer(zero_cond_t=True), "vae": autoencoder()}
    (tmp_path / "model_index.json").write_text("{}")
    for name, part in parts.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(dict(part.config), default=str))
        save_file(part.state_dict(), tmp_path / name / "diffusion_pytorch_model.safetensors")
    model, _, decoder = ModelManager().checkpoint(tmp_path)
    assert model is not None
    assert decoder is not None
    assert (model.family, model.config["zero_cond_t"], model.config["axes_dims_rope"]) == (
        "qwen_image",
        True,
        [4, 6, 6],
    )
    assert (decoder.kind, decoder.latent.means) == ("wan", model.latent.means)
    for handle, part in ((model, parts["transformer"]), (decoder, parts["vae"])):
        assert shapes(weights.empty_module(handle).state_dict()) == shapes(part.state_dict())
