"""Samplers, guiders and schedules that packs bring, in runs of ours and of their own."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.cache.digests import digest
from engine.plugins.compat.values import from_pack, to_pack


def euler(
    model: Any, x: Any, sigmas: Any, extra_args: Any = None, callback: Any = None, disable: Any = None, **options: Any
) -> Any:
    """As k-diffusion writes it."""
    extra_args = {} if extra_args is None else extra_args
    ones = x.new_ones([x.shape[0]])
    for i in range(len(sigmas) - 1):
        denoised = model(x, sigmas[i] * ones, **extra_args)
        slope = (x - denoised) / sigmas[i]
        if callback is not None:
            callback({"x": x, "i": i, "sigma": sigmas[i], "sigma_hat": sigmas[i], "denoised": denoised})
        x = x + slope * (sigmas[i + 1] - sigmas[i]) * options.get("stretch", 1.0)
    return x


def latent() -> dict[str, Any]:
    return {"samples": torch.full((1, 4, 8, 8), 0.5)}


def denoised(node: Any, model: Any, sides: Any, steps: int) -> Any:
    """What our KSampler node makes of conditionings (positive, negative)."""
    from nodes.sampling import ksampler

    settings = {"seed": 1, "steps": steps, "cfg": 3.0, "sampler_name": "euler", "scheduler": "normal"}
    return ksampler(node, model, positive=sides[0], negative=sides[1], latent_image=latent(), **settings)["samples"]


@pytest.fixture
def custom(node: Any, texts: Any) -> Any:
    """Denoises with our SamplerCustom node."""
    from nodes.custom_sampling import sampler_custom
    from nodes.sigmas import basic_scheduler

    def run(model: Any, sampler: Any, **more: Any) -> Any:
        handle = from_pack(model)
        sigmas = basic_scheduler(handle, "karras", 3)
        given = {**latent(), **more}
        parts = {"sampler": from_pack(sampler), "sigmas": sigmas, "latent_image": given, "noise_seed": 7, "cfg": 3.0}
        return sampler_custom(node, handle, positive=texts[0], negative=texts[1], **parts)

    return run


@pytest.mark.parametrize("masked", [False, True])
def test_a_function_of_a_pack_takes_the_steps_in_our_node(model: Any, custom: Any, node: Any, masked: bool) -> None:
    import comfy.samplers

    more = {"noise_mask": (torch.arange(64).reshape(1, 8, 8) % 3 == 0).float()} if masked else {}
    ours = custom(model, comfy.samplers.sampler_object("euler"), **more)
    theirs = custom(model, comfy.samplers.KSAMPLER(euler), **more)
    assert torch.allclose(theirs.output["samples"], ours.output["samples"], atol=1e-3)
    assert torch.allclose(theirs.denoised_output["samples"], ours.denoised_output["samples"], atol=1e-3)
    assert node.told[-3:] == [(1, 3), (2, 3), (3, 3)]
    stretched = custom(model, comfy.samplers.KSAMPLER(euler, {"stretch": 0.9}), **more)
    assert not torch.allclose(stretched.output["samples"], ours.output["samples"])


@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_our_cfg_pp_samplers_hear_of_the_unconditional_prediction_in_a_packs_run(
    model: Any, node: Any, texts: Any, cfg: float
) -> None:
    import comfy.k_diffusion.sampling
    import comfy.samplers

    from nodes.custom_sampling import ksampler_select, sampler_custom
    from nodes.sigmas import basic_scheduler

    def by_a_pack(denoiser: Any, x: Any, sigmas: Any, **rest: Any) -> Any:
        return comfy.k_diffusion.sampling.sample_euler_cfg_pp(denoiser, x, sigmas, **rest)

    handle = from_pack(model)
    sigmas = basic_scheduler(handle, "karras", 3)
    ours, theirs, plain = (
        sampler_custom(
            node,
            handle,
            noise_seed=7,
            cfg=cfg,
            positive=texts[0],
            negative=texts[1],
            sampler=sampler,
            sigmas=sigmas,
            latent_image=latent(),
        ).output["samples"]
        for sampler in (
            ksampler_select("euler_cfg_pp"),
            from_pack(comfy.samplers.KSAMPLER(by_a_pack)),
            ksampler_select("euler"),
        )
    )
    assert torch.allclose(theirs, ours, atol=1e-3)
    assert not torch.allclose(ours, plain, atol=1e-2)


def test_a_packs_brownian_noise_is_ours_for_a_seed_or_for_one_of_each_picture() -> None:
    from engine.plugins.compat.k_diffusion import BrownianTreeNoiseSampler
    from engine.sampling.noise import brownian_noise

    x = torch.zeros(2, 4, 8, 8)
    ours = brownian_noise(x, 0.1, 10.0, 5)(4.0, 2.0)
    assert torch.equal(
        BrownianTreeNoiseSampler(x, 0.1, 10.0, seed=5, cpu=True)(torch.tensor(4.0), torch.tensor(2.0)), ours
    )
    apart = BrownianTreeNoiseSampler(x, torch.tensor(0.1), torch.tensor(10.0), seed=[5, 6])(4.0, 2.0)
    assert torch.equal(apart, brownian_noise(x, 0.1, 10.0, [5, 6])(4.0, 2.0))
    # in t = -log sigma time runs the other way, and so does the path
    turned = BrownianTreeNoiseSampler(x, 1.0, 4.0, seed=5, transform=lambda sigma: sigma.log().neg())(4.0, 1.0)
    log_4 = torch.tensor(4.0).log().item()
    assert torch.equal(turned, brownian_noise(x, -log_4, 0.0, 5)(-log_4, 0.0) * -1.0)


def test_a_function_of_a_pack_sees_the_model_behind_the_denoiser(model: Any, custom: Any) -> None:
    import comfy.samplers

    seen: dict[str, Any] = {}

    def look(denoiser: Any, x: Any, sigmas: Any, extra_args: Any = None, **rest: Any) -> Any:
        seen.update(extra_args)
        seen["type"] = type(denoiser.inner_model.inner_model.model_sampling)
        seen["patcher"] = denoiser.inner_model.model_patcher
        return euler(denoiser, x, sigmas, extra_args)

    custom(model, comfy.samplers.KSAMPLER(look))
    assert seen["seed"] == 7
    assert isinstance(seen["model_options"], dict)
    assert seen["patcher"].handle.source == model.handle.source
    import comfy.model_sampling

    assert issubclass(seen["type"], comfy.model_sampling.EPS)


def test_a_sampler_class_of_a_pack_does_everything_itself(model: Any, custom: Any) -> None:
    import comfy.samplers

    class Mine(comfy.samplers.Sampler):
        def sample(
            self,
            model_wrap: Any,
            sigmas: Any,
            extra_args: Any,
            callback: Any,
            noise: Any,
            latent_image: Any = None,
            denoise_mask: Any = None,
            disable_pbar: bool = False,
        ) -> Any:
            levels = model_wrap.inner_model.model_sampling
            x = levels.noise_scaling(sigmas[0], noise, latent_image, self.max_denoise(model_wrap, sigmas))
            done = euler(
                model_wrap, x, sigmas, extra_args, lambda step: callback(step["i"], step["denoised"], step["x"], 3)
            )
            return levels.inverse_noise_scaling(sigmas[-1], done)

    ours = custom(model, comfy.samplers.sampler_object("euler"))
    assert torch.allclose(custom(model, Mine()).output["samples"], ours.output["samples"], atol=1e-3)


def test_samplers_of_ours_are_data_and_those_of_packs_are_not(model: Any) -> None:
    import comfy.samplers

    assert digest(from_pack(comfy.samplers.sampler_object("euler"))) is not None
    assert digest(from_pack(comfy.samplers.ksampler("euler", {"s_churn": 0.5}))) is not None
    assert digest(from_pack(comfy.samplers.KSAMPLER(euler))) is None
    received = to_pack(from_pack(comfy.samplers.sampler_object("dpmpp_2m")))
    assert isinstance(received, comfy.samplers.KSAMPLER)
    received.extra_options["mine"] = object()
    assert digest(from_pack(received)) is None


@pytest.mark.parametrize(
    "name", ["euler", "euler_ancestral", "heun", "dpmpp_2m", "dpmpp_sde", "dpmpp_2m_sde", "uni_pc", "lcm"]
)
def test_our_samplers_are_functions_in_the_field_s_convention(model: Any, custom: Any, name: str) -> None:
    import comfy.k_diffusion.sampling
    import comfy.samplers

    function = getattr(comfy.k_diffusion.sampling, f"sample_{name}")
    ours = custom(model, comfy.samplers.sampler_object(name)).output["samples"]

    def theirs_too(*args: Any, **kwargs: Any) -> Any:  # a function of a pack that calls ours
        return function(*args, **kwargs)

    theirs = custom(model, comfy.samplers.KSAMPLER(theirs_too)).output["samples"]
    assert torch.allclose(theirs, ours, rtol=1e-3, atol=1e-2)


def test_our_functions_take_noise_and_options_and_tell_of_their_steps(node: Any) -> None:
    import comfy.k_diffusion.sampling

    steps: list[Any] = []
    x = torch.ones(1, 4, 2, 2) * 10
    done = comfy.k_diffusion.sampling.sample_euler_ancestral(
        lambda x, sigma, **kwargs: x * 0 + sigma.reshape(-1, 1, 1, 1) * kwargs["factor"],
        x,
        torch.tensor([10.0, 5.0, 0.0]),
        extra_args={"factor": 0.5},
        callback=steps.append,
        noise_sampler=lambda sigma, following: torch.zeros_like(x),
        eta=0.5,
    )
    assert torch.allclose(done, torch.full_like(x, 2.5))
    assert [step["i"] for step in steps] == [0, 1]
    assert float(steps[1]["sigma"]) == 5.0


def test_a_sampler_that_a_pack_adds_by_name_is_found_by_that_name(model: Any, texts: Any, monkeypatch: Any) -> None:
    import comfy.k_diffusion.sampling
    import comfy.sample
    import comfy.samplers

    monkeypatch.setattr(comfy.k_diffusion.sampling, "sample_mine", euler, raising=False)
    monkeypatch.setattr(comfy.samplers.KSampler, "SAMPLERS", [*comfy.samplers.KSampler.SAMPLERS, "mine"])
    noise = comfy.sample.prepare_noise(latent()["samples"], 5)
    done = {
        name: comfy.sample.sample(model, noise, 3, 2.0, name, "karras", *texts, latent()["samples"], seed=5)
        for name in ("mine", "euler")
    }
    assert torch.allclose(done["mine"], done["euler"], atol=1e-3)


def test_a_schedule_that_a_pack_adds_by_name_is_found_by_that_name(model: Any, monkeypatch: Any) -> None:
    import comfy.samplers

    mine = comfy.samplers.SchedulerHandler(lambda levels, steps: torch.linspace(float(levels.sigma_max), 0, steps + 1))
    monkeypatch.setitem(comfy.samplers.SCHEDULER_HANDLERS, "mine", mine)
    sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "mine", 4)
    assert sigmas.shape == (5,)
    assert sigmas[-1] == 0
    plain = comfy.samplers.SchedulerHandler(lambda n, sigma_min, sigma_max: (n, sigma_min, sigma_max), use_ms=False)
    monkeypatch.setitem(comfy.samplers.SCHEDULER_HANDLERS, "mine", plain)
    levels = model.get_model_object("model_sampling")
    expected = (4, float(levels.sigma_min), float(levels.sigma_max))
    assert comfy.samplers.calculate_sigmas(levels, "mine", 4) == expected


def test_a_part_of_a_run_is_the_end_of_one_whose_steps_are_cut_to_a_whole_number(model: Any) -> None:
    import comfy.samplers

    def levels(steps: int, denoise: float) -> torch.Tensor:
        return comfy.samplers.KSampler(model, steps, "cpu", "euler", "karras", denoise).sigmas

    assert torch.equal(levels(2, 0.3), levels(6, 1.0)[-3:])  # 2 / 0.3 is 6.67


# --- guiders --------------------------------------------------------------------------------------------------------


@pytest.fixture
def advanced(node: Any) -> Any:
    """Denoises with our SamplerCustomAdvanced node."""
    from nodes.custom_sampling import SeededNoise, sampler_custom_advanced
    from nodes.sigmas import basic_scheduler

    def run(model: Any, guider: Any, sampler: Any = None, **more: Any) -> Any:
        from engine.sampling.names import Sampler

        sigmas = basic_scheduler(from_pack(model), "karras", 3)
        steps = Sampler("euler") if sampler is None else from_pack(sampler)
        return sampler_custom_advanced(node, SeededNoise(7), from_pack(guider), steps, sigmas, {**latent(), **more})

    return run


def test_a_guider_of_a_pack_guides_our_node(model: Any, texts: Any, advanced: Any) -> None:
    import comfy.samplers

    from nodes.custom_sampling import cfg_guider

    class Mine(comfy.samplers.CFGGuider):
        factor = 1.0

        def predict_noise(self, x: Any, timestep: Any, model_options: Any = {}, seed: Any = None) -> Any:  # noqa: B006 - the field's way
            negative, positive = comfy.samplers.calc_cond_batch(
                self.inner_model, [self.conds["negative"], self.conds["positive"]], x, timestep, model_options
            )
            return negative + (positive - negative) * self.cfg * self.factor

    guider = Mine(model)
    guider.set_conds(*texts)
    guider.set_cfg(3.0)
    ours = advanced(model, cfg_guider(model.handle, *texts, 3.0))
    assert torch.allclose(advanced(model, guider).output["samples"], ours.output["samples"], atol=1e-3)
    assert torch.allclose(
        advanced(model, guider, comfy.samplers.KSAMPLER(euler)).output["samples"], ours.output["samples"], atol=1e-3
    )
    guider.factor = 1.5
    assert not torch.allclose(advanced(model, guider).output["samples"], ours.output["samples"])
    assert digest(from_pack(guider)) is None
    assert to_pack(from_pack(guider)) is guider


def test_a_perpendicular_negative_is_guided_by_three_predictions(model: Any, texts: Any, advanced: Any) -> None:
    import comfy.samplers

    class PerpNeg(comfy.samplers.CFGGuider):
        def set_conds(self, positive: Any, negative: Any, empty: Any) -> None:
            self.inner_set_conds({"positive": positive, "empty_negative_prompt": empty, "negative": negative})

        def predict_noise(self, x: Any, timestep: Any, model_options: Any = {}, seed: Any = None) -> Any:  # noqa: B006 - the field's way
            conds = [self.conds.get(name) for name in ("positive", "negative", "empty_negative_prompt")]
            positive, negative, empty = comfy.samplers.calc_cond_batch(
                self.inner_model, conds, x, timestep, model_options
            )
            pos, neg = positive - empty, negative - empty
            perp = neg - ((neg * pos).sum() / pos.norm() ** 2) * pos
            return empty + self.cfg * (pos - perp)

    guider = PerpNeg(model)
    guider.set_conds(texts[0], texts[1], [[texts[1][0][0] * 0, {}]])
    guider.set_cfg(4.0)
    found = advanced(model, guider).output["samples"]
    assert found.isfinite().all()
    assert torch.equal(found, advanced(model, guider).output["samples"])


def test_a_guider_may_sample_on_its_own_and_be_asked_for_each_step(model: Any, texts: Any, node: Any) -> None:
    import comfy.sample
    import comfy.samplers

    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(*texts)
    guider.set_cfg(3.0)
    start = latent()["samples"]
    noise = comfy.sample.prepare_noise(start, 7)
    sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "karras", 3)
    steps: list[Any] = []
    done = guider.sample(
        noise, start, comfy.samplers.sampler_object("euler"), sigmas, seed=7,
        callback=lambda step, denoised, x, total: steps.append((step, total)),
    )  # fmt: skip
    whole = comfy.sample.sample_custom(
        model, noise, 3.0, comfy.samplers.sampler_object("euler"), sigmas, *texts, start, seed=7
    )
    assert torch.equal(done, whole)
    assert steps == [(0, 3), (1, 3), (2, 3)]
    assert guider.inner_model is None
    assert torch.equal(guider.sample(noise, start, "euler", sigmas[:0]), start)


@pytest.mark.parametrize("kind", ["cfg", "basic", "dual"])
def test_guiders_of_ours_reach_packs_as_guiders_and_hooks_count_in_them(
    model: Any, texts: Any, advanced: Any, kind: str
) -> None:
    import comfy.samplers

    from nodes.custom_sampling import basic_guider, cfg_guider, dual_cfg_guider

    def made(one: Any) -> Any:
        if kind == "cfg":
            return cfg_guider(from_pack(one), *texts, 3.0)
        if kind == "basic":
            return basic_guider(from_pack(one), texts[0])
        return dual_cfg_guider(from_pack(one), *texts, texts[1], 3.0, 2.0)

    received = to_pack(made(model))
    assert isinstance(received, comfy.samplers.CFGGuider)
    ours = advanced(model, made(model)).output["samples"]
    assert torch.allclose(advanced(model, received).output["samples"], ours, atol=1e-3)
    hooked = model.clone()
    hooked.set_model_unet_function_wrapper(
        lambda apply, args: apply(args["input"], args["timestep"], **args["c"]) * 0.5
    )
    assert not torch.allclose(advanced(model, made(hooked)).output["samples"], ours)
    after = model.clone()
    after.set_model_sampler_post_cfg_function(lambda args: args["denoised"] * 0.5)
    assert not torch.allclose(advanced(model, made(after)).output["samples"], ours)


def test_areas_masks_moments_and_controls_hold_for_a_hooked_model_too(
    model: Any, texts: Any, node: Any, tiny_sd: Any
) -> None:
    from nodes.controlnet import control_net_apply_advanced
    from nodes.loaders import control_net_loader

    hooked = model.clone()
    hooked.set_model_sampler_post_cfg_function(lambda args: args["denoised"])
    options = [
        {"area": (4, 4, 0, 0), "strength": 0.7},
        {"mask": torch.rand(1, 8, 8), "mask_strength": 0.5},
        {"start_percent": 0.2, "end_percent": 0.8},
    ]
    positive = [*texts[0], *([texts[1][0][0], one] for one in options)]
    control = control_net_loader(node, "edges.safetensors")
    steered = control_net_apply_advanced(positive, texts[1], control, torch.rand(1, 64, 64, 3), 0.8, 0.0, 0.7)
    for pair in ((positive, texts[1]), steered):
        done = [denoised(node, from_pack(one), pair, steps=4) for one in (model, hooked)]
        assert torch.equal(*done)


def test_a_control_that_a_pack_sets_up_is_that_of_our_node(model: Any, texts: Any, node: Any, tiny_sd: Any) -> None:
    from nodes.controlnet import control_net_apply_advanced
    from nodes.loaders import control_net_loader

    handle, picture = control_net_loader(node, "edges.safetensors"), torch.rand(1, 64, 64, 3)
    ours = control_net_apply_advanced(*texts, handle, picture, 0.8, 0.0, 0.7)
    control = to_pack(handle)
    theirs = []
    for conditioning in texts:
        used = control.copy().set_cond_hint(picture.movedim(-1, 1), 0.8, (0.0, 0.7))
        used.set_previous_controlnet(conditioning[0][1].get("control"))
        options = {**conditioning[0][1], "control": used, "control_apply_to_uncond": False}
        theirs.append([[conditioning[0][0], options]])
    assert control.hint is None
    done = [denoised(node, model.handle, pair, steps=3) for pair in (ours, theirs)]
    assert torch.allclose(*done, rtol=1e-3, atol=1e-2)


# --- noise levels ---------------------------------------------------------------------------------------------------


def test_a_pack_reads_a_model_as_predicting_velocity(model: Any, picture: Any) -> None:
    import comfy.model_sampling

    from nodes.model_sampling import model_sampling_discrete

    class Advanced(comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.V_PREDICTION):
        pass

    changed = model.clone()
    changed.add_object_patch("model_sampling", Advanced(model.model.model_config))
    ours = model_sampling_discrete(model.handle, "v_prediction")
    assert torch.allclose(picture(changed), picture(ours), rtol=1e-3, atol=1e-2)
    assert not torch.allclose(picture(changed), picture(model))
    zsnr = model.clone()
    zsnr.add_object_patch("model_sampling", Advanced(model.model.model_config, zsnr=True))
    assert torch.allclose(
        picture(zsnr), picture(model_sampling_discrete(model.handle, "v_prediction", True)), rtol=1e-3, atol=1e-1
    )


def test_a_flow_of_a_pack_with_a_shift_is_ours(model: Any, picture: Any, node: Any) -> None:
    import comfy.model_sampling
    import msgspec

    class Flow(comfy.model_sampling.ModelSamplingDiscreteFlow, comfy.model_sampling.CONST):
        pass

    levels = Flow(model.model.model_config)
    levels.set_parameters(shift=3.0)
    changed = model.clone()
    changed.add_object_patch("model_sampling", levels)
    known = msgspec.structs.replace(model.handle.parameterization, prediction="flow", schedule="flow", shift=3.0)
    ours = model.handle.with_parameterization(known)
    assert torch.allclose(picture(changed), picture(ours), rtol=1e-3, atol=1e-2)
    assert changed.get_model_object("model_sampling") is levels
    assert changed.model.model_sampling is levels


def test_an_unchanged_part_of_a_model_is_read_and_put_back(model: Any, picture: Any) -> None:
    levels = model.get_model_object("model_sampling")
    changed = model.clone()
    changed.add_object_patch("model_sampling", levels)
    assert changed.handle.parameterization == model.handle.parameterization
    assert torch.equal(picture(changed), picture(model))
    assert levels.percent_to_sigma(0.0) > levels.sigma_max > levels.percent_to_sigma(0.5) > levels.sigma_min
    some = torch.tensor([0.5, 3.0])
    assert torch.allclose(levels.sigma(levels.timestep(some)), some, rtol=0.05)


# --- nodes of the field that change a model --------------------------------------------------------------------------


def test_models_are_read_as_flows_by_the_nodes_that_packs_call(model: Any, picture: Any) -> None:
    import msgspec
    from comfy_extras.nodes_model_advanced import ModelSamplingAuraFlow, ModelSamplingFlux, ModelSamplingSD3

    (shifted,) = ModelSamplingSD3().patch(model, 3.0)
    known = msgspec.structs.replace(model.handle.parameterization, prediction="flow", schedule="flow", shift=3.0)
    assert torch.allclose(picture(shifted), picture(model.handle.with_parameterization(known)), rtol=1e-3, atol=1e-2)
    (flux,) = ModelSamplingFlux().patch(model, 1.15, 0.5, 1024, 1024)
    levels = flux.get_model_object("model_sampling")
    assert levels.shift == pytest.approx(1.15)
    assert float(levels.timestep(torch.tensor(0.5))) == 0.5
    (aura,) = ModelSamplingAuraFlow().patch_aura(model, 1.73)
    assert float(aura.get_model_object("model_sampling").timestep(torch.tensor(0.25))) == 0.25


def test_a_grey_mask_paints_from_a_later_step_on(model: Any, picture: Any) -> None:
    from comfy_extras.nodes_differential_diffusion import DifferentialDiffusion

    (changed,) = DifferentialDiffusion().apply(model)
    grey = torch.full((1, 8, 8), 0.4)
    assert not torch.allclose(picture(changed, mask=grey), picture(model, mask=grey))
    assert torch.equal(picture(changed, mask=torch.ones(1, 8, 8)), picture(model, mask=torch.ones(1, 8, 8)))
    kept = torch.zeros(1, 8, 8)
    assert torch.equal(picture(changed, mask=kept), picture(model, mask=kept))


def test_the_node_of_packs_that_paints_by_a_mask_gives_what_ours_does(model: Any, picture: Any) -> None:
    from comfy_extras.nodes_differential_diffusion import DifferentialDiffusion

    from nodes.model_patches import differential_diffusion

    (changed,) = DifferentialDiffusion().apply(model, 0.7)
    grey = torch.linspace(0, 1, 8).expand(1, 8, 8)
    ours = picture(differential_diffusion(model.handle, 0.7), mask=grey)
    assert torch.allclose(picture(changed, mask=grey), ours, rtol=1e-3, atol=1e-2)
    assert not torch.allclose(ours, picture(model.handle, mask=grey), rtol=1e-3, atol=1e-2)


def test_a_perpendicular_guider_with_an_empty_negative_is_plain_guidance(model: Any, texts: Any, advanced: Any) -> None:
    from comfy_extras.nodes_perpneg import PerpNegGuider

    from nodes.custom_sampling import cfg_guider

    (guider,) = PerpNegGuider().get_guider(model, texts[0], texts[1], texts[1], 4.0, 1.0)
    ours = advanced(model, cfg_guider(model.handle, *texts, 4.0)).output["samples"]
    assert torch.allclose(advanced(model, guider).output["samples"], ours, rtol=1e-3, atol=1e-2)
