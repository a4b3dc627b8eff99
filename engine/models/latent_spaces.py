"""Whose latents a latent holds: a mark beside its numbers, by which those of another autoencoder are noticed.

Latents of different autoencoders may have the same shape, and what one made another turns into noise. A mark tells the space by
its values, so that families with one autoencoder agree, and holds for exactly the numbers that it was put on: a node that
changes these and knows nothing of marks leaves a latent without one, which fits wherever its shape does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from engine.datatypes.latent_formats import same_latents
from engine.datatypes.parameterization import LatentFormat
from engine.models import autoencoders
from engine.models.families import families
from engine.models.handles import ModelHandle, VaeHandle
from engine.models.marks import digest

if TYPE_CHECKING:
    from torch import Tensor

MARK: Final = "latent_space"
"""Entry of a LATENT: the space, by its numbers and a title, and `of`, the digest of the samples that it is told of."""

_SHOWN: Final = 3
"""Families that a message names at most."""


class Space(NamedTuple):
    """A space of latents, and what messages call it: the family of the model it is told by, else those that have it."""

    latent: LatentFormat
    title: str

    def is_of(self, other: Space) -> bool:
        """Say whether latents of both are one autoencoder's."""
        return same_latents(self.latent, other.latent)


def space_of(handle: ModelHandle | VaeHandle) -> Space | None:
    """Return the space of a model's or an autoencoder's latents; None where its file does not tell.

    Autoencoders of the kind `kl` have the same tensors whatever their latents mean: one in a file of its own does not tell. A
    scale that no family is published with does not tell either.
    """
    known = handle.latent
    beside = isinstance(handle, ModelHandle) or handle.beside_network
    if isinstance(handle, VaeHandle):
        fixed = autoencoders.kind_named(handle.kind).LATENT
        if (fixed is None and not beside) or (fixed is not None and fixed.channels != known.channels):
            return None
        known = fixed or known
    having = [family for family in families() if same_latents(known, family.latent)]
    own = [family.title for family in having if beside and family.name == handle.family]
    return Space(known, (own or [_joined([family.title for family in having])])[0]) if having else None


def _joined(titles: list[str]) -> str:
    more = f" and {len(titles) - _SHOWN} more" if len(titles) > _SHOWN else ""
    return ", ".join(titles[:_SHOWN]) + more


def with_samples(latent: Mapping[str, Any], samples: Tensor, space: Space | None) -> dict[str, Any]:
    """Return a LATENT with other samples (B, C, …), marked as `space`; unmarked for None."""
    kept = {name: value for name, value in latent.items() if name != MARK}
    if space is None:
        return {**kept, "samples": samples}
    values = {
        "title": space.title,
        "channels": space.latent.channels,
        "downscale": space.latent.downscale,
        "scale": space.latent.scale,
        "means": list(space.latent.means),
        "deviations": list(space.latent.deviations),
    }
    return {**kept, "samples": samples, MARK: {**values, "of": digest(samples)}}


def changed(latent: Mapping[str, Any], samples: Tensor) -> dict[str, Any]:
    """Return a LATENT with samples that were made of its own: of the same space, where that is known."""
    return with_samples(latent, samples, told(latent))


def side_by_side(first: Mapping[str, Any], second: Mapping[str, Any], samples: Tensor) -> dict[str, Any]:
    """Return the first LATENT with samples in which those of both stand apart; of a space that both have."""
    one, other = told(first), told(second)
    return with_samples(first, samples, one if one and other and one.is_of(other) else None)


def told(latent: Mapping[str, Any]) -> Space | None:
    """Return the space of a LATENT; None for one without a mark, or whose samples are not those that it was put on."""
    mark = latent.get(MARK)
    if not isinstance(mark, Mapping) or mark.get("of") != digest(latent["samples"]):
        return None
    return Space(
        LatentFormat(
            channels=mark["channels"],
            downscale=mark["downscale"],
            scale=mark["scale"],
            means=tuple(mark["means"]),
            deviations=tuple(mark["deviations"]),
        ),
        mark["title"],
    )


def check(latent: Mapping[str, Any], wanted: Space | None, who: str, instead: str) -> None:
    """Raise ValueError for latents of another space than `wanted`, where both are known.

    `who` begins the message ("This VAE decodes"), `instead` says what to do.
    """
    found = None if wanted is None else told(latent)
    if wanted is not None and found is not None and not found.is_of(wanted):
        raise ValueError(
            f"{who} latents of {wanted.title}; it was given some of {found.title}, which have the same shape and mean something "
            f"else. {instead}"
        )


def check_alike(first: Mapping[str, Any], second: Mapping[str, Any]) -> None:
    """Raise ValueError for two LATENTs that are to be mixed, and are of different spaces."""
    one, other = told(first), told(second)
    if one is not None and other is not None and not one.is_of(other):
        raise ValueError(
            f"The first latent is of {one.title}, the second of {other.title}: they have the same shape, but mean different "
            "things, and a mix of them means nothing. Decode one with its own VAE, and encode the picture with the other's."
        )
