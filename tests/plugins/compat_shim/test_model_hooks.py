"""Functions that packs put around a model's guidance and sampling take part in runs of our sampler."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.cache.digests import digest
from engine.plugins.compat.values import from_pack, to_pack

SAMPLERS = ["euler", "euler_ancestral", "dpmpp_2m", "dpmpp_sde", "seeds_2", "dpmpp_2s_ancestral_cfg_pp", "ddim"]


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("masked", [False, True])
def test_a_hook_that_returns_what_it_is_given_changes_nothing(
    model: Any, picture: Any, sampler: str, masked: bool
) -> None:
    hooked = model.clone()
    hooked.set_model_sampler_post_cfg_function(lambda args: args["denoised"])
    hooked.set_model_sampler_pre_cfg_function(lambda args: args["conds_out"])
    hooked.set_model_unet_function_wrapper(lambda apply, args: apply(args["input"], args["timestep"], **args["c"]))
    mask = (torch.arange(64).reshape(1, 8, 8) % 3 == 0).float() if masked else None
    assert torch.equal(picture(hooked, sampler=sampler, mask=mask), picture(model, sampler=sampler, mask=mask))


def test_a_clone_is_hooked_alone(model: Any, picture: Any) -> None:
    before = picture(model)
    hooked = model.clone()
    hooked.set_model_sampler_post_cfg_function(lambda args: args["denoised"] * 0.5)
    again = hooked.clone()
    again.set_model_sampler_post_cfg_function(lambda args: args["denoised"] * 0.5)
    assert model.model_options == {"transformer_options": {}}
    assert len(hooked.model_options["sampler_post_cfg_function"]) == 1
    assert torch.equal(picture(model), before)
    assert not torch.allclose(picture(hooked), picture(again))


def test_a_cfg_function_is_told_the_predictions_and_the_differences_from_x(model: Any, picture: Any) -> None:
    seen = []

    def guide(args: dict[str, Any]) -> Any:
        seen.append(args)
        assert torch.allclose(args["input"] - args["cond_denoised"], args["cond"])
        return args["uncond"] + (args["cond"] - args["uncond"]) * args["cond_scale"]

    hooked = model.clone()
    hooked.set_model_sampler_cfg_function(guide)
    assert torch.allclose(picture(hooked), picture(model), atol=1e-3)
    assert seen[0]["cond_scale"] == 4.0
    assert seen[0]["timestep"].shape == (1,)
    assert {"model", "model_options", "sigma", "uncond_denoised"} <= seen[0].keys()


def test_a_cfg_function_of_three_arguments_is_the_older_form(model: Any, picture: Any) -> None:
    hooked = model.clone()
    hooked.set_model_sampler_cfg_function(lambda cond, uncond, scale: uncond + (cond - uncond) * scale)
    assert torch.allclose(picture(hooked), picture(model), atol=1e-3)


def test_rescaled_guidance_written_by_a_pack_is_that_of_our_node(model: Any, picture: Any) -> None:
    from nodes.model_sampling import rescale_cfg

    def rescale(args: dict[str, Any]) -> Any:
        x, sigma = args["input"], args["sigma"].view(-1, 1, 1, 1)
        scale = (sigma**2 + 1.0) ** 0.5
        x_scaled = x / (sigma**2 + 1.0)

        def velocity(difference: Any) -> Any:
            return (x_scaled - (x - difference)) * scale / sigma

        cond, uncond = velocity(args["cond"]), velocity(args["uncond"])
        guided = uncond + args["cond_scale"] * (cond - uncond)
        spread = torch.std(cond, dim=(1, 2, 3), keepdim=True) / torch.std(guided, dim=(1, 2, 3), keepdim=True)
        final = 0.7 * guided * spread + 0.3 * guided
        return x - (x_scaled - final * sigma / scale)

    hooked = model.clone()
    hooked.set_model_sampler_cfg_function(rescale)
    assert torch.allclose(picture(hooked), picture(rescale_cfg(model.handle, 0.7)), atol=1e-3)


def test_our_rescale_counts_for_a_model_with_hooks_too(model: Any, picture: Any) -> None:
    from nodes.model_sampling import rescale_cfg

    hooked = model.clone()
    hooked.set_model_sampler_post_cfg_function(lambda args: args["denoised"])
    rescaled = rescale_cfg(from_pack(hooked), 0.7)
    assert torch.equal(picture(rescaled), picture(rescale_cfg(model.handle, 0.7)))


def test_another_scale_over_a_part_of_the_run_counts_for_a_model_with_hooks_too(model: Any, picture: Any) -> None:
    from nodes.guidance import cfg_override

    hooked = model.clone()
    hooked.set_model_sampler_post_cfg_function(lambda args: args["denoised"])
    ours = picture(cfg_override(model.handle, 1.0, 0.5, 1.0))
    assert torch.equal(picture(cfg_override(from_pack(hooked), 1.0, 0.5, 1.0)), ours)
    assert not torch.equal(picture(model.handle), ours)


def test_what_our_nodes_change_of_guidance_counts_for_a_model_with_hooks_too(model: Any, picture: Any) -> None:
    from nodes.guidance_predictions import apg, epsilon_scaling, tcfg
    from nodes.guidance_video import video_linear_cfg_guidance

    def put_on(plain: Any) -> Any:
        steered = apg(tcfg(plain).patched_model, 0.3, 2.0, -0.4)
        return video_linear_cfg_guidance(epsilon_scaling(steered, 1.01), 2.0)

    hooked = model.clone()
    hooked.set_model_sampler_post_cfg_function(lambda args: args["denoised"])
    ours = picture(put_on(model.handle))
    assert torch.equal(picture(put_on(from_pack(hooked))), ours)
    assert not torch.equal(picture(model.handle), ours)


def test_perp_neg_of_a_model_with_hooks_is_refused(model: Any, picture: Any) -> None:
    from nodes.guidance_perp_neg import perp_neg

    hooked = model.clone()
    hooked.set_model_sampler_post_cfg_function(lambda args: args["denoised"])
    with pytest.raises(ValueError, match="PerpNeg: a pack has put functions around this model"):
        picture(perp_neg(from_pack(hooked), [[torch.zeros(1, 77, 32), {}]]))


def test_a_latent_that_grows_on_the_way_does_so_for_a_model_with_hooks_too(model: Any, node: Any, texts: Any) -> None:
    from nodes.custom_samplers import sampler_lcm_upscale
    from nodes.custom_sampling import sampler_custom

    hooked = model.clone()
    hooked.set_model_sampler_post_cfg_function(lambda args: args["denoised"])

    def grown(steered: Any) -> Any:
        given = {"noise_seed": 2, "cfg": 3.0, "positive": texts[0], "negative": texts[1]}
        levels, latent = torch.tensor([14.0, 2.0, 0.5, 0.0]), {"samples": torch.full((1, 4, 8, 8), 0.5)}
        sampler = sampler_lcm_upscale(1.5, 1, "bilinear")
        return sampler_custom(node, steered, **given, sampler=sampler, sigmas=levels, latent_image=latent).output[
            "samples"
        ]

    assert grown(model.handle).shape == (1, 4, 12, 12)
    assert torch.equal(grown(from_pack(hooked)), grown(model.handle))


def test_without_guidance_the_negative_is_predicted_only_when_a_hook_wants_it(model: Any, picture: Any) -> None:
    for wants in (False, True):
        seen: list[Any] = []
        hooked = model.clone()
        hooked.set_model_sampler_post_cfg_function(
            lambda args, seen=seen: (seen.append(args["uncond_denoised"]), args["denoised"])[1],
            disable_cfg1_optimization=wants,
        )
        hooked.set_model_unet_function_wrapper(
            lambda apply, args, seen=seen: (
                seen.append(args["cond_or_uncond"]),
                apply(args["input"], args["timestep"], **args["c"]),
            )[1]
        )
        assert torch.allclose(picture(hooked, cfg=1.0), picture(model, cfg=1.0), atol=1e-3)
        assert seen[0] == ([0, 1] if wants else [0])
        assert bool(seen[1].count_nonzero()) is wants


def test_predictions_are_asked_for_again_inside_a_hook(model: Any, picture: Any) -> None:
    import comfy.samplers

    def repeat(args: dict[str, Any]) -> Any:
        (again,) = comfy.samplers.calc_cond_batch(
            args["model"], [args["cond"]], args["input"], args["sigma"], args["model_options"]
        )
        assert torch.allclose(again, args["cond_denoised"], atol=1e-3)
        return args["denoised"] + (args["denoised"] - again) * 0.5

    hooked = model.clone()
    hooked.set_model_sampler_post_cfg_function(repeat)
    assert not torch.allclose(picture(hooked), picture(model))


def test_a_mask_function_decides_where_each_step_paints(model: Any, picture: Any) -> None:
    mask = torch.linspace(0.1, 1, 64).reshape(1, 8, 8)
    levels = []

    def threshold(sigma: Any, denoise_mask: Any, extra_options: dict[str, Any]) -> Any:
        sampling = extra_options["model"].inner_model.model_sampling
        levels.append(float(sampling.timestep(sigma[0])))
        highest = float(sampling.timestep(extra_options["sigmas"][0]))
        return (denoise_mask >= levels[-1] / highest).float()

    hooked = model.clone()
    hooked.set_model_denoise_mask_function(threshold)
    assert not torch.allclose(picture(hooked, mask=mask), picture(model, mask=mask))
    assert levels == sorted(levels, reverse=True)
    assert len(levels) == 3


def test_wrappers_are_called_around_their_places_and_what_they_return_counts(model: Any, picture: Any) -> None:
    from comfy.patcher_extension import CallbacksMP, WrappersMP

    called: list[str] = []
    hooked = model.clone()
    for place in (
        WrappersMP.OUTER_SAMPLE,
        WrappersMP.SAMPLER_SAMPLE,
        WrappersMP.PREDICT_NOISE,
        WrappersMP.CALC_COND_BATCH,
        WrappersMP.APPLY_MODEL,
        WrappersMP.DIFFUSION_MODEL,
    ):
        hooked.add_wrapper_with_key(
            place,
            "mine",
            lambda executor, *args, place=place, **kwargs: (called.append(place), executor(*args, **kwargs))[1],
        )
    hooked.add_callback(CallbacksMP.ON_PRE_RUN, lambda patcher: called.append("before"))
    hooked.add_callback(CallbacksMP.ON_CLEANUP, lambda patcher: called.append("after"))
    assert torch.allclose(picture(hooked, steps=1), picture(model, steps=1), atol=1e-3)
    assert called == [
        "outer_sample", "before", "sampler_sample", "predict_noise", "calc_cond_batch", "apply_model", "diffusion_model", "after",
    ]  # fmt: skip

    def newer(
        executor: Any,
        noise: Any,
        latent: Any,
        sampler: Any,
        sigmas: Any,
        mask: Any,
        callback: Any,
        quiet: Any,
        seed: Any,
        latent_shapes: Any,
    ) -> Any:
        assert latent_shapes == [(1, 4, 8, 8)]
        return executor(noise, latent, sampler, sigmas, mask, callback, quiet, seed, latent_shapes=latent_shapes)

    hooked.add_wrapper(WrappersMP.OUTER_SAMPLE, newer)
    assert torch.allclose(picture(hooked, steps=1), picture(model, steps=1), atol=1e-3)
    doubled = model.clone()
    doubled.add_wrapper(WrappersMP.PREDICT_NOISE, lambda executor, *args: executor(*args) * 2)
    assert not torch.allclose(picture(doubled), picture(model))


def test_the_cache_names_a_hooked_model_by_the_node_that_made_it(model: Any) -> None:
    from engine.__main__ import handle_codecs
    from engine.cache.codecs import CodecError, Codecs

    hooked = model.clone()
    hooked.set_model_sampler_post_cfg_function(lambda args: args["denoised"])
    assert digest(model.handle) == digest(model.clone().handle) is not None
    assert digest(hooked.handle) is None
    with pytest.raises(CodecError):
        Codecs(handle_codecs()).encode(hooked.handle)


def test_hooks_attachments_and_parts_reach_the_next_node_of_a_pack(model: Any) -> None:
    hooked = model.clone()
    hooked.set_model_sampler_post_cfg_function(print)
    hooked.set_attachments("mine", [1])
    hooked.model_options["transformer_options"]["mine"] = {"a": 1}
    received = to_pack(from_pack(hooked))
    assert received.model_options["sampler_post_cfg_function"] == [print]
    assert received.get_attachment("mine") == [1]
    received.model_options["transformer_options"]["mine"]["a"] = 2
    assert hooked.model_options["transformer_options"]["mine"] == {"a": 1}


def test_a_lora_goes_on_a_hooked_model(model: Any, node: Any, picture: Any) -> None:
    from nodes.loaders import lora_loader_model_only

    hooked = model.clone()
    hooked.set_model_sampler_post_cfg_function(lambda args: args["denoised"])
    both = lora_loader_model_only(node, from_pack(hooked), "kohya.safetensors", 1.0)
    alone = lora_loader_model_only(node, model.handle, "kohya.safetensors", 1.0)
    assert torch.equal(picture(both), picture(alone))
    assert not torch.allclose(picture(alone), picture(model))


def test_a_model_may_be_applied_outside_of_a_run(model: Any, texts: Any) -> None:
    x, context = torch.ones(1, 4, 8, 8), texts[0][0][0]
    levels = model.get_model_object("model_sampling")
    sigma = torch.tensor([3.0])
    found = model.model.apply_model(x, sigma, c_crossattn=context)
    noise = model.model.diffusion_model(levels.calculate_input(sigma, x), levels.timestep(sigma), context=context)
    assert torch.allclose(levels.calculate_denoised(sigma, noise, x), found)


def test_nodes_that_packs_call_heed_the_hooks(model: Any, node: Any, texts: Any, picture: Any) -> None:
    import nodes

    hooked = model.clone()
    hooked.set_model_sampler_post_cfg_function(lambda args: args["denoised"] * 0.5)
    latent = {"samples": torch.full((1, 4, 8, 8), 0.5)}
    (done,) = nodes.common_ksampler(hooked, 1, 3, 4.0, "euler", "normal", *texts, latent)
    assert torch.equal(done["samples"], picture(hooked))


def test_pictures_steer_by_further_attention_as_adapters_do(model: Any, picture: Any) -> None:
    from comfy.ldm.modules.attention import optimized_attention

    class Adapter:
        """Keys and values of a picture beside those of the text, for the wanted half of a batch."""

        def __init__(self, weight: float) -> None:
            generator = torch.Generator().manual_seed(1)
            self.tokens, self.weight = torch.randn(1, 4, 32, generator=generator), weight

        def __call__(self, q: Any, k: Any, v: Any, extra_options: dict[str, Any]) -> Any:
            heads, halves = extra_options["n_heads"], extra_options["cond_or_uncond"]
            out = optimized_attention(q, k, v, heads)
            tokens = torch.cat([self.tokens, torch.zeros_like(self.tokens)])[halves]
            rows = q.shape[0] // len(halves)
            tokens = torch.cat([one.repeat(rows, 1, 1) for one in tokens.split(1)])
            sigma = float(extra_options["sigmas"][0])
            return out + optimized_attention(q, tokens, tokens, heads) * (self.weight if sigma > 1.0 else 0.0)

    pictures = []
    for weight in (0.0, 0.5, 1.0):
        changed = model.clone()
        options = changed.model_options["transformer_options"].copy()
        places = [("input", 1), ("output", 2), ("output", 3)]
        options["patches_replace"] = {"attn2": {place: Adapter(weight) for place in places}}
        changed.model_options["transformer_options"] = options
        pictures.append(picture(changed))
    assert torch.allclose(pictures[0], picture(model), rtol=1e-3, atol=1e-2)
    assert not torch.allclose(pictures[1], pictures[0])
    assert not torch.allclose(pictures[2], pictures[1])
