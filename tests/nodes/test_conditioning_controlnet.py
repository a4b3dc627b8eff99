"""Control networks that are told another text than the model."""

from __future__ import annotations

import pytest
import torch

from engine.sampling.noise import initial_noise
from engine.sampling.noise_schedule import NoiseSchedule
from nodes.conditioning import conditioning_set_area, text_encode
from nodes.conditioning_controlnet import text_encode_controlnet
from nodes.controlnet import control_net_apply
from nodes.custom_sampling import basic_guider, ksampler_select, random_noise, sampler_custom_advanced
from nodes.loaders import checkpoint_loader, control_net_loader
from nodes.sampling import ksampler


@pytest.fixture
def told(bench):
    model, clip, _ = checkpoint_loader(bench, "tiny.safetensors")
    control = control_net_loader(bench, "edges.safetensors")
    picture = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(2))
    steered = control_net_apply(text_encode(bench, "red apple", clip), control, picture, 0.9)
    return model, clip, control, picture, steered


def test_the_control_network_gets_its_text_and_the_model_the_prompt(bench, told):
    model, clip, control, picture, steered = told
    both = text_encode_controlnet(bench, clip, steered, "blue dog")
    schedule = NoiseSchedule.of(model.parameterization)
    sigma = schedule.percent_to_sigma(0.3)
    run = sampler_custom_advanced(
        bench,
        random_noise(4),
        basic_guider(model, both),
        ksampler_select("euler"),
        torch.tensor([sigma, 0.0]),
        {"samples": torch.zeros(1, 4, 8, 8)},
    )[0]["samples"]
    x = initial_noise(torch.zeros(1, 4, 8, 8), 4) * sigma
    t = torch.tensor([schedule.timestep(sigma)])
    scaled = x / (sigma**2 + 1.0) ** 0.5
    blue, red = (text_encode(bench, text, clip)[0][0] for text in ("blue dog", "red apple"))
    with bench.models.use(model) as network, bench.models.use(control) as edges:
        residuals = edges(scaled, t, blue, picture.movedim(-1, 1), 0.9)
        expected = (x - sigma * network(scaled, t, red, control=residuals)) / model.latent.scale
    torch.testing.assert_close(run, expected, atol=1e-4, rtol=1e-6)


def test_texts_for_control_share_a_call_and_follow_their_areas(bench, told):
    model, clip, _, _, steered = told
    start = {"samples": torch.zeros(1, 4, 8, 8)}
    settings = {
        "seed": 1,
        "steps": 2,
        "cfg": 2.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "latent_image": start,
    }
    negative = text_encode(bench, "", clip)
    same = text_encode_controlnet(bench, clip, steered, "red apple")
    plain = ksampler(bench, model, positive=steered, negative=negative, **settings)["samples"]
    found = ksampler(bench, model, positive=same, negative=negative, **settings)["samples"]
    torch.testing.assert_close(found, plain, atol=1e-4, rtol=1e-5)
    part = conditioning_set_area(text_encode_controlnet(bench, clip, steered, "blue dog"), 32, 64, 0, 0)
    assert torch.isfinite(
        ksampler(bench, model, positive=[*part, *steered], negative=negative, **settings)["samples"]
    ).all()
