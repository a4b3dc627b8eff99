"""Chroma Radiance: whole runs by our nodes, and by Euler's steps on the same module under the library's T5."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.sampling.noise import initial_noise
from nodes.conditioning import text_encode
from nodes.latent import empty_latent_in_pixels
from nodes.loaders import denoiser_loader, text_encoder_loader, vae_loader
from nodes.model_options import chroma_radiance_options
from nodes.sampling import ksampler
from nodes.t5_options import t5_tokenizer_options
from nodes.vae import vae_decode, vae_encode
from tests.conftest import Bench, _tokenizer_json
from tests.families import Tiny, save
from tests.runs import SEED, STEPS, bench_of, levels
from tests.tiny_radiance import SIZES, to_original, write

PROMPT, NEGATIVE = "a photo of the red apple on the tree", "blue dog"


@pytest.fixture(scope="module", params=["velocity", "picture", "coarse"])
def tiny(request, tiny_sd, tmp_path_factory) -> Tiny:
    told = {
        "velocity": {},
        "picture": {"predicts_pictures": True},
        "coarse": {"coarse": True, "predicts_pictures": True},
    }
    files = _tokenizer_json(tiny_sd.tokenizer_files)
    return write(tmp_path_factory.mktemp(f"tiny_radiance_{request.param}"), files, **told[request.param])


def ours(
    bench: Bench, model: Any, positive: Any, negative: Any, cfg: float, size: tuple[int, int] = (96, 64)
) -> torch.Tensor:
    settings = {"seed": SEED, "steps": STEPS, "cfg": cfg, "sampler_name": "euler", "scheduler": "simple"}
    empty = empty_latent_in_pixels(*size)
    latent = ksampler(bench, model, **settings, positive=positive, negative=negative, latent_image=empty)
    return vae_decode(bench, latent, vae_loader(bench, "pixel_space"))


def texts(bench: Bench) -> list[Any]:
    clip = t5_tokenizer_options(text_encoder_loader(bench, "t5xxl.safetensors", "chroma"), 0, 0)
    return [text_encode(bench, one, clip) for one in (PROMPT, NEGATIVE)]


def steps(tiny: Tiny, sigmas: list[float], cfg: float) -> torch.Tensor:
    """The picture (1, 64, 96, 3) of Euler's steps."""
    module, words = tiny.modules["transformer"], tiny.tokenizers["tokenizer"]
    seen = [
        tiny.modules["text_encoder"](words(one, return_tensors="pt").input_ids).last_hidden_state
        for one in (PROMPT, NEGATIVE)
    ]
    x = initial_noise(torch.zeros(1, 3, 64, 96), SEED)
    for now, after in zip(sigmas, [*sigmas[1:], 0.0], strict=True):
        found = [module(x, one, torch.tensor([now])) for one in seen]
        found = [(x - one) / now for one in found] if module.predicts_pictures else found
        x = x + (after - now) * (found[1] + cfg * (found[0] - found[1]))
    return (x / 2 + 0.5).clamp(0, 1).movedim(1, -1)


@pytest.mark.parametrize("cfg", [1.0, 3.5])
def test_a_prompt_gives_the_picture_of_plain_steps(tiny, cfg):
    bench = bench_of(tiny)
    model = denoiser_loader(bench, "radiance.safetensors")
    assert model.family == "chroma_radiance"
    positive, negative = texts(bench)
    got = ours(bench, model, positive, negative, cfg)
    assert float((got - steps(tiny, levels(model), cfg)).abs().max()) <= 1e-4
    tiled = ours(bench, chroma_radiance_options(model, nerf_tile_size=1), positive, negative, cfg)
    assert float((got - tiled).abs().max()) <= 1e-4
    assert chroma_radiance_options(model) is model


def test_sides_that_are_no_whole_patches_are_filled_up_and_cut_off_again(tiny):
    bench = bench_of(tiny)
    model = denoiser_loader(bench, "radiance.safetensors")
    positive, _ = texts(bench)
    patch = tiny.modules["transformer"].patch
    x, time = torch.randn(1, 3, 50, 70), torch.tensor([5000.0])
    with bench.models.use(model) as network:
        got = network(x, time, positive[0][0])
        filled = torch.nn.functional.pad(x, (0, -70 % patch, 0, -50 % patch), mode="circular")
        whole = network(filled, time, positive[0][0])
    assert got.shape == x.shape
    assert torch.equal(got, whole[..., :50, :70])


def test_a_picture_is_its_own_latent(tiny):
    bench, picture = bench_of(tiny), torch.rand(1, 8, 16, 3)
    vae = vae_loader(bench, "pixel_space")
    assert torch.allclose(vae_decode(bench, vae_encode(bench, picture, vae), vae), picture, atol=1e-6)


@pytest.mark.parametrize("naming", ["kohya", "original"])
def test_a_lora_changes_the_weights_that_it_names(tiny, naming):
    network = tiny.modules["transformer"]
    config = SIZES | {"predicts_pictures": network.predicts_pictures, "coarse": network.coarse}
    named = {name: value for name, value in to_original(network, config).items() if value.ndim == 2}
    torch.manual_seed(9)
    tensors, changed = {}, {}
    for name, value in named.items():
        path, down, up = name.removesuffix(".weight"), torch.randn(2, value.shape[1]), torch.randn(len(value), 2)
        changed[name] = value + 0.5 * up @ down
        forms = ("lora_unet_{}.lora_down.weight", "lora_unet_{}.lora_up.weight")
        forms = forms if naming == "kohya" else ("diffusion_model.{}.lora_A.weight", "diffusion_model.{}.lora_B.weight")
        flat = path.replace(".", "_") if naming == "kohya" else path
        tensors |= {form.format(flat): one for form, one in zip(forms, (down, up), strict=True)}
    save(tiny.file("loras", f"{naming}.safetensors"), tensors)
    bench = bench_of(tiny)
    model = denoiser_loader(bench, "radiance.safetensors")
    result = bench.models.lora(bench.paths.find("loras", f"{naming}.safetensors"), model, None, 0.5, 0.0)
    assert result.unmatched == ()
    from engine.models.networks.radiance_sizes import renamed

    wanted, before = renamed(changed, config), network.state_dict()
    with bench.models.use(result.model) as live:
        after = live.module.state_dict()
    assert all(torch.allclose(after[name], value, atol=1e-6) for name, value in wanted.items())
    with bench.models.use(model) as live:
        assert all(torch.equal(value, before[name]) for name, value in live.module.state_dict().items()), "off, exactly"


def test_a_conditioning_of_another_family_is_refused_before_sampling(tiny):
    from engine.models.errors import ModelError

    bench = bench_of(tiny)
    foreign = [[torch.zeros(1, 9, 32), {}]]
    with pytest.raises(ModelError, match=r"radiance\.safetensors: expected a conditioning of width 24, got 32"):
        ours(bench, denoiser_loader(bench, "radiance.safetensors"), foreign, foreign, 1.0)
