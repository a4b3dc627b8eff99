"""Krea 2: whole runs by our nodes and by diffusers' pipeline on the same modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from engine.models.manager import ModelManager
from engine.paths import Paths
from engine.sampling.noise import initial_noise
from nodes.loaders import denoiser_loader
from nodes.sampling import ksampler
from tests.conftest import Bench
from tests.families import Tiny, save
from tests.tiny_krea2 import LAYERS, TEXT, write

SEED, STEPS = 11, 4


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Tiny:
    return write(tmp_path_factory.mktemp("tiny_krea2"))


def bench_of(tiny: Tiny) -> Bench:
    return Bench(ModelManager("cpu"), Paths(tiny.base))


def words(length: int, seed: int, width: int = LAYERS * TEXT) -> torch.Tensor:
    return torch.randn(1, length, width, generator=torch.Generator().manual_seed(seed))


def levels(model: Any) -> list[float]:
    from engine.sampling.noise_schedule import NoiseSchedule
    from engine.sampling.schedules import compute_sigmas

    return compute_sigmas(NoiseSchedule.of(model.parameterization), "simple", STEPS).tolist()[:-1]


def filled_up(text: torch.Tensor) -> dict[str, torch.Tensor]:
    """A text as the pipeline has it: of a fixed length, with a mask of what counts."""
    layers = text.unflatten(-1, (LAYERS, TEXT))
    padding = torch.randn(1, 20 - text.shape[1], LAYERS, TEXT)
    mask = torch.arange(20)[None] < text.shape[1]
    return {"prompt_embeds": torch.cat([layers, padding], dim=1), "prompt_embeds_mask": mask}


def theirs(tiny: Tiny, model: Any, positive: torch.Tensor, negative: torch.Tensor, cfg: float) -> torch.Tensor:
    from diffusers.pipelines.krea2.pipeline_krea2 import Krea2Pipeline
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

    parts = dict.fromkeys(("vae", "text_encoder", "tokenizer"))
    pipeline = Krea2Pipeline(scheduler=FlowMatchEulerDiscreteScheduler(), **tiny.modules | parts)
    pipeline.set_progress_bar_config(disable=True)
    noise = initial_noise(torch.zeros(1, 16, 6, 10), SEED)
    latent = pipeline(
        **filled_up(positive),
        **{f"negative_{name}": value for name, value in filled_up(negative).items()},
        num_inference_steps=STEPS,
        sigmas=levels(model),  # our own: how schedules are made is tested elsewhere
        guidance_scale=cfg - 1.0,  # counted from the positive prediction there
        latents=pipeline._pack_latents(noise, 1, 16, 6, 10),
        height=48,
        width=80,
        output_type="latent",
    ).images
    return pipeline._unpack_latents(latent, 48, 80)[:, :, 0]


def ours(bench: Bench, model: Any, positive: torch.Tensor, negative: torch.Tensor, cfg: float) -> torch.Tensor:
    settings = {"seed": SEED, "steps": STEPS, "cfg": cfg, "sampler_name": "euler", "scheduler": "simple"}
    empty = {"samples": torch.zeros(1, 16, 6, 10)}
    given = {"positive": [[positive, {}]], "negative": [[negative, {}]], "latent_image": empty}
    return ksampler(bench, model, **settings, **given)["samples"]


@pytest.mark.parametrize("cfg", [1.0, 5.5])
@pytest.mark.parametrize("name", ["krea2.safetensors", "diffusers.safetensors", "prefixed.safetensors"])
def test_texts_of_other_lengths_give_the_pipelines_latent(tiny, name, cfg):
    bench = bench_of(tiny)
    model = denoiser_loader(bench, name)
    assert (model.family, model.in_channels) == ("krea2", 16)
    assert model.parameterization.shift == pytest.approx(3.158193)
    positive, negative = words(12, 1), words(6, 2)
    got, wanted = ours(bench, model, positive, negative, cfg), theirs(tiny, model, positive, negative, cfg)
    assert float((got - wanted).abs().max()) <= 1e-4
    assert float((got - ours(bench, model, negative, negative, cfg)).abs().max()) > 1e-3


def test_odd_sides_are_filled_up_and_cut_off_again(tiny):
    bench = bench_of(tiny)
    with bench.models.use(denoiser_loader(bench, "krea2.safetensors")) as network:
        x, t, context = torch.randn(1, 16, 5, 7), torch.full((1,), 5000.0), words(4, 3)
        whole = network(torch.nn.functional.pad(x, (0, 1, 0, 1), mode="circular"), t, context)
        assert torch.equal(network(x, t, context), whole[..., :5, :7])


def test_a_conditioning_of_another_family_is_refused(tiny):
    bench = bench_of(tiny)
    foreign = words(5, 3, width=32)
    with pytest.raises(ModelError, match=r"krea2\.safetensors: expected a conditioning of width 24, got 32"):
        ours(bench, denoiser_loader(bench, "krea2.safetensors"), foreign, foreign, 1.0)


@pytest.mark.parametrize(
    ("prefix", "original"),
    [("diffusion_model.", True), ("base_model.model.", True), ("transformer.", False), ("lora_unet_", True)],
)
def test_a_lora_changes_the_latent_as_in_the_pipeline_and_leaves_nothing_behind(tiny, prefix, original):
    from engine.models.networks.krea2_sizes import paths

    bench = bench_of(tiny)
    torch.manual_seed(4)
    module = tiny.modules["transformer"]
    linears = {name: part for name, part in module.named_modules() if isinstance(part, torch.nn.Linear)}
    pairs = {name: (torch.randn(2, m.in_features) * 0.2, torch.randn(m.out_features, 2)) for name, m in linears.items()}
    named = paths(module.config) if original else {name: name for name in linears}
    tensors = {}
    for name, (down, up) in pairs.items():
        kohya = prefix == "lora_unet_"
        path = f"{prefix}{named[name].replace('.', '_') if kohya else named[name]}"
        tensors[f"{path}.{'lora_down' if kohya else 'lora_A'}.weight"] = down
        tensors[f"{path}.{'lora_up' if kohya else 'lora_B'}.weight"] = up
    save(tiny.file("loras", "change.safetensors"), tensors)
    model = denoiser_loader(bench, "krea2.safetensors")
    positive, negative = words(8, 5), words(8, 6)
    before = ours(bench, model, positive, negative, 3.0)
    told = bench.models.lora(bench.paths.find("loras", "change.safetensors"), model, None, 0.5, 0.0)
    assert told.unmatched == ()
    changed = ours(bench, told.model, positive, negative, 3.0)
    kept = {name: part.weight.clone() for name, part in linears.items()}
    for name, part in linears.items():
        down, up = pairs[name]
        part.weight += 0.5 * (up @ down)
    wanted = theirs(tiny, model, positive, negative, 3.0)
    for name, part in linears.items():
        part.weight.copy_(kept[name])
    assert float((changed - wanted).abs().max()) <= 1e-4
    assert float((changed - before).abs().max()) > 1e-3
    assert torch.equal(ours(bench, model, positive, negative, 3.0), before)
