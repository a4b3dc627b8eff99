"""Functions that packs put inside a U-Net: where they are called, with what, and what becomes of what they return."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.plugins.compat.absent import CompatError

# The tiny network: input blocks 0 (convolution), 1 (with attention), 2 (down), 3; output blocks 0, 1, then 2, 3 (attention).


def attention(q: Any, k: Any, v: Any, told: dict[str, Any]) -> Any:
    from comfy.ldm.modules.attention import optimized_attention

    return optimized_attention(q, k, v, told["n_heads"])


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("attn1_patch", lambda n, context, value, told: (n, context, value)),
        ("attn2_patch", lambda n, context, value, told: (n, context, value)),
        ("attn1_output_patch", lambda n, told: n),
        ("attn2_output_patch", lambda n, told: n),
        ("input_block_patch", lambda h, told: h),
        ("input_block_patch_after_skip", lambda h, told: h),
        ("output_block_patch", lambda h, skipped, told: (h, skipped)),
    ],
)
def test_a_function_that_returns_what_it_is_given_changes_nothing(
    model: Any, picture: Any, name: str, function: Any
) -> None:
    hooked = model.clone()
    getattr(hooked, f"set_model_{name}")(function)
    assert torch.equal(picture(hooked), picture(model))


@pytest.mark.parametrize("name", ["attn1", "attn2"])
def test_ordinary_attention_in_the_place_of_attention_gives_the_same_picture(
    model: Any, picture: Any, name: str
) -> None:
    hooked, called = model.clone(), []

    def replacement(q: Any, k: Any, v: Any, told: dict[str, Any]) -> Any:
        called.append((told["block"], told["block_index"]))
        return attention(q, k, v, told)

    for place in (("input", 1), ("middle", 0), ("output", 2)):
        getattr(hooked, f"set_model_{name}_replace")(replacement, *place)
    getattr(hooked, f"set_model_{name}_replace")(replacement, "output", 3, 0)
    assert torch.allclose(picture(hooked, steps=1), picture(model, steps=1), atol=1e-3)
    assert called == [(("input", 1), 0), (("middle", 0), 0), (("output", 2), 0), (("output", 3), 0)]


@pytest.mark.parametrize("name", ["attn1", "attn2"])
def test_another_attention_gives_another_picture(model: Any, picture: Any, name: str) -> None:
    hooked = model.clone()
    getattr(hooked, f"set_model_{name}_replace")(lambda q, k, v, told: torch.zeros_like(q), "input", 1)
    assert not torch.allclose(picture(hooked), picture(model))
    assert torch.equal(picture(hooked), picture(hooked))


def test_functions_are_told_the_place_and_the_call(model: Any, picture: Any) -> None:
    seen: list[dict[str, Any]] = []
    hooked = model.clone()
    hooked.set_model_attn2_patch(lambda n, context, value, told: (seen.append(dict(told)), (n, context, value))[1])
    picture(hooked, steps=1)
    first = seen[0]
    assert first["block"] == ("input", 1)
    assert (first["block_index"], first["transformer_index"]) == (0, 0)
    assert (first["n_heads"], first["dim_head"]) == (4, 8)
    assert first["cond_or_uncond"] == [0, 1]
    assert first["original_shape"] == [2, 4, 8, 8]
    assert first["sigmas"].shape == (2,)
    assert first["sample_sigmas"].shape == (2,)
    assert [told["transformer_index"] for told in seen] == [0, 1, 2, 3]


def test_self_attention_is_given_the_tokens_as_context_and_value(model: Any, picture: Any) -> None:
    hooked = model.clone()

    def patch(n: Any, context: Any, value: Any, told: dict[str, Any]) -> Any:
        assert context is n
        assert value is n
        return n, context * 1.0, value * 2

    hooked.set_model_attn1_patch(patch)
    assert not torch.allclose(picture(hooked), picture(model))


def test_blocks_are_called_in_order_with_their_channels(model: Any, picture: Any) -> None:
    seen: list[Any] = []
    hooked = model.clone()
    hooked.set_model_input_block_patch(lambda h, told: (seen.append((*told["block"], *h.shape[1:3])), h)[1])
    hooked.set_model_output_block_patch(
        lambda h, skipped, told: (seen.append((*told["block"], h.shape[1], skipped.shape[1])), (h, skipped))[1]
    )
    picture(hooked, steps=1)
    assert seen == [
        ("input", 0, 32, 8),
        ("input", 1, 32, 8),
        ("input", 2, 32, 4),
        ("input", 3, 64, 4),
        ("output", 0, 64, 64),
        ("output", 1, 64, 32),
        ("output", 2, 64, 32),
        ("output", 3, 32, 32),
    ]


def test_what_is_changed_after_the_skip_leaves_the_skip_connection_as_it_was(model: Any, picture: Any) -> None:
    def skips(changed: Any) -> list[Any]:
        found: list[Any] = []
        changed.set_model_output_block_patch(lambda h, skipped, told: (found.append(skipped.clone()), (h, skipped))[1])
        picture(changed, steps=1)
        return found[::-1]

    before, after, plain = model.clone(), model.clone(), model.clone()
    for hooked, name in ((before, "input_block_patch"), (after, "input_block_patch_after_skip")):
        hooked.set_model_patch(lambda h, told: h * 2 if told["block"] == ("input", 1) else h, name)
    ours, doubled, behind = skips(plain), skips(before), skips(after)
    assert torch.allclose(doubled[1], ours[1] * 2)
    assert torch.equal(behind[1], ours[1])
    assert torch.allclose(behind[2], doubled[2], atol=1e-4)
    assert not torch.allclose(behind[2], ours[2])


def test_scaling_the_backbone_and_the_skip_changes_the_picture_the_same_way_each_time(model: Any, picture: Any) -> None:
    def free(h: Any, skipped: Any, told: dict[str, Any]) -> Any:
        if h.shape[1] == 64:
            h[:, :32] = h[:, :32] * 1.2
        spectrum = torch.fft.fftn(skipped, dim=(-2, -1)) * 0.9
        return h, torch.fft.ifftn(spectrum, dim=(-2, -1)).real

    hooked = model.clone()
    hooked.set_model_output_block_patch(free)
    assert not torch.allclose(picture(hooked), picture(model))
    assert torch.equal(picture(hooked), picture(hooked))


def test_the_picture_may_be_small_in_the_middle_of_the_network(model: Any, picture: Any) -> None:
    from torch.nn.functional import interpolate

    shapes: list[Any] = []

    def shrink(h: Any, told: dict[str, Any]) -> Any:
        return interpolate(h, scale_factor=0.5) if told["block"] == ("input", 1) else h

    def grow(h: Any, skipped: Any, told: dict[str, Any]) -> Any:
        shapes.append((h.shape[-1], skipped.shape[-1]))
        return (interpolate(h, size=skipped.shape[-2:]) if h.shape[-1] != skipped.shape[-1] else h), skipped

    for name in ("input_block_patch", "input_block_patch_after_skip"):
        hooked = model.clone()
        hooked.set_model_patch(shrink, name)
        hooked.set_model_output_block_patch(grow)
        assert picture(hooked, steps=1).shape == (1, 4, 8, 8)
    assert shapes == [(2, 2), (2, 2), (4, 4), (4, 8), (2, 2), (2, 2), (8, 8), (8, 8)]


def test_attention_is_perturbed_for_one_prediction_inside_a_hook(model: Any, picture: Any) -> None:
    import comfy.model_patcher
    import comfy.samplers

    def perturbed(args: dict[str, Any]) -> Any:
        options = comfy.model_patcher.set_model_options_patch_replace(
            args["model_options"].copy(), lambda q, k, v, told: v, "attn1", "middle", 0
        )
        (other,) = comfy.samplers.calc_cond_batch(args["model"], [args["cond"]], args["input"], args["sigma"], options)
        assert not torch.allclose(other, args["cond_denoised"])
        return args["denoised"] + (args["cond_denoised"] - other) * 3.0

    hooked = model.clone()
    hooked.set_model_sampler_post_cfg_function(perturbed)
    assert not torch.allclose(picture(hooked), picture(model))
    assert hooked.model_options["transformer_options"] == {}


def test_the_network_is_as_before_when_a_function_raises(model: Any, picture: Any) -> None:
    before = picture(model)
    hooked = model.clone()
    hooked.set_model_attn1_replace(lambda q, k, v, told: 1 / 0, "middle", 0)
    hooked.set_model_input_block_patch(lambda h, told: h * 2)
    with pytest.raises(ZeroDivisionError):
        picture(hooked)
    assert torch.equal(picture(model), before)


def test_places_of_other_networks_are_not_called_and_those_that_are_lacking_are_refused(
    model: Any, picture: Any
) -> None:
    hooked = model.clone()
    hooked.set_model_patch_replace(lambda *args: None, "dit", "double_block", 0)
    assert torch.equal(picture(hooked), picture(model))
    hooked.set_model_patch(lambda *args: None, "forward_timestep_embed_patch")
    with pytest.raises(CompatError, match=r"'forward_timestep_embed_patch'.*would need that place in our U-Net"):
        picture(hooked)


def test_tokens_are_changed_between_the_two_attentions(model: Any, picture: Any) -> None:
    same, hooked = model.clone(), model.clone()
    same.set_model_patch(lambda x, told: x, "middle_patch")
    assert torch.allclose(picture(same), picture(model), rtol=1e-3, atol=1e-2)
    seen: list[Any] = []
    hooked.set_model_patch(lambda x, told: (seen.append((told["block"], x.shape)), x * 1.1)[1], "middle_patch")
    assert not torch.allclose(picture(hooked, steps=1), picture(model, steps=1))
    assert seen[0] == (("input", 1), (2, 64, 32))


def test_the_embedding_of_time_is_changed(model: Any, picture: Any) -> None:
    widths: list[int] = []
    hooked = model.clone()
    hooked.set_model_emb_patch(lambda emb, width, told: (widths.append(width), emb * 1.1)[1])
    assert not torch.allclose(picture(hooked, steps=1), picture(model, steps=1))
    assert widths == [32]


def test_blocks_of_stable_diffusion_1_have_the_numbers_that_packs_use() -> None:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    from engine.plugins.compat.network_hooks import Layout

    with torch.device("meta"):
        layout = Layout.of(UNet2DConditionModel(cross_attention_dim=768))
    assert layout is not None
    places = [one.place for one in layout.attended]
    assert [number for name, number in places if name == "input"] == [1, 2, 4, 5, 7, 8]
    assert [number for name, number in places if name == "output"] == list(range(3, 12))
    assert ("middle", 0) in places
    assert len(layout.inputs) == 12
    assert [number for _, number in layout.outputs] == [0, 3, 6, 9]
    assert Layout.of(torch.nn.Linear(1, 1)) is None


def test_another_attention_function_takes_the_place_of_all_where_nothing_else_does(model: Any, picture: Any) -> None:
    calls: list[int] = []

    def override(function: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(len(args))
        return function(*args, **kwargs)

    hooked = model.clone()
    hooked.model_options["transformer_options"]["optimized_attention_override"] = override
    assert torch.equal(picture(hooked, steps=1), picture(model, steps=1))
    assert calls == [4] * 8


def test_our_patches_of_the_network_go_on_beneath_functions_of_packs(model: Any, picture: Any) -> None:
    from engine.plugins.compat.values import from_pack, to_pack
    from nodes.guidance_attention import na_guidance
    from nodes.step_caches import easy_cache
    from nodes.unet_patches import free_u, patch_model_add_downscale

    plain = picture(model)
    for change in (free_u, lambda one: patch_model_add_downscale(one, 2, end_percent=1.0), na_guidance, easy_cache):
        ours = change(from_pack(model))
        hooked = to_pack(ours).clone()
        hooked.set_model_attn1_patch(lambda n, context, value, told: (n, context, value))
        hooked.set_model_input_block_patch(lambda h, told: h)
        got = picture(hooked, steps=6)
        assert torch.allclose(got, picture(ours, steps=6), atol=1e-5)
        assert change is easy_cache or not torch.allclose(picture(ours), plain, atol=1e-5)
