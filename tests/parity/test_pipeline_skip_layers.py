"""Skip-layer guidance: whole runs by our nodes and by the library's Stable Diffusion 3 pipeline on the same modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nodes.guidance_norm import cfg_norm
from nodes.loaders import checkpoint_loader
from nodes.skip_layers import skip_layer_guidance_dit, skip_layer_guidance_dit_simple, skip_layer_guidance_sd3
from tests.conftest import _tokenizer_json
from tests.families import Tiny, write_sd3
from tests.runs import STEPS, bench_of, levels, library, noise, picture, text

WIDTH, POOLED, CFG = 96, 72, 3.0


@pytest.fixture(scope="module")
def tiny(tiny_sd, tmp_path_factory) -> Tiny:
    files = tiny_sd.tokenizer_files
    return write_sd3(tmp_path_factory.mktemp("tiny_sd35"), files, _tokenizer_json(files), newer=True)


def conditionings() -> list[list[list[Any]]]:
    return [[[text(7, WIDTH, seed), {"pooled_output": text(1, POOLED, seed + 5)[0]}]] for seed in (1, 2)]


def theirs(tiny: Tiny, model: Any, cfg: float = CFG, **told: Any) -> torch.Tensor:
    from diffusers.pipelines.stable_diffusion_3.pipeline_stable_diffusion_3 import StableDiffusion3Pipeline

    [[positive, about]], [[negative, other]] = conditionings()
    result = library(StableDiffusion3Pipeline, tiny)(
        prompt_embeds=positive,
        negative_prompt_embeds=negative,
        pooled_prompt_embeds=about["pooled_output"],
        negative_pooled_prompt_embeds=other["pooled_output"],
        num_inference_steps=STEPS,
        sigmas=levels(model),
        guidance_scale=cfg,
        latents=noise(64, 96),
        height=64,
        width=96,
        output_type="pt",
        **told,
    )
    return result.images.movedim(1, -1)


def ours(tiny: Tiny, model: Any, cfg: float = CFG) -> torch.Tensor:
    bench = bench_of(tiny)
    vae = checkpoint_loader(bench, "sd3.safetensors").VAE
    return picture(bench, model, vae, *conditionings(), cfg, 64, 96)


def loaded(tiny: Tiny) -> Any:
    return checkpoint_loader(bench_of(tiny), "sd3.safetensors").MODEL


def apart(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max())


@pytest.mark.parametrize(("layers", "start", "stop"), [("1", 0.1, 0.7), ("0, 2", 0.3, 1.0)])
def test_both_nodes_give_the_pipelines_picture(tiny, layers, start, stop):
    """The library counts steps, the field noise levels: over these levels both mean the same steps."""
    model = loaded(tiny)
    numbers = [int(one) for one in layers.split(",")]
    expected = theirs(
        tiny,
        model,
        skip_guidance_layers=numbers,
        skip_layer_guidance_scale=2.5,
        skip_layer_guidance_start=start,
        skip_layer_guidance_stop=stop,
    )
    assert apart(expected, theirs(tiny, model)) > 1e-3
    assert apart(ours(tiny, skip_layer_guidance_sd3(model, layers, 2.5, start, stop)), expected) <= 1e-4
    generic = skip_layer_guidance_dit(model, layers, "", 2.5, start, stop, 0.0)
    assert apart(ours(tiny, generic), expected) <= 1e-4


def test_without_other_guidance_it_is_guidance_by_the_layers_alone(tiny):
    """As the library's own formula: what is skipped plus (1 + scale) times the difference."""
    model = loaded(tiny)
    simple = skip_layer_guidance_dit_simple(model, "1", "")
    same = picture_with_one_text(tiny, simple, 3.5)
    assert apart(picture_with_one_text(tiny, skip_layer_guidance_sd3(model, "1", 2.5, 0.0, 1.0), 1.0), same) <= 1e-4
    assert apart(picture_with_one_text(tiny, model, 3.5), same) > 1e-3


def picture_with_one_text(tiny: Tiny, model: Any, cfg: float) -> torch.Tensor:
    """Positive and negative are one: guidance comes of the layers alone."""
    bench, (positive, _) = bench_of(tiny), conditionings()
    return picture(bench, model, checkpoint_loader(bench, "sd3.safetensors").VAE, positive, positive, cfg, 64, 96)


def test_the_simple_node_changes_the_negative_prediction_within_its_range(tiny):
    model = loaded(tiny)
    plain, whole = ours(tiny, model), ours(tiny, skip_layer_guidance_dit_simple(model, "1", ""))
    part = ours(tiny, skip_layer_guidance_dit_simple(model, "1", "", 0.0, 0.3))
    assert min(apart(plain, whole), apart(plain, part), apart(whole, part)) > 1e-3
    # Without a negative prediction there is nothing to change.
    assert torch.equal(ours(tiny, skip_layer_guidance_dit_simple(model, "1", ""), 1.0), ours(tiny, model, 1.0))


def test_the_spread_is_pulled_back_as_far_as_told(tiny):
    model = loaded(tiny)
    plain, half, full = (
        ours(tiny, skip_layer_guidance_dit(model, "1", "", 5.0, 0.0, 1.0, rescaling)) for rescaling in (0.0, 0.5, 1.0)
    )
    assert min(apart(plain, half), apart(half, full)) > 1e-3


def test_what_holds_guidance_back_sees_it(tiny):
    model = skip_layer_guidance_sd3(loaded(tiny), "1", 2.5, 0.0, 1.0)
    assert apart(ours(tiny, cfg_norm(model, 1.0)), ours(tiny, model)) > 1e-4
