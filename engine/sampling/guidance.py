"""Guidance: from a network and its conditionings to one denoiser, with as few network calls as shapes allow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from engine.sampling.batching import Batch, plan
from engine.sampling.conditions import Condition, ControlLink, Surroundings, prepare
from engine.sampling.denoisers import Branches, Network, Occasion, Occasional, Residuals, Spread, denoised, input_scale
from engine.sampling.guiders import BasicGuidance, CfgGuidance, CfgRange, DualCfgGuidance, Guidance, GuidanceStep
from engine.sampling.limits import limited
from engine.sampling.masks import crop
from engine.sampling.noise_schedule import NoiseSchedule
from engine.sampling.pairs import Pairs, framed, off_positive
from engine.sampling.self_attention import SelfGuidance
from engine.sampling.skips import Skip, away_from
from engine.sampling.variants import State, block, members, state

# Where no condition reaches, the weights add up to nothing; this keeps the quotient at zero there.
_NO_WEIGHT = 1e-37

_MOST_PLANS = 16


class ConditionedNetwork:
    """Evaluates lists of conditions at one x: batches them, and blends what each list predicts by its weights."""

    def __init__(
        self, network: Network, schedule: NoiseSchedule, lists: Sequence[Sequence[Condition]], max_rows: int | None
    ):
        """`max_rows` bounds the rows (pictures × conditions) of one network call; None is no bound."""
        self._network, self._schedule, self._lists = network, schedule, lists
        self._max_rows = max_rows
        self._plans: dict[tuple[tuple[int, ...], tuple[State, ...]], list[Batch]] = {}

    def __call__(self, x: Tensor, sigma: float, wanted: Sequence[int]) -> list[Tensor]:
        """Return the blended x_0 (B, C, h, w) of each wanted list; zero where none of its conditions is active.

        Of a network that has learned the variance of a step it is (B, 2 C, h, w), the second half the share of that.
        """
        candidates = [(number, condition) for number in wanted for condition in self._lists[number]]
        states = tuple(state(condition, sigma) for _, condition in candidates)
        key = tuple(wanted), states
        if key not in self._plans:
            if len(self._plans) >= _MOST_PLANS:  # keyframes of hooks may make one for each step
                self._plans.clear()
            active = members(candidates, states, x)
            most = len(active) if self._max_rows is None else max(1, self._max_rows // x.shape[0])
            self._plans[key] = plan(active, most)
        batches = self._plans[key]
        predictions: dict[int, list[tuple[Condition, Tensor]]] = {number: [] for number in wanted}
        for batch in batches[::-1] if isinstance(self._network, Occasional) and self._network.backwards else batches:
            inputs = [crop(x, condition.area) for _, condition in batch.members]
            stacked = inputs[0] if len(inputs) == 1 else torch.cat(inputs)
            with block(batch.members[0][1].under):
                outputs = self.evaluate(batch, stacked, sigma).chunk(len(batch.members))
            for (number, condition), output in zip(batch.members, outputs):
                predictions[number].append((condition, output))
        return [_blend(x, predictions[number]) for number in wanted]

    def evaluate(self, batch: Batch, x: Tensor, sigma: float) -> Tensor:
        """Return x_0 of a batch of conditions; `x` (rows, C, h', w') holds what each of its members covers."""
        scaled = x * input_scale(self._schedule, sigma)
        t = torch.full((x.shape[0],), self._schedule.timestep(sigma), device=x.device)
        control = self.residuals(batch, scaled, t, sigma)
        network = self._network
        if isinstance(network, Occasional):
            numbers, conditions = zip(*batch.members, strict=True)
            network = network.on(Occasion(sigma, numbers, conditions, self._active(numbers, sigma)))
        output = network(scaled, t, batch.context, concat=batch.concat, control=control, options=batch.options)
        channels = x.shape[1]
        if output.shape[1] != 2 * channels:
            return denoised(self._schedule, x, output, sigma)
        return torch.cat([denoised(self._schedule, x, output[:, :channels], sigma), output[:, channels:]], dim=1)

    def _active(self, numbers: Sequence[int], sigma: float) -> dict[int, list[Condition]]:
        return {number: [one for one in self._lists[number] if one.active(sigma)] for number in set(numbers)}

    def residuals(self, batch: Batch, scaled: Tensor, t: Tensor, sigma: float) -> Residuals | None:
        """Return what the batch's ControlNets add to the network at `t` (rows,), None when none is active."""
        links = [link for link in batch.control if link.active(sigma)]
        return _residuals(links, scaled, t, batch) if links else None


class GuidedDenoiser:
    """A denoiser steered by a guidance: `(x (B, C, h, w), sigma) -> x_0`, everything static worked out at construction."""

    def __init__(
        self,
        network: Network,
        guidance: Guidance,
        around: Surroundings,
        max_rows: int | None = None,
        negative: Network | None = None,
        skips: Sequence[Skip] = (),
        negative_skip: Skip | None = None,
        selfs: Sequence[SelfGuidance] = (),
    ):
        """Resolve the guidance's conditionings for one run; raises ValueError as `prepare` does.

        `negative`: the network that predicts for the negative conditioning of a CfgGuidance, where it is another. `skips`:
        networks without some layers, which guidance goes away from. `negative_skip`: one that predicts for the negative
        conditioning of a CfgGuidance in its range. `selfs`: guidances by what attention looks at.
        """
        self._guidance = guidance
        self._schedule = around.schedule
        self._guided_channels = around.guided_channels
        lists = prepare(_lists(guidance), around)
        self._predict = ConditionedNetwork(network, around.schedule, lists, max_rows)
        self._other = None if negative is None else ConditionedNetwork(negative, around.schedule, lists, max_rows)
        self._skips = [(one, ConditionedNetwork(one.network, around.schedule, lists, max_rows)) for one in skips]
        self._negative_skip = negative_skip
        self._selfs = [(one, ConditionedNetwork(one.network, around.schedule, lists, max_rows)) for one in selfs]
        self._negative = 2 if isinstance(guidance, DualCfgGuidance) else 1
        self._shallow = (
            ConditionedNetwork(negative_skip.network, around.schedule, lists, max_rows) if negative_skip else None
        )
        self._levels = cfg_levels(around.schedule, guidance.ranges) if isinstance(guidance, CfgGuidance) else []
        # Of two guidances inside one another each has hooks of its own: some remember what they saw.
        self._pairs, self._inner_pairs = (Pairs([make() for make in guidance.pairs]) for _ in range(2))

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """Return the guided prediction of x_0 at noise level `sigma`."""
        return self._evaluate(x, sigma, both=False)[0]

    def spread(self, x: Tensor, sigma: float) -> Spread:
        """Return it with the share of the variance that the network has learned, under the positive conditioning."""
        guided, _, share = self._evaluate(x, sigma, both=False)
        return Spread(guided, share)

    def branches(self, x: Tensor, sigma: float) -> Branches:
        """Return the guided prediction, and the one for the negative conditioning that it was steered away from.

        That is the middle one for two guidances inside one another, and the positive one where there is no other.
        """
        guided, unconditional, _ = self._evaluate(x, sigma, both=True)
        assert unconditional is not None
        return Branches(guided, unconditional)

    def _predicted(self, x: Tensor, sigma: float, wanted: Sequence[int]) -> tuple[list[Tensor], Tensor | None]:
        """Return x_0 of each wanted list, and the share of the variance that the network has learned, of the first."""
        found, channels = self._predict(x, sigma, wanted), x.shape[1]
        share = found[0][:, channels:] if found[0].shape[1] > channels else None
        return [one[:, :channels] for one in found], share

    def _evaluate(self, x: Tensor, sigma: float, *, both: bool) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return the guided prediction, the unconditional one where guidance used it or `both` are wanted, and the variance."""
        guidance = self._guidance
        negative: Tensor | None = None
        cfg: float | Tensor | None = None
        unconditional: Tensor | None
        if isinstance(guidance, BasicGuidance):
            (positive,), share = self._predicted(x, sigma, (0,))
            guided = unconditional = self._pairs.alone(x, sigma, positive)
        elif isinstance(guidance, DualCfgGuidance):
            (positive, middle, negative), share = self._predicted(x, sigma, (0, 1, 2))
            inner, outer = (partial(pairs, x, sigma) for pairs in (self._inner_pairs, self._pairs))
            guided = dual(guidance, positive, middle, negative, inner, outer)
            unconditional = middle if guidance.nested else negative
        elif self._unguided(guidance, sigma) and not both:
            (positive,), share = self._predicted(x, sigma, (0,))
            guided, unconditional, cfg = self._pairs.alone(x, sigma, positive), None, 1.0
        else:
            (positive, negative, *others), share = self._both(x, sigma)
            cfg = framed(guidance.frames, cfg_at(self._levels, sigma, guidance.cfg), x)
            wanted = off_positive(positive, negative, others[0], guidance.away_scale) if others else positive
            towards_this, unconditional = self._pairs(x, sigma, wanted, negative, cfg)
            guided = towards(unconditional, towards_this, cfg)
            if guidance.rescale > 0.0:
                guided = rescaled(self._schedule, x, sigma, guided, positive, guidance.rescale)
            if self._guided_channels is not None:
                guided = torch.cat([guided[:, : self._guided_channels], positive[:, self._guided_channels :]], dim=1)
        guided = limited(self._schedule.parameterization, guided)
        for skip, shallow in self._skips:
            if self._within(skip, sigma):
                skipped = shallow(x, sigma, (0,))[0][:, : x.shape[1]]
                guided = away_from(guided, positive, skipped, skip.scale, skip.rescale)
        for own, network in self._selfs:
            base = positive if negative is None else negative
            predict = partial(self._alone, network, sigma, 0 if negative is None else self._negative)
            guided = own(guided, x, base, predict)
        for hook in guidance.hooks:
            guided = hook(GuidanceStep(x, sigma, guided, positive, negative, cfg))
        return guided, unconditional, share

    def _unguided(self, guidance: CfgGuidance, sigma: float) -> bool:
        """Whether the positive prediction is all that counts at a noise level."""
        cfg = cfg_at(self._levels, sigma, guidance.cfg)
        alike = guidance.frames is None or guidance.frames.least == cfg
        return cfg == 1.0 and alike and guidance.away is None and not guidance.always_negative

    def _both(self, x: Tensor, sigma: float) -> tuple[list[Tensor], Tensor | None]:
        """The predictions for the positive and the negative conditioning, of one network or of one each, and the variance.

        After them that for what is to be kept away from, where the guidance has such a conditioning.
        """
        guidance, skip = self._guidance, self._negative_skip
        rest = (1, 2) if isinstance(guidance, CfgGuidance) and guidance.away is not None else (1,)
        other = self._shallow if skip is not None and self._within(skip, sigma) else self._other
        if other is None:
            return self._predicted(x, sigma, (0, *rest))
        (positive,), share = self._predicted(x, sigma, (0,))
        return [positive, *(one[:, : x.shape[1]] for one in other(x, sigma, rest))], share

    @staticmethod
    def _alone(network: ConditionedNetwork, sigma: float, number: int, x: Tensor) -> Tensor:
        return network(x, sigma, (number,))[0][:, : x.shape[1]]

    def _within(self, skip: Skip, sigma: float) -> bool:
        to_sigma = self._schedule.percent_to_sigma
        return to_sigma(skip.end) <= sigma <= to_sigma(skip.start)


def cfg_levels(schedule: NoiseSchedule, ranges: Sequence[CfgRange]) -> list[tuple[float, float, float]]:
    """Return ranges with another cfg as (cfg, noise level from, down to), that which counts first at the beginning."""
    to_sigma = schedule.percent_to_sigma
    return [(cfg, to_sigma(start), to_sigma(end)) for cfg, start, end in reversed(ranges)]


def cfg_at(levels: Sequence[tuple[float, float, float]], sigma: float, cfg: float) -> float:
    """Return the cfg at a noise level: that of the first range which holds it, else `cfg`."""
    return next((other for other, start, end in levels if end <= sigma <= start), cfg)


def rescaled(
    schedule: NoiseSchedule, x: Tensor, sigma: float, guided: Tensor, positive: Tensor, share: float
) -> Tensor:
    """Pull the spread of a guided prediction towards that of the positive one (Lin et al. 2023, eq. 15-16).

    The spread is the standard deviation over each picture of the prediction in velocity form; `share` 0..1 says how far.
    x, guided, positive, result: (B, C, h, w).
    """
    # Velocity is a multiple of (rest - x_0), and the factor cancels in the quotient.
    rest = x if schedule.is_flow else x / (sigma * sigma + 1.0)
    axes = tuple(range(1, x.dim()))
    wanted = (rest - positive).std(dim=axes, keepdim=True)
    spread = (rest - guided).std(dim=axes, keepdim=True)
    return torch.lerp(rest, guided, share * (wanted / spread) + (1.0 - share))


def _lists(guidance: Guidance) -> list[Sequence[Sequence[object]]]:
    if isinstance(guidance, CfgGuidance):
        return [guidance.positive, guidance.negative, *([] if guidance.away is None else [guidance.away])]
    if isinstance(guidance, DualCfgGuidance):
        return [guidance.positive, guidance.middle, guidance.negative]
    return [guidance.positive]


def towards(start: Tensor, end: Tensor, scale: float | Tensor) -> Tensor:
    """Return start + scale * (end - start); `scale` a number, or one for each picture (B, 1, …)."""
    if isinstance(scale, Tensor):
        return start + scale * (end - start)
    return torch.add(start, end - start, alpha=scale)


Change = Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]]
"""`(towards, from, cfg)` -> what to guide by instead."""


def _unchanged(end: Tensor, start: Tensor, cfg: float) -> tuple[Tensor, Tensor]:
    return end, start


def dual(
    guidance: DualCfgGuidance,
    positive: Tensor,
    middle: Tensor,
    negative: Tensor,
    inner: Change = _unchanged,
    outer: Change = _unchanged,
) -> Tensor:
    """Return two guidances at once of predictions (B, C, …); what each is guided by is changed by `inner` and `outer`."""
    end, start = inner(positive, middle, guidance.cfg_conds)
    if guidance.nested:
        end, start = outer(towards(start, end, guidance.cfg_conds), negative, guidance.cfg_middle)
        return towards(start, end, guidance.cfg_middle)
    base_end, base = outer(middle, negative, guidance.cfg_middle)
    return torch.add(towards(base, base_end, guidance.cfg_middle), end - start, alpha=guidance.cfg_conds)


def _blend(x: Tensor, predictions: list[tuple[Condition, Tensor]]) -> Tensor:
    """Return the weighted mean of the predictions, each over its area."""
    if len(predictions) == 1 and predictions[0][0].area is None and _positive_number(predictions[0][0].weight):
        return predictions[0][1]
    channels = predictions[0][1].shape[1] if predictions else x.shape[1]
    total = x.new_zeros((x.shape[0], channels, *x.shape[2:]))
    weights = torch.full_like(total, _NO_WEIGHT)
    for condition, prediction in predictions:
        crop(total, condition.area).add_(prediction * condition.weight)
        crop(weights, condition.area).add_(condition.weight)
    return total / weights


def _positive_number(weight: float | Tensor) -> bool:
    return isinstance(weight, float) and weight > 0.0


def _residuals(links: Sequence[ControlLink], x: Tensor, t: Tensor, batch: Batch) -> Residuals:
    """Return the sum of the links' residuals; those that their network is to add up itself stand one after the other."""
    context, options = batch.told or (batch.context, batch.options)
    outputs = [link.function(x, t, context, options) for link in links]
    if len(outputs) == 1:
        return outputs[0]
    names = dict.fromkeys(name for output in outputs for name in output)
    return {name: _together(name, [output[name] for output in outputs if name in output]) for name in names}


def _together(name: str, given: Sequence[Any]) -> Any:
    """What several links give under one name."""
    if name == "mid":
        return _sum(given)
    if name in ("down", "levels"):
        return [_sum(parts) for parts in zip(*given, strict=True)]
    return [part for parts in given for part in parts]


def _sum(parts: Sequence[Tensor | None]) -> Tensor | None:
    present = [part for part in parts if part is not None]
    return torch.stack(present).sum(dim=0) if present else None
