"""Samplers and schedules that packs add to the lists of the field, for the nodes that choose among them by name.

Looks only at what is imported already: what no pack has asked for, none has added to.
"""

from __future__ import annotations

import sys
from typing import Any

from engine.sampling import names


def added_names() -> dict[str, list[str]]:
    """Input of the built-in nodes → the names that packs have added to its choices."""
    module: Any = sys.modules.get("comfy.samplers")
    if module is None:
        return {}
    samplers = [*module.KSampler.SAMPLERS, *module.SAMPLER_NAMES, *module.KSAMPLER_NAMES]
    schedules = [*module.KSampler.SCHEDULERS, *module.SCHEDULER_NAMES]
    found = {
        "sampler_name": _new(samplers, names.SAMPLER_NAMES),
        "scheduler": _new([name for name in schedules if name in module.SCHEDULER_HANDLERS], names.SCHEDULER_NAMES),
    }
    return {name: added for name, added in found.items() if added}


def bring(added: dict[str, list[str]]) -> None:
    """Let our samplers know the names, so that runs with them are made by the packs' functions."""
    from engine.plugins.compat.samplers import PackSchedule
    from engine.plugins.compat.steps import NamedSampler

    names.BROUGHT_SAMPLERS.update({name: NamedSampler(name) for name in added.get("sampler_name", ())})
    names.BROUGHT_SCHEDULES.update({name: PackSchedule(name) for name in added.get("scheduler", ())})


def _new(given: list[Any], known: Any) -> list[str]:
    return [name for name in dict.fromkeys(given) if isinstance(name, str) and name not in known]
