"""Every family under what workflows do to runs: batches, parts of a schedule, masks, areas; and again with a LoRA, to the bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from engine.models.families import family_named
from engine.models.networks.unet_sizes import U_NET
from engine.models.weights import parameter_shapes
from nodes.conditioning import (
    conditioning_combine,
    conditioning_set_area,
    conditioning_set_mask,
    conditioning_set_timestep_range,
    text_encode,
)
from nodes.latent import set_latent_noise_mask
from nodes.loaders import lora_loader_model_only
from nodes.sampling import ksampler, ksampler_advanced
from tests.every_family import MEMBERS, Parts
from tests.families import save

NEGATIVE = "blue dog on a tree, a tree"
SIDE = 64


def sides(parts: Parts) -> tuple[int, int]:
    return (SIDE // parts.model.latent.downscale,) * 2


def empty(parts: Parts, batch: int = 1) -> dict[str, Any]:
    return {"samples": torch.zeros(batch, parts.model.latent.channels, *sides(parts))}


def run(parts: Parts, good: Any, bad: Any, latent: dict[str, Any], **told: Any) -> torch.Tensor:
    usual: dict[str, Any] = {"seed": 1, "steps": 2, "cfg": 2.0, "sampler_name": "euler", "scheduler": "simple"}
    given = {"positive": good, "negative": bad, "latent_image": latent}
    made: torch.Tensor = ksampler(parts.bench, parts.model, **(usual | told), **given)["samples"]
    assert torch.isfinite(made).all()
    return made


@pytest.fixture(params=MEMBERS)
def family(request, everyone) -> tuple[Parts, Any, Any]:
    parts, good = everyone[request.param]
    return parts, good, text_encode(parts.bench, NEGATIVE, parts.clip)


def same(got: torch.Tensor, expected: torch.Tensor) -> bool:
    return float((got - expected).abs().max()) <= 1e-4 * max(1.0, float(expected.abs().max()))


def test_a_picture_of_a_batch_is_the_one_that_is_made_alone(family):
    parts, good, bad = family
    together = run(parts, good, bad, empty(parts, 3))
    alone = [run(parts, good, bad, {**empty(parts), "batch_index": [number]}) for number in range(3)]
    assert same(together, torch.cat(alone))
    assert not same(alone[0], alone[1])


def test_two_halves_of_a_schedule_are_the_whole(family):
    parts, good, bad = family

    def part(latent: dict[str, Any], **told: Any) -> dict[str, Any]:
        return ksampler_advanced(
            parts.bench,
            parts.model,
            noise_seed=1,
            steps=4,
            cfg=2.0,
            sampler_name="euler",
            scheduler="simple",
            positive=good,
            negative=bad,
            latent_image=latent,
            **told,
        )

    begun = part(empty(parts), end_at_step=2, return_with_leftover_noise="enable")
    ended = part(begun, start_at_step=2, add_noise="disable")
    whole = part(empty(parts))["samples"]
    assert float((ended["samples"] - whole).abs().max()) <= 1e-3 * max(1.0, float(whole.abs().max()))


def test_what_the_mask_leaves_out_stays(family):
    parts, good, bad = family
    space, (height, width) = parts.model.latent, sides(parts)
    kept = torch.randn(1, space.channels, height, width, generator=torch.Generator().manual_seed(3))
    mask = torch.zeros(1, SIDE, SIDE)
    mask[:, : SIDE // 2] = 1.0
    made = run(parts, good, bad, set_latent_noise_mask({"samples": kept}, mask), denoise=0.5)
    made = made.reshape(kept.shape)
    assert torch.allclose(made[..., height // 2 :, :], kept[..., height // 2 :, :], atol=1e-5)
    assert not torch.allclose(made[..., : height // 2, :], kept[..., : height // 2, :], atol=1e-3)


def test_places_and_times_change_the_picture_and_mean_the_same_everywhere(family):
    """A text that is everywhere, by area, mask or time, is the text itself."""
    parts, good, bad = family
    plain = run(parts, good, bad, empty(parts))
    whole = torch.ones(1, SIDE, SIDE)
    for same_text in (
        conditioning_set_area(good, SIDE, SIDE, 0, 0, 1.0),
        conditioning_set_mask(good, whole, 1.0, "default"),
        conditioning_set_mask(good, whole, 1.0, "mask bounds"),
        conditioning_set_timestep_range(good, 0.0, 1.0),
    ):
        assert same(run(parts, same_text, bad, empty(parts)), plain)
    half = whole.clone()
    half[:, : SIDE // 2] = 0.0
    for other in (
        conditioning_combine(good, bad),
        conditioning_combine(good, conditioning_set_area(bad, SIDE // 2, SIDE, 0, 0, 1.0)),
        conditioning_combine(good, conditioning_set_mask(bad, half, 1.0, "mask bounds")),
        conditioning_combine(good, conditioning_set_timestep_range(bad, 0.3, 1.0)),
    ):
        changed = run(parts, other, bad, empty(parts))
        assert not torch.equal(changed, plain)


@pytest.mark.parametrize(("sampler", "cfg"), [("dpmpp_sde", 1.0), ("ddim", 2.0), ("uni_pc", 2.0), ("lcm", 1.0)])
def test_samplers_run_with_and_without_guidance(everyone, sampler, cfg):
    for name, (parts, good) in everyone.items():
        if family_named(parts.model.family).towers:
            made = run(parts, good, good, empty(parts), sampler_name=sampler, cfg=cfg)
            assert made.shape[1] == parts.model.latent.channels, name


def test_a_lora_on_off_and_on_gives_the_same_bits(family):
    parts, good, bad = family
    shapes = {n: s for n, s in parameter_shapes(parts.model).items() if len(s) == 2 and n.endswith(".weight")}
    generator, tensors = torch.Generator().manual_seed(3), {}
    for name, (rows, columns) in list(shapes.items())[-6:]:
        module = f"{'unet' if is_u_net(parts) else 'transformer'}.{name.removesuffix('.weight')}"
        tensors[f"{module}.lora_A.weight"] = torch.randn(2, columns, generator=generator) * 0.1
        tensors[f"{module}.lora_B.weight"] = torch.randn(rows, 2, generator=generator) * 0.1
    save(parts.bench.paths.base / "models" / "loras" / "on_off.safetensors", tensors)
    patched = replace(parts, model=lora_loader_model_only(parts.bench, parts.model, "on_off.safetensors", 1.0))
    off, on, again, once_more = (run(one, good, bad, empty(parts)) for one in (parts, patched, parts, patched))
    assert torch.equal(off, again)
    assert torch.equal(on, once_more)
    assert not torch.equal(off, on)


def is_u_net(parts: Parts) -> bool:
    return family_named(parts.model.family).network is U_NET
