"""`comfy_extras`: nodes that packs take from there and call to change a model: its noise levels, its mask, its guidance."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from engine.plugins.compat import guidance, model_sampling
from engine.plugins.compat.core_classes import core_class
from engine.plugins.compat.guiders import CFGGuider

LAZY = ("ModelSamplingDiscrete", "RescaleCFG")


class _ChangesModel:
    """A node that gives a changed model."""

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "patch"
    CATEGORY = "advanced/model"
    NUMBERS: ClassVar[dict[str, float]] = {}

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - the field's name
        """A model, and numbers."""
        numbers = {name: ("FLOAT", {"default": value, "min": 0.0, "max": 100.0}) for name, value in cls.NUMBERS.items()}
        return {"required": {"model": ("MODEL",), **numbers}}


def _of_flow(model: Any, base: type, **settings: Any) -> Any:
    """The model read as a flow with the levels of `base`."""
    levels = type("ModelSamplingAdvanced", (base, model_sampling.CONST), {})(model.model.model_config)
    levels.set_parameters(**settings)
    changed = model.clone()
    changed.add_object_patch("model_sampling", levels)
    return changed


class ModelSamplingSD3(_ChangesModel):
    """A flow with a shift (Esser et al. 2024)."""

    NUMBERS: ClassVar[dict[str, float]] = {"shift": 3.0}

    def patch(self, model: Any, shift: float, multiplier: float = 1000) -> tuple[Any]:
        """The model with that shift."""
        return (_of_flow(model, model_sampling.ModelSamplingDiscreteFlow, shift=shift, multiplier=multiplier),)


class ModelSamplingAuraFlow(ModelSamplingSD3):
    """A flow with a shift, told its time from 0 to 1."""

    FUNCTION = "patch_aura"
    NUMBERS: ClassVar[dict[str, float]] = {"shift": 1.73}

    def patch_aura(self, model: Any, shift: float, multiplier: float = 1.0) -> tuple[Any]:
        """The model with that shift."""
        return self.patch(model, shift, multiplier)


class ModelSamplingFlux(_ChangesModel):
    """A flow whose shift grows with the size of the picture."""

    NUMBERS: ClassVar[dict[str, float]] = {"max_shift": 1.15, "base_shift": 0.5}

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - the field's name
        """A model, two shifts, and the size of the picture."""
        found = super().INPUT_TYPES()
        size = ("INT", {"default": 1024, "min": 16, "max": 16384, "step": 8})
        found["required"] |= {"width": size, "height": size}
        return found

    def patch(self, model: Any, max_shift: float, base_shift: float, width: int, height: int) -> tuple[Any]:
        """The model with the shift for that size: the two shifts are those of 256 and of 4096 patches of 16 x 16."""
        slope = (max_shift - base_shift) / (4096 - 256)
        shift = (width * height / 256) * slope + base_shift - slope * 256
        return (_of_flow(model, model_sampling.ModelSamplingFlux, shift=shift),)


class DifferentialDiffusion(_ChangesModel):
    """Paint each place from the step that its mask says (Levin & Fried 2023)."""

    FUNCTION = "apply"

    def apply(self, model: Any, strength: float = 1.0) -> tuple[Any]:
        """The model with the mask cut at a threshold that falls as the noise does."""
        changed = model.clone()

        def cut(sigma: Any, denoise_mask: Any, extra_options: dict[str, Any]) -> Any:
            levels = extra_options["model"].inner_model.model_sampling
            sigmas = extra_options["sigmas"]
            last = sigmas[-1] if float(sigmas[-1]) > 0 else levels.sigma_min
            ends = [float(levels.timestep(one)) for one in (sigmas[0], last)]
            now = float(levels.timestep(sigma.reshape(-1)[0]))
            threshold = (now - ends[1]) / (ends[0] - ends[1]) if ends[0] != ends[1] else 0.0
            painted = (denoise_mask >= threshold).to(denoise_mask)
            return denoise_mask + (painted - denoise_mask) * strength

        changed.set_model_denoise_mask_function(cut)
        return (changed,)


class Guider_PerpNeg(CFGGuider):  # noqa: N801 - the field's name
    """Away from what of the negative is at right angles to the positive (Armandpour et al. 2023)."""

    neg_scale: float = 1.0

    def set_conds(self, positive: Any, negative: Any, empty_negative_prompt: Any = None) -> None:
        """What to go towards, away from, and what neither is."""
        conds = {"positive": positive, "empty_negative_prompt": empty_negative_prompt, "negative": negative}
        self.inner_set_conds(conds)

    def set_cfg(self, cfg: float, neg_scale: float = 1.0) -> None:
        """How strongly, and how much of that away from the negative."""
        self.cfg, self.neg_scale = cfg, neg_scale

    def predict_noise(self, x: Any, timestep: Any, model_options: Any = None, seed: int | None = None) -> Any:
        """Return x_0 (B, C, h, w) at x (B, C, h, w) and noise levels (B,)."""
        options = model_options or {}
        conds = [self.conds[name] for name in ("positive", "negative", "empty_negative_prompt")]
        towards, away, neither = guidance.calc_cond_batch(self.inner_model, conds, x, timestep, options)
        positive, negative = towards - neither, away - neither
        length = math.sqrt(float((positive**2).sum())) or 1.0
        perpendicular = negative - ((negative * positive).sum() / length**2) * positive
        guided = neither + self.cfg * (positive - perpendicular * self.neg_scale)
        told = {
            "cond_scale": self.cfg,
            "model": self.inner_model,
            "uncond_denoised": away,
            "cond_denoised": towards,
            "sigma": timestep,
            "model_options": options,
            "input": x,
        }
        return guidance.after_guidance(guided, told, conds[0], conds[1])


class PerpNegGuider:
    """The guider as a node."""

    RETURN_TYPES = ("GUIDER",)
    FUNCTION = "get_guider"
    CATEGORY = "sampling/custom_sampling/guiders"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - the field's name
        """A model, three conditionings and two numbers."""
        conds = dict.fromkeys(("positive", "negative", "empty_conditioning"), ("CONDITIONING",))
        numbers = {
            name: ("FLOAT", {"default": value, "min": 0.0, "max": 100.0})
            for name, value in (("cfg", 8.0), ("neg_scale", 1.0))
        }
        return {"required": {"model": ("MODEL",), **conds, **numbers}}

    def get_guider(
        self, model: Any, positive: Any, negative: Any, empty_conditioning: Any, cfg: float, neg_scale: float
    ) -> tuple[Any]:
        """The guider."""
        guider = Guider_PerpNeg(model)
        guider.set_conds(positive, negative, empty_conditioning)
        guider.set_cfg(cfg, neg_scale)
        return (guider,)


def __getattr__(name: str) -> Any:
    """The class of a core node."""
    found = core_class(name) if not name.startswith("_") else None
    if found is None:
        raise AttributeError(f"there is no core node {name!r}")
    globals()[name] = found
    return found
