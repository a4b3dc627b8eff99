"""HunyuanImage 2.1: whole runs, from the prompt, by our nodes and by diffusers' pipeline on the same modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from engine.models.networks.hunyuan_image import GLYPHS
from engine.models.towers.quotes import to_be_written
from engine.sampling.noise import initial_noise
from nodes.conditioning import text_encode
from nodes.latent_hunyuan_image import empty_hunyuan_image_latent
from nodes.loaders import denoiser_loader, dual_text_encoder_loader, text_encoder_loader, vae_loader
from nodes.vae import vae_encode
from tests.changes import KOHYA, applied, low_rank, under
from tests.conftest import Bench
from tests.families import Tiny, save
from tests.runs import SEED, STEPS, bench_of, levels, library, picture, text
from tests.tiny_hunyuan_image import TEXT, write

PROMPT, NEGATIVE = "a photo of a sign, 'red apple' and \"the tree\" on it", "blue dog"
SIDES = (96, 160)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Tiny:
    return write(tmp_path_factory.mktemp("tiny_hunyuan_image"))


@pytest.fixture(scope="module")
def distilled(tmp_path_factory) -> Tiny:
    return write(tmp_path_factory.mktemp("tiny_distilled"), distilled=True)


def theirs(tiny: Tiny, model: Any, cfg: float, prompt: str = PROMPT) -> torch.Tensor:
    from diffusers.guiders import ClassifierFreeGuidance
    from diffusers.pipelines.hunyuan_image.pipeline_hunyuanimage import HunyuanImagePipeline

    guider = ClassifierFreeGuidance(guidance_scale=cfg, enabled=cfg != 1.0)
    found = library(HunyuanImagePipeline, tiny, guider=guider, ocr_guider=None)(
        prompt,
        negative_prompt=NEGATIVE,
        num_inference_steps=STEPS,
        sigmas=levels(model),
        latents=initial_noise(torch.zeros(1, 64, SIDES[0] // 32, SIDES[1] // 32), SEED),
        height=SIDES[0],
        width=SIDES[1],
        output_type="pt",
    )
    return found.images.movedim(1, -1)


def parts(bench: Bench, name: str = "hunyuan_image", vae: str = "hunyuan_image_vae") -> tuple[Any, Any, Any]:
    texts = "qwen_2.5_vl_7b.safetensors", "byt5_small_glyphxl.safetensors"
    clip = dual_text_encoder_loader(bench, *texts, "hunyuan_image")
    return denoiser_loader(bench, f"{name}.safetensors"), clip, vae_loader(bench, f"{vae}.safetensors")


def ours(bench: Bench, model: Any, clip: Any, vae: Any, cfg: float, prompt: str = PROMPT) -> torch.Tensor:
    good, bad = text_encode(bench, prompt, clip), text_encode(bench, NEGATIVE, clip)
    return picture(bench, model, vae, good, bad, cfg, *SIDES)


@pytest.mark.parametrize("cfg", [1.0, 3.5])
@pytest.mark.parametrize("prompt", [PROMPT, "a photo of the red apple on the tree"])
def test_a_prompt_gives_the_pipelines_picture_with_words_to_write_and_without(tiny, cfg, prompt):
    bench = bench_of(tiny)
    model, clip, vae = parts(bench)
    assert (model.family, model.parameterization.shift) == ("hunyuan_image", 5.0)
    assert (GLYPHS in text_encode(bench, prompt, clip)[0][1]) is (prompt == PROMPT)
    got = ours(bench, model, clip, vae, cfg, prompt)
    assert float((got - theirs(tiny, model, cfg, prompt)).abs().max()) <= 1e-4


@pytest.mark.parametrize("name", ["hunyuan_image", "stacked", "field", "diffusers"])
def test_each_layout_has_the_librarys_tensors(tiny, name):
    bench = bench_of(tiny)
    wanted = tiny.modules["transformer"].state_dict()
    with bench.models.use(denoiser_loader(bench, f"{name}.safetensors")) as network:
        state = network.module.state_dict()
        assert state.keys() == wanted.keys()
        assert all(torch.equal(value, wanted[name]) for name, value in state.items())


def test_a_distilled_network_is_told_its_guidance_and_the_next_level(distilled):
    bench = bench_of(distilled)
    model, clip, vae = parts(bench)
    assert (model.config["guidance_embeds"], model.config["use_meanflow"]) == (True, True)
    got = ours(bench, model, clip, vae, 1.0)
    assert float((got - theirs(distilled, model, 1.0)).abs().max()) <= 1e-4


@pytest.mark.parametrize("name", ["hunyuan_image_vae", "hunyuan_image_diffusers"])
def test_a_picture_is_encoded_as_by_the_library(tiny, name):
    bench = bench_of(tiny)
    vae = vae_loader(bench, f"{name}.safetensors")
    assert (vae.latent.channels, vae.latent.downscale) == (64, 32)
    image = torch.rand(1, 64, 96, 3, generator=torch.Generator().manual_seed(2))
    wanted = tiny.modules["vae"].encode(image.movedim(-1, 1) * 2 - 1).latent_dist.mean
    assert torch.allclose(vae_encode(bench, image, vae)["samples"], wanted, atol=1e-5)


def test_an_empty_latent_has_a_pixel_for_32():
    assert empty_hunyuan_image_latent(2048, 1024, 3)["samples"].shape == (3, 64, 32, 64)
    assert not empty_hunyuan_image_latent(64, 64, 1)["samples"].any()


@pytest.mark.parametrize(
    "prompt", [PROMPT, "no quotes", "“a” and ‘b’ and 'c' and \"d\"", "it's the dog's", "‘’", 'a "b\nc" d', "''"]
)
def test_what_is_to_be_written_is_what_the_library_takes_for_it(prompt):
    from diffusers.pipelines.hunyuan_image.pipeline_hunyuanimage import extract_glyph_text

    assert to_be_written(prompt) == (extract_glyph_text(prompt) or "")


def test_without_byt5_nothing_is_written_and_long_words_are_cut(tiny):
    bench = bench_of(tiny)
    _, clip, _ = parts(bench)
    alone = text_encoder_loader(bench, "qwen_2.5_vl_7b.safetensors", "hunyuan_image")
    [[context, options]] = text_encode(bench, PROMPT, alone)
    [[both, beside]] = text_encode(bench, PROMPT, clip)
    assert torch.equal(context, both)
    assert GLYPHS not in options
    assert beside[GLYPHS].shape == (1, len(to_be_written(PROMPT)) + 1, 20)
    [[_, long]] = text_encode(bench, f"a sign: '{'a' * 200}'", clip)
    assert long[GLYPHS].shape == (1, 128, 20)
    assert "cut to 127" in bench.warned[-1]


def test_padding_is_seen_by_nobody(tiny):
    bench = bench_of(tiny)
    model, _, _ = parts(bench)
    x, t, context = torch.randn(1, 64, 3, 5), torch.tensor([500.0]), text(5, TEXT, 3)
    padded, mask = torch.cat([context, text(4, TEXT, 4)], dim=1), torch.tensor([[1] * 5 + [0] * 4])
    with bench.models.use(model) as network:
        got = network(x, t, padded, options=network.inputs({"attention_mask": mask}, x, True))
        assert torch.allclose(got, network(x, t, context), atol=1e-5)
        with pytest.raises(ModelError, match=f"of width {TEXT}, got {TEXT + 8}"):
            network(x, t, text(5, TEXT + 8, 3))


@pytest.mark.parametrize("prefix", ["diffusion_model.", "transformer.", KOHYA])
def test_a_lora_changes_the_picture_as_in_the_pipeline(tiny, prefix):
    from engine.models.networks.hunyuan_image_sizes import paths

    network = tiny.modules["transformer"]
    known = paths(network.config)
    pairs = low_rank(network, lambda name: name in known)
    bench = bench_of(tiny)
    model, clip, vae = parts(bench)
    with applied(network, pairs, 0.5):
        wanted = theirs(tiny, model, 1.0)
    save(tiny.file("loras", "change.safetensors"), under(prefix, pairs, None if prefix == "transformer." else known))
    before = ours(bench, model, clip, vae, 1.0)
    result = bench.models.lora(bench.paths.find("loras", "change.safetensors"), model, None, 0.5, 0.0)
    assert result.unmatched == ()
    got = ours(bench, result.model, clip, vae, 1.0)
    assert float((got - wanted).abs().max()) <= 1e-4
    assert float((got - before).abs().max()) > 1e-3
