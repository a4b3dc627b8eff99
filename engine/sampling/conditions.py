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
from engine.sampling.masks import Area, covering, crop, feathered, fit_mask, mask_bounds, repeat_to, resolve_area
from engine.sampling.noise_schedule import ABOVE_ALL_SIGMAS, NoiseSchedule, to_network_space

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

FILLS = "default"
"""Option of a conditioning: it holds where the others beside it do not."""

RUN_LEVELS = "run_levels"
"""Among the options that `Inputs` is given: the levels (n + 1,) of the run, for networks that are told where a step ends."""

RUN_SEED = "run_seed"
"""Among the options that `Inputs` is given: the seed of the run, for networks that are given something with noise on it."""

CONCAT = "concat"
"""The name under which `Inputs` gives such a picture."""

# Latent of an even grey picture in SD 1's VAE: what an inpainting model sees where it is given no picture.
_GREY_SD1 = (0.8223, -0.6876, 0.6364, 0.1380)


@dataclass(frozen=True)
class ControlLink:
    """One ControlNet of a chain: its function, active while `end` <= sigma <= `start`."""

    function: ControlFunction
    start: float
    end: float

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
    networks are told in the place of its text.
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
    to_all = [c.control for (_, options), c in zip(lists[0], prepared[0]) if options.get("control_apply_to_uncond")]
    for conditions in prepared[1:]:
        _lend_control([control for control in to_all if control], conditions)
    steering = _own(around, positive=True)
    negative = steering if around.negative_steering is around.steering else _own(around, positive=False)
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
        concat = _concat(options, around)
    return Condition(
        context=repeat_to(context.to(device=latent.device, dtype=torch.float32), latent.shape[0]),
        weight=weight,
        area=area,
        start=start,
        end=end,
        control=_chain(options.get("control"), around, chains),
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


def _own(around: Surroundings, *, positive: bool) -> tuple[ControlLink, ...]:
    """Return the links of what steers the model itself; the same for every conditioning that it predicts for."""
    percent_to_sigma, pictures = around.schedule.percent_to_sigma, around.latent.shape[0]
    return tuple(
        ControlLink(
            make(control, pictures), percent_to_sigma(control.start_percent), percent_to_sigma(control.end_percent)
        )
        for make, control in (around.steering if positive else around.negative_steering)
    )


def _inputs(options: Mapping[str, Any], around: Surroundings, *, positive: bool) -> dict[str, Any]:
    """What the network takes beside text and time, tensors with a row for each picture."""
    if around.inputs is None:
        return {}
    run = {RUN_SEED: around.seed, RUN_LEVELS: around.levels}
    given = dict(around.inputs({**run, **options}, around.latent, positive))
    if CONCAT in given:
        given[CONCAT] = covering(given[CONCAT].to(around.latent), *around.latent.shape[-2:])
    return {name: _batched(value, around.latent) for name, value in given.items()}


def _batched(value: Any, latent: Tensor) -> Any:
    return repeat_to(value.to(latent.device), latent.shape[0]) if isinstance(value, Tensor) else value


def _concat(options: Mapping[str, Any], around: Surroundings) -> Tensor:
    """Return mask and masked picture (B, 1 + C, h, w), the further channels of Stable Diffusion's inpainting U-Nets.

    A picture of another shape than the latent, and its mask, are cut about the centre rather than stretched.
    """
    latent = around.latent
    picture = options.get("concat_latent_image")
    if picture is not None and (picture.ndim != latent.ndim or picture.shape[1] != latent.shape[1]):
        raise ValueError(
            f"concat_latent_image: expected a picture to fill of {latent.shape[1]} channels, as the latent {tuple(latent.shape)} "
            f"has, got {tuple(picture.shape)}. Encode it with the VAE that belongs to the model."
        )
    mask = options.get("concat_mask")
    if mask is not None:
        flat = mask.to(latent).reshape(-1, 1, *mask.shape[-2:])
        mask = covering(flat, *latent.shape[-2:])
    else:
        mask = around.noise_mask
    if mask is None:  # all of it is to be made: nothing of a picture shows
        grey = _GREY_SD1 if latent.shape[1] == len(_GREY_SD1) else (0.0,) * latent.shape[1]
        blank = torch.tensor(grey, device=latent.device).reshape(1, -1, 1, 1).expand_as(latent)
        return torch.cat([torch.ones_like(latent[:, :1]), blank], dim=1)
    fitted = repeat_to(fit_mask(mask, latent.shape, latent.device).round(), latent.shape[0])
    seen = latent
    if picture is not None:
        seen = to_network_space(picture.to(latent), around.latent_format)
        seen = repeat_to(covering(seen, *latent.shape[-2:]), latent.shape[0])
    return torch.cat([fitted, seen], dim=1)


def _add_counterpart(condition: Condition, others: list[Condition]) -> None:
    """Give `others` the closest of its texts for this condition's area, unless it has that area already."""
    if condition.area is None:
        return
    covering = [other for other in others if other.area is not None and _covers(other.area, condition.area)]
    whole = [other for other in others if other.area is None]
    if any(other.area == condition.area for other in covering):
        return
    smallest = sorted(covering, key=lambda other: _pixels(other.area))[:1] or whole[:1]
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
            )
        )


def _covers(outer: Area, inner: Area) -> bool:
    axes = len(outer) // 2
    return len(outer) == len(inner) and all(
        outer[axes + axis] <= inner[axes + axis]
        and outer[axes + axis] + outer[axis] >= inner[axes + axis] + inner[axis]
        for axis in range(axes)
    )


def _pixels(area: Area | None) -> int:
    return math.prod(area[: len(area) // 2]) if area is not None else 0


def _lend_control(controls: list[tuple[ControlLink, ...]], conditions: list[Condition]) -> None:
    """Give the positive's controls to a conditioning that has none of its own on the whole picture."""
    whole = [i for i, condition in enumerate(conditions) if condition.area is None]
    if not whole or any(conditions[i].control for i in whole):
        return
    for number, control in enumerate(controls):
        place = whole[number % len(whole)]
        conditions[place] = replace(conditions[place], control=control)
