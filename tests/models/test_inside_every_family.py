"""Patches of the network on every family: they change what it predicts, or are refused at the node; and nothing stays behind."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.denoising.live import live_model
from engine.denoising.records import Start
from engine.denoising.run import sample
from engine.models.errors import ModelError
from engine.sampling.guiders import CfgGuidance
from nodes.conditioning import text_encode
from nodes.guidance_attention import na_guidance
from tests.every_family import MEMBERS


def predicted(parts: Any, model: Any, guidance: Any) -> torch.Tensor:
    """What one step from pure noise gives."""
    space = parts.model.latent
    side = 32 if space.downscale == 1 else 8
    noise = torch.randn(
        1, space.channels, *([1] * (space.axes - 2)), side, side, generator=torch.Generator().manual_seed(4)
    )
    with live_model(parts.bench.models, model) as live:
        levels = torch.tensor([live.schedule.sigma_max, live.schedule.sigma_max / 2, 0.0])
        return sample(live, Start(torch.zeros_like(noise), noise), guidance, levels).samples


GUIDED = {
    *("sd1", "sd2", "sdxl", "sdxl_refiner", "flux", "schnell", "chroma", "sd3", "qwen_image", "qwen_image_layered"),
    *("ovis_image", "longcat_image", "anima", "flux2", "flux2_klein"),
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
