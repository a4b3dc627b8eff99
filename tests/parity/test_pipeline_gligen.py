"""Texts in boxes: whole runs by our nodes and by diffusers' pipeline on the same modules."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch

from engine.cache.digests import digest
from engine.models.errors import CheckpointError, ModelError
from engine.sampling.noise import initial_noise
from nodes.conditioning import conditioning_set_area, text_encode
from nodes.gligen import gligen_loader, gligen_text_box_apply
from nodes.loaders import checkpoint_loader
from nodes.sampling import ksampler
from nodes.vae import vae_decode
from tests.conftest import _save as save

PROMPT, NEGATIVE = "a photo of the red apple on the tree", "blue dog"
BOXES = {"red apple": (16, 8, 32, 40), "the tree": (0, 0, 64, 24)}
SEED, CFG, STEPS = 11, 5.0, 10
FILES = ("original", "diffusers")


@pytest.fixture(scope="module")
def gated(tiny_sd) -> Any:
    """A U-Net of the tiny checkpoint's weights and random gated layers, which it also has in two files."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    from engine.models.families import family_named

    plain = tiny_sd.modules["unet"]
    with torch.random.fork_rng():
        torch.manual_seed(3)
        sizes = {name: value for name, value in plain.config.items() if not name.startswith("_")}
        unet = UNet2DConditionModel(**{**sizes, "attention_type": "gated"}).eval().requires_grad_(False)
        for name, parameter in unet.named_parameters():
            if "alpha_" in name or "null_" in name:
                parameter.normal_(std=0.7)
    unet.load_state_dict(plain.state_dict(), strict=False)
    added = {name: value for name, value in unet.state_dict().items() if "fuser" in name or "position_net" in name}
    paths = family_named("sd1").network.paths(dict(plain.config))

    def original(name: str) -> str:
        if "fuser" not in name:
            return name
        module, _, rest = name.partition(".transformer_blocks.")
        return f"{paths[module]}.transformer_blocks.{rest}"

    told = {"safelight.config": json.dumps({"unet": {"heads": 4}})}
    save(tiny_sd.file("gligen", "original.safetensors"), {original(name): value for name, value in added.items()}, told)
    save(tiny_sd.file("gligen", "diffusers.safetensors"), unet.state_dict(), told)
    return unet


@pytest.fixture
def boxed(bench, gated):
    _, clip, _ = checkpoint_loader(bench, "tiny.safetensors")

    def boxed(conditioning: Any, boxes: dict[str, Any], file: str = "original") -> Any:
        layers = gligen_loader(bench, f"{file}.safetensors")
        for text, (x, y, width, height) in boxes.items():
            conditioning = gligen_text_box_apply(bench, conditioning, clip, layers, text, width, height, x, y)
        return conditioning

    return boxed


def run(bench: Any, positive: Any, negative: Any, **told: Any) -> torch.Tensor:
    model = checkpoint_loader(bench, "tiny.safetensors").MODEL
    settings = {"seed": SEED, "steps": STEPS, "cfg": CFG, "sampler_name": "euler", "scheduler": "normal"} | told
    empty = {"samples": torch.zeros(1, 4, 8, 8)}
    found: torch.Tensor = ksampler(bench, model, positive=positive, negative=negative, latent_image=empty, **settings)[
        "samples"
    ]
    return found


def theirs(tiny_sd: Any, unet: Any) -> torch.Tensor:
    from diffusers.pipelines.deprecated.stable_diffusion_gligen.pipeline_stable_diffusion_gligen import (
        StableDiffusionGLIGENPipeline,
    )
    from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
    from transformers import CLIPTokenizer

    vocabulary, merges = tiny_sd.tokenizer_files
    pairs = [tuple(line.split()) for line in merges.read_text().splitlines()[1:]]
    known = json.loads(vocabulary.read_text())
    pipeline = StableDiffusionGLIGENPipeline(
        vae=tiny_sd.modules["vae"],
        text_encoder=tiny_sd.modules["text_encoder"],
        tokenizer=CLIPTokenizer(vocab=known, merges=pairs, model_max_length=77),
        unet=unet,
        scheduler=EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="linspace"
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler.set_timesteps(STEPS)
    sigma = float(pipeline.scheduler.init_noise_sigma)
    result = pipeline(
        PROMPT,
        negative_prompt=NEGATIVE,
        num_inference_steps=STEPS,
        guidance_scale=CFG,
        gligen_scheduled_sampling_beta=1.0,
        gligen_phrases=list(BOXES),
        gligen_boxes=[[x / 64, y / 64, (x + w) / 64, (y + h) / 64] for x, y, w, h in BOXES.values()],
        latents=initial_noise(torch.zeros(1, 4, 8, 8), SEED) * math.sqrt(1.0 + sigma**2) / sigma,
        height=64,
        width=64,
        output_type="pt",
    )
    return result.images.movedim(1, -1)


@pytest.mark.parametrize("file", FILES)
def test_a_run_is_that_of_the_pipeline(bench, tiny_sd, gated, boxed, file):
    _, clip, vae = checkpoint_loader(bench, "tiny.safetensors")
    positive, negative = text_encode(bench, PROMPT, clip), text_encode(bench, NEGATIVE, clip)
    plain = run(bench, positive, negative)
    latent = run(bench, boxed(positive, BOXES, file), negative)
    assert not torch.allclose(latent, plain, rtol=0.01)
    picture = vae_decode(bench, {"samples": latent}, vae)
    torch.testing.assert_close(picture, theirs(tiny_sd, gated), atol=1e-4, rtol=0)
    assert torch.equal(run(bench, positive, negative), plain)  # nothing of it stays in the network


def test_boxes_add_up_and_are_named_by_what_they_are(bench, boxed):
    _, clip, _ = checkpoint_loader(bench, "tiny.safetensors")
    positive = text_encode(bench, PROMPT, clip)
    one, two = boxed(positive, {"red apple": BOXES["red apple"]}), boxed(positive, BOXES)
    assert one[0][1]["gligen"].hint.shape == (1, 1, 4 + 32)
    assert two[0][1]["gligen"].hint.shape == (1, 2, 4 + 32)
    assert "gligen" not in positive[0][1]
    assert digest(one) not in (None, digest(two))
    assert digest(boxed(positive, BOXES)) == digest(two)


def test_two_of_them_work_in_turn_and_parts_of_the_picture_have_their_own(bench, boxed):
    _, clip, _ = checkpoint_loader(bench, "tiny.safetensors")
    positive, negative = text_encode(bench, PROMPT, clip), text_encode(bench, NEGATIVE, clip)
    first = {"red apple": BOXES["red apple"]}
    both = run(bench, boxed(boxed(positive, first), {"the tree": (0, 0, 8, 8)}, "diffusers"), negative, steps=2)
    assert torch.isfinite(both).all()
    assert not torch.allclose(both, run(bench, boxed(positive, first), negative, steps=2), rtol=0.01)
    part = conditioning_set_area(boxed(positive, {"red apple": (0, 0, 32, 32)}), 32, 32, 0, 0)
    found = run(bench, [*part, *positive], negative, steps=2)
    assert torch.isfinite(found).all()


def test_a_box_out_of_the_picture_and_too_many_are_told(bench, boxed):
    _, clip, _ = checkpoint_loader(bench, "tiny.safetensors")
    positive, negative = text_encode(bench, PROMPT, clip), text_encode(bench, NEGATIVE, clip)
    outside = boxed(positive, {"red apple": (0, 0, 64, 64), "dog": (40, 8, 32, 16)})
    with pytest.raises(
        ModelError, match=r"box 2 of 2, 32 x 16 pixels at x 40, y 8, reaches out of the picture of 64 x 64"
    ):
        run(bench, outside, negative)
    for _ in range(30):
        positive = boxed(positive, {"dog": (0, 0, 8, 8)})
    with pytest.raises(ValueError, match="expected 30 boxes at most, got 31"):
        boxed(positive, {"dog": (0, 0, 8, 8)})


def test_other_files_and_other_networks_are_refused(bench, tiny_sd, boxed, monkeypatch):
    from engine.models.networks.gligen import Gligen

    save(tiny_sd.file("gligen", "nothing.safetensors"), {"position_net.a": torch.zeros(1)})
    with pytest.raises(CheckpointError, match="not a model patch of a kind that is known"):
        gligen_loader(bench, "nothing.safetensors")
    _, clip, _ = checkpoint_loader(bench, "tiny.safetensors")
    positive, layers = text_encode(bench, PROMPT, clip), gligen_loader(bench, "original.safetensors")
    with (
        bench.models.use(layers) as gligen,
        pytest.raises(ModelError, match=r"for the U-Net of Stable Diffusion 1, got another"),
    ):
        Gligen._check_network(gligen, None)
    import msgspec

    wider = msgspec.structs.replace(layers, config={**layers.config, "text": 768})
    with pytest.raises(ValueError, match=r"width 768, as Stable Diffusion 1's, got 32"):
        gligen_text_box_apply(bench, positive, clip, wider, "dog")
