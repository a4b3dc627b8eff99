"""A network called for windows of a long row of frames (or pictures, or lines), whose predictions are put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch

from engine.models.errors import ModelError
from engine.sampling.context_windows import SCHEDULES, Window, free_noise, region, weights
from engine.sampling.denoisers import Occasion

if TYPE_CHECKING:
    from torch import Tensor

    from engine.denoising.inside.base import Given, Inner, Where

KIND: Final = "windows"

_HARDLY: Final = 1e-6
"""How much a prediction counts that was made of another frame's latent."""


@dataclass(frozen=True)
class _Part:
    """A condition within a window, which patches further inside tell from it within another."""

    condition: Any
    window: Window

    @property
    def area(self) -> Any:
        return getattr(self.condition, "area", None)


class Windows:
    """The patch: windows along `dim` of x. See `nodes/context_windows.py` for what the rest means."""

    def __init__(
        self,
        where: Where,
        length: int,
        overlap: int,
        schedule: str,
        stride: int,
        closed: bool,
        fuse: str,
        dim: int,
        kept_in_cond: Sequence[int],
        kept_in_latent: Sequence[int],
        split: bool,
        causal: bool,
        free: bool,
    ) -> None:
        self._levels = where.levels
        self._length, self._overlap, self._stride, self._closed = length, overlap, stride, closed
        self._schedule, self._fuse, self._dim = SCHEDULES[schedule], fuse, dim
        self._kept_in_cond, self._kept_in_latent = kept_in_cond, kept_in_latent
        self._split, self._causal, self.free = split, causal, free

    def __call__(self, given: Given, inner: Inner) -> Tensor:
        """Return the prediction, put together from those for windows where the row is longer than one."""
        parts = max(1, len(given.occasion.conditions)) if self._dim == 0 else 1
        frames = self._frames(given.x, parts)
        if frames <= self._length:
            return inner(given)
        if self._dim and given.control is not None:
            raise ModelError(
                f"context windows over dimension {self._dim}: what a ControlNet adds cannot be cut there. Leave the ControlNet "
                "or the windows out; windows over pictures of a batch (dim 0) can have one."
            )
        found: Tensor | None = None
        total = torch.zeros(frames)
        for window in self._schedule(
            frames, self._length, self._overlap, self._stride, self._closed, self._step(given)
        ):
            output = self._predicted(given, inner, window, frames, parts)
            if found is None:
                found = output.new_zeros(*self._shape(output, given.x.shape, frames, parts))
            share = weights(self._fuse, window, frames, self._overlap)
            for place in self._kept_in_latent:
                if place < len(window) and window[place] != place:
                    share[place] *= _HARDLY
            total.index_add_(0, torch.tensor(window), share)
            self._add(found, output * self._along(share, output, parts), window, parts)
        assert found is not None
        return found / self._along(total, found, parts)

    def shuffled(self, noise: Tensor, seed: int) -> Tensor:
        """Return the noise (B, C, …) that a run of this seed starts with."""
        dim = self._dim
        if not self.free or dim >= noise.ndim or noise.shape[dim] <= self._length:
            return noise
        return free_noise(noise, dim, self._length, self._overlap, seed)

    def _frames(self, x: Tensor, parts: int) -> int:
        if self._dim >= x.ndim:
            raise ModelError(
                f"context windows: dim is {self._dim}, and this model's latents have the dimensions 0 (pictures of a batch) and "
                f"2 to {x.ndim - 1}. Choose one of these."
            )
        return x.shape[self._dim] // parts

    def _step(self, given: Given) -> int:
        """Which step of the run this is, 0 the first."""
        levels = self._levels or ()
        return max(0, sum(level >= given.sigma * (1.0 - 1e-6) for level in levels) - 1)

    def _predicted(self, given: Given, inner: Inner, window: Window, frames: int, parts: int) -> Tensor:
        """What the network gives for a window, (…, len(window), …) along the dimension."""
        anchor = self._anchor(given.x, window)
        places = [*anchor, *window]
        x = self._taken(given.x, places, parts, len(anchor), self._kept_in_latent)
        changes: dict[str, Any] = {"x": x, "occasion": self._within(given.occasion, window)}
        if given.concat is not None and given.concat.shape[self._dim] == given.x.shape[self._dim]:
            changes["concat"] = self._taken(given.concat, places, parts, len(anchor), self._kept_in_cond)
        given = self._told(given, window, frames) if self._split else given
        if self._dim == 0:
            rows = [part * frames + place for part in range(parts) for place in places]
            index = torch.tensor(rows, device=given.x.device)
            count = parts * frames
            changes |= {"t": given.t[index], "context": given.context[index.to(given.context.device)]}
            changes |= {name: _rows(getattr(given, name), index, count) for name in ("options", "control")}
        output = inner(given.but(**changes))
        return output if not anchor else output.narrow(self._dim, len(anchor), len(window))

    def _anchor(self, x: Tensor, window: Window) -> list[int]:
        """The frame before a window, which a network whose first frame is unlike others takes for that."""
        frames_axis = x.ndim == 5 and self._dim == 2
        return [window[0] - 1] if self._causal and frames_axis and window[0] > 0 else []

    def _taken(self, x: Tensor, places: Sequence[int], parts: int, anchors: int, kept: Sequence[int]) -> Tensor:
        """Places of x along the dimension, in each of its parts; those in `kept` stand at their own number in the window."""
        chosen = list(places)
        for place in kept:
            if anchors + place < len(chosen):
                chosen[anchors + place] = place
        size = x.shape[self._dim] // parts
        index = torch.tensor([part * size + place for part in range(parts) for place in chosen], device=x.device)
        return x.index_select(self._dim, index)

    def _within(self, occasion: Occasion, window: Window) -> Occasion:
        return occasion._replace(conditions=tuple(_Part(one, window) for one in occasion.conditions))

    def _told(self, given: Given, window: Window, frames: int) -> Given:
        """The same call with the text of that condition, of several combined ones, which is for the window's part of the row."""
        occasion = given.occasion
        rows = len(given.x) // max(1, len(occasion.conditions))
        contexts = list(torch.split(given.context, rows))
        options = dict(given.options or {})
        for part, number in enumerate(occasion.numbers):
            peers = occasion.peers.get(number, ())
            if len(peers) < 2:
                continue
            peer = peers[region(window, frames, len(peers))]
            if peer.context.shape != contexts[part].shape:
                raise ModelError(
                    "context windows: split_conds_to_windows wants combined texts of the same length, got "
                    f"{contexts[part].shape[1]} and {peer.context.shape[1]} tokens. Make the texts alike, or switch it off."
                )
            contexts[part] = peer.context.to(contexts[part])
            for name, value in peer.options.items():
                if isinstance(value, torch.Tensor) and isinstance(options.get(name), torch.Tensor):
                    own = list(torch.split(options[name], rows))
                    own[part] = value.to(own[part])
                    options[name] = torch.cat(own)
        return given.but(context=torch.cat(contexts), options=options or None)

    def _shape(self, output: Tensor, shape: Sequence[int], frames: int, parts: int) -> list[int]:
        sizes = list(output.shape)
        sizes[self._dim] = frames * parts
        return sizes

    def _along(self, values: Tensor, like: Tensor, parts: int) -> Tensor:
        """Values (n,) as a tensor that goes along the dimension of `like`, in each of its parts."""
        shape = [1] * like.ndim
        shape[self._dim] = -1
        return values.repeat(parts).to(like).reshape(shape)

    def _add(self, found: Tensor, output: Tensor, window: Window, parts: int) -> None:
        size = found.shape[self._dim] // parts
        index = [part * size + place for part in range(parts) for place in window]
        found.index_add_(self._dim, torch.tensor(index, device=found.device), output)


def _rows(value: Mapping[str, Any] | None, index: Tensor, count: int) -> Any:
    """Rows of all tensors with so many among what a network is given."""
    if value is None:
        return None
    return {name: _of(one, index, count) for name, one in value.items()}


def _of(value: Any, index: Tensor, count: int) -> Any:
    if isinstance(value, torch.Tensor):
        return value[index.to(value.device)] if value.ndim and len(value) == count else value
    return [_of(one, index, count) for one in value] if isinstance(value, list | tuple) else value
