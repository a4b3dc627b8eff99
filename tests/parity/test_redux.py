"""FLUX.1 Redux: pictures as further text, by our nodes and by diffusers' pipelines on the same modules."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch

from nodes.clip_vision import clip_vision_encode, clip_vision_loader
from nodes.conditioning import text_encode
from nodes.latent import empty_latent_of_16_channels
from nodes.loaders import checkpoint_loader
from nodes.sampling import ksampler
from nodes.style_model import style_model_apply, style_model_loader
from nodes.vae import vae_decode
from tests.conftest import Bench, _tokenizer_json
from tests.families import Tiny, save, write_flux
from tests.runs import SEED, STEPS, bench_of, levels, library, noise

PROMPT = "a photo of the red apple on the tree"
HEIGHT, WIDTH, SIDE = 64, 96, 28


@pytest.fixture(scope="module")
def tiny(tiny_sd, tmp_path_factory) -> Tiny:
    from diffusers.pipelines.flux.modeling_flux import ReduxImageEncoder
    from transformers import SiglipVisionConfig, SiglipVisionModel

    files = tiny_sd.tokenizer_files
    made = write_flux(tmp_path_factory.mktemp("tiny_redux"), files, _tokenizer_json(files))
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
    seeing = SiglipVisionModel(SiglipVisionConfig(**sizes, image_size=SIDE, patch_size=14))
    style = ReduxImageEncoder(redux_dim=32, txt_in_features=24)
    made.modules |= {"image_encoder": seeing.eval(), "image_embedder": style.eval()}
    told = {"safelight.config": json.dumps({"vision": {"heads": 4}})}
    named = {f"vision_model.{name}": value for name, value in seeing.state_dict().items()}
    save(made.file("clip_vision", "sigclip.safetensors"), named, told)
    save(made.file("style_models", "redux.safetensors"), style.state_dict())
    return made


def photo() -> torch.Tensor:
    """Of the encoder's size and in whole bytes, so that nothing is resized or rounded: that is each library's own."""
    return torch.randint(0, 256, (1, SIDE, SIDE, 3), generator=torch.Generator().manual_seed(5)) / 255


def styled(bench: Bench, told: Any, strength: float = 1.0, strength_type: str = "multiply") -> Any:
    seen = clip_vision_encode(bench, clip_vision_loader(bench, "sigclip.safetensors"), photo())
    return style_model_apply(bench, told, style_model_loader(bench, "redux.safetensors"), seen, strength, strength_type)


def ours(bench: Bench, told: Any) -> torch.Tensor:
    model, _, vae = checkpoint_loader(bench, "flux.safetensors")
    settings = {"seed": SEED, "steps": STEPS, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple"}
    empty = empty_latent_of_16_channels(WIDTH, HEIGHT)
    return vae_decode(bench, ksampler(bench, model, **settings, positive=told, negative=told, latent_image=empty), vae)


def seen_by_the_library(tiny: Tiny) -> tuple[torch.Tensor, torch.Tensor]:
    from diffusers.pipelines.flux.pipeline_flux_prior_redux import FluxPriorReduxPipeline
    from PIL import Image
    from transformers import SiglipImageProcessor

    names = ("image_encoder", "image_embedder", "text_encoder", "text_encoder_2")
    made = FluxPriorReduxPipeline(
        **{name: tiny.modules[name] for name in names},
        **tiny.tokenizers,
        feature_extractor=SiglipImageProcessor(size={"height": SIDE, "width": SIDE}),
    )
    embeds, pooled, _ = made.encode_prompt(PROMPT, None, max_sequence_length=256)
    picture = Image.fromarray((photo()[0] * 255).round().to(torch.uint8).numpy())
    found = made(picture, prompt_embeds=embeds, pooled_prompt_embeds=pooled)
    return found.prompt_embeds, found.pooled_prompt_embeds


def theirs(tiny: Tiny, bench: Bench, embeds: torch.Tensor, pooled: torch.Tensor, **told: Any) -> torch.Tensor:
    from diffusers.pipelines.flux.pipeline_flux import FluxPipeline

    rest = {name: module for name, module in tiny.modules.items() if not name.startswith("image_")}
    made = library(FluxPipeline, Tiny(tiny.base, rest, tiny.tokenizers))
    packed = made._pack_latents(noise(HEIGHT, WIDTH), 1, 16, HEIGHT // 8, WIDTH // 8)
    sizes = {"height": HEIGHT, "width": WIDTH, "num_inference_steps": STEPS, "guidance_scale": 3.5}
    sigmas = levels(checkpoint_loader(bench, "flux.safetensors").MODEL)
    given = {"prompt_embeds": embeds, "pooled_prompt_embeds": pooled, "latents": packed, "sigmas": sigmas}
    return made(**given, **sizes, **told, output_type="pt").images.movedim(1, -1)


def test_a_picture_as_text_gives_the_pipelines_picture(tiny):
    bench = bench_of(tiny)
    told = text_encode(bench, PROMPT, checkpoint_loader(bench, "flux.safetensors").CLIP)
    embeds, pooled = seen_by_the_library(tiny)
    [[text, options]] = styled(bench, told)
    assert text.shape == (1, 256 + 4, 24)
    assert torch.allclose(text, embeds, atol=1e-5)
    got = ours(bench, [[text, options]])
    assert float((got - theirs(tiny, bench, embeds, pooled)).abs().max()) <= 1e-4
    assert float((got - ours(bench, told)).abs().max()) > 1e-3
    assert torch.equal(styled(bench, told, 0.5)[0][0][:, 256:], 0.5 * text[:, 256:])


@pytest.mark.parametrize("strength", [0.5, 0.0])
def test_a_bias_of_attention_holds_for_what_looks_at_the_pictures_tokens(tiny, strength):
    bench = bench_of(tiny)
    told = text_encode(bench, PROMPT, checkpoint_loader(bench, "flux.safetensors").CLIP)
    embeds, pooled = seen_by_the_library(tiny)
    length = 260 + (HEIGHT // 16) * (WIDTH // 16)
    bias = torch.zeros(1, 1, length, length)
    bias[:, :, :, 256:260] = math.log(strength) if strength else -math.inf
    bias[:, :, 256:260] = 0.0
    got = ours(bench, styled(bench, told, strength, "attn_bias"))
    expected = theirs(tiny, bench, embeds, pooled, joint_attention_kwargs={"attention_mask": bias})
    assert float((got - expected).abs().max()) <= 1e-4
    assert float((got - ours(bench, styled(bench, told))).abs().max()) > 1e-4


def test_several_pictures_are_seen_as_text_beside_one_another():
    from engine.models.networks.flux import style_bias

    bias = style_bias(torch.tensor([[[3.0, 2.0, -1.0], [5.0, 1.0, -2.0]]]), 6, 2)[0, 0]
    assert bias[:3].tolist() == [[0, 0, 0, -1, -1, -2, 0, 0]] * 3, "text sees both"
    assert bias[3:5].tolist() == [[0, 0, 0, 0, 0, -2, 0, 0]] * 2, "the first sees the second"
    assert bias[5].tolist() == [0.0] * 8, "the second was added later"
    assert bias[6:].tolist() == [[0, 0, 0, -1, -1, -2, 0, 0]] * 2


def test_what_does_not_belong_together_is_refused(tiny, tiny_sd):
    from engine.models.errors import CheckpointError, ModelError
    from engine.models.vision import Seen

    bench = bench_of(tiny)
    style = style_model_loader(bench, "redux.safetensors")
    told = text_encode(bench, PROMPT, checkpoint_loader(bench, "flux.safetensors").CLIP)
    with pytest.raises(ModelError, match=r"image encoder of width 32 .*, got 16"):
        style_model_apply(bench, told, style, Seen(*[torch.zeros(1, 4, 16)] * 3))
    with pytest.raises(ValueError, match="the text has width 8 and the style model's tokens 24"):
        styled(bench, [[torch.zeros(1, 5, 8), {}]])
    with pytest.raises(CheckpointError, match=r"sigclip\.safetensors: not a style model that is known"):
        bench.models.style_model(bench.paths.find("clip_vision", "sigclip.safetensors"))


def test_the_published_encoders_size_is_known_by_its_patches():
    from engine.models.vision_facts import siglip_config, vision_kind

    prefix = "vision_model."
    shapes = {
        f"{prefix}embeddings.patch_embedding.weight": (1152, 3, 14, 14),
        f"{prefix}embeddings.position_embedding.weight": (729, 1152),
        f"{prefix}head.probe": (1, 1, 1152),
    } | {f"{prefix}encoder.layers.{i}.mlp.fc1.weight": (4304, 1152) for i in range(27)}
    found = siglip_config(shapes, {})
    assert vision_kind(shapes) == "siglip"
    assert (found["image_size"], found["num_attention_heads"], found["num_hidden_layers"]) == (384, 16, 27)
    assert found["vision_use_head"]
