"""The samplers by name. Each is `(denoiser, x, sigmas, *, schedule, noise_sampler, callback, **options) -> x`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from engine.sampling.samplers import (
    cfg_pp,
    dpm_solver,
    dpmpp,
    euler,
    exponential,
    heun,
    multistep,
    posterior,
    sa_solver,
    seeds,
    unipc,
)

SamplerFunction = Callable[..., Tensor]

SAMPLERS: Mapping[str, SamplerFunction] = {
    "euler": euler.euler,
    "euler_cfg_pp": cfg_pp.euler_cfg_pp,
    "euler_ancestral": euler.euler_ancestral,
    "euler_ancestral_cfg_pp": cfg_pp.euler_ancestral_cfg_pp,
    "heun": heun.heun,
    "heunpp2": heun.heunpp2,
    "dpm_2": heun.dpm_2,
    "dpm_2_ancestral": heun.dpm_2_ancestral,
    "lms": multistep.lms,
    "dpm_fast": dpm_solver.dpm_fast,
    "dpm_adaptive": dpm_solver.dpm_adaptive,
    "dpmpp_2s_ancestral": dpmpp.dpmpp_2s_ancestral,
    "dpmpp_2s_ancestral_cfg_pp": cfg_pp.dpmpp_2s_ancestral_cfg_pp,
    "dpmpp_sde": dpmpp.dpmpp_sde,
    "dpmpp_sde_gpu": dpmpp.dpmpp_sde,
    "dpmpp_2m": dpmpp.dpmpp_2m,
    "dpmpp_2m_cfg_pp": cfg_pp.dpmpp_2m_cfg_pp,
    "dpmpp_2m_sde": dpmpp.dpmpp_2m_sde,
    "dpmpp_2m_sde_gpu": dpmpp.dpmpp_2m_sde,
    "dpmpp_2m_sde_heun": dpmpp.dpmpp_2m_sde_heun,
    "dpmpp_2m_sde_heun_gpu": dpmpp.dpmpp_2m_sde_heun,
    "dpmpp_3m_sde": dpmpp.dpmpp_3m_sde,
    "dpmpp_3m_sde_gpu": dpmpp.dpmpp_3m_sde,
    "ddpm": posterior.ddpm,
    "lcm": posterior.lcm,
    "ipndm": multistep.ipndm,
    "ipndm_v": multistep.ipndm_v,
    "deis": multistep.deis,
    "res_multistep": exponential.res_multistep,
    "res_multistep_cfg_pp": cfg_pp.res_multistep_cfg_pp,
    "res_multistep_ancestral": exponential.res_multistep_ancestral,
    "res_multistep_ancestral_cfg_pp": cfg_pp.res_multistep_ancestral_cfg_pp,
    "gradient_estimation": euler.gradient_estimation,
    "gradient_estimation_cfg_pp": cfg_pp.gradient_estimation_cfg_pp,
    "er_sde": exponential.er_sde,
    "seeds_2": seeds.seeds_2,
    "seeds_3": seeds.seeds_3,
    "sa_solver": sa_solver.sa_solver,
    "sa_solver_pece": sa_solver.sa_solver_pece,
    "ddim": euler.euler,
    "uni_pc": unipc.uni_pc,
    "uni_pc_bh2": unipc.uni_pc_bh2,
}
