"""The field's 42 samplers as formulas of their own, in double precision: nothing here comes from the engine.

Each takes (model, x, s, noise, tree): `model(x, sigma)` gives the guided and the unconditional prediction of x_0, `s` the
levels, `noise()` the next draw of fresh noise, `tree(a, b)` the increment of the Brownian path between two levels, of unit
variance. For a variance-exploding process, where lambda = -log sigma. Papers are named at each.
"""

from __future__ import annotations

from tests.parity import field_cfg_pp, field_dpm, field_exponential, field_multistep, field_steps, field_stochastic

NAMES = [
    "euler",
    "euler_cfg_pp",
    "euler_ancestral",
    "euler_ancestral_cfg_pp",
    "heun",
    "heunpp2",
    "dpm_2",
    "dpm_2_ancestral",
    "lms",
    "dpm_fast",
    "dpm_adaptive",
    "dpmpp_2s_ancestral",
    "dpmpp_2s_ancestral_cfg_pp",
    "dpmpp_sde",
    "dpmpp_sde_gpu",
    "dpmpp_2m",
    "dpmpp_2m_cfg_pp",
    "dpmpp_2m_sde",
    "dpmpp_2m_sde_gpu",
    "dpmpp_2m_sde_heun",
    "dpmpp_2m_sde_heun_gpu",
    "dpmpp_3m_sde",
    "dpmpp_3m_sde_gpu",
    "ddpm",
    "lcm",
    "ipndm",
    "ipndm_v",
    "deis",
    "res_multistep",
    "res_multistep_cfg_pp",
    "res_multistep_ancestral",
    "res_multistep_ancestral_cfg_pp",
    "gradient_estimation",
    "gradient_estimation_cfg_pp",
    "er_sde",
    "seeds_2",
    "seeds_3",
    "sa_solver",
    "sa_solver_pece",
    "ddim",
    "uni_pc",
    "uni_pc_bh2",
]
"""The field's 42 names, in its order."""

_SAME = {
    "ddim": "euler",
    "dpmpp_sde_gpu": "dpmpp_sde",
    "dpmpp_2m_sde_gpu": "dpmpp_2m_sde",
    "dpmpp_2m_sde_heun_gpu": "dpmpp_2m_sde_heun",
    "dpmpp_3m_sde_gpu": "dpmpp_3m_sde",
}
_MODULES = (field_steps, field_multistep, field_dpm, field_exponential, field_cfg_pp, field_stochastic)
_FORMULAS = {name: formula for module in _MODULES for name, formula in vars(module).items()}
SAMPLERS = {name: _FORMULAS[_SAME.get(name, name)] for name in NAMES}
