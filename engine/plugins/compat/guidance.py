"""How packs' functions take part in guidance: predictions for lists of conditions, and how they are combined.

A condition here is a dict as packs know it: `model_conds` holds what the network is given, `area`, `strength`, `control`
and the rest say where and when it counts. Each keeps the condition that our sampler made of it, which does the work.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from torch import Tensor

from engine.denoising.model_guidance import frames_of, hooks_of, keeps_away, pairs_of
from engine.plugins.compat import conds
from engine.plugins.compat.model_options import copied
from engine.plugins.compat.patcher_extension import WrapperExecutor, WrappersMP, get_all_wrappers
from engine.sampling.batching import Batch
from engine.sampling.conditions import Condition, Surroundings, prepare
from engine.sampling.denoisers import Network
from engine.sampling.guidance import ConditionedNetwork, rescaled, towards
from engine.sampling.guiders import GuidanceStep
from engine.sampling.masks import repeat_to
from engine.sampling.noise_schedule import ABOVE_ALL_SIGMAS
from engine.sampling.pairs import Pairs, framed

OURS: Final = "safelight_condition"
"""Where a condition of a pack keeps ours."""

Cond = dict[str, Any]


class Running:
    """A run that a model takes part in: its network, and what conditions are resolved against."""

    def __init__(self, network: Network, around: Surroundings, max_rows: int | None) -> None:
        self.network, self.around, self.max_rows = network, around, max_rows
        self._pairs: Pairs | None = None
        self._last: tuple[tuple[tuple[int, ...], ...], list[list[Condition]], _PackNetwork] | None = None

    def pairs(self, handle: Any) -> Pairs:
        """What changes predictions before they are guided, as the model's options say; it remembers the run."""
        if keeps_away(handle):
            raise ValueError(
                "PerpNeg: a pack has put functions around this model, and they know two predictions only. Use PerpNegGuider with "
                "a model without that pack's node."
            )
        if self._pairs is None:
            self._pairs = Pairs([make() for make in pairs_of(handle)])
        return self._pairs

    def predictions(self, model: Any, lists: list[list[Condition]], options: dict[str, Any]) -> _PackNetwork:
        """The evaluator of these conditions; the same one as long as they are the same objects."""
        key = tuple(tuple(map(id, one)) for one in lists)
        if self._last is None or self._last[0] != key:
            self._last = key, lists, _PackNetwork(self.network, self.around.schedule, lists, self.max_rows)
        made = self._last[2]
        made.model, made.options = model, options
        return made


class _PackNetwork(ConditionedNetwork):
    """Evaluates conditions by a model's `apply_model`, with the function of a pack around that."""

    model: Any
    options: dict[str, Any]

    def evaluate(self, batch: Batch, x: Tensor, sigma: float) -> Tensor:
        """Return x_0 (rows, C, h', w') of a batch of conditions."""
        levels = x.new_full((x.shape[0],), sigma)
        inner = copied(self.options.get("transformer_options") or {})
        inner["cond_or_uncond"] = [number for number, _ in batch.members]
        inner["uuids"] = [uuid.uuid5(uuid.NAMESPACE_OID, str(id(condition))) for _, condition in batch.members]
        inner["sigmas"] = levels
        given: dict[str, Any] = {"c_crossattn": batch.context, "transformer_options": inner}
        if batch.concat is not None:
            given["c_concat"] = batch.concat
        if batch.control:
            sampling = self.model.model_sampling
            scaled, t = sampling.calculate_input(levels, x), sampling.timestep(levels).float()
            given["control"] = self.residuals(batch, scaled, t, sigma)
        wrapper = self.options.get("model_function_wrapper")
        if wrapper is None:
            found: Tensor = self.model.apply_model(x, levels, **given)
            return found
        told = {"input": x, "timestep": levels, "c": given, "cond_or_uncond": inner["cond_or_uncond"]}
        found = wrapper(self.model.apply_model, told)
        return found


def as_conds(lists: Sequence[Sequence[Sequence[Any]]], around: Surroundings) -> list[list[Cond]]:
    """The conditionings of a run (the first is what is wanted) as packs see their conditions during it."""
    filled = [conditioning for conditioning in lists if conditioning]
    prepared = iter(prepare(filled, around))
    found = []
    for conditioning in lists:
        conditions = next(prepared) if conditioning else []
        options = [dict(entry[1]) for entry in conditioning]
        found.append(
            [_cond(one, options[place] if place < len(options) else {}) for place, one in enumerate(conditions)]
        )
    return found


def _cond(condition: Condition, options: Cond) -> Cond:
    known: dict[str, conds.CONDRegular] = {"c_crossattn": conds.CONDCrossAttn(condition.context)}
    if condition.concat is not None:
        known["c_concat"] = conds.CONDNoiseShape(condition.concat)
    found = {
        **{name: value for name, value in options.items() if name not in ("mask", "area", "control")},
        "cross_attn": condition.context,
        "model_conds": {**options.get("model_conds", {}), **known},
        "uuid": uuid.uuid4(),
        OURS: condition,
    }
    if condition.area is not None:
        found["area"] = condition.area
    if condition.control:
        found["control"] = condition.control
    if condition.start != ABOVE_ALL_SIGMAS or condition.end != 0.0:
        found["timestep_start"], found["timestep_end"] = condition.start, condition.end
    return found


def condition_of(cond: Cond, around: Surroundings) -> Condition:
    """Our condition of a pack's, with what the pack changed since it was made."""
    known: Condition | None = cond.get(OURS)
    if known is None:
        options = {name: value for name, value in cond.items() if name not in ("cross_attn", "model_conds")}
        known = prepare([[[cond["cross_attn"], options]]], around)[0][0]
    changes: dict[str, Any] = {}
    for name, field in (("c_crossattn", "context"), ("c_concat", "concat")):
        given = cond.get("model_conds", {}).get(name)
        value = getattr(given, "cond", given)
        if isinstance(value, Tensor) and value is not getattr(known, field):
            changes[field] = repeat_to(value.to(around.latent), around.latent.shape[0])
    area = cond.get("area")
    if area is not None and tuple(area) != known.area:
        changes["area"] = tuple(area)
    if known.control and not cond.get("control"):
        changes["control"] = ()
    return replace(known, **changes) if changes else known


def calc_cond_batch(model: Any, conds: Sequence[Any], x_in: Any, timestep: Any, model_options: Any) -> list[Any]:
    """Return x_0 (B, C, h, w) for each list of conditions at x (B, C, h, w) and noise levels (B,); zeros for None."""
    wrappers = get_all_wrappers(WrappersMP.CALC_COND_BATCH, model_options, is_model_options=True)
    executor = WrapperExecutor(_calc_cond_batch, None, wrappers, 0)
    found: list[Any] = executor.execute(model, conds, x_in, timestep, model_options)
    return found


def _calc_cond_batch(model: Any, conds: Sequence[Any], x_in: Any, timestep: Any, model_options: Any) -> list[Any]:
    run: Running = model.running
    lists = [[condition_of(cond, run.around) for cond in one or ()] for one in conds]
    sigma = float(timestep.reshape(-1)[0])
    return run.predictions(model, lists, model_options or {})(x_in, sigma, range(len(lists)))


def cfg_function(
    model: Any,
    cond_pred: Any,
    uncond_pred: Any,
    cond_scale: float,
    x: Any,
    timestep: Any,
    model_options: Any = None,
    cond: Any = None,
    uncond: Any = None,
) -> Any:
    """Return the guided x_0 (B, C, h, w) of two predictions, by a pack's function or ours, and what packs make of it."""
    options = model_options or {}
    handle, sigma = getattr(model, "handle", None), float(timestep.reshape(-1)[0])
    unguided = uncond is None and math.isclose(cond_scale, 1.0)
    cfg = framed(frames_of(handle), cond_scale, x)
    own_cond = cond_pred
    if (pairs_of(handle) or keeps_away(handle)) and model.running is not None:
        pairs = model.running.pairs(handle)
        if unguided:
            cond_pred = pairs.alone(x, sigma, cond_pred)
        else:
            cond_pred, uncond_pred = pairs(x, sigma, cond_pred, uncond_pred, cfg)
    told = {
        "cond_scale": cond_scale,
        "timestep": timestep,
        "input": x,
        "sigma": timestep,
        "cond_denoised": cond_pred,
        "uncond_denoised": uncond_pred,
        "model": model,
        "model_options": options,
        "input_cond": cond,
        "input_uncond": uncond,
    }
    own = options.get("sampler_cfg_function")
    if own is not None:
        guided = x - own({**told, "cond": x - cond_pred, "uncond": x - uncond_pred})
    elif unguided:
        guided = cond_pred
    else:
        guided = towards(uncond_pred, cond_pred, cfg)
        if model.rescale > 0.0:
            guided = rescaled(model.running.around.schedule, x, sigma, guided, own_cond, model.rescale)
    for hook in hooks_of(handle):
        guided = hook(GuidanceStep(x, sigma, guided, own_cond, None if unguided else uncond_pred, cfg))
    return after_guidance(guided, told, cond, uncond)


def after_guidance(guided: Any, told: dict[str, Any], cond: Any, uncond: Any) -> Any:
    """Return what packs make of a guided x_0 (B, C, h, w).

    `told` holds `input`, `sigma`, `cond_denoised`, `uncond_denoised`, `cond_scale`, `model` and `model_options`.
    """
    for function in told["model_options"].get("sampler_post_cfg_function", ()):
        guided = function({**told, "denoised": guided, "cond": cond, "uncond": uncond})
    return guided


def sampling_function(
    model: Any,
    x: Any,
    timestep: Any,
    uncond: Any,
    cond: Any,
    cond_scale: float,
    model_options: Any = None,
    seed: int | None = None,
) -> Any:
    """Return the guided x_0 (B, C, h, w) at x and noise levels (B,), for what is wanted and what is to be avoided."""
    options = model_options or {}
    if math.isclose(cond_scale, 1.0) and not options.get("disable_cfg1_optimization", False):
        uncond = None
    lists = [cond, uncond]
    own = options.get("sampler_calc_cond_batch_function")
    if own is not None:
        found = own(
            {"conds": lists, "input": x, "sigma": timestep, "model": model, "model_options": options},
        )
    else:
        found = calc_cond_batch(model, lists, x, timestep, options)
    for function in options.get("sampler_pre_cfg_function", ()):
        found = function(
            {
                "conds": lists,
                "conds_out": found,
                "cond_scale": cond_scale,
                "timestep": timestep,
                "input": x,
                "sigma": timestep,
                "model": model,
                "model_options": options,
            }
        )
    return cfg_function(model, found[0], found[1], cond_scale, x, timestep, options, cond=cond, uncond=uncond)
