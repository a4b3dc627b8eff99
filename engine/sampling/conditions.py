"""Conditionings made ready for a run: everything that does not change from step to step is computed once, here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from engine.datatypes.parameterization import LatentFormat
from engine.sampling.denoisers import Residuals, Under, Weights
from engine.sampling.guiders import Conditioning
from engine.sampling.masked_picture import masked_picture
from engine.sampling.masks import (
    Area,
    covering,
    covers,
    crop,
    feathered,
    fit_mask,
    mask_bounds,
    pixels,
    repeat_to,
    resolve_area,
)
from engine.sampling.noise_schedule import ABOVE_ALL_SIGMAS, NoiseSchedule

ControlFunction = Callable[[Tensor, Tensor, Tensor, Mapping[str, Any] | None], Residuals]
"""`(x, t, context, what else the network is given) -> {"down": [...], "mid": ...}`: a ControlNet, its hint and strength bound."""

Controls = Callable[[Any, int], ControlFunction]
"""`(control of a conditioning, pictures of the run)` -> its function; called once for each control of a run.

x has one row for each picture under the first condition, then for each under the next, and so must the hints be repeated.
"""

Inputs = Callable[[Mapping[str, Any], Tensor, bool], Mapping[str, Any]]
"""`(options of a conditioning, latent (B, C, h, w) of the run in network space, whether it is the positive one)` -> what its
network takes beside text and time.

Tensors have a row for each picture, or one for all of them; other values must be the same for conditions that share a call.
`concat` (b, C', h', w') among them is a picture that goes beside the latent on channels: it is cut and resized as the latent is.
"""

Hooked = Callable[[Any, bool], Weights]
"""`(hooks of a conditioning, whether it is the positive one)` -> the weights under which its network predicts, by noise level."""

HOOKS = "hooks"
"""Option of a conditioning: changes to weights that are for it alone."""

CONTROL_TEXT, CONTROL_POOLED = "cross_attn_controlnet", "pooled_output_controlnet"
"""Options of a conditioning: the text (1, T, D) and the pooled text that its control networks are told instead of its own."""

BOXES = "gligen"
"""Option of a conditioning: a control of texts in boxes."""

FILLS = "default"
"""Option of a conditioning: it holds where the others beside it do not."""

RUN_LEVELS = "run_levels"
"""Among the options that `Inputs` is given: the levels (n + 1,) of the run, for networks that are told where a step ends."""

RUN_SEED = "run_seed"
"""Among the options that `Inputs` is given: the seed of the run, for networks that are given something with noise on it."""

RUN_MASK = "run_mask"
"""Among the options that `Inputs` is given: the noise mask (B, 1, …, h, w) of the run, or None."""

CONCAT = "concat"
"""The name under which `Inputs` gives such a picture."""


@dataclass(frozen=True)
class ControlLink:
    """One ControlNet of a chain: its function, active while `end` <= sigma <= `start`.

    `emptied`: what stands for it in the branches that have none of their own, where that is not nothing.
    """

    function: ControlFunction
    start: float
    end: float
    emptied: ControlLink | None = None

    def active(self, sigma: float) -> bool:
        """Whether it takes part at this noise level."""
        return self.end <= sigma <= self.start


class Told(NamedTuple):
    """A text for control networks: the context (B, T, D), and what the network's `inputs` made of its options."""

    context: Tensor
    options: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Condition:
    """One entry of a CONDITIONING, resolved against a latent (B, C, h, w).

    `context` (B, T, D); `weight` a number or (b, 1, h', w') over `area`; active while `end` <= sigma <= `start`;
    `concat` (B, C', h, w) or None; `options`: what the network asked to be given, tensors as (B, …). `repeats_text`: the
    context may be repeated to the length of another. `weights`: those that the network has for it, by noise level, and `under`
    those at one of them. `fills`: it weighs what the others of its conditioning leave of each place. `told`: what control
    networks are told in the place of its text. `borrowed`: it is the counterpart of another's area, and has its control.
    """

    context: Tensor
    weight: float | Tensor
    area: Area | None
    start: float
    end: float
    control: tuple[ControlLink, ...]
    concat: Tensor | None
    options: Mapping[str, Any]
    repeats_text: bool = True
    weights: Weights | None = None
    under: Under | None = None
    fills: bool = False
    told: Told | None = None
    borrowed: bool = False

    def active(self, sigma: float) -> bool:
        """Whether it takes part at this noise level."""
        return self.end <= sigma <= self.start


class Steering(NamedTuple):
    """A control of a model itself, and what makes its function."""

    make: Controls
    control: Any


@dataclass(frozen=True)
class Surroundings:
    """What conditions are resolved against: the latent of the run (in network space) and the facts about its model.

    `noise_mask` is (B, 1, h, w) or None. `inputs` makes what the network takes beside text and time of a conditioning's options.
    `repeats_text`: whether a text that is repeated says the same to it. `guided_channels`: how many of the first channels
    guidance is for; None: all. `seed` and `levels` (n + 1,): of the run. `hooked`: what makes the weights that
    hooks mean. `steering`: controls of the model itself, and of that of negative conditionings.
    """

    schedule: NoiseSchedule
    latent_format: LatentFormat
    latent: Tensor
    noise_mask: Tensor | None = None
    controls: Controls | None = None
    inpaint_model: bool = False
    inputs: Inputs | None = None
    repeats_text: bool = True
    guided_channels: int | None = None
    seed: int = 0
    levels: Tensor | None = None
    hooked: Hooked | None = None
    steering: tuple[Steering, ...] = ()
    negative_steering: tuple[Steering, ...] = ()


def prepare(lists: Sequence[Conditioning], around: Surroundings) -> list[list[Condition]]:
    """Resolve the conditionings of a guidance (positive first) for a run.

    Raises ValueError where a conditioning is empty, has texts of several widths, or has a control that nothing here can run.
    """
    for name, conditioning in zip(("positive", "second", "third"), lists):
        if not conditioning:
            raise ValueError(f"the {name} conditioning is empty: expected at least one encoded text; connect one")
        widths = sorted({context.shape[-1] for context, _ in conditioning})
        if len(widths) > 1:  # told now, and not at the step from which one of them holds
            raise ValueError(
                f"the {name} conditioning has texts of the widths {', '.join(map(str, widths))}, of text encoders of different "
                "models; encode all of them with those of the model that samples"
            )
    chains: dict[int, tuple[ControlLink, ...]] = {}
    prepared = [
        [_condition(context, options, around, chains, positive=number == 0) for context, options in entries]
        for number, entries in enumerate(lists)
    ]
    # A prediction for an area is guided against one for the same area: the other conditionings get its counterpart.
    for own in prepared:
        for others in prepared:
            if others is not own:
                for condition in list(own):
                    _add_counterpart(condition, others)
    to_all = [
        tuple(link for link in c.control if link.emptied is None)
        for (_, options), c in zip(lists[0], prepared[0])
        if options.get("control_apply_to_uncond")
    ]
    for conditions in prepared[1:]:
        _lend_control([control for control in to_all if control], conditions)
    _lend_boxes(prepared)
    steering = _own(around, positive=True)
    alike = all(getattr(control, "away", None) is None for _, control in around.negative_steering)
    same = alike and around.negative_steering is around.steering
    negative = steering if same else _own(around, positive=False)
    return [
        [replace(one, control=one.control + (negative if number else steering)) for one in conditions]
        for number, conditions in enumerate(prepared)
    ]


def _condition(
    context: Tensor,
    options: Mapping[str, Any],
    around: Surroundings,
    chains: dict[int, tuple[ControlLink, ...]],
    *,
    positive: bool,
) -> Condition:
    latent, schedule = around.latent, around.schedule
    area, weight = _place(options, latent, around.latent_format.downscale)
    start, end = _moments(options, schedule)
    given = _inputs(options, around, positive=positive)
    concat = given.pop(CONCAT, None)
    if concat is None and around.inpaint_model:
        concat = masked_picture(options, around.latent, around.noise_mask, around.latent_format)
    return Condition(
        context=repeat_to(context.to(device=latent.device, dtype=torch.float32), latent.shape[0]),
        weight=weight,
        area=area,
        start=start,
        end=end,
        control=(*_chain(options.get("control"), around, chains), *_boxes(options.get(BOXES), around, chains)),
        concat=concat,
        options=given,
        repeats_text=around.repeats_text,
        weights=_weights(options.get(HOOKS), around, positive=positive),
        fills=bool(options.get(FILLS)),
        told=_told(options, around, positive=positive),
    )


def _told(options: Mapping[str, Any], around: Surroundings, *, positive: bool) -> Told | None:
    """What control networks are told in the place of a condition's text."""
    context = options.get(CONTROL_TEXT)
    if context is None:
        return None
    given = _inputs({**options, "pooled_output": options.get(CONTROL_POOLED)}, around, positive=positive)
    given.pop(CONCAT, None)
    return Told(repeat_to(context.to(device=around.latent.device, dtype=torch.float32), around.latent.shape[0]), given)


def _moments(options: Mapping[str, Any], schedule: NoiseSchedule) -> tuple[float, float]:
    """The noise levels from and down to which a condition holds; its text, of a schedule of them, ends before the next begins."""
    start, end = ABOVE_ALL_SIGMAS, 0.0
    if (share := options.get("start_percent")) is not None:
        start = schedule.percent_to_sigma(share)
    if (share := options.get("end_percent")) is not None:
        end = schedule.percent_to_sigma(share)
    if (share := options.get("clip_start_percent")) is not None:
        start = min(start, schedule.percent_to_sigma(share))
    if (share := options.get("clip_end_percent")) is not None and share < 1.0:
        end = max(end, math.nextafter(schedule.percent_to_sigma(share), math.inf))
    return start, end


def _weights(hooks: Any, around: Surroundings, *, positive: bool) -> Weights | None:
    if hooks is None:
        return None
    if around.hooked is None:
        raise ValueError(
            "a conditioning has hooks, but this run was given no model whose weights they could change. Sample with a node that "
            "takes a MODEL or a GUIDER, or leave the hooks out."
        )
    return around.hooked(hooks, positive)


def _place(options: Mapping[str, Any], latent: Tensor, downscale: int) -> tuple[Area | None, float | Tensor]:
    """Return where a condition holds and how much its prediction weighs there."""
    height, width = latent.shape[-2:]
    strength = float(options.get("strength", 1.0))
    frames = latent.shape[2] if latent.ndim > 4 else None
    told = options.get("area")
    area = resolve_area(told, height, width, downscale, frames) if told is not None else None
    if options.get("mask") is not None:
        mask = repeat_to(fit_mask(options["mask"], latent.shape, latent.device), latent.shape[0])
        if options.get("set_area_to_bounds"):
            area = resolve_area(mask_bounds(mask), height, width)
        if area is not None and len(area) > 4:  # a duration, which masks have not
            mask = mask.expand(*mask.shape[:2], latent.shape[2], *mask.shape[3:])
        return area, crop(mask, area) * (float(options.get("mask_strength", 1.0)) * strength)
    if area is None:
        return None, strength
    sides = latent.shape[-len(area) // 2 :]
    return area, feathered(area, tuple(sides), latent.device) * strength


def _chain(control: Any, around: Surroundings, chains: dict[int, tuple[ControlLink, ...]]) -> tuple[ControlLink, ...]:
    """Return the links of a control and of all it builds on; the same object gives the same links, so it can batch."""
    if control is None:
        return ()
    if around.controls is None:
        raise ValueError("a conditioning has a control, but this run was given no `controls` to run it with")
    if id(control) not in chains:
        percent_to_sigma = around.schedule.percent_to_sigma
        links: list[ControlLink] = []
        link = control
        while link is not None:
            start, end = percent_to_sigma(link.start_percent), percent_to_sigma(link.end_percent)
            links.append(ControlLink(around.controls(link, around.latent.shape[0]), start, end))
            link = link.previous
        chains[id(control)] = tuple(links)
    return chains[id(control)]


def _boxes(use: Any, around: Surroundings, chains: dict[int, tuple[ControlLink, ...]]) -> tuple[ControlLink, ...]:
    """Return the links of texts in boxes, each with what stands for it where there are none: the same without strength."""
    if use is None:
        return ()
    if id(use) not in chains:
        links, place = [], use
        while place is not None:
            alone = replace(place, previous=None)
            (empty,) = _chain(replace(alone, strength=0.0), around, {})
            (link,) = _chain(alone, around, {})
            links.append(replace(link, emptied=empty))
            place = place.previous
        chains[id(use)] = tuple(links)
    return chains[id(use)]


def _lend_boxes(prepared: list[list[Condition]]) -> None:
    """Give conditionings without texts in boxes what stands for those of the first, as networks for them were trained."""
    lent = next((links for one in prepared[0] if (links := [link for link in one.control if link.emptied])), [])
    for conditions in prepared[1:] if lent else ():
        for place, condition in enumerate(conditions):
            others = tuple(link for link in condition.control if link.emptied is None)
            own = [link for link in condition.control if link.emptied is not None and not condition.borrowed]
            added = own or [link.emptied for link in lent if link.emptied is not None]
            conditions[place] = replace(condition, control=(*others, *added))


def _own(around: Surroundings, *, positive: bool) -> tuple[ControlLink, ...]:
    """Return the links of what steers the model itself: the same for each positive conditioning, and for each of the others."""
    percent_to_sigma, pictures = around.schedule.percent_to_sigma, around.latent.shape[0]
    return tuple(
        ControlLink(
            make(control if positive else _turned(control), pictures),
            percent_to_sigma(control.start_percent),
            percent_to_sigma(control.end_percent),
        )
        for make, control in (around.steering if positive else around.negative_steering)
    )


def _turned(control: Any) -> Any:
    """A control as negative conditionings have it."""
    away = getattr(control, "away", None)
    return control if away is None else replace(control, hint=away)


def _inputs(options: Mapping[str, Any], around: Surroundings, *, positive: bool) -> dict[str, Any]:
    """What the network takes beside text and time, tensors with a row for each picture."""
    if around.inputs is None:
        return {}
    run = {RUN_SEED: around.seed, RUN_LEVELS: around.levels, RUN_MASK: around.noise_mask}
    given = dict(around.inputs({**run, **options}, around.latent, positive))
    if CONCAT in given:
        given[CONCAT] = covering(given[CONCAT].to(around.latent), *around.latent.shape[-2:])
    return {name: _batched(value, around.latent) for name, value in given.items()}


def _batched(value: Any, latent: Tensor) -> Any:
    return repeat_to(value.to(latent.device), latent.shape[0]) if isinstance(value, Tensor) else value


def _add_counterpart(condition: Condition, others: list[Condition]) -> None:
    """Give `others` the closest of its texts for this condition's area, unless it has that area already."""
    if condition.area is None:
        return
    covering = [other for other in others if other.area is not None and covers(other.area, condition.area)]
    whole = [other for other in others if other.area is None]
    if any(other.area == condition.area for other in covering):
        return
    smallest = sorted(covering, key=lambda other: pixels(other.area))[:1] or whole[:1]
    for text in smallest:
        others.append(
            replace(
                condition,
                context=text.context,
                concat=text.concat,
                options=text.options,
                weights=text.weights,
                fills=False,
                told=text.told,
                borrowed=True,
            )
        )


def _lend_control(controls: list[tuple[ControlLink, ...]], conditions: list[Condition]) -> None:
    """Give the positive's controls to a conditioning that has none of its own on the whole picture."""
    whole = [i for i, condition in enumerate(conditions) if condition.area is None]
    if not whole or any(link.emptied is None for i in whole for link in conditions[i].control):
        return
    for number, control in enumerate(controls):
        place = whole[number % len(whole)]
        conditions[place] = replace(conditions[place], control=(*control, *conditions[place].control))
