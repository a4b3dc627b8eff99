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
    """What a guidance hook sees: all (B, C, h, w) in the sampler's space; `negative` is None when it was not evaluated.

    `cfg`: how strongly `denoised` is guided, a number or one for each picture (B, 1, …); None where no single number says it.
    """

    x: Tensor
    sigma: float
    denoised: Tensor
    positive: Tensor
    negative: Tensor | None
    cfg: float | Tensor | None = None


Hook = Callable[[GuidanceStep], "Tensor"]
"""Returns the denoised latent to use instead; hooks run in order, each seeing the one before it."""


class PairStep(NamedTuple):
    """What is about to be guided: x_0 towards which and from which, all (B, C, …); `negative` is None when nothing is.

    `cfg`: how strongly, a number or one for each picture (B, 1, …).
    """

    x: Tensor
    sigma: float
    positive: Tensor
    negative: Tensor | None
    cfg: float | Tensor


PairHook = Callable[[PairStep], "tuple[Tensor, Tensor | None]"]
"""Returns the positive and negative prediction to guide by instead; they run in order, each seeing what the last one left."""


class CfgFrames(NamedTuple):
    """A cfg that differs between pictures of a batch, or frames: from `least` to the guidance's own.

    `shape` "linear": `least` at the first, the guidance's at the last. "triangle": `least` at both ends.
    """

    shape: str
    least: float


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
    `pairs` make the hooks of a run that change what is guided, a new one for each pair of predictions. `frames`: how cfg
    differs between pictures. `away`: a third conditioning, of which what is perpendicular to the positive one is taken off
    `away_scale` times (Armandpour et al. 2023, Perp-Neg); the negative one is then a neutral one.
    """

    positive: Conditioning
    negative: Conditioning
    cfg: float = 8.0
    rescale: float = 0.0
    always_negative: bool = False
    ranges: tuple[CfgRange, ...] = ()
    hooks: tuple[Hook, ...] = field(default=())
    pairs: tuple[Callable[[], PairHook], ...] = ()
    frames: CfgFrames | None = None
    away: Conditioning | None = None
    away_scale: float = 1.0


@dataclass(frozen=True)
class BasicGuidance:
    """The prediction for one conditioning as it is: one evaluation, no guidance."""

    positive: Conditioning
    hooks: tuple[Hook, ...] = field(default=())
    pairs: tuple[Callable[[], PairHook], ...] = ()


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
    pairs: tuple[Callable[[], PairHook], ...] = ()


Guidance = CfgGuidance | BasicGuidance | DualCfgGuidance
