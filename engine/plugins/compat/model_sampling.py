"""`comfy.model_sampling`: noise levels of a denoiser, and what its prediction means; classes that packs mix."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor, nn

from engine.datatypes.parameterization import Parameterization, Prediction, ScheduleKind
from engine.plugins.compat.absent import refuse
from engine.sampling import denoisers
from engine.sampling.noise_schedule import ABOVE_ALL_SIGMAS, NoiseSchedule, add_noise


def reshape_sigma(sigma: Any, noise_dim: int) -> Any:
    """Levels (B,) with dimensions of size 1 behind them, up to that many."""
    if not isinstance(sigma, Tensor) or sigma.nelement() == 1:
        return sigma
    return sigma.view(sigma.shape[:1] + (1,) * (noise_dim - 1))


def rescale_zero_terminal_snr_sigmas(sigmas: Any) -> Any:
    """Levels (T,) rescaled so that the last holds no signal (Lin et al. 2023, algorithm 1)."""
    from engine.sampling.noise_schedule import _zero_terminal_snr

    return torch.from_numpy(_zero_terminal_snr(sigmas.double().cpu().numpy())).float()


def time_snr_shift(alpha: float, t: Any) -> Any:
    """Shift a flow's time towards noise (Esser et al. 2024)."""
    return t if alpha == 1.0 else alpha * t / (1 + (alpha - 1) * t)


def flux_time_shift(mu: float, sigma: float, t: Any) -> Any:
    """Shift a flow's time towards noise, in Flux's form."""
    return math.exp(mu) / (math.exp(mu) + (1 / t - 1) ** sigma)


class EPS:
    """The network predicts the noise; x = x_0 + sigma noise (B, C, h, w)."""

    sigma_data: float = 1.0

    def calculate_input(self, sigma: Any, noise: Any) -> Any:
        """What the network is given for x."""
        sigma = reshape_sigma(sigma, noise.ndim)
        return noise / (sigma**2 + self.sigma_data**2) ** 0.5

    def calculate_denoised(self, sigma: Any, model_output: Any, model_input: Any) -> Any:
        """x_0 from the network's output at x."""
        return model_input - model_output * reshape_sigma(sigma, model_output.ndim)

    def noise_scaling(self, sigma: Any, noise: Any, latent_image: Any, max_denoise: bool = False) -> Any:
        """x at a level; with `max_denoise` the noise gets the spread that training data have there."""
        sigma = reshape_sigma(sigma, noise.ndim)
        return latent_image + noise * ((1.0 + sigma**2.0) ** 0.5 if max_denoise else sigma)

    def inverse_noise_scaling(self, sigma: Any, latent: Any) -> Any:
        """The latent of x at the end of a run."""
        return latent


class V_PREDICTION(EPS):  # noqa: N801 - the field's name
    """The network predicts velocity (Salimans & Ho 2022)."""

    def calculate_denoised(self, sigma: Any, model_output: Any, model_input: Any) -> Any:
        """x_0 from the network's output at x."""
        sigma, data = reshape_sigma(sigma, model_output.ndim), self.sigma_data
        total = sigma**2 + data**2
        return model_input * data**2 / total - model_output * sigma * data / total**0.5


class EDM(V_PREDICTION):
    """As velocity, with the other sign (Karras et al. 2022)."""

    def calculate_denoised(self, sigma: Any, model_output: Any, model_input: Any) -> Any:
        """x_0 from the network's output at x."""
        sigma, data = reshape_sigma(sigma, model_output.ndim), self.sigma_data
        total = sigma**2 + data**2
        return model_input * data**2 / total + model_output * sigma * data / total**0.5


class X0(EPS):
    """The network predicts x_0."""

    def calculate_denoised(self, sigma: Any, model_output: Any, model_input: Any) -> Any:
        """The network's output."""
        return model_output


class IMG_TO_IMG(X0):  # noqa: N801 - the field's name
    """The network predicts x_0 and is given x as it is."""

    def calculate_input(self, sigma: Any, noise: Any) -> Any:
        """x as it is."""
        return noise


class CONST:
    """A flow: x = (1 - sigma) x_0 + sigma noise, and the network predicts noise - x_0."""

    def calculate_input(self, sigma: Any, noise: Any) -> Any:
        """x as it is."""
        return noise

    def calculate_denoised(self, sigma: Any, model_output: Any, model_input: Any) -> Any:
        """x_0 from the network's output at x."""
        return model_input - model_output * reshape_sigma(sigma, model_output.ndim)

    def noise_scaling(self, sigma: Any, noise: Any, latent_image: Any, max_denoise: bool = False) -> Any:
        """x at a level."""
        sigma = reshape_sigma(sigma, noise.ndim)
        return sigma * noise + (1.0 - sigma) * latent_image

    def inverse_noise_scaling(self, sigma: Any, latent: Any) -> Any:
        """The latent of x at the end of a run: its signal share is divided out."""
        return latent / (1.0 - reshape_sigma(sigma, latent.ndim))


def _settings(model_config: Any) -> dict[str, Any]:
    return dict(getattr(model_config, "sampling_settings", None) or {})


class _Levels(nn.Module):
    """Noise levels `sigmas` (T,), ascending."""

    sigmas: Tensor

    @property
    def sigma_min(self) -> Any:
        """The lowest."""
        return self.sigmas[0]

    @property
    def sigma_max(self) -> Any:
        """The highest."""
        return self.sigmas[-1]


class ModelSamplingDiscrete(_Levels):
    """A table of trained levels."""

    log_sigmas: Tensor

    def __init__(self, model_config: Any = None, zsnr: bool | None = None) -> None:
        super().__init__()
        settings = _settings(model_config)
        kind: ScheduleKind = (
            "linear" if settings.get("beta_schedule") in ("sqrt_linear_off", "plain_linear") else "scaled_linear"
        )
        self.num_timesteps = int(settings.get("timesteps", 1000))
        self.linear_start = float(settings.get("linear_start", 0.00085))
        self.linear_end = float(settings.get("linear_end", 0.012))
        self.zsnr = bool(settings.get("zsnr", False)) if zsnr is None else zsnr
        known = Parameterization(
            schedule=kind,
            timesteps=self.num_timesteps,
            beta_start=self.linear_start,
            beta_end=self.linear_end,
            zero_terminal_snr=self.zsnr,
        )
        table = NoiseSchedule(known)
        self.set_sigmas(table.sigmas)
        self.log_sigmas = table.log_sigmas

    def set_sigmas(self, sigmas: Any) -> None:
        """Make this the table, (T,) ascending."""
        self.register_buffer("sigmas", sigmas.float())
        self.register_buffer("log_sigmas", sigmas.log().float())

    def timestep(self, sigma: Any) -> Any:
        """The place in the table that is nearest to a level."""
        distance = sigma.log() - self.log_sigmas.to(sigma.device)[:, None]
        return distance.abs().argmin(dim=0).view(sigma.shape).to(sigma.device)

    def sigma(self, timestep: Any) -> Any:
        """The level at a place, between two by their logarithms."""
        place = torch.clamp(timestep.float().to(self.log_sigmas.device), min=0, max=len(self.sigmas) - 1)
        low, high, weight = place.floor().long(), place.ceil().long(), place.frac()
        return ((1 - weight) * self.log_sigmas[low] + weight * self.log_sigmas[high]).exp().to(timestep.device)

    def percent_to_sigma(self, percent: float) -> float:
        """The level when that share of the sampling is done."""
        if percent <= 0.0:
            return ABOVE_ALL_SIGMAS
        if percent >= 1.0:
            return 0.0
        return float(self.sigma(torch.tensor((1.0 - percent) * (self.num_timesteps - 1))))


class ModelSamplingContinuousEDM(_Levels):
    """Levels without a table: the timestep is log(sigma) / 4 (Karras et al. 2022)."""

    def __init__(self, model_config: Any = None) -> None:
        super().__init__()
        settings = _settings(model_config)
        self.num_timesteps = 1000
        self.set_parameters(
            settings.get("sigma_min", 0.002), settings.get("sigma_max", 120.0), settings.get("sigma_data", 1.0)
        )

    def set_parameters(self, sigma_min: float, sigma_max: float, sigma_data: float) -> None:
        """Set the range."""
        self.sigma_data = sigma_data
        levels = torch.linspace(math.log(sigma_min), math.log(sigma_max), 1000).exp()
        self.register_buffer("sigmas", levels, persistent=False)
        self.register_buffer("log_sigmas", levels.log(), persistent=False)

    def timestep(self, sigma: Any) -> Any:
        """What the network is told."""
        return 0.25 * sigma.log()

    def sigma(self, timestep: Any) -> Any:
        """The level of what the network is told."""
        return (timestep / 0.25).exp()

    def percent_to_sigma(self, percent: float) -> float:
        """The level when that share of the sampling is done."""
        if percent <= 0.0:
            return ABOVE_ALL_SIGMAS
        if percent >= 1.0:
            return 0.0
        low = math.log(float(self.sigma_min))
        return math.exp((math.log(float(self.sigma_max)) - low) * (1.0 - percent) + low)


class ModelSamplingContinuousV(ModelSamplingContinuousEDM):
    """Levels whose timestep is an angle."""

    def timestep(self, sigma: Any) -> Any:
        """What the network is told."""
        return sigma.atan() / math.pi * 2

    def sigma(self, timestep: Any) -> Any:
        """The level of what the network is told."""
        return (timestep * math.pi / 2).tan()


class ModelSamplingDiscreteFlow(_Levels):
    """The levels of a flow, shifted towards noise (Esser et al. 2024)."""

    def __init__(self, model_config: Any = None) -> None:
        super().__init__()
        settings = _settings(model_config)
        self.num_timesteps = 1000
        self.set_parameters(shift=settings.get("shift", 1.0), multiplier=settings.get("multiplier", 1000))

    def set_parameters(self, shift: float = 1.0, timesteps: int = 1000, multiplier: float = 1000) -> None:
        """Set the shift, the number of levels, and what time 1 is told to the network as."""
        self.shift, self.multiplier = shift, multiplier
        self.register_buffer("sigmas", self.sigma((torch.arange(1, timesteps + 1) / timesteps) * multiplier))

    def timestep(self, sigma: Any) -> Any:
        """What the network is told."""
        return sigma * self.multiplier

    def sigma(self, timestep: Any) -> Any:
        """The level of what the network is told."""
        return time_snr_shift(self.shift, timestep / self.multiplier)

    def percent_to_sigma(self, percent: float) -> float:
        """The level when that share of the sampling is done."""
        if percent <= 0.0:
            return 1.0
        if percent >= 1.0:
            return 0.0
        return float(time_snr_shift(self.shift, 1.0 - percent))


class ModelSamplingFlux(ModelSamplingDiscreteFlow):
    """The levels of a flow, shifted in Flux's form; the network is told the level itself."""

    def __init__(self, model_config: Any = None) -> None:
        nn.Module.__init__(self)
        self.num_timesteps = 10000
        self.set_parameters(shift=_settings(model_config).get("shift", 1.15))

    def set_parameters(self, shift: float = 1.15, timesteps: int = 10000, multiplier: float = 1) -> None:
        """Set the shift and the number of levels."""
        self.shift, self.multiplier = shift, multiplier
        self.register_buffer("sigmas", self.sigma(torch.arange(1, timesteps + 1) / timesteps))

    def timestep(self, sigma: Any) -> Any:
        """What the network is told."""
        return sigma

    def sigma(self, timestep: Any) -> Any:
        """The level of what the network is told."""
        return flux_time_shift(self.shift, 1.0, timestep)

    def percent_to_sigma(self, percent: float) -> float:
        """The level when that share of the sampling is done."""
        if percent <= 0.0:
            return 1.0
        return 0.0 if percent >= 1.0 else float(flux_time_shift(self.shift, 1.0, 1.0 - percent))


class _OfEngine:
    """Levels and predictions as our samplers compute them, of a denoiser that no pack gave others."""

    schedule: NoiseSchedule
    parameterization: Parameterization
    sigmas: Tensor

    def timestep(self, sigma: Any) -> Any:
        """What the network is told."""
        return _each(sigma, self.schedule.timestep)

    def sigma(self, timestep: Any) -> Any:
        """The level of what the network is told."""
        return _each(timestep, self.schedule.sigma)

    def percent_to_sigma(self, percent: float) -> float:
        """The level when that share of the sampling is done."""
        return float(self.schedule.percent_to_sigma(percent))

    def calculate_input(self, sigma: Any, noise: Any) -> Any:
        """What the network is given for x."""
        level = _one_level(sigma)
        if level is None:
            return super().calculate_input(sigma, noise)  # type: ignore[misc]  # a mixin before EPS and its like
        return noise * denoisers.input_scale(self.schedule, level)

    def calculate_denoised(self, sigma: Any, model_output: Any, model_input: Any) -> Any:
        """x_0 from the network's output at x."""
        level = _one_level(sigma)
        if level is None:
            return super().calculate_denoised(sigma, model_output, model_input)  # type: ignore[misc]  # see above
        return denoisers.denoised(self.schedule, model_input, model_output, level)

    def noise_scaling(self, sigma: Any, noise: Any, latent_image: Any, max_denoise: bool = False) -> Any:
        """x at a level."""
        level = _one_level(sigma)
        if level is None:
            return super().noise_scaling(sigma, noise, latent_image, max_denoise)  # type: ignore[misc]  # see above
        return add_noise(self.schedule, latent_image, noise, level, from_pure_noise=max_denoise)


def _one_level(sigma: Any) -> float | None:
    """The level that all of a batch are at; None when they are at several."""
    if not isinstance(sigma, Tensor):
        return float(sigma)
    first = float(sigma.reshape(-1)[0])
    return first if sigma.nelement() == 1 or bool((sigma == first).all()) else None


def _each(value: Any, function: Any) -> Any:
    levels = torch.as_tensor(value)
    if levels.nelement() == 0:
        return levels
    same = _one_level(levels)
    if same is not None:
        return torch.full(levels.shape, float(function(same)), device=levels.device)
    found = [float(function(float(one))) for one in levels.reshape(-1)]
    return torch.tensor(found, device=levels.device).reshape(levels.shape)


class _Consistency(EPS):
    """The network predicts the noise, and is a consistency model (Luo et al. 2023)."""

    timestep: Callable[[Any], Any]

    def calculate_denoised(self, sigma: Any, model_output: Any, model_input: Any) -> Any:
        """x_0 from the network's output at x, scaled so that it is x as the timestep falls to 0."""
        x0 = super().calculate_denoised(sigma, model_output, model_input)
        shares = [denoisers.consistency_shares(float(one)) for one in self.timestep(sigma).reshape(-1)]
        skip, out = (reshape_sigma(sigma.new_tensor(share), x0.ndim) for share in zip(*shares, strict=True))
        return out * x0 + skip * model_input


class COSMOS_RFLOW:  # noqa: N801 - the field's name
    """The network predicts a flow's velocity at the time sigma / (sigma + 1); x = x_0 + sigma noise (B, C, …)."""

    def calculate_input(self, sigma: Any, noise: Any) -> Any:
        """What the network is given for x."""
        return noise / (reshape_sigma(sigma, noise.ndim) + 1.0)

    def calculate_denoised(self, sigma: Any, model_output: Any, model_input: Any) -> Any:
        """x_0 from the network's output at x."""
        sigma = reshape_sigma(sigma, model_output.ndim)
        return (model_input - model_output * sigma) / (sigma + 1.0)

    def noise_scaling(self, sigma: Any, noise: Any, latent_image: Any, max_denoise: bool = False) -> Any:
        """x at a level."""
        return latent_image + noise * reshape_sigma(sigma, noise.ndim)

    def inverse_noise_scaling(self, sigma: Any, latent: Any) -> Any:
        """The latent of x at the end of a run."""
        return latent


_PREDICTIONS: dict[str, type] = {
    "eps": EPS,
    "lcm": _Consistency,
    "v": V_PREDICTION,
    "x0": X0,
    "img_to_img": IMG_TO_IMG,
    "flow": CONST,
    "edm": EDM,
    "share": COSMOS_RFLOW,
}
_RANGES: dict[str, type] = {
    "log_time": ModelSamplingContinuousEDM,
    "tangent_time": ModelSamplingContinuousV,
    "share_time": ModelSamplingContinuousEDM,
}
_CLASSES: dict[tuple[str, bool, str], type] = {}


def of(source: Parameterization | NoiseSchedule) -> Any:
    """The levels of a denoiser as packs see them: of the classes they ask about, computed as our samplers do."""
    if isinstance(source, PackSchedule):
        return source.levels
    schedule = NoiseSchedule.of(source)
    known = schedule.parameterization
    key = known.prediction, schedule.is_flow, known.schedule if known.schedule in _RANGES else ""
    if key not in _CLASSES:
        table = ModelSamplingDiscreteFlow if schedule.is_flow else ModelSamplingDiscrete
        base = _RANGES.get(known.schedule, table)
        _CLASSES[key] = type("ModelSampling", (_OfEngine, base, _PREDICTIONS[known.prediction]), {})
    cls: Any = _CLASSES[key]
    made = cls.__new__(cls)
    nn.Module.__init__(made)
    made.schedule, made.parameterization = schedule, known
    made.num_timesteps, made.shift, made.multiplier = known.timesteps, known.shift, known.timesteps
    made.sigma_data = known.sigma_data
    made.linear_start, made.linear_end, made.zsnr = known.beta_start, known.beta_end, known.zero_terminal_snr
    made.register_buffer("sigmas", schedule.sigmas)
    made.register_buffer("log_sigmas", schedule.log_sigmas)
    return made


def schedule_of(levels: Any) -> Parameterization | NoiseSchedule:
    """The noise levels of `levels`, an object of a pack or of ours, as our samplers take them.

    Raises CompatError for an object without levels.
    """
    if isinstance(levels, _OfEngine) and bool(levels.schedule.sigmas.equal(levels.sigmas)):
        return levels.parameterization
    needed = ("sigma", "timestep", "percent_to_sigma", "calculate_denoised")
    if any(not hasattr(levels, name) for name in needed) or getattr(levels, "sigmas", None) is None:
        refuse(f"a model_sampling of class {type(levels).__name__}", f"one with sigmas, {', '.join(needed)}")
    prediction: Prediction = "eps"
    for kind, cls in _PREDICTIONS.items():
        if isinstance(levels, cls):
            prediction = cast(Prediction, kind)
    known = Parameterization(
        prediction=prediction,
        schedule="flow" if isinstance(levels, CONST) else "scaled_linear",
        timesteps=len(levels.sigmas),
    )
    return PackSchedule(known, levels)


class PackSchedule(NoiseSchedule):
    """The levels of an object of a pack, under the names of ours."""

    levels: Any

    def __init__(self, parameterization: Parameterization, levels: Any) -> None:
        object.__setattr__(self, "parameterization", parameterization)
        object.__setattr__(self, "levels", levels)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PackSchedule) and other.levels is self.levels

    def __hash__(self) -> int:
        return hash(id(self.levels))

    @cached_property
    def sigmas(self) -> Tensor:
        """The levels (T,), ascending."""
        found: Tensor = self.levels.sigmas.detach().float().cpu()
        return found

    @property
    def sigma_min(self) -> float:
        """The smallest level."""
        return float(self.levels.sigma_min)

    @property
    def sigma_max(self) -> float:
        """The largest level."""
        return float(self.levels.sigma_max)

    def sigma(self, timestep: float) -> float:
        """The level of a timestep."""
        return float(self.levels.sigma(torch.tensor(float(timestep))))

    def timestep(self, sigma: float, *, interpolate: bool = False) -> float:
        """The timestep of a level."""
        return float(self.levels.timestep(torch.tensor(float(sigma))))

    def percent_to_sigma(self, percent: float) -> float:
        """The level when that share of the sampling is done."""
        return float(self.levels.percent_to_sigma(percent))
