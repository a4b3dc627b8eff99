"""Samplers as values, with options of their own: CFG++, SA-Solver, SEEDS, consistency with latents that grow."""

from __future__ import annotations

from typing import Annotated, Any

from engine.api import In, Model, SamplerObject, node
from engine.denoising.lcm_upscale import LcmUpscale
from engine.media.resizing import LatentMethod
from engine.sampling.names import Sampler
from engine.sampling.noise_schedule import NoiseSchedule

_ADVANCED = {"advanced": True}

Share = Annotated[
    float, In(ge=0, le=1, step=0.001, tip="Share of the model's noise levels that are behind.", options=_ADVANCED)
]


@node("SamplerEulerCFGpp", category="_for_testing", display_name="SamplerEulerCFG++", experimental=True)
def sampler_euler_cfg_pp(
    version: Annotated[
        str, In(choices=("regular", "alternative"), tip="The alternative goes further.", options=_ADVANCED)
    ] = "regular",
) -> SamplerObject:
    """Euler under CFG++ (Chung et al. 2024): to the guided prediction, with the slope of the unconditional one.

    The alternative takes Euler's steps towards 2 × guided - unconditional (inferred: no paper has it).
    """
    return Sampler(name="euler_cfg_pp", options={"alternative": True} if version == "alternative" else {})


@node(
    "SamplerEulerAncestralCFGPP",
    category="sampling/custom_sampling/samplers",
    display_name="SamplerEulerAncestralCFG++",
)
def sampler_euler_ancestral_cfg_pp(
    eta: Annotated[
        float,
        In(ge=0, le=1, step=0.01, round=False, tip="How much fresh noise; 0 is CFG++'s Euler.", options=_ADVANCED),
    ] = 1.0,
    s_noise: Annotated[
        float, In(ge=0, le=10, step=0.01, round=False, tip="Factor on the fresh noise.", options=_ADVANCED)
    ] = 1.0,
) -> SamplerObject:
    """Euler under CFG++ with fresh noise at every step."""
    return Sampler(name="euler_ancestral_cfg_pp", options={"eta": eta, "s_noise": s_noise})


@node("SamplerSASolver", category="sampling/custom_sampling/samplers", display_name=None)
def sampler_sa_solver(
    model: Model,
    eta: Annotated[
        float, In(ge=0, le=10, step=0.01, round=False, tip="How much fresh noise; 0 takes none.", options=_ADVANCED)
    ] = 1.0,
    sde_start_percent: Share = 0.2,
    sde_end_percent: Share = 0.8,
    s_noise: Annotated[
        float, In(ge=0, le=100, step=0.01, round=False, tip="Factor on the fresh noise.", options=_ADVANCED)
    ] = 1.0,
    predictor_order: Annotated[
        int, In(ge=1, le=6, tip="How many predictions a step is made of.", options=_ADVANCED)
    ] = 3,
    corrector_order: Annotated[
        int, In(ge=0, le=6, tip="Of how many it is corrected; 0: it is not.", options=_ADVANCED)
    ] = 4,
    use_pece: Annotated[bool, In(tip="Predict anew after each correction.", options=_ADVANCED)] = False,
    simple_order_2: Annotated[
        bool, In(tip="At two predictions, integrate their slope plainly: for few steps.", options=_ADVANCED)
    ] = False,
) -> SamplerObject:
    """SA-Solver (Xue et al. 2023): a stochastic Adams predictor and corrector, with noise over a part of the levels.

    Noise is added to levels from that at `sde_start_percent` to that at `sde_end_percent` of this model.
    """
    to_sigma = NoiseSchedule.of(model.parameterization).percent_to_sigma
    options: dict[str, Any] = {
        "eta": eta,
        "noisy_from": to_sigma(sde_start_percent),
        "noisy_to": to_sigma(sde_end_percent),
        "s_noise": s_noise,
        "predictor_order": predictor_order,
        "corrector_order": corrector_order,
        "pece": use_pece,
        "simple_order_2": simple_order_2,
    }
    return Sampler(name="sa_solver", options=options)


@node("SamplerSEEDS2", category="sampling/custom_sampling/samplers", display_name=None)
def sampler_seeds_2(
    solver_type: Annotated[
        str, In(choices=("phi_1", "phi_2"), tip="How the two predictions of a step count.")
    ] = "phi_1",
    eta: Annotated[
        float, In(ge=0, le=100, step=0.01, round=False, tip="How much fresh noise; 0 is the ODE.", options=_ADVANCED)
    ] = 1.0,
    s_noise: Annotated[
        float, In(ge=0, le=100, step=0.01, round=False, tip="Factor on the fresh noise.", options=_ADVANCED)
    ] = 1.0,
    r: Annotated[
        float,
        In(
            ge=0.01,
            le=1,
            step=0.01,
            round=False,
            tip="Where in the step the second prediction lies.",
            options=_ADVANCED,
        ),
    ] = 0.5,
) -> SamplerObject:
    """SEEDS-2 (Gonzalez et al. 2023), an exponential solver of two predictions a step.

    With "phi_2" and `r` 1 it is the exponential Heun method in data prediction: of the ODE at `eta` 0, of the SDE at 1.
    """
    return Sampler(name="seeds_2", options={"solver_type": solver_type, "eta": eta, "s_noise": s_noise, "r": r})


@node("SamplerLCMUpscale", category="sampling/custom_sampling/samplers", display_name=None)
def sampler_lcm_upscale(
    scale_ratio: Annotated[
        float, In(ge=0.1, le=20, step=0.01, tip="How much larger the latent's sides are in the end.", options=_ADVANCED)
    ] = 1.0,
    scale_steps: Annotated[
        int,
        In(ge=-1, le=1000, step=1, tip="After how many steps they are; -1 for half of the run's.", options=_ADVANCED),
    ] = -1,
    upscale_method: Annotated[
        LatentMethod, In(tip="bislerp keeps the strength of the latent, the others blur or repeat it.")
    ] = "bislerp",
) -> SamplerObject:
    """Latent consistency sampling whose latent grows on the way: each prediction is resized before noise is added to it.

    Sides grow evenly over `scale_steps` steps. Masks, areas and control pictures are fitted to each size anew.
    """
    return LcmUpscale(scale_ratio, scale_steps, upscale_method)  # type: ignore[return-value]  # a sampler of its own kind
