"""FLUX.3 klein: whole runs by our nodes and by diffusers' modular pipelines on the same modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.sampling.noise import initial_noise
from nodes.conditioning import text_encode
from nodes.conditioning_edit import reference_latent
from nodes.latent import empty_latent_of_128_channels
from nodes.loaders import denoiser_loader, text_encoder_loader, vae_loader
from nodes.sampling import ksampler
from nodes.vae import vae_decode, vae_encode
from tests.conftest import Bench
from tests.families import Tiny, save
from tests.runs import SEED, STEPS, bench_of, levels, text
from tests.tiny_flux3 import to_original, write

PROMPT, NEGATIVE = "a photo of the red apple on the tree", "blue dog"


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Tiny:
    return write(tmp_path_factory.mktemp("tiny_flux3"), flow_map=False)


@pytest.fixture(scope="module")
def distilled(tmp_path_factory) -> Tiny:
    return write(tmp_path_factory.mktemp("tiny_flux3_distilled"), flow_map=True)


def words(seed: int = 1) -> torch.Tensor:
    return text(80, 256, seed)


def ours(bench: Bench, model: Any, positive: Any, negative: Any, *, cfg: float = 1.0) -> torch.Tensor:
    """The picture (1, 64, 96, 3) by our nodes."""
    settings = {"seed": SEED, "steps": STEPS, "cfg": cfg, "sampler_name": "euler", "scheduler": "simple"}
    empty = empty_latent_of_128_channels(96, 64)
    latent = ksampler(bench, model, **settings, positive=positive, negative=negative, latent_image=empty)
    return vae_decode(bench, latent, vae_loader(bench, "flux2-vae.safetensors"))


def pipeline(tiny: Tiny, kind: str, cfg: float = 1.0) -> Any:
    from diffusers.guiders import ClassifierFreeGuidance
    from diffusers.modular_pipelines.flux3.modular_blocks_flux3 import Flux3AutoBlocks
    from diffusers.modular_pipelines.flux3.modular_blocks_flux3_distilled import Flux3DistilledAutoBlocks
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

    blocks = {"base": Flux3AutoBlocks, "distilled": Flux3DistilledAutoBlocks}[kind]()
    blocks.sub_blocks.pop("prompt_upsampler")  # a language model of its own, which writes a longer prompt
    made = blocks.init_pipeline()
    parts = tiny.modules | tiny.tokenizers | {"scheduler": FlowMatchEulerDiscreteScheduler()}
    if kind == "base":
        parts["guider"] = ClassifierFreeGuidance(guidance_scale=cfg)
    made.update_components(**parts)
    made.set_progress_bar_config(disable=True)
    return made


def run(made: Any, sigmas: list[float], **told: Any) -> torch.Tensor:
    noise = initial_noise(torch.zeros(1, 128, 4, 6), SEED)
    sizes = {"height": 64, "width": 96, "num_inference_steps": STEPS}
    return made(sigmas=sigmas, latents=noise, **sizes, **told, output_type="pt", output="images").movedim(1, -1)


@pytest.mark.parametrize("cfg", [1.0, 3.5])
def test_a_prompt_gives_the_pipelines_picture(base, cfg):
    bench = bench_of(base)
    model = denoiser_loader(bench, "flux3.safetensors")
    clip = text_encoder_loader(bench, "words.safetensors", "flux3")
    assert (model.family, clip.family, model.parameterization.shift) == ("flux3", "flux3", 6.93)
    positive, negative = (text_encode(bench, one, clip) for one in (PROMPT, NEGATIVE))
    assert positive[0][0].shape == (1, 80, 256)
    got = ours(bench, model, positive, negative, cfg=cfg)
    given = {"prompt": PROMPT} | ({"negative_prompt": NEGATIVE} if cfg != 1.0 else {})
    expected = run(pipeline(base, "base", cfg), levels(model), **given)
    assert float((got - expected).abs().max()) <= 1e-4


def test_a_distilled_network_is_told_where_each_step_ends(distilled):
    bench = bench_of(distilled)
    model = denoiser_loader(bench, "flux3.safetensors")
    assert model.config["flow_map"]
    clip = text_encoder_loader(bench, "words.safetensors", "flux3")
    told = text_encode(bench, PROMPT, clip)
    expected = run(pipeline(distilled, "distilled"), levels(model), prompt=PROMPT)
    assert float((ours(bench, model, told, told) - expected).abs().max()) <= 1e-4


def test_the_next_level_of_the_run_is_that_below():
    from engine.models.networks.flux3 import next_below

    runs = torch.tensor([[1.0, 0.9, 0.5, 0.0]] * 4)
    assert next_below(torch.tensor([1.0, 0.9000001, 0.7, 0.5]), runs).tolist() == pytest.approx([0.9, 0.5, 0.5, 0.0])


@pytest.mark.parametrize("kind", ["base", "distilled"])
def test_pictures_to_go_by_have_blocks_and_sheets_of_their_own(kind, request):
    from PIL import Image

    tiny = request.getfixturevalue(kind)
    bench = bench_of(tiny)
    model, vae = denoiser_loader(bench, "flux3.safetensors"), vae_loader(bench, "flux2-vae.safetensors")
    generator = torch.Generator().manual_seed(5)
    sizes = ((80, 64, 3), (64, 96, 3))
    bytes_of = [torch.randint(0, 256, size, generator=generator, dtype=torch.uint8) for size in sizes]
    clip = text_encoder_loader(bench, "words.safetensors", "flux3")
    told = text_encode(bench, PROMPT, clip)
    plain = ours(bench, model, told, told)
    for one in bytes_of:
        told = reference_latent(told, vae_encode(bench, one[None] / 255, vae))
    got = ours(bench, model, told, told)
    seen = [Image.fromarray(one.numpy()) for one in bytes_of]
    expected = run(pipeline(tiny, kind), levels(model), prompt=PROMPT, image=seen)
    assert float((got - expected).abs().max()) <= 1e-4
    assert float((got - plain).abs().max()) > 1e-3


NAMED = {
    "kohya": ("lora_unet_{}.lora_down.weight", "lora_unet_{}.lora_up.weight"),
    "original": ("diffusion_model.{}.lora_A.weight", "diffusion_model.{}.lora_B.weight"),
    "diffusers": ("transformer.{}.lora_A.weight", "transformer.{}.lora_B.weight"),
}


@pytest.mark.parametrize("naming", NAMED)
def test_a_lora_of_any_naming_gives_the_pipelines_picture(base, naming):
    network = base.modules["transformer"]
    state = network.state_dict()
    named = state if naming == "diffusers" else to_original(state, network.config)
    torch.manual_seed(9)
    tensors = {}
    for name, value in named.items():
        if "blocks." in name and value.ndim == 2:
            path = name.removesuffix(".weight")
            down, up = (form.format(path.replace(".", "_") if naming == "kohya" else path) for form in NAMED[naming])
            tensors |= {down: torch.randn(4, value.shape[1]), up: torch.randn(value.shape[0], 4) * 0.1}
    save(base.file("loras", f"{naming}.safetensors"), tensors)
    bench = bench_of(base)
    model = denoiser_loader(bench, "flux3.safetensors")
    told = text_encode(bench, PROMPT, text_encoder_loader(bench, "words.safetensors", "flux3"))
    plain = ours(bench, model, told, told)
    result = bench.models.lora(bench.paths.find("loras", f"{naming}.safetensors"), model, None, 0.5, 0.0)
    assert result.unmatched == ()
    got = ours(bench, result.model, told, told)
    if naming == "kohya":  # which the library does not read
        original = {
            name: value + 0.5 * tensors[f"{flat}.lora_up.weight"] @ tensors[f"{flat}.lora_down.weight"]
            if f"{(flat := 'lora_unet_' + name.removesuffix('.weight').replace('.', '_'))}.lora_up.weight" in tensors
            else value
            for name, value in named.items()
        }
        from engine.models.networks.flux3_sizes import renamed

        with bench.models.use(result.model) as live:
            wanted = renamed(original, network.config)
            assert all(
                torch.allclose(value, wanted[name], atol=1e-6) for name, value in live.module.state_dict().items()
            )
    else:
        made = pipeline(base, "base")
        made.load_lora_weights(dict(tensors), adapter_name="one")
        try:
            made.set_adapters("one", 0.5)
            expected = run(made, levels(model), prompt=PROMPT)
        finally:
            made.unload_lora_weights()
        assert float((got - expected).abs().max()) <= 1e-4
    assert float((got - plain).abs().max()) > 1e-3
    assert torch.equal(ours(bench, model, told, told), plain), "off again, exactly"


def test_a_conditioning_of_another_family_is_refused_before_sampling(base):
    from engine.models.errors import ModelError

    bench = bench_of(base)
    foreign = [[torch.zeros(1, 9, 32), {}]]
    with pytest.raises(ModelError, match=r"flux3\.safetensors: expected a conditioning of width 256, got 32"):
        ours(bench, denoiser_loader(bench, "flux3.safetensors"), foreign, foreign)
