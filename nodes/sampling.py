"""KSampler and KSamplerAdvanced: the whole denoising run in one node."""

from __future__ import annotations

from typing import Annotated

from engine.api import Cfg, Conditioning, Context, Denoise, In, Latent, Model, Seed, Steps, node
from engine.denoising.live import latent_for, live_model, report_to, rescale_of
from engine.denoising.records import StepPlan
from engine.denoising.run import ksampler as run_ksampler
from engine.media.faults import latent_faults
from engine.sampling.guiders import CfgGuidance
from engine.sampling.names import RETIRED_SCHEDULES, SAMPLER_NAMES, SCHEDULER_NAMES

SamplerName = Annotated[str, In(choices=SAMPLER_NAMES, tip="The algorithm that takes the steps.")]
SchedulerName = Annotated[
    str,
    In(choices=SCHEDULER_NAMES, retired=RETIRED_SCHEDULES, tip="How the noise falls from step to step."),
]
StepIndex = Annotated[int, In(ge=0, le=10_000, tip="Counted in steps of the whole run.")]
Switched = Annotated[str, In(choices=("enable", "disable"))]


@node("KSampler", category="sampling")
def ksampler(
    ctx: Context,
    model: Model,
    *,
    seed: Seed = 0,
    steps: Steps = 20,
    cfg: Cfg = 8.0,
    sampler_name: SamplerName,
    scheduler: SchedulerName,
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    denoise: Denoise = 1.0,
) -> Latent:
    """Denoise `latent_image` (B, C, h, w) under `positive` against `negative`.

    With `denoise` below 1 only the last part of the noise schedule runs, which keeps the image's composition. An empty
    latent takes the model's channels.
    """
    plan = StepPlan(steps=steps, sampler_name=sampler_name, scheduler=scheduler, denoise=denoise)
    guidance = CfgGuidance(positive, negative, cfg, rescale_of(model))
    return _run(ctx, model, latent_image, guidance, plan, seed)


@node("KSamplerAdvanced", category="sampling", display_name="KSampler (Advanced)")
def ksampler_advanced(
    ctx: Context,
    model: Model,
    *,
    add_noise: Switched = "enable",
    noise_seed: Seed = 0,
    steps: Steps = 20,
    cfg: Cfg = 8.0,
    sampler_name: SamplerName,
    scheduler: SchedulerName,
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    start_at_step: StepIndex = 0,
    end_at_step: StepIndex = 10_000,
    return_with_leftover_noise: Annotated[
        str,
        In(choices=("disable", "enable"), tip="Keep the noise of a run that ends early, for another to go on with."),
    ] = "disable",
) -> Latent:
    """Run steps `start_at_step` to `end_at_step` of a schedule of `steps`, so that several samplers share one run."""
    plan = StepPlan(
        steps=steps,
        sampler_name=sampler_name,
        scheduler=scheduler,
        start_step=start_at_step,
        last_step=end_at_step,
        force_full_denoise=return_with_leftover_noise == "disable",
    )
    guidance = CfgGuidance(positive, negative, cfg, rescale_of(model))
    return _run(ctx, model, latent_image, guidance, plan, noise_seed, add_noise=add_noise == "enable")


def _run(
    ctx: Context,
    model: Model,
    latent: Latent,
    guidance: CfgGuidance,
    plan: StepPlan,
    seed: int,
    *,
    add_noise: bool = True,
) -> Latent:
    report = report_to(ctx, model)
    with live_model(ctx.models, model) as live:
        fitted = latent_for(model, latent)
        sampled = run_ksampler(live, fitted, guidance, plan, seed=seed, add_noise=add_noise, callback=report)
    for fault in latent_faults(sampled["samples"]):
        ctx.warn(fault)
    return sampled
