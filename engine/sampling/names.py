"""The names of samplers and schedules, and a sampler as a value. Imports without torch, for menus and validation."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

SAMPLER_DOCS: dict[str, str] = {
    "euler": "First-order ODE solver (Karras et al. 2022, algorithm 2 without the correction).",
    "euler_cfg_pp": "Euler whose slope is that of the unconditional prediction (Chung et al. 2024, CFG++); cfg 1 to 2.",
    "euler_ancestral": "Euler to a lower noise level, then fresh noise up to the next (Song et al. 2020).",
    "euler_ancestral_cfg_pp": "euler_cfg_pp with fresh noise.",
    "heun": "Second-order ODE solver, two evaluations a step (Karras et al. 2022, algorithm 2).",
    "heunpp2": "Heun's average taken over up to three points along the step, weighted by noise level.",
    "dpm_2": "Second-order midpoint solver in log noise (Karras et al. 2022, after DPM-Solver-2).",
    "dpm_2_ancestral": "dpm_2 to a lower noise level, then fresh noise up to the next.",
    "lms": "Linear multistep, order 4: integrates the polynomial through the last slopes (Adams-Bashforth).",
    "dpm_fast": "DPM-Solver of order up to 3 with a fixed number of evaluations (Lu et al. 2022).",
    "dpm_adaptive": "DPM-Solver-12/23 with adaptive step size (Lu et al. 2022); the number of steps is its own.",
    "dpmpp_2s_ancestral": "DPM-Solver++(2S), single step, with fresh noise (Lu et al. 2022b).",
    "dpmpp_2s_ancestral_cfg_pp": "dpmpp_2s_ancestral under CFG++ (Chung et al. 2024).",
    "dpmpp_sde": "DPM-Solver++ for the diffusion SDE, two evaluations a step (Lu et al. 2022b).",
    "dpmpp_sde_gpu": "dpmpp_sde with its noise drawn on the graphics card: other pictures for the same seed.",
    "dpmpp_2m": "DPM-Solver++(2M), second-order multistep (Lu et al. 2022b).",
    "dpmpp_2m_cfg_pp": "dpmpp_2m under CFG++ (Chung et al. 2024).",
    "dpmpp_2m_sde": "SDE-DPM-Solver++(2M), second-order multistep with noise (Lu et al. 2022b).",
    "dpmpp_2m_sde_gpu": "dpmpp_2m_sde with its noise drawn on the graphics card.",
    "dpmpp_2m_sde_heun": "dpmpp_2m_sde with the second-order term of Heun's kind.",
    "dpmpp_2m_sde_heun_gpu": "dpmpp_2m_sde_heun with its noise drawn on the graphics card.",
    "dpmpp_3m_sde": "Third-order multistep of the same SDE.",
    "dpmpp_3m_sde_gpu": "dpmpp_3m_sde with its noise drawn on the graphics card.",
    "ddpm": "Ancestral sampling from the posterior q(x_s | x_t, x_0) (Ho et al. 2020).",
    "lcm": "Latent consistency: jump to the prediction, add noise for the next level (Luo et al. 2023).",
    "ipndm": "Improved pseudo linear multistep, order 4, fixed coefficients (Liu et al. 2022; Zhang & Chen 2022).",
    "ipndm_v": "ipndm with coefficients that follow the uneven step sizes.",
    "deis": "Exponential integrator with a polynomial in time for the slope, tAB-DEIS (Zhang & Chen 2022).",
    "res_multistep": "Refined exponential solver, second-order multistep (Zhang et al. 2023).",
    "res_multistep_cfg_pp": "res_multistep under CFG++ (Chung et al. 2024).",
    "res_multistep_ancestral": "res_multistep with fresh noise.",
    "res_multistep_ancestral_cfg_pp": "res_multistep_cfg_pp with fresh noise.",
    "gradient_estimation": "Euler with a slope corrected by the previous one (Permenter & Yuan 2023).",
    "gradient_estimation_cfg_pp": "gradient_estimation under CFG++ (Chung et al. 2024).",
    "er_sde": "Extended reverse-time SDE solver, up to three stages (Cui et al. 2023).",
    "seeds_2": "Exponential solver of the diffusion SDE, two evaluations a step (Gonzalez et al. 2023, SEEDS-2).",
    "seeds_3": "Exponential solver of the diffusion SDE, three evaluations a step (Gonzalez et al. 2023, SEEDS-3).",
    "sa_solver": "Stochastic Adams predictor-corrector, order 3 and 4, noise in the middle of the run (Xue et al. 2023).",
    "sa_solver_pece": "sa_solver that evaluates again after each correction.",
    "ddim": "Deterministic DDIM (Song et al. 2020); the same update as euler, masked parts get their own noise.",
    "uni_pc": "UniPC predictor-corrector, order up to 3, B(h) = h (Zhao et al. 2023).",
    "uni_pc_bh2": "UniPC with B(h) = exp(h) - 1.",
}

SCHEDULER_DOCS: dict[str, str] = {
    "simple": "Every n-th noise level of the model, from the top.",
    "sgm_uniform": "Even in timestep, without the last level before zero.",
    "karras": "Karras et al. 2022, rho 7: small steps where little noise is left.",
    "exponential": "Even in log noise.",
    "ddim_uniform": "Every n-th timestep counted from 1, as DDIM; may take a step more than asked.",
    "beta": "Timesteps at quantiles of a beta distribution (Lee et al. 2024); levels that come twice count once.",
    "normal": "Even in timestep.",
    "linear_quadratic": "Small linear steps first, then quadratic (Genmo Mochi).",
    "kl_optimal": "Even in the arc tangent of noise (Sabour et al. 2024, align your steps, theorem 3.1).",
}

SAMPLER_NAMES: tuple[str, ...] = tuple(SAMPLER_DOCS)
SCHEDULER_NAMES: tuple[str, ...] = tuple(SCHEDULER_DOCS)
"""The schedules to choose among; `polyexponential`, offered before and a node of its own, is still known."""
RETIRED_SCHEDULES: tuple[str, ...] = ("polyexponential",)

# Their last step is best taken straight from the level above: the field leaves the one between out.
DISCARD_PENULTIMATE_SIGMA: frozenset[str] = frozenset({"dpm_2", "dpm_2_ancestral", "uni_pc", "uni_pc_bh2"})
# Their noise is increments of one Brownian path, so that more steps refine the same picture.
BROWNIAN: frozenset[str] = frozenset(
    name + device
    for name in ("dpmpp_sde", "dpmpp_2m_sde", "dpmpp_2m_sde_heun", "dpmpp_3m_sde")
    for device in ("", "_gpu")
)


BROUGHT_SAMPLERS: dict[str, Any] = {}
"""Samplers that packs brought to this process: name → what takes over a run (`engine.denoising.records.TakesOver`)."""
BROUGHT_SCHEDULES: dict[str, Callable[[Any, int], Any]] = {}
"""Schedules that packs brought to this process: name → function of (NoiseSchedule, steps), as ours are."""


class Sampler(msgspec.Struct, frozen=True):
    """A sampler and its settings, as data: the value of type SAMPLER."""

    name: str
    options: Mapping[str, float | int | str | bool] = {}

    def identity(self) -> str:
        """Return a string equal for samplers that do the same."""
        options = ",".join(f"{key}={self.options[key]!r}" for key in sorted(self.options))
        return f"sampler:{known_sampler(self.name)}({options})"


def known_sampler(name: str) -> str:
    """Return `name` if it is a sampler; raises ValueError with the nearest names otherwise."""
    return name if name in BROUGHT_SAMPLERS else _known("sampler", name, SAMPLER_DOCS)


def known_scheduler(name: str) -> str:
    """Return `name` if it is a schedule; raises ValueError with the nearest names otherwise."""
    if name in BROUGHT_SCHEDULES or name in RETIRED_SCHEDULES:
        return name
    return _known("scheduler", name, SCHEDULER_DOCS)


def _known(kind: str, name: str, names: Iterable[str]) -> str:
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise ValueError(f"no {kind} is called {name!r}{hint} Known: {', '.join(names)}.")
