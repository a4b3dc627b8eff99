"""Patches of a U-Net against the formulas of their papers, put in through the field's places of functions; and two at once."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.utils.torch_utils import fourier_filter
from torch.nn import functional

from engine.datatypes.parameterization import Parameterization
from engine.denoising.inside.attention_tiles import tile_count
from engine.denoising.inside.free_u import low_scaled
from engine.denoising.inside.network import PatchedNetwork
from engine.denoising.inside.token_merging import matched, staying
from engine.models.networks.unet_places import Layout
from engine.plugins.compat.network_hooks import inside
from engine.sampling.denoisers import Occasion
from engine.sampling.noise_schedule import NoiseSchedule

SCHEDULE = NoiseSchedule.of(Parameterization())
T = torch.tensor([500.0, 500.0])


class Plain:
    """A U-Net as a network, without a file."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def __call__(self, x, t, context, *, concat=None, control=None, options=None):
        added = {}
        if control:
            added = {
                "down_block_additional_residuals": tuple(control["down"]),
                "mid_block_additional_residual": control["mid"],
            }
        return self.module(x, t, encoder_hidden_states=context, return_dict=False, **added)[0]


@pytest.fixture(scope="module")
def network() -> Plain:
    torch.manual_seed(3)
    down = ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D")
    module = UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(16, 32, 64),
        layers_per_block=2,
        down_block_types=down,
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=2,
        norm_num_groups=8,
    )
    return Plain(module.eval().requires_grad_(False))


def call(
    network: Any, told: list[Any], size: tuple[int, int] = (16, 12), sigma: float | None = None, **more: Any
) -> Any:
    generator = torch.Generator().manual_seed(1)
    x, context = torch.randn(2, 4, *size, generator=generator), torch.randn(2, 5, 16, generator=generator)
    occasion = None if sigma is None else Occasion(sigma)
    return PatchedNetwork(network, SCHEDULE, told)(x, T, context, occasion=occasion, **more)


def through_functions(network: Plain, options: dict[str, Any], size: tuple[int, int] = (16, 12)) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    x, context = torch.randn(2, 4, *size, generator=generator), torch.randn(2, 5, 16, generator=generator)
    with inside(Layout.of(network.module), options, x):
        return network(x, T, context)


def untouched(network: Plain) -> bool:
    modules = list(network.module.modules())
    return not any(m._forward_hooks or m._forward_pre_hooks or "forward" in m.__dict__ for m in modules) and not any(
        type(m.processor).__module__.startswith("engine") for m in modules if hasattr(m, "processor")
    )


# --- FreeU ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(8, 8), (7, 5), (1, 6), (1, 1)])
def test_low_frequencies_are_scaled_as_the_library_does_it(size):
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(low_scaled(x, 0.3), fourier_filter(x, threshold=1, scale=0.3), atol=1e-6)


@pytest.mark.parametrize("version", [1, 2])
def test_free_u_is_the_formula_of_its_paper(network, version):
    b1, b2, s1, s2 = 1.3, 1.4, 0.9, 0.2

    def formula(h, skipped, options):
        b, s = {64: (b1, s1), 32: (b2, s2)}.get(h.shape[1], (1.0, None))
        if s is None:
            return h, skipped
        h, half = h.clone(), h.shape[1] // 2
        if version == 2:
            mean = h.mean(1, keepdim=True)
            low, high = (getattr(mean.flatten(1), end)(1)[0].view(-1, 1, 1, 1) for end in ("min", "max"))
            b = (b - 1) * (mean - low) / (high - low) + 1
        h[:, :half] = h[:, :half] * b
        return h, fourier_filter(skipped, threshold=1, scale=s)

    expected = through_functions(network, {"patches": {"output_block_patch": [formula]}})
    told = ["free_u", {"b1": b1, "b2": b2, "s1": s1, "s2": s2, "version": version}]
    got = call(network, [told])
    assert torch.allclose(got, expected, atol=1e-5)
    assert float((got - call(network, [])).abs().max()) > 1e-4
    assert untouched(network)


def test_free_u_of_even_features_is_a_number():
    from engine.denoising.inside.free_u import by_mean

    h = torch.ones(1, 4, 3, 3)
    assert torch.equal(by_mean(h, 2, 1.4), h[:, :2])


# --- Deep Shrink ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(16, 12), (13, 11)])
@pytest.mark.parametrize("block", [1, 3, 5, 8])
@pytest.mark.parametrize("after_skip", [True, False])
def test_deep_shrink_is_a_smaller_picture_from_a_block_on(network, block, after_skip, size):
    def smaller(h, options):
        if options["block"] != ("input", block):
            return h
        to = [round(side / 2) for side in h.shape[-2:]]
        return functional.interpolate(h, size=to, mode="bicubic")

    def larger(h, skipped, options):
        if h.shape[2:] != skipped.shape[2:]:
            h = functional.interpolate(h, size=skipped.shape[2:], mode="bilinear")
        return h, skipped

    name = "input_block_patch_after_skip" if after_skip else "input_block_patch"
    expected = through_functions(network, {"patches": {name: [smaller], "output_block_patch": [larger]}}, size)
    facts = {"block": block, "factor": 2.0, "start_percent": 0.0, "end_percent": 0.35, "after_skip": after_skip}
    told = ["deep_shrink", facts | {"down": "bicubic", "up": "bilinear"}]
    got = call(network, [told], size, sigma=14.0)
    assert torch.allclose(got, expected, atol=1e-5)
    assert torch.equal(call(network, [told], size, sigma=0.5), call(network, [], size))
    assert untouched(network)


def test_deep_shrink_fits_what_a_control_net_adds(network):
    facts = {"block": 3, "factor": 2.0, "start_percent": 0.0, "end_percent": 1.0, "after_skip": True}
    told = ["deep_shrink", facts | {"down": "area", "up": "area"}]
    sizes = [(16, 12)] * 3 + [(8, 6)] * 3 + [(4, 3)] * 3
    widths = [16] * 3 + [16, 32, 32] + [32, 64, 64]
    control = {"down": [torch.zeros(2, c, *s) for c, s in zip(widths, sizes)], "mid": torch.zeros(2, 64, 4, 3)}
    assert torch.allclose(call(network, [told], control=control), call(network, [told]), atol=1e-6)


# --- attention ------------------------------------------------------------------------------------------------------


def test_attention_in_tiles_looks_within_them_alone(network):
    def tiles(q, k, v, options):
        size = SIZES.get(q.shape[1])
        return (q, k, v) if size is None else tuple(_tiles(one, size) for one in (q, k, v))

    def together(out, options):
        size = SIZES.get(out.shape[0] * out.shape[1] // 2)
        return out if size is None else _together(out, size)

    expected = through_functions(network, {"patches": {"attn1_patch": [tiles], "attn1_output_patch": [together]}})
    told = ["tiles", {"tile_size": 32, "swap_size": 1, "max_depth": 1, "scale_depth": False}]
    # The first way for 16 × 12 in tiles of 4 is 4 × 3 tiles, for 8 × 6 it is 2 × 1.
    got = call(network, [told])
    assert torch.allclose(got, expected, atol=1e-5)
    assert float((got - call(network, [])).abs().max()) > 1e-5
    told[1]["max_depth"] = 0
    assert not torch.allclose(call(network, [told]), got, atol=1e-6)
    assert untouched(network)


SIZES = {192: (16, 12), 48: (8, 6)}
COUNTS = {(16, 12): (4, 3), (8, 6): (2, 1)}


def _tiles(x, size):
    rows, columns = COUNTS[size]
    grid = x.reshape(x.shape[0], *size, -1)
    parts = [
        part.flatten(1, 2) for band in grid.chunk(rows, dim=1) for part in band.chunk(columns, dim=2)
    ]  # each (B, n, C)
    return torch.stack(parts, dim=1).flatten(0, 1)


def _together(x, size):
    rows, columns = COUNTS[size]
    parts = x.unflatten(0, (2, rows * columns)).unflatten(2, (size[0] // rows, size[1] // columns)).unbind(1)
    bands = [torch.cat(parts[row * columns : (row + 1) * columns], dim=2) for row in range(rows)]
    return torch.cat(bands, dim=1).flatten(1, 2)


def test_ways_to_divide_a_side_are_drawn_by_lot_and_leave_tiles_that_are_large_enough():
    found = {tile_count(96, 32, 3, random.Random(n)) for n in range(40)}
    assert found == {3, 2, 1}
    assert {tile_count(64, 32, 1, random.Random(n)) for n in range(9)} == {2}
    assert tile_count(7, 32, 4, random.Random(0)) == 1
    assert tile_count(13, 4, 1, random.Random(0)) == 1


def test_tokens_that_stay_are_one_of_each_square():
    stays = staying(5, 7, 3).reshape(5, 7)
    assert torch.equal(functional.avg_pool2d(stays[None, None].float(), 2), torch.full((1, 1, 2, 3), 0.25))
    assert not stays[4].any()
    assert not stays[:, 6].any()


@pytest.mark.parametrize("count", [1, 7, 26, 99])
def test_the_most_alike_tokens_are_merged_into_their_mean(count):
    rows, columns = 5, 7
    x = torch.randn(2, rows * columns, 6, generator=torch.Generator().manual_seed(4))
    pairs = matched(x, rows, columns, count, 9)
    assert pairs is not None
    stays = staying(rows, columns, 9).tolist()
    into = [n for n, stay in enumerate(stays) if stay]
    others = [n for n, stay in enumerate(stays) if not stay]
    count = min(count, len(others))
    assert pairs.left == rows * columns - count
    merged, spread = pairs.merged(x), pairs.spread(pairs.merged(x))
    assert merged.shape == (2, pairs.left, 6)
    for picture, result in zip(x, spread):
        cosines = functional.cosine_similarity(picture[:, None], picture[None], dim=-1)
        best = {n: max(into, key=lambda m, n=n: float(cosines[n, m])) for n in others}
        chosen = sorted(others, key=lambda n: -float(cosines[n, best[n]]))[:count]
        for target in into:
            group = [target, *(n for n in chosen if best[n] == target)]
            for n in group:
                assert torch.allclose(result[n], picture[group].mean(0), atol=1e-6)
        for n in set(others) - set(chosen):
            assert torch.equal(result[n], picture[n])


def test_nothing_is_merged_where_nothing_can_be():
    assert matched(torch.ones(1, 7, 2), 1, 7, 3, 0) is None
    assert matched(torch.ones(1, 16, 2), 4, 4, 0, 0) is None
    zeros = matched(torch.zeros(1, 16, 2), 4, 4, 4, 0)
    assert zeros is not None
    assert torch.isfinite(zeros.merged(torch.zeros(1, 16, 2))).all()


def test_token_merging_works_at_full_size_alone_and_the_same_each_time(network):
    told = ["merged_tokens", {"ratio": 0.5}]
    counts: list[int] = []
    attended = Layout.of(network.module).attended
    hooks = [
        one.module.attn1.to_q.register_forward_pre_hook(lambda m, a: counts.append(a[0].shape[1])) for one in attended
    ]
    got = call(network, [told])
    for hook in hooks:
        hook.remove()
    assert set(counts) == {96, 48, 12}
    assert counts.count(96) == sum(
        one.place in (("input", 1), ("input", 2), ("output", 6), ("output", 7), ("output", 8)) for one in attended
    )
    assert torch.equal(got, call(network, [told]))
    assert float((got - call(network, [])).abs().max()) > 1e-5
    assert untouched(network)


# --- together -------------------------------------------------------------------------------------------------------


def test_patches_together_are_each_in_turn_and_leave_nothing_behind(network):
    free_u = ["free_u", {"b1": 1.2, "b2": 1.3, "s1": 0.8, "s2": 0.4, "version": 1}]
    tiles = ["tiles", {"tile_size": 32, "swap_size": 1, "max_depth": 1, "scale_depth": False}]
    merged = ["merged_tokens", {"ratio": 0.3}]
    shrink = {"block": 3, "factor": 2.0, "start_percent": 0.0, "end_percent": 1.0, "after_skip": True}
    shrunk = ["deep_shrink", shrink | {"down": "area", "up": "nearest-exact"}]
    plain = call(network, [])
    alone = [call(network, [one]) for one in (free_u, tiles, merged, shrunk)]
    both = call(network, [free_u, tiles])
    assert torch.equal(both, call(network, [tiles, free_u]))
    every = call(network, [free_u, tiles, merged, shrunk])
    results = [plain, *alone, both, every]
    assert all(not torch.allclose(a, b, atol=1e-5) for n, a in enumerate(results) for b in results[:n])
    assert untouched(network)
    assert torch.equal(call(network, []), plain)


def test_a_call_that_fails_leaves_nothing_behind(network):
    told = [
        ["tiles", {"tile_size": 32, "swap_size": 1, "max_depth": 1, "scale_depth": False}],
        ["merged_tokens", {"ratio": 0.3}],
    ]
    told.append(["free_u", {"b1": 1.2, "b2": 1.3, "s1": 0.8, "s2": 0.4, "version": 1}])
    x = torch.zeros(2, 4, 16, 12)
    with pytest.raises(RuntimeError):
        PatchedNetwork(network, SCHEDULE, told)(x, T, torch.zeros(2, 5, 3))
    assert untouched(network)


def test_a_patched_network_answers_for_the_network_within():
    plain = SimpleNamespace(in_channels=4, module=None)
    assert PatchedNetwork(plain, SCHEDULE, []).in_channels == 4


def test_a_first_attention_that_looks_at_the_text_is_left_as_it_is():
    """Of Stable Diffusion's upscaler most layers have one."""
    from engine.denoising.inside.attention import self_attention

    seen = []
    attention = SimpleNamespace(processor=lambda attn, tokens, encoder_hidden_states=None, attention_mask=None: tokens)
    attended: Any = SimpleNamespace(module=SimpleNamespace(attn1=attention))
    tokens = torch.ones(1, 2, 3)
    before = attention.processor
    with self_attention([(attended, lambda given, compute: seen.append(given) or compute(given))]):
        assert attention.processor(attention, tokens, encoder_hidden_states=tokens) is tokens
        assert attention.processor(attention, tokens, tokens, attention_mask=None) is tokens
        assert not seen
        assert attention.processor(attention, tokens, encoder_hidden_states=None) is tokens
        assert len(seen) == 1
    assert attention.processor is before
