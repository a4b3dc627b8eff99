"""ERNIE-Image: whole runs, from the prompt, by our nodes and by diffusers' pipeline on the same modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from engine.sampling.noise import initial_noise
from nodes.conditioning import text_encode
from nodes.loaders import denoiser_loader, text_encoder_loader, vae_loader
from tests.changes import KOHYA, applied, low_rank, under
from tests.conftest import Bench
from tests.families import Tiny, save
from tests.runs import SEED, STEPS, bench_of, levels, picture, text
from tests.tiny_ernie_image import write

PROMPT, NEGATIVE = "a photo of the red apple, on a (tree:1.2)", "blue dog"
SIDES = (64, 96)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Tiny:
    return write(tmp_path_factory.mktemp("tiny_ernie_image"))


def parts(bench: Bench, name: str = "ernie.safetensors") -> tuple[Any, Any, Any]:
    clip = text_encoder_loader(bench, "ministral-3-3b.safetensors", "flux2")
    return denoiser_loader(bench, name), clip, vae_loader(bench, "flux2-vae.safetensors")


def theirs(tiny: Tiny, model: Any, cfg: float) -> torch.Tensor:
    from diffusers.pipelines.ernie_image.pipeline_ernie_image import ErnieImagePipeline
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

    class Given(FlowMatchEulerDiscreteScheduler):
        """At our own levels: how schedules are made is tested elsewhere."""

        def set_timesteps(self, sigmas=None, device=None):
            super().set_timesteps(sigmas=levels(model), device=device)

    pipeline = ErnieImagePipeline(scheduler=Given(), **tiny.modules, **tiny.tokenizers)
    pipeline.set_progress_bar_config(disable=True)
    result = pipeline(
        PROMPT,
        negative_prompt=NEGATIVE,
        num_inference_steps=STEPS,
        guidance_scale=cfg,
        latents=initial_noise(torch.zeros(1, 128, SIDES[0] // 16, SIDES[1] // 16), SEED),
        height=SIDES[0],
        width=SIDES[1],
        output_type="pt",
    )
    return result.images.movedim(1, -1)


@pytest.mark.parametrize("cfg", [1.0, 4.0])
@pytest.mark.parametrize("name", ["ernie.safetensors", "prefixed.safetensors"])
def test_a_prompt_gives_the_pipelines_picture(tiny, name, cfg):
    bench = bench_of(tiny)
    model, clip, vae = parts(bench, name)
    assert (model.family, clip.family, model.parameterization.shift) == ("ernie_image", "ernie_image", 3.0)
    positive, negative = text_encode(bench, PROMPT, clip), text_encode(bench, NEGATIVE, clip)
    got = picture(bench, model, vae, positive, negative, cfg, *SIDES)
    assert float((got - theirs(tiny, model, cfg)).abs().max()) <= 1e-4
    assert float((got - picture(bench, model, vae, negative, negative, cfg, *SIDES)).abs().max()) > 1e-3


def test_a_conditioning_of_another_family_is_refused(tiny):
    bench = bench_of(tiny)
    model, _, vae = parts(bench)
    foreign = [[text(5, 32, 3), {}]]
    with pytest.raises(ModelError, match=r"ernie\.safetensors: expected a conditioning of width 24, got 32"):
        picture(bench, model, vae, foreign, foreign, 1.0, *SIDES)


@pytest.mark.parametrize("naming", ["diffusion_model.", "transformer.", "base_model.model.", KOHYA])
def test_a_lora_changes_the_picture_as_in_the_pipeline_and_leaves_nothing_behind(tiny, naming):
    bench = bench_of(tiny)
    module = tiny.modules["transformer"]
    pairs = low_rank(module, lambda name: name.startswith("layers."))
    save(tiny.file("loras", "change.safetensors"), under(naming, pairs))
    model, clip, vae = parts(bench)
    given = vae, text_encode(bench, PROMPT, clip), text_encode(bench, NEGATIVE, clip), 3.0, *SIDES
    before = picture(bench, model, *given)
    told = bench.models.lora(bench.paths.find("loras", "change.safetensors"), model, None, 0.5, 0.0)
    assert told.unmatched == ()
    changed = picture(bench, told.model, *given)
    with applied(module, pairs, 0.5):
        wanted = theirs(tiny, model, 3.0)
    assert float((changed - wanted).abs().max()) <= 1e-4
    assert float((changed - before).abs().max()) > 1e-3
    assert torch.equal(picture(bench, model, *given), before)
