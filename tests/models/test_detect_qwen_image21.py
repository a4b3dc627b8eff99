"""Qwen-Image 2.1's network and autoencoder in full size, by names and shapes alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from engine.models import autoencoders, weights
from engine.models.autoencoders import qwen_image21
from engine.models.detect import detect
from engine.models.families import families
from engine.models.manager import ModelManager
from engine.models.networks import qwen_image21_sizes
from tests.models.test_detect import shapes
from tests.tiny_qwen_image21 import autoencoder, encoder, stacked, transformer, wan_names
from tests.tiny_towers import write_tokenizer


def full(**told: Any) -> Any:
    from diffusers.models.transformers.transformer_qwenimage21 import QwenImage21Transformer2DModel

    with torch.device("meta"):
        return QwenImage21Transformer2DModel(**told)


def test_a_full_size_network_is_read_off_its_names_and_shapes() -> None:
    module = full()
    state = module.state_dict()
    assert len(state) == 297
    for tensors in (state, stacked(state)):
        for prefix in ("", "model.diffusion_model."):
            found = detect(shapes({f"{prefix}{name}": value for name, value in tensors.items()}))
            assert (found.family, found.network_prefix) == ("qwen_image21", prefix)
            assert found.network is not None
            again = full(**found.network)
            assert shapes(again.state_dict()) == shapes(state)
            told = {name: value for name, value in module.config.items() if not name.startswith("_")}
            assert {name: again.config[name] for name in told} == {**told, "axes_dims_rope": [16, 56, 56]}
            assert (found.latent.channels, found.latent.downscale, len(found.latent.means)) == (64, 16, 64)
        assert shapes(qwen_image21_sizes.renamed(tensors, module.config)) == shapes(state)
        assert [family.name for family in families() if family.fits(shapes(tensors))] == ["qwen_image21"]


def test_a_folder_of_diffusers_gives_what_a_file_gives(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    parts = {"transformer": transformer(), "vae": autoencoder(), "text_encoder": encoder(301)}
    (tmp_path / "model_index.json").write_text("{}")
    for name, part in parts.items():
        (tmp_path / name).mkdir()
        config = part.config.to_dict() if hasattr(part.config, "to_dict") else dict(part.config)
        (tmp_path / name / "config.json").write_text(json.dumps(config, default=str))
        file = "model" if name == "text_encoder" else "diffusion_pytorch_model"
        state = {key: value.contiguous() for key, value in part.state_dict().items() if "lm_head" not in key}
        save_file(state, tmp_path / name / f"{file}.safetensors")
    (tmp_path / "processor").mkdir()
    write_tokenizer(tmp_path, "given", "qwen").rename(tmp_path / "processor" / "tokenizer.json")
    model, clip, decoder = ModelManager().checkpoint(tmp_path)
    assert model is not None
    assert clip is not None
    assert decoder is not None
    assert (model.family, model.config["axes_dims_rope"], clip.tower) == ("qwen_image21", [4, 6, 6], "qwen3vl_8b")
    assert clip.tokenizer is not None
    assert clip.tokenizer.path.endswith("processor/tokenizer.json")
    assert (decoder.kind, decoder.latent.means) == ("qwen_image21", model.latent.means)
    for handle, part in ((model, parts["transformer"]), (decoder, parts["vae"])):
        assert shapes(weights.empty_module(handle).state_dict()) == shapes(part.state_dict())


def test_a_full_size_autoencoder_is_read_off_its_names_and_shapes() -> None:
    from diffusers.models.autoencoders.autoencoder_kl_qwenimage21 import AutoencoderKLQwenImage21

    from engine.datatypes.latent_formats import QWEN_IMAGE21

    with torch.device("meta"):
        module = AutoencoderKLQwenImage21()
    state = module.state_dict()
    named, original = shapes(state), wan_names(state)
    assert len(original) == len(named)
    for tensors in (state, original):
        assert autoencoders.kind_in(shapes(tensors)) == "qwen_image21"
        told = qwen_image21.config(shapes(tensors), {})
        assert shapes(qwen_image21.renamed(tensors, told)) == named
    with torch.device("meta"):
        again = AutoencoderKLQwenImage21(**told)
    assert shapes(again.state_dict()) == named
    assert all(again.config[name] == module.config[name] for name in told)
    assert qwen_image21.space(told) == (64, 16)
    assert (QWEN_IMAGE21.means, QWEN_IMAGE21.deviations) == (
        tuple(module.config.latents_mean),
        tuple(module.config.latents_std),
    )
