"""What the web UI calls samplers, schedules and upscalers, and what they are called here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

AUTOMATIC: Final = "automatic"


class Known(NamedTuple):
    """A sampler: its name here (or the nearest one's), and the schedule that it takes when none is named."""

    name: str
    automatic: str = "normal"
    """The schedule that `Automatic` stands for."""
    exact: bool = True
    own_schedule: str = ""
    """The schedule that it always takes, whatever is named."""


SAMPLERS: Final[Mapping[str, Known]] = {
    "euler": Known("euler"),
    "euler a": Known("euler_ancestral"),
    "lms": Known("lms"),
    "heun": Known("heun"),
    "dpm2": Known("dpm_2", "karras"),
    "dpm2 a": Known("dpm_2_ancestral", "karras"),
    "dpm++ 2s a": Known("dpmpp_2s_ancestral", "karras"),
    "dpm++ 2m": Known("dpmpp_2m", "karras"),
    "dpm++ sde": Known("dpmpp_sde", "karras"),
    "dpm++ 2m sde": Known("dpmpp_2m_sde", "exponential"),
    "dpm++ 2m sde heun": Known("dpmpp_2m_sde_heun", "exponential"),
    "dpm++ 3m sde": Known("dpmpp_3m_sde", "exponential"),
    "dpm fast": Known("dpm_fast"),
    "dpm adaptive": Known("dpm_adaptive"),
    "restart": Known("heun", "karras", exact=False),
    "ddim": Known("ddim", own_schedule="ddim_uniform"),
    "ddim cfg++": Known("euler_cfg_pp", exact=False, own_schedule="ddim_uniform"),
    "plms": Known("ipndm", exact=False, own_schedule="ddim_uniform"),
    "unipc": Known("uni_pc", own_schedule="normal"),
    "lcm": Known("lcm", own_schedule="sgm_uniform"),
    "ddpm": Known("ddpm"),
    "heunpp2": Known("heunpp2"),
    "heun++": Known("heunpp2"),
    "ipndm": Known("ipndm"),
    "ipndm_v": Known("ipndm_v"),
    "deis": Known("deis"),
    "er sde": Known("er_sde"),
    "res multistep": Known("res_multistep"),
    "gradient estimation": Known("gradient_estimation"),
}
"""By name in lower case. Automatic schedules are those of the web UI since 1.9."""

SCHEDULES: Final[Mapping[str, tuple[str, bool]]] = {
    "uniform": ("normal", True),
    "normal": ("normal", True),
    "karras": ("karras", True),
    "exponential": ("exponential", True),
    "polyexponential": ("polyexponential", True),
    "sgm uniform": ("sgm_uniform", True),
    "kl optimal": ("kl_optimal", True),
    "simple": ("simple", True),
    "ddim": ("ddim_uniform", True),
    "beta": ("beta", True),
    "linear quadratic": ("linear_quadratic", True),
    "align your steps": ("kl_optimal", False),
    "align your steps gits": ("kl_optimal", False),
    "turbo": ("sgm_uniform", False),
}
"""By name in lower case: the schedule here, and whether it is the same one."""

LATENT_UPSCALERS: Final[Mapping[str, tuple[str, bool]]] = {
    "latent": ("bilinear", True),
    "latent (antialiased)": ("bilinear", False),
    "latent (bicubic)": ("bicubic", True),
    "latent (bicubic antialiased)": ("bicubic", False),
    "latent (nearest)": ("nearest-exact", False),
    "latent (nearest-exact)": ("nearest-exact", True),
}
"""By name in lower case: the method of LatentUpscale, and whether it is the same one."""

PICTURE_UPSCALERS: Final[Mapping[str, str]] = {"lanczos": "lanczos", "none": "lanczos", "nearest": "nearest-exact"}
"""By name in lower case: the method of ImageScale."""

_NEAREST: Final = {"dpmpp_2m_sde_heun": "dpmpp_2m_sde", "euler_cfg_pp": "ddim"}


class Solver(NamedTuple):
    """Sampler and schedule as they are called here, and whether each is the one that was meant."""

    sampler: str
    schedule: str
    sampler_exact: bool
    schedule_exact: bool


def solver(name: str, schedule: str, samplers: tuple[str, ...], schedules: tuple[str, ...]) -> Solver:
    """Read a sampler's name, into which the web UI before 1.9 put the schedule too, and a `schedule` (may be empty).

    `samplers` and `schedules` are the names that there are here. What is not known becomes euler, or normal, and is not exact.
    """
    plain, joined = _taken_apart(name.strip().lower())
    known = SAMPLERS.get(plain) or Known(plain.replace(" ", "_").replace("++", "pp"))
    sampler, exact = known.name, known.exact
    if sampler not in samplers and sampler in _NEAREST:
        sampler, exact = _NEAREST[sampler], False
    if sampler not in samplers:
        sampler, exact = "euler", False
    wanted = schedule.strip().lower() or joined
    if known.own_schedule:
        found, same = known.own_schedule, True
    elif wanted == AUTOMATIC:
        found, same = known.automatic, True
    else:
        found, same = SCHEDULES.get(wanted or "normal", ("normal", False))
    if found not in schedules:
        found, same = "normal", False
    return Solver(sampler, found, exact, same)


def _taken_apart(name: str) -> tuple[str, str]:
    """A sampler's name and the schedule at its end, as in `dpm++ 2m karras`."""
    if name in SAMPLERS:
        return name, ""
    for schedule in sorted(SCHEDULES, key=len, reverse=True):
        if name.endswith(f" {schedule}"):
            return name.removesuffix(f" {schedule}"), schedule
    return name, ""
