"""Lumina 2: whole runs by our nodes and by diffusers' pipeline on the same modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from engine.models.errors import ModelError
from nodes.conditioning import text_encode
from nodes.conditioning_texts import text_encode_lumina2
from nodes.loaders import checkpoint_loader, denoiser_loader, text_encoder_loader, vae_loader
from tests.conftest import _save as save
from tests.families import Tiny
from tests.runs import STEPS, bench_of, levels, library, noise, picture, text
from tests.tiny_lumina2 import TEXT, write_lumina2

PROMPT, NEGATIVE = "a photo of the red apple, (twice:1.3)\n on {a} tree", "blue dog"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Tiny:
    return write_lumina2(tmp_path_factory.mktemp("tiny_lumina2"))


def theirs(tiny: Tiny, model: Any, positive: Any, negative: Any, cfg: float, height: int, width: int) -> torch.Tensor:
    """The library pads texts and masks the padding; here they have no padding."""
    from diffusers.pipelines.lumina2.pipeline_lumina2 import Lumina2Pipeline

    length = 12
    texts = [functional.pad(one, (0, 0, 0, length - one.shape[1]), value=7.0) for one in (positive, negative)]
    masks = [(torch.arange(length) < one.shape[1]).long()[None] for one in (positive, negative)]
    result = library(Lumina2Pipeline, tiny, text_encoder=None, tokenizer=None)(
        prompt_embeds=texts[0],
        negative_prompt_embeds=texts[1],
        prompt_attention_mask=masks[0],
        negative_prompt_attention_mask=masks[1],
        num_inference_steps=STEPS,
        sigmas=levels(model),
        guidance_scale=cfg,
        cfg_normalization=False,
        latents=noise(height, width),
        height=height,
        width=width,
        output_type="pt",
    )
    return result.images.movedim(1, -1)


def ours(tiny: Tiny, file: str, positive: Any, negative: Any, cfg: float, height: int, width: int) -> torch.Tensor:
    bench = bench_of(tiny)
    model, vae = denoiser_loader(bench, file), vae_loader(bench, "ae.safetensors")
    return picture(bench, model, vae, [[positive, {}]], [[negative, {}]], cfg, height, width)


@pytest.mark.parametrize("file", ["lumina2.safetensors", "lumina2_diffusers.safetensors"])
@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_either_layout_gives_the_pipelines_picture(tiny, file, cfg):
    model = denoiser_loader(bench_of(tiny), file)
    assert (model.family, model.parameterization.shift) == ("lumina2", 6.0)
    positive, negative = text(5, TEXT, 1), text(10, TEXT, 2)
    expected = theirs(tiny, model, positive, negative, cfg, 64, 96)
    assert float((ours(tiny, file, positive, negative, cfg, 64, 96) - expected).abs().max()) <= 1e-4


@pytest.mark.parametrize("layout", ["checkpoint", "files"])
def test_a_prompt_gives_the_pipelines_picture_from_either_layout(tiny, layout):
    """Under the system's prompt, which the library puts before the positive one alone."""
    from diffusers.pipelines.lumina2.pipeline_lumina2 import Lumina2Pipeline

    bench = bench_of(tiny)
    if layout == "checkpoint":
        model, clip, vae = checkpoint_loader(bench, "lumina2.safetensors")
    else:
        model, vae = denoiser_loader(bench, "lumina2.safetensors"), vae_loader(bench, "ae.safetensors")
        clip = text_encoder_loader(bench, "gemma_2_2b.safetensors", "lumina2")
    assert (clip.family, clip.tower) == ("lumina2", "gemma2_2b")
    positive = text_encode_lumina2(bench, "superior", PROMPT, clip)
    got = picture(bench, model, vae, positive, text_encode(bench, NEGATIVE, clip), 3.0, 64, 64)
    pipeline = library(Lumina2Pipeline, tiny)
    pipeline.system_prompt = f"<bos>{pipeline.system_prompt}"  # which the published tokenizer puts there itself
    result = pipeline(
        PROMPT,
        negative_prompt=f"<bos>{NEGATIVE}",
        num_inference_steps=STEPS,
        sigmas=levels(model),
        guidance_scale=3.0,
        cfg_normalization=False,
        latents=noise(64, 64),
        height=64,
        width=64,
        max_sequence_length=400,
        output_type="pt",
    )
    assert float((got - result.images.movedim(1, -1)).abs().max()) <= 1e-4


@pytest.mark.parametrize("naming", ["original", "kohya", "diffusers"])
def test_a_lora_changes_what_the_librarys_converter_says(tiny, naming):
    """Stacked rows are as many for queries as the width, and fewer for keys and values."""
    generator = torch.Generator().manual_seed(9)
    sizes = {"attention.qkv": (48, 96), "attention.out": (48, 48), "feed_forward.w1": (48, 200)}
    if naming == "diffusers":
        sizes = {"attn.to_q": (48, 48), "attn.to_k": (48, 24), "attn.to_out.0": (48, 48)}
    tensors, changes = {}, {}
    for block in ("layers.1", "context_refiner.0"):
        for name, (width, rows) in sizes.items():
            down, up = torch.randn(2, width, generator=generator), torch.randn(rows, 2, generator=generator)
            path = f"{block}.{name}"
            if naming == "kohya":
                key = f"lora_unet_{path.replace('.', '_')}"
                tensors |= {f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up}
            else:
                key = f"{'transformer' if naming == 'diffusers' else 'diffusion_model'}.{path}"
                tensors |= {f"{key}.lora_A.weight": down, f"{key}.lora_B.weight": up}
            changes[path] = up @ down
    wanted = {}
    for path, change in changes.items():
        block = path.split(".attention")[0]
        if path.endswith("qkv"):
            parts = zip("qkv", change.split([48, 24, 24]), strict=True)
            wanted |= {f"{block}.attn.to_{part}.weight": rows for part, rows in parts}
        else:
            ours_called = path.replace("attention.out", "attn.to_out.0").replace(".w1", ".linear_1")
            wanted[f"{ours_called}.weight"] = change
    save(tiny.file("loras", f"{naming}.safetensors"), tensors)
    bench = bench_of(tiny)
    model = denoiser_loader(bench, "lumina2.safetensors")
    result = bench.models.lora(bench.paths.find("loras", f"{naming}.safetensors"), model, None, 0.5, 0.0)
    assert result.unmatched == ()
    before = tiny.modules["transformer"].state_dict()
    assert wanted.keys() <= before.keys()
    with bench.models.use(result.model) as network:
        for name, value in network.module.state_dict().items():
            assert torch.allclose(value, before[name] + 0.5 * wanted.get(name, torch.zeros(1)), atol=1e-5), name
    with bench.models.use(model) as network:
        assert all(torch.equal(value, before[name]) for name, value in network.module.state_dict().items())


def test_a_conditioning_of_another_family_is_refused(tiny):
    with pytest.raises(ModelError, match=r"expected a conditioning of width 32, got 40"):
        ours(tiny, "lumina2.safetensors", torch.zeros(1, 77, 40), torch.zeros(1, 77, 40), 1.0, 64, 64)
