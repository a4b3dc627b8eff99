"""AuraFlow: whole runs by our nodes and by diffusers' pipeline on the same modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from nodes.conditioning import text_encode
from nodes.loaders import checkpoint_loader, denoiser_loader, text_encoder_loader, vae_loader
from tests.conftest import _save as save
from tests.families import Tiny
from tests.runs import STEPS, bench_of, levels, library, noise, picture, text
from tests.tiny_auraflow import TEXT, aura_to_original, write_auraflow

PROMPT, NEGATIVE = "a photo of the red apple on the tree", "blue dog"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Tiny:
    return write_auraflow(tmp_path_factory.mktemp("tiny_auraflow"))


def theirs(tiny: Tiny, model: Any, positive: Any, negative: Any, cfg: float, height: int, width: int) -> torch.Tensor:
    from diffusers.pipelines.aura_flow.pipeline_aura_flow import AuraFlowPipeline

    mask = torch.ones(1, positive.shape[1])
    result = library(AuraFlowPipeline, tiny, text_encoder=None, tokenizer=None)(
        prompt_embeds=positive,
        negative_prompt_embeds=negative,
        prompt_attention_mask=mask,
        negative_prompt_attention_mask=mask,
        num_inference_steps=STEPS,
        sigmas=levels(model),
        guidance_scale=cfg,
        latents=noise(height, width, 4),
        height=height,
        width=width,
        output_type="pt",
    )
    return result.images.movedim(1, -1)


def loaded(tiny: Tiny, layout: str) -> tuple[Any, Any, Any]:
    bench = bench_of(tiny)
    if layout == "checkpoint":
        model, _, vae = checkpoint_loader(bench, "auraflow.safetensors")
        return bench, model, vae
    return bench, denoiser_loader(bench, f"{layout}.safetensors"), vae_loader(bench, "sdxl_vae.safetensors")


@pytest.mark.parametrize("layout", ["auraflow", "auraflow_diffusers", "checkpoint"])
@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_each_layout_gives_the_pipelines_picture(tiny, layout, cfg):
    bench, model, vae = loaded(tiny, layout)
    assert (model.family, model.parameterization.shift) == ("auraflow", 1.73)
    positive, negative = text(8, TEXT, 1), text(8, TEXT, 2)
    got = picture(bench, model, vae, [[positive, {}]], [[negative, {}]], cfg, 64, 96)
    assert float((got - theirs(tiny, model, positive, negative, cfg, 64, 96)).abs().max()) <= 1e-4


def test_a_picture_has_the_places_about_the_middle_of_the_table(tiny):
    """Its author's network takes the first ones where nobody says which, and is the same with these."""
    bench, model, _ = loaded(tiny, "auraflow")
    x = torch.randn(1, 4, 8, 24, generator=torch.Generator().manual_seed(1))  # 4 × 12 of 12 × 12 places
    with bench.models.use(model) as network:
        table = network.module.pos_embed.pos_embed.view(12, 12, -1)

        def call() -> torch.Tensor:
            return network(x, torch.tensor([500.0]), text(8, TEXT, 1))

        before, kept = call(), table.clone()
        table[:4] = table[8:] = 100.0
        assert torch.equal(call(), before)
        table[7] = 100.0
        assert not torch.equal(call(), before)
        table.copy_(kept)


@pytest.mark.parametrize("layout", ["checkpoint", "files"])
def test_a_prompt_gives_the_pipelines_picture_from_either_layout(tiny, layout):
    """The text is padded to 256 tokens with zeros."""
    from diffusers.pipelines.aura_flow.pipeline_aura_flow import AuraFlowPipeline

    bench = bench_of(tiny)
    if layout == "checkpoint":
        model, clip, vae = checkpoint_loader(bench, "auraflow.safetensors")
    else:
        model, vae = denoiser_loader(bench, "auraflow.safetensors"), vae_loader(bench, "sdxl_vae.safetensors")
        clip = text_encoder_loader(bench, "pile_t5xl.safetensors", "stable_diffusion")
    assert (clip.family, clip.tower) == ("auraflow", "pile_t5xl")
    positive, negative = (text_encode(bench, prompt, clip) for prompt in (PROMPT, NEGATIVE))
    got = picture(bench, model, vae, positive, negative, 3.0, 64, 64)
    result = library(AuraFlowPipeline, tiny)(
        PROMPT,
        negative_prompt=NEGATIVE,
        num_inference_steps=STEPS,
        sigmas=levels(model),
        guidance_scale=3.0,
        latents=noise(64, 64, 4),
        height=64,
        width=64,
        output_type="pt",
    )
    assert float((got - result.images.movedim(1, -1)).abs().max()) <= 1e-4


@pytest.mark.parametrize("naming", ["original", "kohya", "diffusers"])
def test_a_lora_changes_the_same_weights_in_each_naming(tiny, naming):
    """A full-rank one, of everything that has a matrix, so that swapped rows would show."""
    torch.manual_seed(9)
    before = tiny.modules["transformer"].state_dict()
    matrices = {name for name, value in before.items() if name.endswith(".weight") and value.ndim == 2}
    changes = {name: torch.randn_like(before[name]) * 0.1 for name in before if name in matrices}
    named = changes if naming == "diffusers" else aura_to_original(changes)
    tensors = {}
    for name, change in named.items():
        path = name.removesuffix(".weight")
        if naming == "kohya":
            key, down, up = f"lora_unet_{path.replace('.', '_')}", "lora_down", "lora_up"
        else:
            key, down, up = (
                f"{'transformer' if naming == 'diffusers' else 'diffusion_model'}.{path}",
                "lora_A",
                "lora_B",
            )
        tensors |= {f"{key}.{down}.weight": torch.eye(change.shape[1]), f"{key}.{up}.weight": change}
    save(tiny.file("loras", f"{naming}.safetensors"), tensors)
    bench, model, _ = loaded(tiny, "checkpoint")
    result = bench.models.lora(bench.paths.find("loras", f"{naming}.safetensors"), model, None, 0.5, 0.0)
    assert result.unmatched == ()
    with bench.models.use(result.model) as network:
        for name, value in network.module.state_dict().items():
            assert torch.allclose(value, before[name] + 0.5 * changes.get(name, torch.zeros(1)), atol=1e-6), name
    with bench.models.use(model) as network:
        assert all(torch.equal(value, before[name]) for name, value in network.module.state_dict().items())


def test_what_does_not_fit_is_refused(tiny):
    bench, model, vae = loaded(tiny, "auraflow")
    foreign, own = [[torch.zeros(1, 77, 32), {}]], [[text(8, TEXT, 1), {}]]
    with pytest.raises(ModelError, match=r"expected a conditioning of width 24, got 32"):
        picture(bench, model, vae, foreign, foreign, 1.0, 64, 64)
    assert picture(bench, model, vae, own, own, 1.0, 192, 64).shape == (1, 192, 64, 3)
    with pytest.raises(ModelError, match=r"expected a picture of 192 pixels a side at most, got 64 × 208"):
        picture(bench, model, vae, own, own, 1.0, 208, 64)
