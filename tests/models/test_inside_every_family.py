"""Patches of the network on every family: they change what it predicts, or are refused at the node; and nothing stays behind."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.denoising.inside.base import Where
from engine.denoising.inside.network import PatchedNetwork
from engine.denoising.inside.places import MovedPlaces
from engine.denoising.live import live_model
from engine.denoising.records import Start
from engine.denoising.run import sample
from engine.models.errors import ModelError
from engine.models.networks.flux import packed, unpacked
from engine.sampling.guiders import BasicGuidance, CfgGuidance
from engine.sampling.noise_schedule import NoiseSchedule
from nodes.conditioning import text_encode
from nodes.context_windows import wan_context_windows_manual
from nodes.guidance_attention import na_guidance
from nodes.rope import scale_rope
from nodes.step_caches import easy_cache
from tests.every_family import MEMBERS


def predicted(parts: Any, model: Any, guidance: Any, frames: int = 1) -> torch.Tensor:
    """What one step from pure noise gives."""
    space = parts.model.latent
    side = 32 if space.downscale == 1 else 8
    noise = torch.randn(
        1, space.channels, *([frames] * (space.axes - 2)), side, side, generator=torch.Generator().manual_seed(4)
    )
    with live_model(parts.bench.models, model) as live:
        levels = torch.tensor([live.schedule.sigma_max, live.schedule.sigma_max / 2, 0.0])
        return sample(live, Start(torch.zeros_like(noise), noise), guidance, levels).samples


GUIDED = {
    *("sd1", "sd2", "sdxl", "sdxl_refiner", "flux", "schnell", "chroma", "sd3", "qwen_image", "qwen_image_layered"),
    *("ovis_image", "longcat_image", "anima", "flux2", "flux2_klein"),
    *("pixart_alpha", "pixart_sigma", "hunyuan_dit", "sana", "cosmos_predict2", "wan", "wan22"),
}


@pytest.mark.parametrize("name", MEMBERS)
def test_normalized_attention_guides_or_is_refused(everyone, name):
    parts, own = everyone[name]
    if name not in GUIDED:
        with pytest.raises(ModelError, match=r"NAGuidance: model: .* attention to the text does not stand by itself"):
            na_guidance(parts.model)
        return
    guidance = CfgGuidance(own, text_encode(parts.bench, "a blue dog", parts.clip), 1.0)
    plain = predicted(parts, parts.model, guidance)
    got = predicted(parts, na_guidance(parts.model, 9.0, 1.0, 5.0), guidance)
    assert torch.isfinite(got).all()
    assert float((got - plain).abs().max()) > 1e-5
    assert torch.equal(predicted(parts, parts.model, guidance), plain)


@pytest.mark.parametrize("name", MEMBERS)
def test_steps_can_be_left_out_of_every_family(everyone, name):
    parts, own = everyone[name]
    guidance = BasicGuidance(own)
    plain = predicted(parts, parts.model, guidance)
    few = predicted(parts, easy_cache(parts.model, 1e-9), guidance)
    assert torch.equal(few, plain)
    got = predicted(parts, easy_cache(parts.model, 3.0, 0.0, 1.0), guidance)
    assert torch.isfinite(got).all()


PLACED = {
    *("flux", "schnell", "chroma", "flux2", "flux2_klein", "flux3", "flux3_distilled", "ovis_image", "longcat_image"),
    *("wan", "wan22"),
}


@pytest.mark.parametrize("name", MEMBERS)
def test_places_are_moved_or_the_model_is_refused(everyone, name):
    parts, own = everyone[name]
    if name not in PLACED:
        with pytest.raises(ModelError, match=r"ScaleROPE: model: .* is not told places of tokens"):
            scale_rope(parts.model)
        return
    assert scale_rope(parts.model) is parts.model
    guidance = BasicGuidance(own)
    plain = predicted(parts, parts.model, guidance)
    wide = predicted(parts, scale_rope(parts.model, scale_x=3.0), guidance)
    tall = predicted(parts, scale_rope(parts.model, scale_y=3.0), guidance)
    both = predicted(parts, scale_rope(scale_rope(parts.model, scale_x=3.0), scale_x=1.0, scale_y=3.0), guidance)
    assert torch.equal(both, predicted(parts, scale_rope(parts.model, scale_x=3.0, scale_y=3.0), guidance))
    results = [plain, wide, tall, both]
    assert all(float((a - b).abs().max()) > 1e-6 for n, a in enumerate(results) for b in results[:n])
    assert torch.equal(predicted(parts, parts.model, guidance), plain)


def test_the_places_of_flux_are_those_that_its_network_is_told(everyone):
    """The library's network called with moved places gives the same."""
    parts, own = everyone["flux"]
    [[context, options]] = own
    x = torch.randn(1, 16, 6, 8, generator=torch.Generator().manual_seed(3))
    with parts.bench.models.use(parts.model) as network:
        told = network.inputs(options, x, True)
        t = torch.tensor([500.0])
        facts = [["moved_places", {"scales": [1.0, 0.5, 2.0], "shifts": [1.0, -2.0, 3.5]}]]
        schedule = NoiseSchedule.of(parts.model.parameterization)
        got = PatchedNetwork(network, schedule, facts)(x, t, context, options=told)
        rows, columns = torch.meshgrid(torch.arange(3.0), torch.arange(4.0), indexing="ij")
        places = torch.stack([torch.ones(3, 4), rows * 0.5 - 2.0, columns * 2.0 + 3.5], dim=-1).reshape(-1, 3)
        velocity = network.module(
            hidden_states=packed(x),
            encoder_hidden_states=context,
            pooled_projections=told["pooled"],
            timestep=t / parts.model.parameterization.timesteps,
            img_ids=places,
            txt_ids=torch.zeros(context.shape[1], 3),
            guidance=told.get("guidance"),
            return_dict=False,
        )[0]
        assert torch.allclose(got, unpacked(velocity, 6, 8), atol=1e-5)


def test_the_places_of_wan_are_counted_by_its_own_rule(everyone):
    """Where nothing moves the angles are the library's; a shift by whole places is a cut out of a larger video's."""
    parts, _ = everyone["wan"]
    with parts.bench.models.use(parts.model) as network:
        rope = network.module.rope
        video = torch.zeros(1, 16, 3, 8, 6)
        for shifts, larger, cut in (((0.0, 0.0, 0.0), (3, 8, 6), (0, 0, 0)), ((1.0, 2.0, 1.0), (4, 12, 8), (1, 2, 1))):
            patch = MovedPlaces(Where(network, NoiseSchedule.of(parts.model.parameterization)), [1.0] * 3, shifts)
            made = rope(video)
            whole = rope(torch.zeros(1, 16, *larger))
            sides = [side // patch_side for side, patch_side in zip(larger, rope.patch_size)]
            own = [side // patch_side for side, patch_side in zip(video.shape[2:], rope.patch_size)]
            for got, expected in zip(patch._turned(rope, (video,), made), whole, strict=True):
                grid = expected.reshape(*sides, -1)
                for axis, (start, side) in enumerate(zip(cut, own)):
                    grid = grid.narrow(axis, start, side)
                assert torch.allclose(got.reshape(*own, -1), grid, atol=1e-5)


def test_a_video_in_windows_is_the_video_where_one_covers_all(everyone):
    parts, own = everyone["wan"]
    guidance = BasicGuidance(own)
    plain = predicted(parts, parts.model, guidance, frames=5)
    assert torch.equal(
        predicted(parts, wan_context_windows_manual(parts.model, 17, 4, freenoise=False), guidance, frames=5), plain
    )
    got = predicted(parts, wan_context_windows_manual(parts.model, 9, 4, retain_first_frame=True), guidance, frames=5)
    assert got.shape == plain.shape
    assert torch.isfinite(got).all()
    assert float((got - plain).abs().max()) > 1e-5
