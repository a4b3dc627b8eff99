"""Z-Image: whole runs by our nodes and by diffusers' pipeline on the same modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from nodes.conditioning import text_encode
from nodes.latent import set_latent_noise_mask
from nodes.loaders import denoiser_loader, text_encoder_loader, vae_loader
from nodes.sampling import ksampler_advanced
from nodes.vae import vae_encode
from tests.conftest import _save as save
from tests.families import Tiny
from tests.runs import SEED, STEPS, bench_of, levels, library, noise, picture, text
from tests.tiny_z_image import TEXT, write_z_image

PROMPT, NEGATIVE = "a photo of the red apple, (twice:1.3)\n on {a} tree", "blue dog"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Tiny:
    return write_z_image(tmp_path_factory.mktemp("tiny_z_image"))


def theirs(tiny: Tiny, model: Any, positive: Any, negative: Any, cfg: float, height: int, width: int) -> torch.Tensor:
    from diffusers.pipelines.z_image.pipeline_z_image import ZImagePipeline

    result = library(ZImagePipeline, tiny, text_encoder=None, tokenizer=None)(
        prompt_embeds=[positive[0]],
        negative_prompt_embeds=[negative[0]],
        num_inference_steps=STEPS,
        sigmas=levels(model),
        guidance_scale=cfg - 1.0,  # the library counts what is added to the positive prediction
        latents=noise(height, width),
        height=height,
        width=width,
        output_type="pt",
    )
    return result.images.movedim(1, -1)


def ours(tiny: Tiny, file: str, positive: Any, negative: Any, cfg: float, height: int, width: int) -> torch.Tensor:
    bench = bench_of(tiny)
    model, vae = denoiser_loader(bench, file), vae_loader(bench, "ae.safetensors")
    return picture(bench, model, vae, [[positive, {}]], [[negative, {}]], cfg, height, width)


@pytest.mark.parametrize("file", ["z_image.safetensors", "z_image_diffusers.safetensors"])
@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_either_layout_gives_the_pipelines_picture(tiny, file, cfg):
    """Texts of 5 and 10 tokens: neither fills a row of 32, and one is twice the other."""
    model = denoiser_loader(bench_of(tiny), file)
    assert (model.family, model.parameterization.shift) == ("z_image", 3.0)
    positive, negative = text(5, TEXT, 1), text(10, TEXT, 2)
    expected = theirs(tiny, model, positive, negative, cfg, 64, 96)
    assert float((ours(tiny, file, positive, negative, cfg, 64, 96) - expected).abs().max()) <= 1e-4


def test_a_prompt_gives_the_pipelines_picture(tiny):
    """The library cuts the padding of a text off; a prompt here has none. Parentheses weigh nothing."""
    from diffusers.pipelines.z_image.pipeline_z_image import ZImagePipeline

    bench = bench_of(tiny)
    model, vae = denoiser_loader(bench, "z_image.safetensors"), vae_loader(bench, "ae.safetensors")
    clip = text_encoder_loader(bench, "qwen_3_4b.safetensors", "lumina2")
    assert (clip.family, clip.tower) == ("z_image", "qwen3_4b")
    positive, negative = (text_encode(bench, prompt, clip) for prompt in (PROMPT, NEGATIVE))
    got = picture(bench, model, vae, positive, negative, 3.0, 64, 64)
    result = library(ZImagePipeline, tiny)(
        PROMPT,
        negative_prompt=NEGATIVE,
        num_inference_steps=STEPS,
        sigmas=levels(model),
        guidance_scale=2.0,
        latents=noise(64, 64),
        height=64,
        width=64,
        output_type="pt",
    )
    assert float((got - result.images.movedim(1, -1)).abs().max()) <= 1e-4


@pytest.mark.parametrize("start", [0, 2])
def test_a_part_of_a_picture_is_made_again_as_in_the_pipeline(tiny, monkeypatch, start):
    """From noise, and from half of it."""
    from diffusers.pipelines.z_image import pipeline_z_image_inpaint as module

    monkeypatch.setattr(module, "retrieve_latents", lambda encoded, **told: encoded.latent_dist.mode())
    bench = bench_of(tiny)
    model, vae = denoiser_loader(bench, "z_image.safetensors"), vae_loader(bench, "ae.safetensors")
    positive, negative = text(5, TEXT, 1), text(10, TEXT, 2)
    pixels = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(4))
    mask = torch.zeros(1, 64, 64)
    mask[:, 24:, :40] = 1.0
    latent = ksampler_advanced(
        bench,
        model,
        noise_seed=SEED,
        steps=STEPS,
        cfg=3.0,
        sampler_name="euler",
        scheduler="simple",
        positive=[[positive, {}]],
        negative=[[negative, {}]],
        latent_image=set_latent_noise_mask({"samples": vae_encode(bench, pixels, vae)["samples"]}, mask),
        start_at_step=start,
    )
    result = library(module.ZImageInpaintPipeline, tiny, text_encoder=None, tokenizer=None)(
        image=pixels.movedim(-1, 1),
        mask_image=mask[:, None],
        strength=1.0 - start / STEPS,
        prompt_embeds=[positive[0]],
        negative_prompt_embeds=[negative[0]],
        num_inference_steps=STEPS,
        sigmas=levels(model),
        guidance_scale=2.0,
        generator=torch.Generator().manual_seed(SEED),
        output_type="latent",
    )
    space = model.latent
    got = (latent["samples"] - space.shift) * space.scale
    assert float((got - result.images).abs().max()) <= 1e-4


def test_a_conditioning_of_another_family_is_refused(tiny):
    with pytest.raises(ModelError, match=r"expected a conditioning of width 32, got 40"):
        ours(tiny, "z_image.safetensors", torch.zeros(1, 77, 40), torch.zeros(1, 77, 40), 1.0, 64, 64)


NAMINGS = {
    "original": ("diffusion_model.{}", "lora_A.weight", "lora_B.weight"),
    "kohya": ("lora_unet_{}", "lora_down.weight", "lora_up.weight"),
    "diffusers": ("transformer.{}", "lora_A.weight", "lora_B.weight"),
    "split": ("diffusion_model.{}", "lora_A.default.weight", "lora_B.default.weight"),
    "peft": ("base_model.model.{}", "lora_A.weight", "lora_B.weight"),
}


def lora(naming: str) -> dict[str, torch.Tensor]:
    """Rank 2 on attention and feed-forward, with an alpha; in the original's names on the stacked rows."""
    pattern, down, up = NAMINGS[naming]
    generator = torch.Generator().manual_seed(9)
    whole = naming in ("original", "kohya")
    sizes = {"attention.qkv": (64, 192), "attention.out": (64, 64)} if whole else {"attention.to_q": (64, 64)}
    if not whole:
        sizes |= {f"attention.{name}": (64, 64) for name in ("to_k", "to_v", "to_out.0")}
    sizes |= {"feed_forward.w1": (64, 170), "adaLN_modulation.0": (64, 256)}
    tensors = {}
    for block in ("layers.0", "layers.1", "noise_refiner.0"):
        for name, (width, rows) in sizes.items():
            path = f"{block}.{name}"
            key = pattern.format(path.replace(".", "_") if naming == "kohya" else path)
            tensors[f"{key}.{down}"] = torch.randn(2, width, generator=generator)
            tensors[f"{key}.{up}"] = torch.randn(rows, 2, generator=generator)
            if naming == "kohya":
                tensors[f"{key}.alpha"] = torch.tensor(1.0)
    return tensors


def converted(naming: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What the library makes of them. It splits stacked rows in kohya's naming only, so those of the original are called so."""
    from diffusers.loaders.lora_conversion_utils import _convert_non_diffusers_z_image_lora_to_diffusers as convert

    if naming in ("diffusers", "peft"):  # the library's own names
        taken_off = NAMINGS[naming][0].format("")
        return {f"transformer.{name.removeprefix(taken_off)}": value for name, value in tensors.items()}
    if naming == "split":
        return convert(dict(tensors))
    flat = {}
    for name, value in tensors.items():
        path, _, kind = name.removeprefix("diffusion_model.").rpartition(".lora_")
        if naming == "original":
            name = f"lora_unet_{path.replace('.', '_')}.lora_{'down' if kind.startswith('A') else 'up'}.weight"
        flat[name] = value
    return convert(flat)


@pytest.mark.parametrize("naming", NAMINGS)
def test_a_lora_changes_what_the_librarys_converter_says(tiny, naming):
    tensors = lora(naming)
    save(tiny.file("loras", f"{naming}.safetensors"), tensors)
    bench = bench_of(tiny)
    model = denoiser_loader(bench, "z_image.safetensors")
    result = bench.models.lora(bench.paths.find("loras", f"{naming}.safetensors"), model, None, 0.5, 0.0)
    assert result.unmatched == ()
    told = converted(naming, tensors)
    before = tiny.modules["transformer"].state_dict()
    changed = 0
    with bench.models.use(result.model) as network:
        for name, value in network.module.state_dict().items():
            key = f"transformer.{name.removesuffix('.weight')}"
            if f"{key}.lora_B.weight" in told:
                change = told[f"{key}.lora_B.weight"] @ told[f"{key}.lora_A.weight"]
                assert torch.allclose(value, before[name] + 0.5 * change, atol=1e-5), name
                changed += 1
            else:
                assert torch.equal(value, before[name]), name
    assert changed == 18
    with bench.models.use(model) as network:
        assert all(torch.equal(value, before[name]) for name, value in network.module.state_dict().items())
