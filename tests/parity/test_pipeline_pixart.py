"""PixArt: whole runs, from the prompt, by our nodes and by diffusers' pipelines on the same modules."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from nodes.conditioning import text_encode
from nodes.conditioning_pixart import text_encode_pixart_alpha
from nodes.loaders import denoiser_loader, text_encoder_loader, vae_loader
from nodes.sampling import ksampler
from nodes.vae import vae_decode
from tests.changes import KOHYA, applied, low_rank, under
from tests.conftest import Bench
from tests.families import Tiny, save
from tests.runs import SEED, bench_of, noise, text
from tests.tiny_pixart import TEXT, write

PROMPT, NEGATIVE = "a photo of the red apple on the tree", "blue dog"
SIDES, STEPS = (48, 80), 4


@pytest.fixture(scope="module", params=[True, False], ids=["alpha", "sigma"])
def either(request, tmp_path_factory) -> tuple[bool, Tiny]:
    return request.param, write(tmp_path_factory.mktemp("tiny_pixart"), alpha=request.param)


@pytest.fixture(scope="module")
def alpha(tmp_path_factory) -> Tiny:
    return write(tmp_path_factory.mktemp("tiny_alpha"), alpha=True)


def theirs(tiny: Tiny, *, alpha: bool, cfg: float) -> torch.Tensor:
    from diffusers.pipelines.pixart_alpha import pipeline_pixart_alpha, pipeline_pixart_sigma
    from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler

    scheduler = EulerDiscreteScheduler(
        beta_start=0.0001, beta_end=0.02, beta_schedule="linear", timestep_spacing="linspace"
    )
    kind = pipeline_pixart_alpha.PixArtAlphaPipeline if alpha else pipeline_pixart_sigma.PixArtSigmaPipeline
    pipeline = kind(**tiny.modules, **tiny.tokenizers, scheduler=scheduler)
    pipeline.set_progress_bar_config(disable=True)
    scheduler.set_timesteps(STEPS)
    sigma = float(scheduler.init_noise_sigma)
    found = pipeline(
        PROMPT,
        negative_prompt=NEGATIVE,
        num_inference_steps=STEPS,
        guidance_scale=cfg,
        # The library starts from sigma * noise, we as the field from sqrt(1 + sigma^2) * noise.
        latents=noise(*SIDES, 4) * math.sqrt(1 + sigma**2) / sigma,
        height=SIDES[0],
        width=SIDES[1],
        clean_caption=False,
        use_resolution_binning=False,
        output_type="pt",
    )
    return found.images.movedim(1, -1)


def parts(bench: Bench, name: str = "pixart") -> tuple[Any, Any, Any]:
    clip = text_encoder_loader(bench, "t5xxl.safetensors", "pixart")
    return denoiser_loader(bench, f"{name}.safetensors"), clip, vae_loader(bench, "sd_vae.safetensors")


def picture(bench: Bench, model: Any, vae: Any, good: Any, bad: Any, cfg: float) -> torch.Tensor:
    told: dict[str, Any] = {"seed": SEED, "steps": STEPS, "cfg": cfg, "sampler_name": "euler", "scheduler": "normal"}
    empty = {"samples": torch.zeros(1, 4, SIDES[0] // 8, SIDES[1] // 8)}
    return vae_decode(bench, ksampler(bench, model, **told, positive=good, negative=bad, latent_image=empty), vae)


@pytest.mark.parametrize("name", ["pixart", "pixart_diffusers"])
@pytest.mark.parametrize("cfg", [1.0, 4.5])
def test_a_prompt_gives_the_pipelines_picture_from_either_layout(either, name, cfg):
    """The pipelines pad texts and mask the padding; here there is none."""
    known, tiny = either
    bench = bench_of(tiny)
    model, clip, vae = parts(bench, name)
    assert model.family == ("pixart_alpha" if known else "pixart_sigma")
    good, bad = (text_encode(bench, prompt, clip) for prompt in (PROMPT, NEGATIVE))
    got = picture(bench, model, vae, good, bad, cfg)
    assert float((got - theirs(tiny, alpha=known, cfg=cfg)).abs().max()) <= 1e-4


def test_a_size_that_is_told_counts_instead_of_the_pictures(alpha):
    bench = bench_of(alpha)
    model, clip, vae = parts(bench)
    plain = text_encode(bench, PROMPT, clip)
    given = vae, plain, plain, 1.0
    same = text_encode_pixart_alpha(bench, width=SIDES[1], height=SIDES[0], text=PROMPT, clip=clip)
    other = text_encode_pixart_alpha(bench, width=1024, height=512, text=PROMPT, clip=clip)
    before = picture(bench, model, *given)
    assert torch.equal(picture(bench, model, vae, same, same, 1.0), before)
    assert float((picture(bench, model, vae, other, other, 1.0) - before).abs().max()) > 1e-5
    with bench.models.use(model) as network:
        [[_, told]] = other
        assert network.inputs(told, torch.zeros(1, 4, 6, 10), True)["sizes"].tolist() == [[512.0, 1024.0]]


def test_padding_is_seen_by_nobody(alpha):
    bench = bench_of(alpha)
    model, _, _ = parts(bench)
    x, t, context = torch.randn(1, 4, 6, 10), torch.tensor([500.0]), text(5, TEXT, 3)
    padded = torch.cat([context, text(4, TEXT, 4)], dim=1)
    mask = torch.tensor([[1] * 5 + [0] * 4])
    with bench.models.use(model) as network:
        plain = network(x, t, context, options=network.inputs({}, x, True))
        got = network(x, t, padded, options=network.inputs({"attention_mask": mask}, x, True))
        assert torch.allclose(got, plain, atol=1e-5)
        with pytest.raises(ModelError, match=f"of width {TEXT}, got {TEXT + 8}"):
            network(x, t, text(5, TEXT + 8, 3))


@pytest.mark.parametrize("prefix", ["transformer.", "base_model.model.", KOHYA])
def test_a_lora_changes_the_picture_as_in_the_pipeline(alpha, prefix):
    network = alpha.modules["transformer"]
    pairs = low_rank(network)
    bench = bench_of(alpha)
    model, clip, vae = parts(bench)
    with applied(network, pairs, 0.5):
        wanted = theirs(alpha, alpha=True, cfg=1.0)
    save(alpha.file("loras", "change.safetensors"), under(prefix, pairs))
    good = text_encode(bench, PROMPT, clip)
    before = picture(bench, model, vae, good, good, 1.0)
    result = bench.models.lora(bench.paths.find("loras", "change.safetensors"), model, None, 0.5, 0.0)
    assert result.unmatched == ()
    got = picture(bench, result.model, vae, good, good, 1.0)
    assert float((got - wanted).abs().max()) <= 1e-4
    assert float((got - before).abs().max()) > 1e-3
