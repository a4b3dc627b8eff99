"""Chroma: whole runs by our nodes and by diffusers' pipeline on the same modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nodes.conditioning import text_encode
from nodes.latent import empty_latent_of_16_channels
from nodes.loaders import denoiser_loader, text_encoder_loader, vae_loader
from nodes.sampling import ksampler
from nodes.t5_options import t5_tokenizer_options
from nodes.vae import vae_decode
from tests.conftest import Bench, _tokenizer_json
from tests.families import Tiny, save
from tests.runs import SEED, STEPS, bench_of, levels, library, noise
from tests.tiny_chroma import to_original, write

PROMPT, NEGATIVE = "a photo of the red apple on the tree", "blue dog"


@pytest.fixture(scope="module")
def tiny(tiny_sd, tmp_path_factory) -> Tiny:
    return write(tmp_path_factory.mktemp("tiny_chroma"), _tokenizer_json(tiny_sd.tokenizer_files))


def encoder(bench: Bench) -> Any:
    clip = text_encoder_loader(bench, "t5xxl.safetensors", "chroma")
    return t5_tokenizer_options(clip, 0, 0)


def ours(bench: Bench, model: Any, positive: Any, negative: Any, cfg: float) -> torch.Tensor:
    settings = {"seed": SEED, "steps": STEPS, "cfg": cfg, "sampler_name": "euler", "scheduler": "simple"}
    empty = empty_latent_of_16_channels(96, 64)
    latent = ksampler(bench, model, **settings, positive=positive, negative=negative, latent_image=empty)
    return vae_decode(bench, latent, vae_loader(bench, "ae.safetensors"))


def pipeline(tiny: Tiny) -> Any:
    from diffusers.pipelines.chroma.pipeline_chroma import ChromaPipeline

    return library(ChromaPipeline, tiny)


def run(made: Any, sigmas: list[float], cfg: float) -> torch.Tensor:
    """With each text alone and unpadded, so that its mask, which the library adds to scores, is the same everywhere."""
    texts = {}
    for name, text in (("prompt", PROMPT), ("negative_prompt", NEGATIVE)):
        length = len(made.tokenizer(text).input_ids)
        embeds, mask = made._get_t5_prompt_embeds(text, max_sequence_length=length)
        assert bool(mask.all())
        texts |= {f"{name}_embeds": embeds, f"{name}_attention_mask": mask}
    given = {"num_inference_steps": STEPS, "sigmas": sigmas, "height": 64, "width": 96}
    tokens = made._pack_latents(noise(64, 96), 1, 16, 8, 12)
    return made(**given, **texts, guidance_scale=cfg, latents=tokens, output_type="pt").images.movedim(1, -1)


@pytest.mark.parametrize("cfg", [1.0, 3.5])
def test_a_prompt_gives_the_pipelines_picture(tiny, cfg):
    bench = bench_of(tiny)
    model, clip = denoiser_loader(bench, "chroma.safetensors"), encoder(bench)
    assert (model.family, clip.family) == ("chroma", "chroma")
    positive, negative = (text_encode(bench, text, clip) for text in (PROMPT, NEGATIVE))
    got = ours(bench, model, positive, negative, cfg)
    assert float((got - run(pipeline(tiny), levels(model), cfg)).abs().max()) <= 1e-4


@pytest.mark.parametrize("naming", ["kohya", "original", "diffusers"])
def test_a_lora_of_any_naming_gives_the_pipelines_picture(tiny, naming):
    network = tiny.modules["transformer"]
    torch.manual_seed(9)
    state = network.state_dict() if naming == "diffusers" else to_original(network.state_dict(), network.config)
    form = {"kohya": "lora_unet_{}.lora_{}.weight", "original": "diffusion_model.{}.lora_{}.weight"}
    tensors, changes = {}, {}
    for name, value in state.items():
        if "blocks." in name and value.ndim == 2:
            path = name.removesuffix(".weight")
            down, up = torch.randn(4, value.shape[1]), torch.randn(value.shape[0], 4) * 0.1
            changes[name] = up @ down
            flat = path.replace(".", "_") if naming == "kohya" else path
            parts = ("down", "up") if naming == "kohya" else ("A", "B")
            written = form.get(naming, "transformer.{}.lora_{}.weight")
            tensors |= {written.format(flat, part): one for part, one in zip(parts, (down, up), strict=True)}
    save(tiny.file("loras", f"{naming}.safetensors"), tensors)
    bench = bench_of(tiny)
    model, clip = denoiser_loader(bench, "chroma.safetensors"), encoder(bench)
    told = text_encode(bench, PROMPT, clip)
    plain = ours(bench, model, told, told, 1.0)
    result = bench.models.lora(bench.paths.find("loras", f"{naming}.safetensors"), model, None, 0.5, 0.0)
    assert result.unmatched == ()
    got = ours(bench, result.model, told, told, 1.0)
    changed = {name: value + 0.5 * changes.get(name, 0) for name, value in state.items()}
    if naming != "diffusers":
        from engine.models.networks.chroma_sizes import renamed

        changed = renamed(changed, network.config)
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(changed)
    try:
        expected = run(pipeline(tiny), levels(model), 1.0)
    finally:
        network.load_state_dict(kept)
    assert float((got - expected).abs().max()) <= 1e-4
    assert float((got - plain).abs().max()) > 1e-3
    assert torch.equal(ours(bench, model, told, told, 1.0), plain), "off again, exactly"


def test_a_conditioning_of_another_family_is_refused_before_sampling(tiny):
    from engine.models.errors import ModelError

    bench = bench_of(tiny)
    foreign = [[torch.zeros(1, 9, 32), {}]]
    with pytest.raises(ModelError, match=r"chroma\.safetensors: expected a conditioning of width 24, got 32"):
        ours(bench, denoiser_loader(bench, "chroma.safetensors"), foreign, foreign, 1.0)
