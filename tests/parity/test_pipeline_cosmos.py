"""Cosmos Predict 2: whole runs, from the prompt, by our nodes and by diffusers' pipeline on the same modules."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from engine.sampling import denoisers
from engine.sampling.noise_schedule import NoiseSchedule, add_noise, forward_process
from nodes.conditioning import text_encode
from nodes.loaders import denoiser_loader, text_encoder_loader, vae_loader
from nodes.model_sampling import model_sampling_sd3
from nodes.sampling import ksampler
from nodes.vae import vae_decode
from tests.changes import KOHYA, applied, low_rank, under
from tests.conftest import Bench
from tests.families import Tiny, save
from tests.runs import SEED, STEPS, bench_of, noise, text
from tests.tiny_cosmos import TEXT, write

PROMPT, NEGATIVE = "a photo of the red apple on the tree", "blue dog"
SIDES = (48, 80)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Tiny:
    return write(tmp_path_factory.mktemp("tiny_cosmos"))


@pytest.fixture(autouse=True)
def enlarging(monkeypatch) -> None:
    """What the library's network has from torchvision."""
    from diffusers.models.transformers import transformer_cosmos

    functional = SimpleNamespace(resize=lambda mask, size, **_: torch.nn.functional.interpolate(mask, size))
    modes = SimpleNamespace(NEAREST="nearest")
    made = SimpleNamespace(functional=functional, InterpolationMode=modes)
    monkeypatch.setattr(transformer_cosmos, "transforms", made, raising=False)


class _Unchecked:
    """What stands where the pipeline has a check of what is in prompts and pictures."""

    def to(self, *_: Any) -> None:
        pass

    def check_text_safety(self, text: str) -> bool:
        return True

    def check_video_safety(self, video: Any) -> Any:
        return video


def theirs(tiny: Tiny, scale: float) -> torch.Tensor:
    from diffusers.pipelines.cosmos.pipeline_cosmos2_text2image import Cosmos2TextToImagePipeline
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

    scheduler = FlowMatchEulerDiscreteScheduler(use_karras_sigmas=True)
    parts = tiny.modules | tiny.tokenizers
    pipeline = Cosmos2TextToImagePipeline(scheduler=scheduler, safety_checker=_Unchecked(), **parts)
    pipeline.set_progress_bar_config(disable=True)
    # The last step is one to no noise at all: the pipeline stays at the least level for it.
    pipeline.scheduler.register_to_config(final_sigmas_type="zero")
    found = pipeline(
        PROMPT,
        negative_prompt=NEGATIVE,
        num_inference_steps=STEPS,
        guidance_scale=scale,
        latents=noise(*SIDES)[:, :, None],
        height=SIDES[0],
        width=SIDES[1],
        output_type="latent",
    ).images
    vae = tiny.modules["vae"]
    mean, spread = (
        torch.tensor(getattr(vae.config, name)).view(1, -1, 1, 1) for name in ("latents_mean", "latents_std")
    )
    decoded: torch.Tensor = vae.decode((found * spread + mean)[:, :, None], return_dict=False)[0]
    return (decoded[:, :, 0] / 2 + 0.5).clamp(0, 1).movedim(1, -1)


def parts(bench: Bench, name: str = "cosmos.safetensors") -> tuple[Any, Any, Any]:
    clip = text_encoder_loader(bench, "oldt5_xxl.safetensors", "cosmos")
    return denoiser_loader(bench, name), clip, vae_loader(bench, "wan_2.1_vae.safetensors")


def picture(bench: Bench, model: Any, clip: Any, vae: Any, cfg: float) -> torch.Tensor:
    good, bad = (text_encode(bench, prompt, clip) for prompt in (PROMPT, NEGATIVE))
    told: dict[str, Any] = {"seed": SEED, "steps": STEPS, "cfg": cfg, "sampler_name": "euler", "scheduler": "karras"}
    empty = {"samples": torch.zeros(1, 16, SIDES[0] // 8, SIDES[1] // 8)}
    return vae_decode(bench, ksampler(bench, model, **told, positive=good, negative=bad, latent_image=empty), vae)


@pytest.mark.parametrize("name", ["cosmos", "net", "prefixed", "diffusers"])
@pytest.mark.parametrize("cfg", [1.0, 4.0])
def test_a_prompt_gives_the_pipelines_picture_from_each_layout(tiny, name, cfg):
    """The pipeline's guidance counts from 0: what is 1 there is 2 here."""
    bench = bench_of(tiny)
    model, clip, vae = parts(bench, f"{name}.safetensors")
    assert (model.family, clip.tower) == ("cosmos_predict2", "t5xxl")
    got = picture(bench, model, clip, vae, cfg)
    assert float((got - theirs(tiny, cfg - 1.0 if cfg > 1 else 0.0)).abs().max()) <= 1e-4


def test_its_levels_are_noise_over_signal_and_the_network_is_told_the_flows_time(tiny):
    bench = bench_of(tiny)
    schedule = NoiseSchedule.of(parts(bench)[0].parameterization)
    assert schedule.sigma_min == pytest.approx(0.002)
    assert schedule.sigma_max == pytest.approx(80.0, rel=1e-5)
    assert float(schedule.sigmas[500] / schedule.sigmas[499]) == pytest.approx((80 / 0.002) ** (1 / 999), rel=1e-5)
    assert schedule.timestep(3.0) == pytest.approx(0.75)
    assert schedule.sigma(0.75) == pytest.approx(3.0)
    assert schedule.percent_to_sigma(0.5) == pytest.approx(math.sqrt(0.002 * 80.0), rel=1e-5)
    x0, eps = torch.tensor([2.0]), torch.tensor([-1.0])
    assert torch.allclose(add_noise(schedule, x0, eps, 3.0, from_pure_noise=True), torch.tensor([-1.0]))
    assert torch.allclose(forward_process(schedule, x0, eps, 0.75), torch.tensor([-0.25]))
    x = add_noise(schedule, x0, eps, 3.0)
    assert torch.allclose(x * denoisers.input_scale(schedule, 3.0), torch.tensor([-0.25]))
    assert torch.allclose(denoisers.denoised(schedule, x, eps - x0, 3.0), x0)


def test_read_as_another_flow_it_predicts_the_same_at_the_same_time(tiny):
    bench = bench_of(tiny)
    model, _, _ = parts(bench)
    x, context = torch.randn(1, 16, 1, 4, 6), text(5, TEXT, 3)
    with bench.models.use(model) as network:
        wanted = network(x, torch.tensor([0.25]), context)
    with bench.models.use(model_sampling_sd3(model, 3.0)) as network:
        assert torch.allclose(network(x, torch.tensor([250.0]), context), wanted, atol=1e-6)


@pytest.mark.parametrize("prefix", ["diffusion_model.", "transformer.", KOHYA])
def test_a_lora_changes_the_picture_as_in_the_pipeline(tiny, prefix):
    from engine.models.networks.cosmos_sizes import transformer_paths

    network = tiny.modules["transformer"]
    pairs = low_rank(network)
    bench = bench_of(tiny)
    model, clip, vae = parts(bench)
    with applied(network, pairs, 0.5):
        wanted = theirs(tiny, 0.0)
    original = None if prefix == "transformer." else transformer_paths(network.config)
    save(tiny.file("loras", "change.safetensors"), under(prefix, pairs, original))
    before = picture(bench, model, clip, vae, 1.0)
    result = bench.models.lora(bench.paths.find("loras", "change.safetensors"), model, None, 0.5, 0.0)
    assert result.unmatched == ()
    got = picture(bench, result.model, clip, vae, 1.0)
    assert float((got - wanted).abs().max()) <= 1e-4
    assert float((got - before).abs().max()) > 1e-3
    assert torch.equal(picture(bench, model, clip, vae, 1.0), before)


def test_a_conditioning_of_another_family_is_refused(tiny):
    bench = bench_of(tiny)
    model, _, _ = parts(bench)
    with bench.models.use(model) as network, pytest.raises(ModelError, match=f"of width {TEXT}, got {TEXT + 8}"):
        network(torch.zeros(1, 16, 1, 4, 4), torch.tensor([500.0]), text(5, TEXT + 8, 3))
