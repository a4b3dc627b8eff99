"""Sampling taken apart: noise, guider, sampler and sigmas are values of their own, put together by SamplerCustom*."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import msgspec
import torch

from engine.api import (
    Cfg,
    Conditioning,
    Context,
    Guider,
    In,
    Latent,
    Model,
    Noise,
    Out,
    SamplerObject,
    Seed,
    Sigmas,
    node,
)
from engine.denoising.checks import check_start, ended
from engine.denoising.guided import GuidedModel
from engine.denoising.live import latent_for, live_model, report_to, rescale_of
from engine.denoising.records import Start
from engine.denoising.run import sample
from engine.media.faults import latent_faults
from engine.models.latent_spaces import changed
from engine.sampling.guiders import BasicGuidance, CfgGuidance, DualCfgGuidance
from engine.sampling.names import Sampler
from engine.sampling.noise import initial_noise
from engine.sampling.noise_schedule import add_noise_to_latent
from engine.sampling.samplers.exponential import SOLVERS
from nodes.sampling import SamplerName

Eta = Annotated[
    float, In(ge=0, le=100, step=0.01, round=False, tip="How much fresh noise; 0 makes the sampler deterministic.")
]
NoiseScale = Annotated[float, In(ge=0, le=100, step=0.01, round=False, tip="Factor on the fresh noise.")]
NoiseDevice = Annotated[
    str,
    In(choices=("gpu", "cpu"), tip="Where the noise is drawn; the graphics card draws other noise for the same seed."),
]


class SeededNoise(msgspec.Struct, frozen=True):
    """A source of initial noise: that of `seed`, or none (None)."""

    seed: int | None = None

    def identity(self) -> str:
        """Name the noise by its seed."""
        return f"noise:{self.seed}"

    def generate_noise(self, latent: dict[str, Any]) -> torch.Tensor:
        """Return the noise (B, C, h, w), float32 on the CPU, for a latent."""
        samples = latent["samples"]
        if self.seed is None:
            return torch.zeros(samples.shape, dtype=torch.float32)
        return initial_noise(samples, self.seed, latent.get("batch_index"))


class SampledLatents(NamedTuple):
    """Where a run ended, and the model's last estimate of the clean latent."""

    output: Annotated[Latent, Out(name="output")]
    denoised_output: Annotated[Latent, Out(name="denoised_output")]


@node("SamplerCustom", category="sampling/custom_sampling")
def sampler_custom(
    ctx: Context,
    model: Model,
    *,
    add_noise: Annotated[bool, In(tip="Off: the latent already holds its noise.")] = True,
    noise_seed: Seed = 0,
    cfg: Cfg = 8.0,
    positive: Conditioning,
    negative: Conditioning,
    sampler: SamplerObject,
    sigmas: Sigmas,
    latent_image: Latent,
) -> SampledLatents:
    """Denoise with a sampler and a schedule given as values."""
    guidance = CfgGuidance(positive, negative, cfg, rescale_of(model))
    noise = SeededNoise(noise_seed if add_noise else None)
    return _run(ctx, noise, GuidedModel(model, guidance), sampler, sigmas, latent_image, noise_seed)


@node("SamplerCustomAdvanced", category="sampling/custom_sampling")
def sampler_custom_advanced(
    ctx: Context, noise: Noise, guider: Guider, sampler: SamplerObject, sigmas: Sigmas, latent_image: Latent
) -> SampledLatents:
    """Denoise with noise, guider, sampler and schedule given as values."""
    return _run(ctx, noise, guider, sampler, sigmas, latent_image, noise.seed or 0)


def _run(
    ctx: Context,
    noise: Noise,
    guider: Guider,
    sampler: SamplerObject,
    sigmas: Sigmas,
    latent_image: Latent,
    seed: int,
) -> SampledLatents:
    latent = latent_for(guider.model, latent_image)
    report = report_to(ctx, guider.model)
    with live_model(ctx.models, guider.model, guider.negative_model) as live:
        drawn = noise.generate_noise(latent)
        check_start(live, latent, drawn, sigmas)
        start = Start(latent["samples"], drawn, latent.get("noise_mask"), seed)
        sampled = sample(live, start, guider.guidance, sigmas, sampler, report)
    for fault in latent_faults(sampled.samples):
        ctx.warn(fault)
    return SampledLatents(ended(live, latent, sampled.samples), ended(live, latent, sampled.denoised))


@node("RandomNoise", category="sampling/custom_sampling/noise")
def random_noise(noise_seed: Seed = 0) -> Noise:
    """The initial noise of a seed."""
    return SeededNoise(noise_seed)


@node("DisableNoise", category="sampling/custom_sampling/noise")
def disable_noise() -> Noise:
    """No initial noise: the latent already holds its own."""
    return SeededNoise(None)


@node("AddNoise", category="_for_testing/custom_sampling/noise")
def add_noise(model: Model, noise: Noise, sigmas: Sigmas, latent_image: Latent) -> Latent:
    """Add the noise of a run over `sigmas` (level sigmas[0] - sigmas[-1]) to a latent (B, C, h, w), without denoising."""
    latent = latent_for(model, latent_image)
    drawn = noise.generate_noise(latent)
    noisy = add_noise_to_latent(model.parameterization, model.latent, latent["samples"], drawn, sigmas)
    return changed(latent, noisy)


@node("CFGGuider", category="sampling/custom_sampling/guiders")
def cfg_guider(model: Model, positive: Conditioning, negative: Conditioning, cfg: Cfg = 8.0) -> Guider:
    """Classifier-free guidance: away from `negative`, towards `positive`, `cfg` times."""
    return GuidedModel(model, CfgGuidance(positive, negative, cfg, rescale_of(model)))


@node("BasicGuider", category="sampling/custom_sampling/guiders")
def basic_guider(model: Model, conditioning: Conditioning) -> Guider:
    """The model's prediction as it is, without guidance."""
    return GuidedModel(model, BasicGuidance(conditioning))


@node("DualCFGGuider", category="sampling/custom_sampling/guiders")
def dual_cfg_guider(
    model: Model,
    cond1: Conditioning,
    cond2: Conditioning,
    negative: Conditioning,
    cfg_conds: Annotated[float, In(ge=0, le=100, step=0.1, round=0.01, tip="From `cond2` towards `cond1`.")] = 8.0,
    cfg_cond2_negative: Annotated[
        float, In(ge=0, le=100, step=0.1, round=0.01, tip="From `negative` towards `cond2`.")
    ] = 8.0,
    style: Annotated[
        str, In(choices=("regular", "nested"), tip="Whether one guidance is inside the other.")
    ] = "regular",
) -> Guider:
    """Two guidances at once, such as a prompt and a picture, each with its own scale."""
    nested = style == "nested"
    return GuidedModel(model, DualCfgGuidance(cond1, cond2, negative, cfg_conds, cfg_cond2_negative, nested))


@node("KSamplerSelect", category="sampling/custom_sampling/samplers")
def ksampler_select(sampler_name: SamplerName = "euler") -> SamplerObject:
    """A sampler by name, with its usual options."""
    return Sampler(name=sampler_name)


@node("SamplerEulerAncestral", category="sampling/custom_sampling/samplers")
def sampler_euler_ancestral(eta: Eta = 1.0, s_noise: NoiseScale = 1.0) -> SamplerObject:
    """Euler with fresh noise at every step."""
    return Sampler(name="euler_ancestral", options={"eta": eta, "s_noise": s_noise})


@node("SamplerER_SDE", category="sampling/custom_sampling/samplers", display_name=None)
def sampler_er_sde(
    solver_type: Annotated[str, In(choices=SOLVERS, tip="How noise is scaled on the way.")] = "ER-SDE",
    max_stage: Annotated[int, In(ge=1, le=3, tip="How many predictions a step is made of.")] = 3,
    eta: Annotated[
        float, In(ge=0, le=100, step=0.01, round=False, tip="How much fresh noise; 0 is the ODE, far above 1 may fail.")
    ] = 1.0,
    s_noise: NoiseScale = 1.0,
) -> SamplerObject:
    """Extended reverse-time SDE solver; the ODE takes no fresh noise."""
    scale = 0.0 if solver_type == "ODE" or eta == 0.0 else s_noise
    return Sampler(
        name="er_sde", options={"solver_type": solver_type, "max_stage": max_stage, "eta": eta, "s_noise": scale}
    )


@node("SamplerLCM", category="sampling/custom_sampling/samplers", display_name=None)
def sampler_lcm(
    s_noise: Annotated[
        float, In(ge=0, le=64, step=0.01, round=False, tip="Factor on the fresh noise in the first step.")
    ] = 1.0,
    s_noise_end: Annotated[float, In(ge=0, le=64, step=0.01, round=False, tip="The same in the last step.")] = 1.0,
    noise_clip_std: Annotated[
        float, In(ge=0, le=10, step=0.01, round=False, tip="Standard deviations that noise is cut to; 0 leaves it.")
    ] = 0.0,
) -> SamplerObject:
    """Latent consistency: jump to the prediction, add noise for the next level."""
    options = {"s_noise": s_noise, "s_noise_end": s_noise_end, "noise_clip_std": noise_clip_std}
    return Sampler(name="lcm", options=options)


@node("SamplerLMS", category="sampling/custom_sampling/samplers")
def sampler_lms(
    order: Annotated[int, In(ge=1, le=100, tip="How many slopes are remembered.")] = 4,
) -> SamplerObject:
    """Linear multistep."""
    return Sampler(name="lms", options={"order": order})


@node("SamplerDPMPP_2S_Ancestral", category="sampling/custom_sampling/samplers")
def sampler_dpmpp_2s_ancestral(eta: Eta = 1.0, s_noise: NoiseScale = 1.0) -> SamplerObject:
    """DPM-Solver++(2S) with fresh noise."""
    return Sampler(name="dpmpp_2s_ancestral", options={"eta": eta, "s_noise": s_noise})


@node("SamplerDPMPP_SDE", category="sampling/custom_sampling/samplers")
def sampler_dpmpp_sde(
    eta: Eta = 1.0,
    s_noise: NoiseScale = 1.0,
    r: Annotated[
        float, In(ge=0.0, le=100, step=0.01, round=False, tip="Where in the step the second evaluation lies.")
    ] = 0.5,
    noise_device: NoiseDevice = "gpu",
) -> SamplerObject:
    """DPM-Solver++ for the diffusion SDE."""
    return Sampler(name=_drawn_on("dpmpp_sde", noise_device), options={"eta": eta, "s_noise": s_noise, "r": r})


@node("SamplerDPMPP_2M_SDE", category="sampling/custom_sampling/samplers")
def sampler_dpmpp_2m_sde(
    solver_type: Annotated[
        str, In(choices=("midpoint", "heun"), tip="How the second-order term is taken.")
    ] = "midpoint",
    eta: Eta = 1.0,
    s_noise: NoiseScale = 1.0,
    noise_device: NoiseDevice = "gpu",
) -> SamplerObject:
    """SDE-DPM-Solver++(2M)."""
    options: dict[str, float | str] = {"solver_type": solver_type, "eta": eta, "s_noise": s_noise}
    return Sampler(name=_drawn_on("dpmpp_2m_sde", noise_device), options=options)


@node("SamplerDPMPP_3M_SDE", category="sampling/custom_sampling/samplers")
def sampler_dpmpp_3m_sde(eta: Eta = 1.0, s_noise: NoiseScale = 1.0, noise_device: NoiseDevice = "gpu") -> SamplerObject:
    """Third-order multistep of the same SDE."""
    return Sampler(name=_drawn_on("dpmpp_3m_sde", noise_device), options={"eta": eta, "s_noise": s_noise})


def _drawn_on(name: str, device: str) -> str:
    return name if device == "cpu" else f"{name}_gpu"


@node("SamplerDPMAdaptative", category="sampling/custom_sampling/samplers")
def sampler_dpm_adaptive(
    order: Annotated[int, In(ge=2, le=3, tip="Order of the solver.")] = 3,
    rtol: Annotated[float, In(ge=0, le=100, step=0.01, round=False, tip="Relative tolerance.")] = 0.05,
    atol: Annotated[float, In(ge=0, le=100, step=0.01, round=False, tip="Absolute tolerance.")] = 0.0078,
    h_init: Annotated[float, In(ge=0, le=100, step=0.01, round=False, tip="First step size, in log noise.")] = 0.05,
    pcoeff: Annotated[float, In(ge=0, le=100, step=0.01, round=False, tip="Step control: proportional part.")] = 0.0,
    icoeff: Annotated[float, In(ge=0, le=100, step=0.01, round=False, tip="Step control: integral part.")] = 1.0,
    dcoeff: Annotated[float, In(ge=0, le=100, step=0.01, round=False, tip="Step control: derivative part.")] = 0.0,
    accept_safety: Annotated[
        float, In(ge=0, le=100, step=0.01, round=False, tip="Step control: accept above this.")
    ] = 0.81,
    eta: Eta = 0.0,
    s_noise: NoiseScale = 1.0,
) -> SamplerObject:
    """DPM-Solver with adaptive steps; it takes as many as the tolerances want."""
    options = {
        "order": order,
        "rtol": rtol,
        "atol": atol,
        "h_init": h_init,
        "pcoeff": pcoeff,
        "icoeff": icoeff,
        "dcoeff": dcoeff,
        "accept_safety": accept_safety,
        "eta": eta,
        "s_noise": s_noise,
    }
    return Sampler(name="dpm_adaptive", options=options)
