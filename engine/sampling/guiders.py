"""What steers a run, as data: which conditionings, and how strongly. Imports without torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

Conditioning = Sequence[Sequence[Any]]
"""The field's CONDITIONING: a list of `[tensor (1, T, D), options]`."""


class GuidanceStep(NamedTuple):
    """What a guidance hook sees: all (B, C, h, w) in the sampler's space; `negative` is None when it was not evaluated."""

    x: Tensor
    sigma: float
    denoised: Tensor
    positive: Tensor
    negative: Tensor | None


Hook = Callable[[GuidanceStep], "Tensor"]
"""Returns the denoised latent to use instead; hooks run in order, each seeing the one before it."""


class CfgRange(NamedTuple):
    """A `cfg` that counts while the share of sampling done is within `start`..`end` (0..1)."""

    cfg: float
    start: float
    end: float


@dataclass(frozen=True)
class CfgGuidance:
    """Classifier-free guidance (Ho & Salimans 2022): negative + cfg * (positive - negative).

    `cfg` 1 skips the negative unless `always_negative`. `rescale` 0..1 pulls the guided prediction's spread back towards
    that of the positive one (Lin et al. 2023, section 3.4). `ranges`: where another cfg counts; of several the last.
    """

    positive: Conditioning
    negative: Conditioning
    cfg: float = 8.0
    rescale: float = 0.0
    always_negative: bool = False
    ranges: tuple[CfgRange, ...] = ()
    hooks: tuple[Hook, ...] = field(default=())


@dataclass(frozen=True)
class BasicGuidance:
    """The prediction for one conditioning as it is: one evaluation, no guidance."""

    positive: Conditioning
    hooks: tuple[Hook, ...] = field(default=())


@dataclass(frozen=True)
class DualCfgGuidance:
    """Two guidances at once (Brooks et al. 2023, InstructPix2Pix): towards `positive` from `middle`, and from `negative`.

    Plain: negative + cfg_middle * (middle - negative) + cfg_conds * (positive - middle).
    `nested`: cfg_middle guides from the negative to (middle + cfg_conds * (positive - middle)).
    """

    positive: Conditioning
    middle: Conditioning
    negative: Conditioning
    cfg_conds: float = 8.0
    cfg_middle: float = 8.0
    nested: bool = False
    hooks: tuple[Hook, ...] = field(default=())


Guidance = CfgGuidance | BasicGuidance | DualCfgGuidance
