"""Sounds made alike, to be put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine.media.sound import resampled, sound_parts

if TYPE_CHECKING:
    from torch import Tensor


def fitted(first: Any, second: Any) -> tuple[Tensor, Tensor, int]:
    """Two sounds (AUDIO) as waveforms with the higher of their rates, two channels at least and the larger batch.

    Raises ValueError for numbers of channels, or batches, of which neither is one.
    """
    (one, rate1), (other, rate2) = sound_parts(first), sound_parts(second)
    rate = max(rate1, rate2)
    one, other = resampled(one, rate1, rate), resampled(other, rate2, rate)
    channels, batch = max(2, one.shape[1], other.shape[1]), max(one.shape[0], other.shape[0])
    one, other = (repeated(widened(each, channels), batch) for each in (one, other))
    return one, other.to(one), rate


def widened(waveform: Tensor, channels: int) -> Tensor:
    """The waveform (B, C, T) with so many channels. Raises ValueError unless it has them, or one."""
    if waveform.shape[1] in (1, channels):
        return waveform.expand(-1, channels, -1)
    raise ValueError(
        f"The sounds have {waveform.shape[1]} and {channels} channels, which cannot be matched. "
        "Give both the same number, or one of them a single channel."
    )


def repeated(waveform: Tensor, batch: int) -> Tensor:
    """The waveform (B, C, T) with so many in its batch. Raises ValueError unless it has them, or one."""
    if waveform.shape[0] in (1, batch):
        return waveform.expand(batch, -1, -1)
    raise ValueError(f"The sounds are batches of {waveform.shape[0]} and {batch}: give equal ones, or one sound alone.")


def joined(sounds: Sequence[Mapping[str, Any] | None], seconds: Sequence[float]) -> dict[str, Any] | None:
    """Sounds behind one another, each cut or filled with silence to its length; None where there is none at all.

    At the highest of their rates; of a batch the first.
    """
    import torch
    from torch.nn.functional import pad

    known = [sound_parts(one) for one in sounds if one is not None]
    if not known:
        return None
    rate, channels = max(rate for _, rate in known), max(waveform.shape[1] for waveform, _ in known)
    pieces = []
    for sound, length in zip(sounds, seconds, strict=True):
        count = round(length * rate)
        if sound is None:
            pieces.append(torch.zeros(1, channels, count))
            continue
        waveform, own = sound_parts(sound)
        even = widened(resampled(waveform[:1], own, rate), channels)[..., :count]
        pieces.append(pad(even, (0, count - even.shape[-1])))
    return {"waveform": torch.cat(pieces, dim=-1), "sample_rate": rate}
