"""FLUX.1's networks for filling, edges and depths: whole runs by our nodes and by diffusers' pipelines on the same modules."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch

from nodes.conditioning import text_encode
from nodes.conditioning_edit import flux_guidance, reference_latent
from nodes.latent import empty_latent_of_16_channels
from nodes.loaders import checkpoint_loader
from nodes.sampling import ksampler
from nodes.vae import inpaint_model_conditioning, instruct_pix_to_pix_conditioning, vae_decode, vae_encode
from tests.conftest import Bench, _tokenizer_json
from tests.families import Tiny, flux_to_original, save, write_flux
from tests.runs import SEED, STEPS, bench_of, levels, library, noise

PROMPT = "a photo of the red apple on the tree"
HEIGHT, WIDTH, GUIDANCE = 64, 96, 30.0


def tiny_of(tiny_sd: Any, folder: Any, in_channels: int) -> Tiny:
    files = tiny_sd.tokenizer_files
    return write_flux(folder, files, _tokenizer_json(files), in_channels=in_channels)


@pytest.fixture(scope="module")
def fill(tiny_sd, tmp_path_factory) -> Tiny:
    return tiny_of(tiny_sd, tmp_path_factory.mktemp("tiny_fill"), 384)


@pytest.fixture(scope="module")
def depth(tiny_sd, tmp_path_factory) -> Tiny:
    return tiny_of(tiny_sd, tmp_path_factory.mktemp("tiny_depth"), 128)


@pytest.fixture(scope="module")
def dev(tiny_sd, tmp_path_factory) -> Tiny:
    return tiny_of(tiny_sd, tmp_path_factory.mktemp("tiny_dev"), 64)


def photo(seed: int = 5) -> torch.Tensor:
    return torch.rand(1, HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(seed))


def ours(bench: Bench, model: Any, positive: Any, latent: Any, vae: Any) -> torch.Tensor:
    settings = {"seed": SEED, "steps": STEPS, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple"}
    made = ksampler(bench, model, **settings, positive=positive, negative=positive, latent_image=latent)
    return vae_decode(bench, made, vae)


def run(made: Any, model: Any, **told: Any) -> torch.Tensor:
    packed = made._pack_latents(noise(HEIGHT, WIDTH), 1, 16, HEIGHT // 8, WIDTH // 8)
    sizes = {"height": HEIGHT, "width": WIDTH, "num_inference_steps": STEPS, "max_sequence_length": 256}
    given = {"prompt": PROMPT, "sigmas": levels(model), "latents": packed, "guidance_scale": GUIDANCE}
    return made(**given, **sizes, **told, output_type="pt").images.movedim(1, -1)


def test_a_masked_picture_is_filled_as_by_the_pipeline(fill, monkeypatch):
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
    from diffusers.pipelines.flux.pipeline_flux_fill import FluxFillPipeline

    bench = bench_of(fill)
    model, clip, vae = checkpoint_loader(bench, "flux.safetensors")
    assert (model.in_channels, model.extra_channels, model.latent.channels) == (96, 80, 16)
    mask = torch.zeros(1, HEIGHT, WIDTH)
    mask[:, 13:50, 20:61] = 1.0
    told = flux_guidance(text_encode(bench, PROMPT, clip), GUIDANCE)
    positive, _, latent = inpaint_model_conditioning(bench, told, told, vae, photo(), mask, noise_mask=False)
    got = ours(bench, model, positive, latent, vae)
    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mean)  # it draws
    seen = {"image": photo().movedim(-1, 1), "mask_image": mask[:, None], "strength": 1.0}
    expected = run(library(FluxFillPipeline, fill), model, **seen)
    assert float((got - expected).abs().max()) <= 1e-4
    bare = ours(bench, model, told, latent, vae)
    assert float((got - bare).abs().max()) > 1e-3, "without a picture all of it is made"


def control(tiny: Tiny, model: Any) -> torch.Tensor:
    from diffusers.pipelines.flux.pipeline_flux_control import FluxControlPipeline

    made = library(FluxControlPipeline, tiny)
    vae = tiny.modules["vae"]
    seen = vae.encode(photo().movedim(-1, 1) * 2 - 1).latent_dist.mean
    seen = (seen - vae.config.shift_factor) * vae.config.scaling_factor
    beside = made._pack_latents(seen, 1, 16, HEIGHT // 8, WIDTH // 8)
    return run(made, model, control_image=beside)


def test_edges_or_depths_beside_the_latent_give_the_pipelines_picture(depth):
    bench = bench_of(depth)
    model, clip, vae = checkpoint_loader(bench, "flux.safetensors")
    assert (model.in_channels, model.extra_channels) == (32, 16)
    told = flux_guidance(text_encode(bench, PROMPT, clip), GUIDANCE)
    positive, _, latent = instruct_pix_to_pix_conditioning(bench, told, told, vae, photo())
    got = ours(bench, model, positive, latent, vae)
    assert float((got - control(depth, model)).abs().max()) <= 1e-4
    other = instruct_pix_to_pix_conditioning(bench, told, told, vae, photo(6)).positive
    assert float((got - ours(bench, model, other, latent, vae)).abs().max()) > 1e-3


def test_pictures_to_go_by_have_no_place_there(depth):
    from engine.models.errors import ModelError

    bench = bench_of(depth)
    model, clip, vae = checkpoint_loader(bench, "flux.safetensors")
    told = reference_latent(text_encode(bench, PROMPT, clip), vae_encode(bench, photo(), vae))
    with pytest.raises(ModelError, match="beside the latent has no place for 1 pictures to go by"):
        ours(bench, model, told, empty_latent_of_16_channels(WIDTH, HEIGHT), vae)


def control_lora(tiny: Tiny) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """A LoRA as Black Forest Labs name it, with biases, norms and a first layer of twice the channels; the same in diffusers' names."""
    from engine.models.networks.flux_sizes import fused, paths

    network = tiny.modules["transformer"]
    ours = {theirs: path for path, theirs in paths(network.config).items()}
    split = fused(network.config)
    generator = torch.Generator().manual_seed(9)
    original, library_names = {}, {}
    for name, value in flux_to_original(network.state_dict(), "").items():
        path, _, kind = name.rpartition(".")
        if kind == "scale":
            original[name] = torch.rand(value.shape, generator=generator) + 0.5
            library_names[f"transformer.{ours[path]}.weight"] = original[name]
        if kind != "weight":
            continue
        columns = value.shape[1] * (2 if path == "img_in" else 1)
        down = torch.randn(4, columns, generator=generator) * 0.3
        up, bias = (
            torch.randn(value.shape[0], 4, generator=generator) * 0.1,
            torch.randn(value.shape[0], generator=generator),
        )
        parts = {f"{path}.lora_A.weight": down, f"{path}.lora_B.weight": up, f"{path}.lora_B.bias": 0.1 * bias}
        original |= parts
        for part, rows in split.get(path, {ours.get(path, ""): ((0, value.shape[0]),)}).items():
            picked = [torch.cat([one[start:end] for start, end in rows]) for one in (up, 0.1 * bias)]
            names = [f"transformer.{part}.{end}" for end in ("lora_A.weight", "lora_B.weight", "lora_B.bias")]
            library_names |= dict(zip(names, (down, *picked), strict=True))
    return original, library_names


def test_a_lora_that_widens_the_first_layer_gives_the_pipelines_picture(dev):
    from diffusers.pipelines.flux.pipeline_flux_control import FluxControlPipeline

    original, library_names = control_lora(dev)
    save(dev.file("loras", "depth.safetensors"), original)
    bench = bench_of(dev)
    model, clip, vae = checkpoint_loader(bench, "flux.safetensors")
    told = flux_guidance(text_encode(bench, PROMPT, clip), GUIDANCE)
    positive, _, latent = instruct_pix_to_pix_conditioning(bench, told, told, vae, photo())
    plain = ours(bench, model, positive, latent, vae)
    result = bench.models.lora(bench.paths.find("loras", "depth.safetensors"), model, None, 1.0, 0.0)
    assert result.unmatched == ()
    assert (model.extra_channels, result.model.extra_channels) == (0, 16)
    got = ours(bench, result.model, positive, latent, vae)
    changed = replace(dev, modules=dev.modules | {"transformer": copy.deepcopy(dev.modules["transformer"])})
    library(FluxControlPipeline, changed).load_lora_weights(dict(library_names))
    expected = control(changed, model)
    assert float((got - expected).abs().max()) <= 1e-4
    assert float((got - plain).abs().max()) > 1e-3
    assert torch.equal(ours(bench, model, positive, latent, vae), plain), "off again, exactly"


def test_a_lora_for_the_narrow_layer_goes_on_beside_one_that_widens_it(dev):
    original, _ = control_lora(dev)
    save(dev.file("loras", "depth.safetensors"), original)
    down, up = torch.randn(2, 64), torch.randn(32, 2)
    save(dev.file("loras", "narrow.safetensors"), {"img_in.lora_A.weight": down, "img_in.lora_B.weight": up})
    bench = bench_of(dev)
    found = checkpoint_loader(bench, "flux.safetensors").MODEL
    for name in ("depth", "narrow"):
        found = bench.models.lora(bench.paths.find("loras", f"{name}.safetensors"), found, None, 1.0, 0.0).model
    with bench.models.use(found) as network:
        weight = network.module.x_embedder.weight.clone()
    wide = original["img_in.lora_B.weight"] @ original["img_in.lora_A.weight"]
    wide[:, :64] += dev.modules["transformer"].x_embedder.weight + up @ down
    assert torch.allclose(weight, wide, atol=1e-5)
