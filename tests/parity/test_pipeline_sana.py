"""Sana: whole runs, from the prompt, by our nodes and by diffusers' pipeline on the same modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from engine.sampling.noise import initial_noise
from nodes.conditioning import text_encode
from nodes.loaders import denoiser_loader, text_encoder_loader, vae_loader
from nodes.vae import vae_encode
from tests.changes import KOHYA, applied, low_rank, under
from tests.conftest import Bench
from tests.families import Tiny, save
from tests.runs import SEED, STEPS, bench_of, levels, library, picture, text
from tests.tiny_lumina2 import TEXT
from tests.tiny_sana import write

PROMPT, NEGATIVE = "a photo of the red apple on the tree", "blue dog"
SIDES = (96, 160)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Tiny:
    return write(tmp_path_factory.mktemp("tiny_sana"))


def theirs(tiny: Tiny, model: Any, positive: Any, negative: Any, cfg: float) -> torch.Tensor:
    from diffusers.pipelines.sana.pipeline_sana import SanaPipeline

    masks = [torch.ones(1, one.shape[1]) for one in (positive, negative)]
    found = library(SanaPipeline, tiny)(
        negative_prompt=None,
        prompt_embeds=positive,
        negative_prompt_embeds=negative,
        prompt_attention_mask=masks[0],
        negative_prompt_attention_mask=masks[1],
        num_inference_steps=STEPS,
        sigmas=levels(model),
        guidance_scale=cfg,
        latents=initial_noise(torch.zeros(1, 32, SIDES[0] // 32, SIDES[1] // 32), SEED),
        height=SIDES[0],
        width=SIDES[1],
        use_resolution_binning=False,
        output_type="pt",
    )
    return found.images.movedim(1, -1)


def parts(bench: Bench, name: str = "sana") -> tuple[Any, Any, Any]:
    clip = text_encoder_loader(bench, "gemma_2_2b.safetensors", "sana")
    return denoiser_loader(bench, f"{name}.safetensors"), clip, vae_loader(bench, "dc_ae.safetensors")


@pytest.mark.parametrize("name", ["sana", "sana_diffusers"])
@pytest.mark.parametrize("cfg", [1.0, 4.5])
def test_each_layout_gives_the_pipelines_picture(tiny, name, cfg):
    bench = bench_of(tiny)
    model, _, vae = parts(bench, name)
    assert (model.family, model.parameterization.shift) == ("sana", 3.0)
    positive, negative = text(8, TEXT, 1), text(8, TEXT, 2)
    got = picture(bench, model, vae, [[positive, {}]], [[negative, {}]], cfg, *SIDES)
    assert float((got - theirs(tiny, model, positive, negative, cfg)).abs().max()) <= 1e-4


def test_a_prompt_gives_the_pipelines_picture(tiny):
    """Without the instruction that the pipeline puts before it; the pipeline's padding is seen by nobody."""
    from diffusers.pipelines.sana.pipeline_sana import SanaPipeline

    bench = bench_of(tiny)
    model, clip, vae = parts(bench)
    assert (clip.family, clip.tower) == ("sana", "gemma2_2b")
    good, bad = text_encode(bench, PROMPT, clip), text_encode(bench, NEGATIVE, clip)
    pipeline = library(SanaPipeline, tiny)
    told = pipeline._get_gemma_prompt_embeds([f"<bos>{PROMPT}"], torch.device("cpu"), torch.float32)
    length = int(told[1].sum())
    assert torch.allclose(good[0][0], told[0][:, :length], atol=1e-5)
    got = picture(bench, model, vae, good, bad, 4.5, *SIDES)
    found = pipeline(
        f"<bos>{PROMPT}",
        negative_prompt=f"<bos>{NEGATIVE}",
        num_inference_steps=STEPS,
        sigmas=levels(model),
        guidance_scale=4.5,
        latents=initial_noise(torch.zeros(1, 32, SIDES[0] // 32, SIDES[1] // 32), SEED),
        height=SIDES[0],
        width=SIDES[1],
        complex_human_instruction=None,
        use_resolution_binning=False,
        output_type="pt",
    )
    assert float((got - found.images.movedim(1, -1)).abs().max()) <= 1e-4


def test_a_picture_is_encoded_as_by_the_library(tiny):
    bench = bench_of(tiny)
    vae = vae_loader(bench, "dc_ae.safetensors")
    assert (vae.latent.channels, vae.latent.downscale) == (32, 32)
    image = torch.rand(1, 64, 96, 3, generator=torch.Generator().manual_seed(2))
    wanted = tiny.modules["vae"].encode(image.movedim(-1, 1) * 2 - 1).latent
    assert torch.allclose(vae_encode(bench, image, vae)["samples"], wanted, atol=1e-5)


def test_padding_is_seen_by_nobody(tiny):
    bench = bench_of(tiny)
    model, _, _ = parts(bench)
    x, t, context = torch.randn(1, 32, 3, 5), torch.tensor([500.0]), text(5, TEXT, 3)
    padded, mask = torch.cat([context, text(4, TEXT, 4)], dim=1), torch.tensor([[1] * 5 + [0] * 4])
    with bench.models.use(model) as network:
        got = network(x, t, padded, options=network.inputs({"attention_mask": mask}, x, True))
        assert torch.allclose(got, network(x, t, context), atol=1e-5)
        with pytest.raises(ModelError, match=f"of width {TEXT}, got {TEXT + 8}"):
            network(x, t, text(5, TEXT + 8, 3))


@pytest.mark.parametrize("prefix", ["transformer.", "base_model.model.", KOHYA])
def test_a_lora_changes_the_picture_as_in_the_pipeline(tiny, prefix):
    network = tiny.modules["transformer"]
    pairs = low_rank(network)
    bench = bench_of(tiny)
    model, _, vae = parts(bench)
    positive = text(8, TEXT, 1)
    with applied(network, pairs, 0.5):
        wanted = theirs(tiny, model, positive, positive, 1.0)
    save(tiny.file("loras", "change.safetensors"), under(prefix, pairs))
    good = [[positive, {}]]
    before = picture(bench, model, vae, good, good, 1.0, *SIDES)
    result = bench.models.lora(bench.paths.find("loras", "change.safetensors"), model, None, 0.5, 0.0)
    assert result.unmatched == ()
    got = picture(bench, result.model, vae, good, good, 1.0, *SIDES)
    assert float((got - wanted).abs().max()) <= 1e-4
    assert float((got - before).abs().max()) > 1e-3
