"""Wan: whole runs of videos, from the prompt, by our nodes and by diffusers' pipelines on the same modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from engine.sampling.noise import initial_noise
from nodes.conditioning import text_encode
from nodes.loaders import denoiser_loader, text_encoder_loader, vae_loader
from nodes.sampling import ksampler, ksampler_advanced
from nodes.vae import vae_decode
from tests.changes import KOHYA, applied, low_rank, under
from tests.conftest import Bench
from tests.families import Tiny, save
from tests.runs import SEED, STEPS, bench_of, levels, text
from tests.tiny_wan import TEXT, write

PROMPT, NEGATIVE = "a photo of the red apple on the tree", "blue dog"
FRAMES, HEIGHT, WIDTH = 9, 32, 64


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Tiny:
    return write(tmp_path_factory.mktemp("tiny_wan"))


def parts(bench: Bench, name: str = "wan.safetensors", vae: str = "wan_2.1_vae.safetensors") -> tuple[Any, Any, Any]:
    clip = text_encoder_loader(bench, "umt5_xxl.safetensors", "wan")
    return denoiser_loader(bench, name), clip, vae_loader(bench, vae)


def empty(model: Any) -> torch.Tensor:
    f = model.latent.downscale
    return torch.zeros(1, model.latent.channels, (FRAMES - 1) // 4 + 1, HEIGHT // f, WIDTH // f)


def scheduler(model: Any) -> Any:
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

    class Given(FlowMatchEulerDiscreteScheduler):
        """At our own levels: how schedules are made is tested elsewhere."""

        def set_timesteps(self, steps, device=None):
            super().set_timesteps(sigmas=levels(model), device=device)

    return Given()


def frames_of(tiny: Tiny, latents: torch.Tensor) -> torch.Tensor:
    """(F, H, W, 3) of what a pipeline gives."""
    vae = tiny.modules["vae"]
    mean, spread = (
        torch.tensor(getattr(vae.config, name)).view(1, -1, 1, 1, 1) for name in ("latents_mean", "latents_std")
    )
    decoded: torch.Tensor = vae.decode(latents * spread + mean, return_dict=False)[0]
    return (decoded[0] / 2 + 0.5).clamp(0, 1).permute(1, 2, 3, 0)


def theirs(tiny: Tiny, model: Any, cfg: float, **more: Any) -> torch.Tensor:
    from diffusers.pipelines.wan.pipeline_wan import WanPipeline

    told = {"expand_timesteps": more.pop("expand", False), "boundary_ratio": more.pop("boundary", None)}
    pipeline = WanPipeline(scheduler=scheduler(model), **tiny.modules, **tiny.tokenizers, **told, **more)
    pipeline.set_progress_bar_config(disable=True)
    found = pipeline(
        PROMPT,
        negative_prompt=NEGATIVE,
        num_inference_steps=STEPS,
        guidance_scale=cfg,
        latents=initial_noise(empty(model), SEED),
        height=HEIGHT,
        width=WIDTH,
        num_frames=FRAMES,
        output_type="latent",
    ).frames
    return frames_of(tiny, found)


def video(
    bench: Bench, model: Any, clip: Any, vae: Any, cfg: float, latent: Any = None, change: Any = None
) -> torch.Tensor:
    good, bad = (text_encode(bench, prompt, clip) for prompt in (PROMPT, NEGATIVE))
    if change is not None:
        good, bad = change(good, bad)
    told: dict[str, Any] = {"seed": SEED, "steps": STEPS, "cfg": cfg, "sampler_name": "euler", "scheduler": "simple"}
    latent = latent or {"samples": empty(model)}
    return vae_decode(bench, ksampler(bench, model, **told, positive=good, negative=bad, latent_image=latent), vae)


@pytest.mark.parametrize("name", ["wan", "diffusers", "prefixed"])
@pytest.mark.parametrize("cfg", [1.0, 4.0])
def test_a_prompt_gives_the_pipelines_video_from_each_layout(tiny, name, cfg):
    bench = bench_of(tiny)
    model, clip, vae = parts(bench, f"{name}.safetensors")
    assert (model.family, clip.tower, model.parameterization.shift) == ("wan", "umt5xxl", 8.0)
    got = video(bench, model, clip, vae, cfg)
    assert got.shape == (FRAMES, HEIGHT, WIDTH, 3)
    assert float((got - theirs(tiny, model, cfg)).abs().max()) <= 1e-4
    assert float((got[0] - got[-1]).abs().max()) > 1e-3


@pytest.mark.parametrize("prefix", ["diffusion_model.", "transformer.", KOHYA])
def test_a_lora_changes_the_video_as_in_the_pipeline_and_leaves_nothing_behind(tiny, prefix):
    from engine.models.networks.wan_sizes import paths

    network = tiny.modules["transformer"]
    pairs = low_rank(network)
    bench = bench_of(tiny)
    model, clip, vae = parts(bench)
    with applied(network, pairs, 0.5):
        wanted = theirs(tiny, model, 1.0)
    original = None if prefix == "transformer." else paths(model.config)
    save(tiny.file("loras", "change.safetensors"), under(prefix, pairs, original))
    before = video(bench, model, clip, vae, 1.0)
    result = bench.models.lora(bench.paths.find("loras", "change.safetensors"), model, None, 0.5, 0.0)
    assert result.unmatched == ()
    got = video(bench, result.model, clip, vae, 1.0)
    assert float((got - wanted).abs().max()) <= 1e-4
    assert float((got - before).abs().max()) > 1e-3
    assert torch.equal(video(bench, model, clip, vae, 1.0), before)


def test_two_experts_share_a_run_as_in_the_pipeline(tiny, tmp_path):
    """Wan 2.2 14B: one network for much noise, another for little."""
    other = write(tmp_path)
    second = other.modules["transformer"]
    with torch.no_grad():
        for parameter in second.parameters():
            parameter.mul_(1.1)
    from tests.tiny_wan import to_original

    facts = {"safelight.config": '{"unet": {"heads": 2}}'}
    save(tiny.file("diffusion_models", "low.safetensors"), to_original(second.state_dict()), facts)
    bench = bench_of(tiny)
    model, clip, vae = parts(bench)
    low = denoiser_loader(bench, "low.safetensors")
    good, bad = (text_encode(bench, prompt, clip) for prompt in (PROMPT, NEGATIVE))
    told: dict[str, Any] = {"steps": STEPS, "cfg": 3.0, "sampler_name": "euler", "scheduler": "simple"}
    half = ksampler_advanced(
        bench, model, add_noise="enable", noise_seed=SEED, **told, positive=good, negative=bad, latent_image={"samples": empty(model)},
        start_at_step=0, end_at_step=2, return_with_leftover_noise="enable",
    )  # fmt: skip
    whole = ksampler_advanced(
        bench, low, add_noise="disable", noise_seed=0, **told, positive=good, negative=bad, latent_image=half,
        start_at_step=2, end_at_step=10000, return_with_leftover_noise="disable",
    )  # fmt: skip
    got = vae_decode(bench, whole, vae)
    between = sum(levels(model)[1:3]) / 2
    wanted = theirs(tiny, model, 3.0, transformer_2=second, boundary=between)
    assert float((got - wanted).abs().max()) <= 1e-4
    assert float((got - theirs(tiny, model, 3.0)).abs().max()) > 1e-3


def test_odd_sides_are_filled_up_and_cut_off_again_and_a_picture_is_one_frame(tiny):
    bench = bench_of(tiny)
    model, clip, _ = parts(bench)
    [[context, _]] = text_encode(bench, PROMPT, clip)
    with bench.models.use(model) as network:
        x, t = torch.randn(1, 16, 3, 5, 7), torch.full((1,), 500.0)
        filled = torch.cat([x, x[..., :1]], dim=-1)
        filled = torch.cat([filled, filled[..., :1, :]], dim=-2)
        assert torch.equal(network(x, t, context), network(filled, t, context)[..., :5, :7])
        assert torch.equal(network(x[:, :, 0], t, context), network(x[:, :, :1], t, context)[:, :, 0])


def test_a_conditioning_of_another_family_and_latents_of_another_are_refused(tiny):
    bench = bench_of(tiny)
    model, _, _ = parts(bench)
    with bench.models.use(model) as network:
        with pytest.raises(ModelError, match=f"of width {TEXT}, got {TEXT + 8}"):
            network(torch.zeros(1, 16, 1, 4, 4), torch.tensor([500.0]), text(5, TEXT + 8, 3))
        with pytest.raises(ModelError, match="a latent of 16 channels, got 4"):
            network(torch.zeros(1, 4, 1, 4, 4), torch.tensor([500.0]), text(5, TEXT, 3))
