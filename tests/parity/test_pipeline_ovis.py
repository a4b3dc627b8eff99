"""Ovis-Image: whole runs by our nodes and by diffusers' pipeline on the same modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from nodes.conditioning import text_encode
from nodes.loaders import denoiser_loader, text_encoder_loader, vae_loader
from tests.families import Tiny, save
from tests.runs import STEPS, bench_of, levels, library, noise, picture, text
from tests.tiny_ovis import TEXT, ovis_to_original, write_ovis

PROMPT, NEGATIVE = "a photo of the red apple on the tree", "blue dog"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Tiny:
    return write_ovis(tmp_path_factory.mktemp("tiny_ovis"))


def loaded(tiny: Tiny, file: str = "ovis") -> tuple[Any, Any, Any]:
    bench = bench_of(tiny)
    return bench, denoiser_loader(bench, f"{file}.safetensors"), vae_loader(bench, "ae.safetensors")


def theirs(tiny: Tiny, model: Any, positive: Any, negative: Any, cfg: float) -> torch.Tensor:
    from diffusers.pipelines.ovis_image.pipeline_ovis_image import OvisImagePipeline

    result = library(OvisImagePipeline, tiny, text_encoder=None, tokenizer=None)(
        prompt_embeds=positive,
        negative_prompt=None,
        negative_prompt_embeds=negative,
        num_inference_steps=STEPS,
        sigmas=levels(model),
        guidance_scale=cfg,
        latents=OvisImagePipeline._pack_latents(noise(64, 96), 1, 16, 8, 12),
        height=64,
        width=96,
        output_type="pt",
    )
    return result.images.movedim(1, -1)


@pytest.mark.parametrize("file", ["ovis", "ovis_diffusers"])
@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_either_layout_gives_the_pipelines_picture(tiny, file, cfg):
    """Padding, which a conditioning's mask tells, is zero for the library."""
    bench, model, vae = loaded(tiny, file)
    assert model.family == "ovis_image"
    positive, negative = text(9, TEXT, 1), text(9, TEXT, 2)
    mask = torch.tensor([[1] * 7 + [0] * 2])
    got = picture(bench, model, vae, [[positive, {"attention_mask": mask}]], [[negative, {}]], cfg, 64, 96)
    expected = theirs(tiny, model, positive * mask[..., None], negative, cfg)
    assert float((got - expected).abs().max()) <= 1e-4


def test_a_prompt_gives_the_pipelines_picture(tiny):
    """What describes the task is left out of the text, and what fills it up is zero."""
    from diffusers.pipelines.ovis_image.pipeline_ovis_image import OvisImagePipeline

    bench, model, vae = loaded(tiny)
    clip = text_encoder_loader(bench, "ovis_2.5.safetensors", "ovis")
    assert (clip.family, clip.tower) == ("ovis_image", "ovis_2.5")
    positive, negative = (text_encode(bench, prompt, clip) for prompt in (PROMPT, NEGATIVE))
    assert positive[0][0].shape == (1, 256, TEXT)
    got = picture(bench, model, vae, positive, negative, 3.0, 64, 96)
    result = library(OvisImagePipeline, tiny)(
        PROMPT,
        negative_prompt=NEGATIVE,
        num_inference_steps=STEPS,
        sigmas=levels(model),
        guidance_scale=3.0,
        latents=OvisImagePipeline._pack_latents(noise(64, 96), 1, 16, 8, 12),
        height=64,
        width=96,
        output_type="pt",
    )
    assert float((got - result.images.movedim(1, -1)).abs().max()) <= 1e-4


@pytest.mark.parametrize("naming", ["original", "diffusers"])
def test_a_lora_of_either_layout_changes_the_same_weights(tiny, naming):
    """But for the halves of gated layers, which only the library's layout has as one."""
    torch.manual_seed(9)
    before = tiny.modules["transformer"].state_dict()
    changes = {}
    for name, value in before.items():
        apart = ".net.0.proj" in name and naming == "original"
        changes[name] = torch.randn_like(value) * 0.1 if value.ndim == 2 and not apart else torch.zeros_like(value)
    named = changes if naming == "diffusers" else ovis_to_original(changes)
    tensors = {}
    for name, change in named.items():
        if change.ndim == 2 and change.any():
            key = f"{'transformer' if naming == 'diffusers' else 'diffusion_model'}.{name.removesuffix('.weight')}"
            key = key.replace("semantic_", "")
            tensors |= {f"{key}.lora_A.weight": torch.eye(change.shape[1]), f"{key}.lora_B.weight": change}
    save(tiny.file("loras", f"{naming}.safetensors"), tensors)
    bench, model, _ = loaded(tiny)
    result = bench.models.lora(bench.paths.find("loras", f"{naming}.safetensors"), model, None, 0.5, 0.0)
    assert result.unmatched == ()
    with bench.models.use(result.model) as network:
        for name, value in network.module.state_dict().items():
            assert torch.allclose(value, before[name] + 0.5 * changes[name], atol=1e-6), name
    with bench.models.use(model) as network:
        assert all(torch.equal(value, before[name]) for name, value in network.module.state_dict().items())


def test_a_conditioning_of_another_family_is_refused(tiny):
    bench, model, vae = loaded(tiny)
    foreign = [[torch.zeros(1, 77, 40), {}]]
    with pytest.raises(ModelError, match=r"expected a conditioning of width 32, got 40"):
        picture(bench, model, vae, foreign, foreign, 1.0, 64, 64)
