"""A pack that hooks models, in the field's class protocol: guidance, attention, a guider, samplers, weights."""

import comfy.k_diffusion.sampling
import comfy.lora
import comfy.samplers
import comfy.utils
import folder_paths
import torch

RUNS = {"hook": 0}


def sample_tricks(model, x, sigmas, extra_args=None, callback=None, disable=None, **options):
    extra_args = extra_args or {}
    for i in range(len(sigmas) - 1):
        denoised = model(x, sigmas[i] * x.new_ones([x.shape[0]]), **extra_args)
        if callback is not None:
            callback({"x": x, "i": i, "sigma": sigmas[i], "sigma_hat": sigmas[i], "denoised": denoised})
        x = denoised + (x - denoised) * (sigmas[i + 1] / sigmas[i])
    return x


setattr(comfy.k_diffusion.sampling, "sample_tricks", sample_tricks)  # noqa: B010 - as packs do it
if "tricks" not in comfy.samplers.KSampler.SAMPLERS:
    comfy.samplers.KSampler.SAMPLERS.append("tricks")
if "falling" not in comfy.samplers.SCHEDULER_NAMES:
    comfy.samplers.SCHEDULER_NAMES.append("falling")
    comfy.samplers.SCHEDULER_HANDLERS["falling"] = comfy.samplers.SchedulerHandler(
        lambda model_sampling, steps: torch.linspace(float(model_sampling.sigma_max), 0.0, steps + 1)
    )


class TricksHook:
    RETURN_TYPES = ("MODEL",)
    FUNCTION = "patch"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), "factor": ("FLOAT", {"default": 1.0, "min": -10.0, "max": 10.0})}}

    def patch(self, model, factor):
        RUNS["hook"] += 1
        m = model.clone()
        m.set_model_sampler_post_cfg_function(lambda args: args["denoised"] * factor)
        m.set_model_attn1_patch(lambda n, context, value, extra_options: (n, context, value))
        return (m,)


class TricksLora:
    RETURN_TYPES = ("MODEL",)
    FUNCTION = "patch"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), "lora": (folder_paths.get_filename_list("loras"),)}}

    def patch(self, model, lora):
        weights = comfy.utils.load_torch_file(folder_paths.get_full_path("loras", lora))
        m = model.clone()
        m.add_patches(comfy.lora.load_lora(weights, comfy.lora.model_lora_keys_unet(m.model, {})), 1.0)
        return (m,)


class TricksSampler:
    RETURN_TYPES = ("SAMPLER",)
    FUNCTION = "get"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def get(self):
        return (comfy.samplers.KSAMPLER(sample_tricks),)


class HalfGuider(comfy.samplers.CFGGuider):
    def predict_noise(self, x, timestep, model_options={}, seed=None):  # noqa: B006 - as packs write it
        return super().predict_noise(x, timestep, model_options=model_options, seed=seed) * 0.5


class TricksGuider:
    RETURN_TYPES = ("GUIDER",)
    FUNCTION = "get"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), "positive": ("CONDITIONING",), "negative": ("CONDITIONING",)}}

    def get(self, model, positive, negative):
        guider = HalfGuider(model)
        guider.set_conds(positive, negative)
        guider.set_cfg(3.0)
        return (guider,)


class TricksSum:
    RETURN_TYPES = ()
    FUNCTION = "show"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"latent": ("LATENT",)}}

    def show(self, latent):
        total = float(torch.as_tensor(latent["samples"]).double().abs().sum())
        return {"ui": {"sum": [round(total, 3)], "runs": [RUNS["hook"]]}}


NODE_CLASS_MAPPINGS = {one.__name__: one for one in (TricksHook, TricksLora, TricksSampler, TricksGuider, TricksSum)}
