"""USO: a picture's style as tokens before FLUX.1's text, by our nodes and on the library's modules as its authors' code has it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from nodes.clip_vision import clip_vision_encode, clip_vision_loader
from nodes.conditioning import text_encode
from nodes.loaders import checkpoint_loader
from nodes.model_patch import model_patch_loader, uso_style_reference
from tests.conftest import _tokenizer_json
from tests.families import Tiny, save, write_flux
from tests.runs import STEPS, bench_of, levels, library, noise, picture

PROMPT = "a photo of the red apple on the tree"
HEIGHT, WIDTH, SIDE = 64, 96, 28
SEEN, MADE, DIMS, INNER = 4, 3, 32, 32


def projector(*, normed: bool) -> Any:
    from engine.models.networks.uso import StyleProjector

    torch.manual_seed(41)
    return StyleProjector(SEEN, MADE, DIMS, INNER, normed).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def tiny(tiny_sd, tmp_path_factory) -> Tiny:
    """SigLIP of twenty layers, which is what it takes."""
    from transformers import SiglipVisionConfig, SiglipVisionModel

    files = tiny_sd.tokenizer_files
    made = write_flux(tmp_path_factory.mktemp("tiny_uso"), files, _tokenizer_json(files))
    sizes = {
        "hidden_size": DIMS,
        "intermediate_size": 48,
        "num_attention_heads": 4,
        "image_size": SIDE,
        "patch_size": 14,
    }
    told = {"safelight.config": json.dumps({"vision": {"heads": 4}})}
    for name, layers in (("siglip", 20), ("shallow", 3)):
        seeing = SiglipVisionModel(SiglipVisionConfig(**sizes, num_hidden_layers=layers)).eval()
        made.modules.setdefault("image_encoder", seeing)
        named = {f"vision_model.{one}": value for one, value in seeing.state_dict().items()}
        save(made.file("clip_vision", f"{name}.safetensors"), named, told)
    for normed in (False, True):
        tensors = projector(normed=normed).state_dict()
        prefixed = {f"feature_embedder.{name}": value for name, value in tensors.items()}
        save(made.file("model_patches", f"{normed}.safetensors"), prefixed if normed else tensors)
    return made


def photos(count: int) -> torch.Tensor:
    """Of the encoder's size and in whole bytes, so that nothing is resized or rounded."""
    return torch.randint(0, 256, (count, SIDE, SIDE, 3), generator=torch.Generator().manual_seed(5)) / 255


def by_hand(tiny: Tiny, normed: bool, count: int) -> torch.Tensor:
    """The tokens of USO's authors: of the last layer but one, the 11th and the 20th from the end, picture after picture."""
    weights = projector(normed=normed).state_dict()
    pixels = (photos(count).movedim(-1, 1) - 0.5) / 0.5
    states = tiny.modules["image_encoder"](pixel_values=pixels, output_hidden_states=True).hidden_states
    found = []
    for one in range(count):
        for level, layer in (("high", -2), ("mid", -11), ("low", -20)):
            x = states[layer][one].T @ weights[f"{level}_embedding_linear.0.weight"].T
            x = torch.nn.functional.silu(x + weights[f"{level}_embedding_linear.0.bias"]).T
            if normed:
                norm = [weights[f"{level}_layer_norm.{kind}"] for kind in ("weight", "bias")]
                x = torch.nn.functional.layer_norm(x, (DIMS,), *norm)
            found.append(x @ weights[f"{level}_projection.weight"].T + weights[f"{level}_projection.bias"])
    return torch.cat(found)[None].detach()


@pytest.mark.parametrize(("normed", "count"), [(False, 1), (True, 2)])
def test_a_style_gives_the_pipelines_picture_with_tokens_before_the_text(tiny, normed, count):
    from diffusers.pipelines.flux.pipeline_flux import FluxPipeline

    bench = bench_of(tiny)
    model, clip, vae = checkpoint_loader(bench, "flux.safetensors")
    seen = clip_vision_encode(bench, clip_vision_loader(bench, "siglip.safetensors"), photos(count))
    steered = uso_style_reference(model, model_patch_loader(bench, f"{normed}.safetensors"), seen)
    both = [[[context, {**told, "guidance": 2.5}] for context, told in text_encode(bench, PROMPT, clip)]] * 2
    made = picture(bench, steered, vae, *both, 1.0, HEIGHT, WIDTH)
    tokens = by_hand(tiny, normed, count)
    transformer = tiny.modules["transformer"]
    forward = transformer.forward

    def told_of_places(**given: Any) -> Any:
        given["txt_ids"] = torch.zeros(len(given["txt_ids"]) + tokens.shape[1], 3)
        return forward(**given)

    hook = transformer.context_embedder.register_forward_hook(lambda _, __, given: torch.cat([tokens, given], dim=1))
    transformer.forward = told_of_places
    try:
        expected = library(FluxPipeline, tiny)(
            PROMPT,
            guidance_scale=2.5,
            num_inference_steps=STEPS,
            sigmas=levels(model),
            latents=FluxPipeline._pack_latents(noise(HEIGHT, WIDTH), 1, 16, HEIGHT // 8, WIDTH // 8),
            height=HEIGHT,
            width=WIDTH,
            max_sequence_length=256,
            output_type="pt",
        ).images.movedim(1, -1)
    finally:
        hook.remove()
        del transformer.forward
    assert float((made - expected).abs().max()) <= 1e-4
    bare = picture(bench, model, vae, *both, 1.0, HEIGHT, WIDTH)
    assert float((made - bare).abs().max()) > 1e-4


def test_another_image_encoder_is_refused(tiny):
    bench = bench_of(tiny)
    model, clip, vae = checkpoint_loader(bench, "flux.safetensors")
    patch = model_patch_loader(bench, "False.safetensors")
    shallow = clip_vision_encode(bench, clip_vision_loader(bench, "shallow.safetensors"), photos(1))
    with pytest.raises(ValueError, match="an image encoder of less than 19 layers"):
        uso_style_reference(model, patch, shallow)
    seen = clip_vision_encode(bench, clip_vision_loader(bench, "siglip.safetensors"), photos(1))
    from dataclasses import replace

    cut = replace(
        seen,
        penultimate_hidden_states=seen.penultimate_hidden_states[:, :2],
        earlier_hidden_states=seen.earlier_hidden_states[:, :, :2],
    )
    both = [[[context, told] for context, told in text_encode(bench, PROMPT, clip)]] * 2
    with pytest.raises(ModelError, match=r"makes tokens of width 32 of 4 tokens of width 32, got 2 of 32"):
        picture(bench, uso_style_reference(model, patch, cut), vae, *both, 1.0, HEIGHT, WIDTH)
