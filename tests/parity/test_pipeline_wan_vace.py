"""Wan with VACE's layers: by our nodes and by diffusers' pipeline on the same modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from engine.sampling.noise import initial_noise
from nodes.conditioning import text_encode
from nodes.sampling import ksampler
from nodes.vae import vae_decode
from nodes.video_latents import trim_video_latent
from nodes.wan_vace import wan_vace_to_video
from tests.families import Tiny
from tests.parity.test_pipeline_wan import FRAMES, HEIGHT, NEGATIVE, PROMPT, WIDTH, frames_of, parts, scheduler, video
from tests.runs import SEED, STEPS, bench_of
from tests.tiny_wan import write


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


CONTROL, PICTURE = drawn(6, FRAMES, HEIGHT, WIDTH, 3), drawn(7, 1, HEIGHT, WIDTH, 3)
MASK = (drawn(8, FRAMES, HEIGHT, WIDTH) > 0.5).float()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Tiny:
    return write(tmp_path_factory.mktemp("tiny_vace"), vace_layers=[0, 1], vace_in_channels=96)


@pytest.fixture(autouse=True)
def words_as_they_are(monkeypatch) -> None:
    """The pipeline asks a package to mend the prompt's letters, which need no mending."""
    from diffusers.pipelines.wan import pipeline_wan_vace

    monkeypatch.setattr(pipeline_wan_vace, "prompt_clean", str.strip)


def theirs(tiny: Tiny, model: Any, cfg: float, strength: float, picture: Any) -> torch.Tensor:
    from diffusers.pipelines.wan.pipeline_wan_vace import WanVACEPipeline

    class Given(WanVACEPipeline):
        """With pictures and masks as they are: the pipeline takes those of another library."""

        def preprocess_conditions(self, *_: Any) -> Any:
            mask = MASK[None, None].expand(1, 3, -1, -1, -1)
            going_by = [] if picture is None else [picture[0].movedim(-1, 0) * 2 - 1]
            return CONTROL.movedim(-1, 0)[None] * 2 - 1, mask, [going_by]

    pipeline = Given(scheduler=scheduler(model), **tiny.modules, **tiny.tokenizers)
    pipeline.set_progress_bar_config(disable=True)
    frames = (FRAMES - 1) // 4 + 1
    shape = (1, 16, frames + (picture is not None), HEIGHT // 8, WIDTH // 8)
    told: dict[str, Any] = {"num_inference_steps": STEPS, "guidance_scale": cfg, "conditioning_scale": strength}
    sizes = {"height": HEIGHT, "width": WIDTH, "num_frames": FRAMES}
    noise = initial_noise(torch.zeros(shape), SEED)
    found = pipeline(PROMPT, NEGATIVE, **told, **sizes, latents=noise, output_type="latent").frames
    return frames_of(tiny, found[:, :, -frames:])


@pytest.mark.parametrize("picture", [None, PICTURE], ids=["without", "with a picture to go by"])
@pytest.mark.parametrize(("cfg", "strength"), [(1.0, 1.0), (3.0, 0.6)])
def test_a_control_gives_the_pipelines_video(tiny, picture, cfg, strength):
    bench = bench_of(tiny)
    model, clip, vae = parts(bench)
    good, bad = (text_encode(bench, prompt, clip) for prompt in (PROMPT, NEGATIVE))
    told = wan_vace_to_video(bench, good, bad, vae, WIDTH, HEIGHT, FRAMES, 1, strength, CONTROL, MASK, picture)
    settings = {"seed": SEED, "steps": STEPS, "cfg": cfg, "sampler_name": "euler", "scheduler": "simple"}
    latent = ksampler(
        bench, model, **settings, positive=told.positive, negative=told.negative, latent_image=told.latent
    )
    got = vae_decode(bench, trim_video_latent(latent, told.trim_latent), vae)
    assert got.shape == (FRAMES, HEIGHT, WIDTH, 3)
    assert float((got - theirs(tiny, model, cfg, strength, picture)).abs().max()) <= 1e-4


def test_without_a_control_everything_is_to_be_made_and_two_are_refused(tiny):
    bench = bench_of(tiny)
    model, clip, vae = parts(bench)
    free = video(bench, model, clip, vae, 1.0)
    assert torch.isfinite(free).all()

    def twice(good: Any, bad: Any) -> Any:
        sizes = (WIDTH, HEIGHT, FRAMES, 1, 1.0)
        once = wan_vace_to_video(bench, good, bad, vae, *sizes, CONTROL)
        return wan_vace_to_video(bench, once.positive, once.negative, vae, *sizes, CONTROL)[:2]

    with pytest.raises(ModelError, match=r"2 controls of WanVaceToVideo behind one another.*one control video"):
        video(bench, model, clip, vae, 1.0, change=twice)
