"""FLUX.2: whole runs by our nodes and by diffusers' pipelines on the same modules."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from engine.sampling.noise import initial_noise
from nodes.conditioning import text_encode
from nodes.conditioning_edit import flux_guidance, reference_latent
from nodes.latent import empty_latent_of_128_channels
from nodes.loaders import denoiser_loader, text_encoder_loader, vae_loader
from nodes.prefix_cache import flux_kv_cache
from nodes.sampling import ksampler
from nodes.vae import vae_decode, vae_encode
from tests.conftest import Bench
from tests.families import Tiny, save
from tests.runs import SEED, STEPS, bench_of, levels, library, text
from tests.tiny_flux2 import to_original, write

PROMPT = "a photo of the red apple on the tree"


@pytest.fixture(scope="module")
def dev(tmp_path_factory) -> Tiny:
    return write(tmp_path_factory.mktemp("tiny_flux2"), guidance=True)


@pytest.fixture(scope="module")
def klein(tmp_path_factory) -> Tiny:
    return write(tmp_path_factory.mktemp("tiny_klein"), guidance=False)


def words(seed: int = 1) -> torch.Tensor:
    return text(9, 96, seed)


def ours(bench: Bench, model: Any, positive: Any, negative: Any, *, cfg: float = 1.0) -> torch.Tensor:
    """The picture (1, 64, 96, 3) by our nodes."""
    settings = {"seed": SEED, "steps": STEPS, "cfg": cfg, "sampler_name": "euler", "scheduler": "simple"}
    empty = empty_latent_of_128_channels(96, 64)
    latent = ksampler(bench, model, **settings, positive=positive, negative=negative, latent_image=empty)
    return vae_decode(bench, latent, vae_loader(bench, "flux2-vae.safetensors"))


def pipeline(tiny: Tiny, kind: str) -> Any:
    from diffusers.pipelines.flux2.pipeline_flux2 import Flux2Pipeline
    from diffusers.pipelines.flux2.pipeline_flux2_klein import Flux2KleinPipeline

    return library({"dev": Flux2Pipeline, "klein": Flux2KleinPipeline}[kind], tiny)


def run(made: Any, sigmas: list[float], **told: Any) -> torch.Tensor:
    given = {
        "sigmas": sigmas,  # our own levels: how schedules are made is tested elsewhere
        "num_inference_steps": STEPS,
        "latents": initial_noise(torch.zeros(1, 128, 4, 6), SEED),
        "height": 64,
        "width": 96,
    }
    return made(**given, output_type="pt", **told).images.movedim(1, -1)


def theirs(tiny: Tiny, kind: str, sigmas: list[float], **told: Any) -> torch.Tensor:
    return run(pipeline(tiny, kind), sigmas, **told)


@pytest.mark.parametrize(("kind", "family"), [("dev", "flux2"), ("klein", "flux2_klein")])
def test_a_prompt_gives_the_pipelines_picture(kind, family, request):
    tiny = request.getfixturevalue(kind)
    bench = bench_of(tiny)
    model = denoiser_loader(bench, "flux2.safetensors")
    clip = text_encoder_loader(bench, "words.safetensors", "flux2")
    assert (model.family, clip.family) == (family, family)
    told = text_encode(bench, PROMPT, clip)
    assert told[0][0].shape == (1, 512, 96)
    cfg = 3.0 if kind == "klein" else 1.0
    got = ours(bench, model, told, text_encode(bench, "", clip), cfg=cfg)
    expected = theirs(tiny, kind, levels(model), prompt=PROMPT, guidance_scale=3.5 if kind == "dev" else cfg)
    assert float((got - expected).abs().max()) <= 1e-4


def test_dev_is_told_its_guidance(dev):
    bench = bench_of(dev)
    model = denoiser_loader(bench, "flux2.safetensors")
    assert model.family == "flux2"
    told = flux_guidance([[words(), {}]], 2.5)
    expected = theirs(dev, "dev", levels(model), prompt_embeds=words(), guidance_scale=2.5)
    assert float((ours(bench, model, told, told) - expected).abs().max()) <= 1e-4
    bare = [[words(), {}]]
    expected = theirs(dev, "dev", levels(model), prompt_embeds=words(), guidance_scale=3.5)
    assert float((ours(bench, model, bare, bare) - expected).abs().max()) <= 1e-4, "3.5 if nothing is said"


def test_klein_has_two_branches(klein):
    bench = bench_of(klein)
    model = denoiser_loader(bench, "flux2.safetensors")
    assert model.family == "flux2_klein"
    got = ours(bench, model, [[words(), {}]], [[words(2), {}]], cfg=3.0)
    told = {"prompt_embeds": words(), "negative_prompt_embeds": words(2), "guidance_scale": 3.0}
    expected = theirs(klein, "klein", levels(model), **told)
    assert float((got - expected).abs().max()) <= 1e-4
    one = theirs(klein, "klein", levels(model), prompt_embeds=words(), guidance_scale=1.0)
    assert float((ours(bench, model, [[words(), {}]], [[words(2), {}]]) - one).abs().max()) <= 1e-4


@pytest.mark.parametrize("kind", ["dev", "klein"])
def test_pictures_to_go_by_are_sheets_of_their_own(kind, request):
    from PIL import Image

    tiny = request.getfixturevalue(kind)
    bench = bench_of(tiny)
    model, vae = denoiser_loader(bench, "flux2.safetensors"), vae_loader(bench, "flux2-vae.safetensors")
    generator = torch.Generator().manual_seed(5)
    bytes_of = [
        torch.randint(0, 256, size, generator=generator, dtype=torch.uint8) for size in ((80, 64, 3), (64, 96, 3))
    ]
    told = [[words(), {}]]
    plain = ours(bench, model, told, told)
    for one in bytes_of:
        told = reference_latent(told, vae_encode(bench, one[None] / 255, vae))
    got = ours(bench, model, told, told)
    seen = [Image.fromarray(one.numpy()) for one in bytes_of]
    expected = theirs(
        tiny, kind, levels(model), prompt_embeds=words(), guidance_scale=3.5 if kind == "dev" else 1.0, image=seen
    )
    assert float((got - expected).abs().max()) <= 1e-4
    assert float((got - plain).abs().max()) > 1e-3


def test_what_references_come_to_is_kept_after_the_first_step(klein):
    from diffusers.pipelines.flux2.pipeline_flux2_klein_kv import Flux2KleinKVPipeline
    from PIL import Image

    bench = bench_of(klein)
    plain, vae = denoiser_loader(bench, "flux2.safetensors"), vae_loader(bench, "flux2-vae.safetensors")
    model = flux_kv_cache(plain)
    generator = torch.Generator().manual_seed(5)
    sizes = ((80, 64, 3), (64, 96, 3))
    bytes_of = [torch.randint(0, 256, size, generator=generator, dtype=torch.uint8) for size in sizes]
    told = [[words(), {}]]
    without = ours(bench, plain, told, told)
    assert torch.equal(ours(bench, model, told, told), without), "nothing to keep"
    for one in bytes_of:
        told = reference_latent(told, vae_encode(bench, one[None] / 255, vae))
    seen = [Image.fromarray(one.numpy()) for one in bytes_of]
    changed = {
        "transformer": copy.deepcopy(klein.modules["transformer"])
    }  # of which the pipeline changes the attention
    made = library(Flux2KleinKVPipeline, klein, **changed)
    expected = run(made, levels(model), prompt_embeds=words(), image=seen)
    got = ours(bench, model, told, told)
    assert float((got - expected).abs().max()) <= 1e-4
    again = ours(bench, plain, told, told)
    assert float((got - again).abs().max()) > 1e-4
    two = ours(bench, model, told, [[words(2), told[0][1]]], cfg=2.0)
    assert float((two - got).abs().max()) > 1e-4, "each branch keeps its own"


NAMED = {
    "kohya": ("lora_unet_{}.lora_down.weight", "lora_unet_{}.lora_up.weight"),
    "original": ("diffusion_model.{}.lora_A.weight", "diffusion_model.{}.lora_B.weight"),
    "peft": ("base_model.model.{}.lora_A.weight", "base_model.model.{}.lora_B.weight"),
    "diffusers": ("transformer.{}.lora_A.weight", "transformer.{}.lora_B.weight"),
}


def lora(tiny: Tiny, naming: str) -> dict[str, torch.Tensor]:
    """A LoRA of rank 4 on what trainers change: the projections of blocks, stacked ones in the original layout."""
    if naming == "diffusers":
        modules = tiny.modules["transformer"].named_modules()
        shapes = {name: one.weight.shape for name, one in modules if isinstance(one, torch.nn.Linear)}
        shapes = {name: shape for name, shape in shapes.items() if "blocks." in name}
    else:
        network = tiny.modules["transformer"]
        state = to_original(network.state_dict(), network.config)
        shapes = {n.removesuffix(".weight"): v.shape for n, v in state.items() if "blocks." in n and v.ndim == 2}
    torch.manual_seed(9)
    tensors = {}
    for name, (rows, columns) in shapes.items():
        flat = name.replace(".", "_") if naming == "kohya" else name
        down, up = (form.format(flat) for form in NAMED[naming])
        tensors |= {down: torch.randn(4, columns), up: torch.randn(rows, 4) * 0.1}
        if naming == "kohya":
            tensors[f"lora_unet_{flat}.alpha"] = torch.tensor(2.0)
    return tensors


@pytest.mark.parametrize("naming", NAMED)
def test_a_lora_of_any_naming_gives_the_pipelines_picture(klein, naming):
    tensors = lora(klein, naming)
    save(klein.file("loras", f"{naming}.safetensors"), tensors)
    bench = bench_of(klein)
    model = denoiser_loader(bench, "flux2.safetensors")
    told = [[words(), {}]]
    plain = ours(bench, model, told, told)
    result = bench.models.lora(bench.paths.find("loras", f"{naming}.safetensors"), model, None, 0.5, 0.0)
    assert result.unmatched == ()
    got = ours(bench, result.model, told, told)
    made = pipeline(klein, "klein")
    made.load_lora_weights(dict(tensors), adapter_name="one")
    try:
        made.set_adapters("one", 0.5)
        expected = run(made, levels(model), prompt_embeds=words(), guidance_scale=1.0)
    finally:
        made.unload_lora_weights()
    assert float((got - expected).abs().max()) <= 1e-4
    assert float((got - plain).abs().max()) > 1e-3
    assert torch.equal(ours(bench, model, told, told), plain), "off again, exactly"


def test_a_change_of_the_last_norm_is_swapped_as_its_weight_is(klein):
    """diffusers' converter of LoRAs renames it only, so that the pipeline is no reference here."""
    width = 32
    change = torch.randn(2 * width, width, generator=torch.Generator().manual_seed(3))
    name = "diffusion_model.final_layer.adaLN_modulation.1"
    save(
        klein.file("loras", "norm.safetensors"),
        {f"{name}.lora_A.weight": torch.eye(width), f"{name}.lora_B.weight": change},
    )
    bench = bench_of(klein)
    model = denoiser_loader(bench, "flux2.safetensors")
    result = bench.models.lora(bench.paths.find("loras", "norm.safetensors"), model, None, 1.0, 0.0)
    with bench.models.use(result.model) as network:
        after = network.module.norm_out.linear.weight.clone()
    before = klein.modules["transformer"].norm_out.linear.weight
    assert torch.allclose(after - before, torch.cat([change[width:], change[:width]]), atol=1e-6)


def test_a_conditioning_of_another_family_is_refused_before_sampling(klein):
    from engine.models.errors import ModelError

    bench = bench_of(klein)
    foreign = [[torch.zeros(1, 9, 32), {}]]
    with pytest.raises(ModelError, match=r"flux2\.safetensors: expected a conditioning of width 96, got 32"):
        ours(bench, denoiser_loader(bench, "flux2.safetensors"), foreign, foreign)
