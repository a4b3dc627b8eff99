"""Record what k-diffusion makes of the runs of test_sampler_grid: `python -m tests.parity.record_sampler_grid`. Needs the network.

The package k-diffusion asks for much that its samplers do not use, so it is installed alone, with stand-ins for the two
modules that they import without need.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
import types

import torch

from tests.parity import field_levels
from tests.parity import test_sampler_grid as grid

VERSION = "0.1.1.post1"
DETERMINISTIC = ("euler", "heun", "dpm_2", "dpmpp_2m")
ANCESTRAL = ("euler_ancestral", "dpm_2_ancestral", "dpmpp_2s_ancestral")
BROWNIAN = ("dpmpp_sde", "dpmpp_2m_sde", "dpmpp_2m_sde_heun", "dpmpp_3m_sde")
ODE = ("dpm_fast", "dpm_adaptive")


def samplers(folder: str) -> types.ModuleType:
    """k-diffusion's module of samplers."""
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", folder]
    subprocess.run([*pip, f"k-diffusion=={VERSION}"], check=True)
    package, helpers = types.ModuleType("k_diffusion"), types.ModuleType("k_diffusion.utils")
    package.__path__ = [f"{folder}/k_diffusion"]
    helpers.append_dims = lambda x, dims: x[(...,) + (None,) * (dims - x.ndim)]
    package.utils = helpers
    solver = types.ModuleType("torchdiffeq")
    solver.odeint = None
    sys.modules.update({"k_diffusion": package, "k_diffusion.utils": helpers, "torchdiffeq": solver})
    spec = importlib.util.spec_from_file_location("k_diffusion.sampling", f"{folder}/k_diffusion/sampling.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(k, sampler: str, scheduler: str, steps: int) -> list[float]:
    """The end of one run, in double precision."""
    s = field_levels.levels(scheduler, steps, sampler)
    # In single precision, as in the field, where it decides at which level the Brownian path is asked.
    sigmas = torch.tensor(s, dtype=torch.float32 if sampler in BROWNIAN else torch.float64)
    x = torch.tensor(grid.first_x(s))[None]

    def model(x, sigma):
        return torch.tensor(grid.model(x[0].numpy(), float(sigma))[0])[None]

    settings = {"disable": True}
    fresh, tree = grid.fresh_noise(), grid.brownian(s)
    if sampler in ANCESTRAL:
        settings["noise_sampler"] = lambda a, b: torch.tensor(fresh())[None]
    if sampler in BROWNIAN:
        settings["noise_sampler"] = lambda a, b: torch.tensor(tree(float(a), float(b)))[None]
    if sampler in ODE:
        low = s[-2] if s[-1] == 0 else s[-1]
        counted = [len(s) - 1] if sampler == "dpm_fast" else []
        return getattr(k, f"sample_{sampler}")(model, x, low, s[0], *counted, **settings).flatten().tolist()
    if sampler == "dpmpp_2m_sde":
        settings["solver_type"] = "midpoint"
    if sampler == "dpmpp_2m_sde_heun":
        settings["solver_type"] = "heun"
    function = getattr(k, f"sample_{sampler.removesuffix('_heun') if sampler in BROWNIAN else sampler}")
    return function(model, x, sigmas, **settings).flatten().tolist()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        k = samplers(folder)
        runs = {
            sampler: {
                scheduler: {
                    str(steps): [round(value, 6) for value in run(k, sampler, scheduler, steps)]
                    for steps in grid.STEPS
                    if steps > 1 or sampler in (*DETERMINISTIC, *ANCESTRAL)  # others raise, or never ask the model
                }
                for scheduler in field_levels.SCHEDULES
            }
            for sampler in (*DETERMINISTIC, *ANCESTRAL, *BROWNIAN, *ODE)
        }
    grid.RECORDED.write_text(json.dumps({"from": f"k-diffusion {VERSION}", "runs": runs}, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
