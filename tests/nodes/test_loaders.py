"""Loaders give handles by file name, and say what is missing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from engine.api import ExecutionBlocker
from engine.models.errors import LoraError
from engine.paths import PathError
from nodes import loaders
from nodes.conditioning import text_encode
from nodes.sampling import ksampler


def test_a_checkpoint_gives_its_three_parts(bench):
    model, clip, vae = loaders.checkpoint_loader(bench, "tiny.safetensors")
    assert model.latent.channels == vae.latent.channels == 4
    assert model.context_dim == clip.config["hidden_size"] == 32


@pytest.mark.parametrize(
    ("params", "prediction", "stop_at"),
    [
        ("parameterization: v\n    cond_stage_config:\n      params: {layer: penultimate}", "v", -1),
        ("cond_stage_config:\n      params: {layer: hidden, layer_idx: -2}", "eps", -2),
        ("linear_start: 0.00085", "eps", -1),
    ],
)
def test_a_config_says_what_the_network_predicts_and_where_the_text_encoder_stops(
    bench, tmp_path, params, prediction, stop_at
):
    from engine.paths import Paths

    (tmp_path / "models" / "checkpoints").mkdir(parents=True)
    shutil.copy(bench.paths.find("checkpoints", "tiny.safetensors"), tmp_path / "models" / "checkpoints")
    (tmp_path / "models" / "configs").mkdir()
    (tmp_path / "models" / "configs" / "v.yaml").write_text(f"model:\n  params:\n    {params}\n")
    here = replace(bench, paths=Paths(tmp_path))
    model, clip, vae = loaders.checkpoint_loader_with_config(here, "v.yaml", "tiny.safetensors")
    assert (model.parameterization.prediction, clip.stop_at) == (prediction, stop_at)
    assert vae == loaders.checkpoint_loader(here, "tiny.safetensors").VAE


@pytest.mark.parametrize(("text", "said"), [("model: {", "not readable as YAML"), ("a: 1", "has no `model: params:`")])
def test_a_config_of_another_form_is_refused_by_name(tmp_path, text, said):
    from nodes.checkpoint_config import read_config

    file = tmp_path / "odd.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=rf"odd\.yaml.*{said}"):
        read_config(file)


def test_a_missing_part_stops_what_wants_it_and_says_what_to_load(bench):
    parts = loaders.checkpoint_loader(bench, "no_vae.safetensors")
    assert isinstance(parts.VAE, ExecutionBlocker)
    assert "VAELoader" in parts.VAE.message
    assert not isinstance(parts.MODEL, ExecutionBlocker)


def test_a_misspelt_file_is_an_error_with_the_nearest_name(bench):
    with pytest.raises(PathError, match=r"tiny\.safetensors"):
        loaders.checkpoint_loader(bench, "tinny.safetensors")


def test_split_files_load_by_their_own_loaders(bench):
    vae = loaders.vae_loader(bench, "tiny_vae.safetensors")
    assert vae.latent.downscale == 8
    assert loaders.control_net_loader(bench, "edges.safetensors").config["cross_attention_dim"] == 32


def test_a_lora_is_a_patch_on_new_handles_and_zero_strength_is_none(bench):
    model, clip, _ = loaders.checkpoint_loader(bench, "tiny.safetensors")
    patched, patched_clip = loaders.lora_loader(bench, model, clip, "kohya.safetensors", 0.8, 0.5)
    assert [patch.strength for patch in patched.patches] == [0.8]
    assert [patch.strength for patch in patched_clip.patches] == [0.5]
    assert model.patches == ()
    assert loaders.lora_loader(bench, model, clip, "kohya.safetensors", 0.0, 0.0) == (model, clip)


def test_the_text_encoder_is_patched_by_its_own_strength(bench):
    model, clip, _ = loaders.checkpoint_loader(bench, "tiny.safetensors")
    plain = text_encode(bench, "red", clip)[0][0]
    _, unpatched = loaders.lora_loader(bench, model, clip, "kohya.safetensors", 1.0, 0.0)
    _, patched = loaders.lora_loader(bench, model, clip, "kohya.safetensors", 1.0, 1.0)
    assert torch.equal(text_encode(bench, "red", unpatched)[0][0], plain)
    assert not torch.allclose(text_encode(bench, "red", patched)[0][0], plain, atol=1e-3)
    assert torch.equal(text_encode(bench, "red", clip)[0][0], plain)


def test_loras_stack_in_the_order_they_are_put_on(bench):
    model, _, _ = loaders.checkpoint_loader(bench, "tiny.safetensors")
    once = loaders.lora_loader_model_only(bench, model, "kohya.safetensors", 0.5)
    twice = loaders.lora_loader_model_only(bench, once, "diffusers.safetensors", -0.25)
    assert [patch.strength for patch in twice.patches] == [0.5, -0.25]


def test_tensors_of_a_lora_that_fit_nothing_are_a_warning_on_the_node(bench, tiny_sd):
    model, clip, _ = loaders.checkpoint_loader(bench, "tiny.safetensors")
    extra = tiny_sd.file("loras", "extra.safetensors")
    save_file(tiny_sd.loras["kohya"] | {"lora_unet_nowhere.lora_up.weight": torch.zeros(2, 2)}, extra)
    loaders.lora_loader(bench, model, clip, "extra.safetensors", 1.0, 1.0)
    extra.unlink()
    assert bench.warned == [
        "extra.safetensors: 1 tensors fit nothing in this model, such as lora_unet_nowhere.lora_up.weight."
    ]


def test_a_file_that_is_no_lora_is_an_error_that_names_it(bench, tiny_sd):
    model, clip, _ = loaders.checkpoint_loader(bench, "tiny.safetensors")
    other = tiny_sd.file("loras", "not_a_lora.safetensors")
    other.write_bytes(tiny_sd.file("vae", "tiny_vae.safetensors").read_bytes())
    with pytest.raises(LoraError, match="not_a_lora"):
        loaders.lora_loader(bench, model, clip, "not_a_lora.safetensors", 1.0, 1.0)


def test_naming_a_checkpoint_does_not_import_torch(tiny_sd):
    code = (
        "import sys\n"
        "from types import SimpleNamespace\n"
        "from engine.models.manager import ModelManager\n"
        "from engine.paths import Paths\n"
        "from nodes.loaders import checkpoint_loader\n"
        f"ctx = SimpleNamespace(models=ModelManager('cpu'), paths=Paths({str(tiny_sd.base)!r}))\n"
        "print(checkpoint_loader(ctx, 'tiny.safetensors').MODEL.family, 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["sd1", "False"]


def test_a_diffusers_folder_gives_the_same_models_as_the_file(bench, tiny_sd):
    folder = tiny_sd.file("diffusers", "tiny")
    for name in ("unet", "vae", "text_encoder"):
        tiny_sd.modules[name].save_pretrained(folder / name)
    (folder / "tokenizer").mkdir()
    for file in tiny_sd.tokenizer_files:
        (folder / "tokenizer" / file.name).write_bytes(file.read_bytes())
    (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    assert bench.paths.folder_files("diffusers") == ["tiny"]
    from_folder, from_file = (
        loaders.diffusers_loader(bench, "tiny"),
        loaders.checkpoint_loader(bench, "tiny.safetensors"),
    )
    texts = [text_encode(bench, "a red apple", parts.CLIP)[0][0] for parts in (from_folder, from_file)]
    assert torch.allclose(*texts, atol=1e-5)
    latents = [
        ksampler(
            bench,
            parts.MODEL,
            positive=[[texts[0], {}]],
            negative=[[texts[0], {}]],
            latent_image={"samples": torch.zeros(1, 4, 8, 8)},
            seed=1,
            steps=1,
            cfg=1.0,
            sampler_name="euler",
            scheduler="normal",
        )
        for parts in (from_folder, from_file)
    ]
    assert torch.allclose(latents[0]["samples"], latents[1]["samples"], atol=1e-3)
