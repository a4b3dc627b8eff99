"""What a model's handle says of guidance by a changed network: options that nodes put on it, made ready for a run."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from engine.denoising.inside.base import OPTION, Range
from engine.denoising.inside.middle import WatchedMiddle
from engine.denoising.inside.network import PatchedNetwork
from engine.denoising.inside.windows import Windows
from engine.denoising.records import OwnGuidance
from engine.sampling.guiders import BasicGuidance, CfgGuidance
from engine.sampling.reuse import Expected
from engine.sampling.self_attention import SelfGuidance
from engine.sampling.skips import Skip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from engine.denoising.records import AnyGuidance, LiveModel
    from engine.sampling.samplers.steps import Callback

log = logging.getLogger("safelight.sampling")

PERTURBED: Final = "perturbed_attention"
"""Option: the scale of each PerturbedAttentionGuidance, in order."""

SELF: Final = "self_attention_guidance"
"""Option: [scale, blur] of each SelfAttentionGuidance, in order."""

LAZY: Final = "lazy_cache"
"""Option: [threshold, start, end, whether each step is logged] of LazyCache; of several the last counts."""

NORMALIZED: Final = "normalized_attention"
"""The kind of patch that NAGuidance puts on a model."""


def steered(model: LiveModel, guidance: AnyGuidance, levels: Sequence[float]) -> tuple[LiveModel, AnyGuidance]:
    """Return a model as a run over `levels` wants it, its patches remembering nothing, and a guidance that gives what they need.

    Raises ValueError for a guidance without a negative conditioning, where a patch is about that.
    """
    network: Any = model.network
    told = model.handle.options if model.handle else {}
    watched = bool(told.get(SELF))
    normalized = any(kind == NORMALIZED for kind, _ in told.get(OPTION, ()))
    if isinstance(guidance, OwnGuidance) and (watched or told.get(PERTURBED)):
        name = "SelfAttentionGuidance" if watched else "PerturbedAttentionGuidance"
        raise ValueError(
            f"{name}: a pack has put functions around this model, or guides by itself, and knows no further predictions. Use the "
            "model without that pack's node."
        )
    if normalized and model.negative is not None:
        raise ValueError(
            "NAGuidance: another model predicts for the negative conditioning, whose attention this one does not know. Use a "
            "guider of one model."
        )
    if normalized and isinstance(guidance, BasicGuidance):
        raise ValueError(
            "NAGuidance: the guider has no negative conditioning to guide away from. Use CFGGuider (cfg 1 is enough) or KSampler."
        )
    if (watched or normalized) and isinstance(guidance, CfgGuidance):
        guidance = replace(guidance, always_negative=True)
    if isinstance(network, PatchedNetwork):
        network = network.anew(levels)
        model = replace(model, network=cast("Any", network))
    if watched:
        network = beside(model, "watched_middle", number=_away_from(guidance))
    other: Any = model.negative and model.negative.network
    if model.negative is not None and isinstance(other, PatchedNetwork):
        model = replace(model, negative=replace(model.negative, network=other.anew(levels)))
    return (model if network is model.network else replace(model, network=network)), guidance


def noise_for(model: LiveModel, noise: Tensor, seed: int) -> Tensor:
    """Return the noise that a run of a model starts with: as windows want it, or as it is."""
    for patch in getattr(model.network, "patches", ()):
        if isinstance(patch, Windows):
            noise = patch.shuffled(noise, seed)
    return noise


def perturbed_of(model: LiveModel) -> list[Skip]:
    """Return the guidances by perturbed attention that nodes put on a model."""
    scales = model.handle.options.get(PERTURBED, ()) if model.handle else ()
    return [Skip(beside(model, "perturbed_middle"), 0.0, 1.0, scale) for scale in scales]


def self_guidances_of(model: LiveModel) -> list[SelfGuidance]:
    """Return the self-attention guidances that nodes put on a model that is `steered`."""
    told = model.handle.options.get(SELF, ()) if model.handle else ()
    network: Any = model.network
    watching = [one for one in getattr(network, "patches", ()) if isinstance(one, WatchedMiddle)]
    if not told or not watching:
        return []
    own: Any = network.anew()
    return [SelfGuidance(own, lambda: watching[0].seen, scale, blur) for scale, blur in told]


def lazy_of(model: LiveModel) -> Expected | None:
    """Return what decides which guided predictions of a run are not computed, where a node put that on the model."""
    told = model.handle.options.get(LAZY) if model.handle else None
    if told is None:
        return None
    threshold, start, end, _ = told
    return Expected(threshold, *Range.of(model.schedule, start, end))


def tell(model: LiveModel, lazy: Expected | None, callback: Callback) -> None:
    """Tell the node of a run, where it listens, which steps were not computed; each step is logged where that is wanted."""
    told = [patch.told() for patch in getattr(model.network, "patches", ()) if hasattr(patch, "told")]
    if lazy is not None and model.handle is not None:
        told.append((lazy.summary("LazyCache"), lazy.told if model.handle.options[LAZY][3] else []))
    note = getattr(callback, "note", None)
    for summary, lines in ((one, more) for one, more in told if one):
        for line in lines:
            log.info("%s %s", summary.partition(":")[0], line)
        if note is None:
            log.info(summary)
        else:
            note(summary)


def beside(model: LiveModel, kind: str, **facts: Any) -> Any:
    """Return a model's network with one patch more, and memories of its own."""
    network: Any = model.network
    if isinstance(network, PatchedNetwork):
        return network.beside(kind, **facts)
    return PatchedNetwork(network, model.schedule, [[kind, facts]])


def _away_from(guidance: AnyGuidance) -> int:
    """The number of the conditioning that guidance goes away from; the only one where there is none."""
    return 0 if isinstance(guidance, BasicGuidance) else 1 if isinstance(guidance, CfgGuidance) else 2
