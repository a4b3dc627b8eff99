"""Fibo 2: whole runs, from the prompt, by our nodes and by diffusers' pipeline on the same modules."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from engine.sampling.noise import initial_noise
from nodes.captions import NOTHING
from nodes.conditioning import text_encode
from nodes.conditioning_fibo import text_encode_fibo2
from nodes.loaders import denoiser_loader, text_encoder_loader, vae_loader
from tests.changes import KOHYA, applied, low_rank, under
from tests.conftest import Bench
from tests.families import Tiny, save
from tests.runs import SEED, STEPS, bench_of, levels, picture, text
from tests.tiny_fibo2 import write

PROMPT = '{"short_description": "a red apple", "objects": [], "lighting": {"kind": ""}, "aesthetic_score": 7}'
SIDES = (64, 96)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Tiny:
    return write(tmp_path_factory.mktemp("tiny_fibo2"))


def parts(bench: Bench, name: str = "fibo2.safetensors") -> tuple[Any, Any, Any]:
    clip = text_encoder_loader(bench, "qwen3vl.safetensors", "fibo2")
    return denoiser_loader(bench, name), clip, vae_loader(bench, "flux2-vae.safetensors")


def theirs(tiny: Tiny, model: Any, cfg: float, prompt: str = PROMPT, images: Any = None) -> torch.Tensor:
    from diffusers.pipelines.bria_fibo2.pipeline_bria_fibo2 import BriaFibo2Pipeline
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

    class Given(FlowMatchEulerDiscreteScheduler):
        """At our own levels: how schedules are made is tested elsewhere."""

        def set_timesteps(self, sigmas=None, device=None, mu=None, **told):
            super().set_timesteps(sigmas=levels(model), device=device)

    pipeline = BriaFibo2Pipeline(scheduler=Given(), **tiny.modules, **tiny.tokenizers)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.default_sample_size = 16  # of several pictures to edit; ours is set so too
    noise = initial_noise(torch.zeros(1, 128, SIDES[0] // 16, SIDES[1] // 16), SEED)
    result = pipeline(
        prompt,
        image=images,
        num_inference_steps=STEPS,
        guidance_scale=cfg,
        latents=pipeline._unpatchify_latents(noise),
        height=SIDES[0],
        width=SIDES[1],
        output_type="pt",
    )
    return result.images.movedim(1, -1)


@pytest.mark.parametrize("cfg", [1.0, 5.0])
def test_a_caption_gives_the_pipelines_picture(tiny, cfg):
    bench = bench_of(tiny)
    model, clip, vae = parts(bench)
    assert model.family == "fibo2"
    told = text_encode_fibo2(bench, clip, PROMPT, width=SIDES[1] + 15, height=SIDES[0])
    assert told.latent["samples"].shape == (1, 128, SIDES[0] // 16, SIDES[1] // 16)
    got = picture(bench, model, vae, told.positive, told.negative, cfg, *SIDES)
    assert float((got - theirs(tiny, model, cfg)).abs().max()) <= 1e-4
    assert float((got - picture(bench, model, vae, told.negative, told.negative, cfg, *SIDES)).abs().max()) > 1e-3


def test_a_plain_prompt_may_go_through_the_usual_node(tiny):
    bench = bench_of(tiny)
    _, clip, _ = parts(bench)
    told = text_encode_fibo2(bench, clip, "a red apple", "blue dog")
    for ours, plain in ((told.positive, "a red apple"), (told.negative, "blue dog")):
        assert torch.equal(ours[0][0], text_encode(bench, plain, clip)[0][0])
    nothing = text_encode_fibo2(bench, clip, "a red apple").negative
    assert torch.equal(nothing[0][0], text_encode(bench, NOTHING, clip)[0][0])
    assert told.latent["samples"].shape == (1, 128, 64, 64)


@pytest.mark.parametrize("sizes", [[(96, 160)], [(96, 64), (200, 180)]])
def test_pictures_to_edit_give_the_pipelines_picture(tiny, sizes, monkeypatch):
    from PIL import Image

    monkeypatch.setattr("nodes.conditioning_fibo.AREA", 128 * 128)
    bench = bench_of(tiny)
    model, clip, vae = parts(bench)
    generator = torch.Generator().manual_seed(5)
    bytes_of = [torch.randint(0, 256, (*size, 3), generator=generator, dtype=torch.uint8) for size in sizes]
    prompt = json.dumps({"edit_instruction": "make it blue", "structured_caption": "a blue apple"})
    given = {f"image_{number}": one[None] / 255 for number, one in enumerate(bytes_of, 1)}
    told = text_encode_fibo2(bench, clip, prompt, "", vae, given, SIDES[1], SIDES[0])
    assert len(told.positive[0][1]["reference_latents"]) == len(sizes)
    got = picture(bench, model, vae, told.positive, told.negative, 3.0, *SIDES)
    wanted = theirs(tiny, model, 3.0, prompt, [Image.fromarray(one.numpy()) for one in bytes_of])
    assert float((got - wanted).abs().max()) <= 1e-4
    blind = text_encode_fibo2(bench, clip, prompt, "", None, given, SIDES[1], SIDES[0])
    assert "reference_latents" not in blind.positive[0][1]
    assert float((got - picture(bench, model, vae, *blind[:2], 3.0, *SIDES)).abs().max()) > 1e-3


@pytest.mark.parametrize("shape", [(1, 1), (16, 9), (9, 21), (5, 4)])
def test_the_size_of_training_is_the_pipelines(tiny, shape):
    from diffusers.pipelines.bria_fibo2.image_processor import BriaFibo2ImageProcessor

    from nodes.conditioning_fibo import _trained

    width, height = (side * 100 for side in shape)
    assert _trained(torch.zeros(1, height, width, 3)) == BriaFibo2ImageProcessor().get_image_size(width / height)


@pytest.mark.parametrize("name", ["fibo2.safetensors", "prefixed.safetensors"])
def test_every_tensor_of_the_network_is_the_pipelines(tiny, name):
    bench = bench_of(tiny)
    with bench.models.use(denoiser_loader(bench, name)) as network:
        state = network.module.state_dict()
    wanted = tiny.modules["transformer"].state_dict()
    assert state.keys() == wanted.keys()
    assert all(torch.equal(value, wanted[key]) for key, value in state.items())


def test_a_conditioning_of_another_family_is_refused(tiny):
    bench = bench_of(tiny)
    model, _, vae = parts(bench)
    foreign = [[text(5, 32, 3), {}]]
    with pytest.raises(ModelError, match=r"fibo2\.safetensors: expected a conditioning of width 288, got 32"):
        picture(bench, model, vae, foreign, foreign, 1.0, *SIDES)


@pytest.fixture(scope="module")
def changed(tiny) -> tuple[Any, torch.Tensor]:
    """A LoRA of every layer, and the pipeline's picture with half of it."""
    module = tiny.modules["transformer"]
    pairs = low_rank(module, scale=0.1)
    with applied(module, pairs, 0.5):
        return pairs, theirs(tiny, denoiser_loader(bench_of(tiny), "fibo2.safetensors"), 1.0)


@pytest.mark.parametrize("naming", ["diffusion_model.", "transformer.", "base_model.model.", KOHYA])
def test_a_lora_changes_the_picture_as_in_the_pipeline_and_leaves_nothing_behind(tiny, changed, naming):
    bench = bench_of(tiny)
    pairs, wanted = changed
    save(tiny.file("loras", "change.safetensors"), under(naming, pairs))
    model, clip, vae = parts(bench)
    told = text_encode_fibo2(bench, clip, PROMPT)
    given = vae, told.positive, told.positive, 1.0, *SIDES
    before = picture(bench, model, *given)
    result = bench.models.lora(bench.paths.find("loras", "change.safetensors"), model, None, 0.5, 0.0)
    assert result.unmatched == ()
    got = picture(bench, result.model, *given)
    assert float((got - wanted).abs().max()) <= 1e-4
    assert float((got - before).abs().max()) > 1e-3
    assert torch.equal(picture(bench, model, *given), before)
