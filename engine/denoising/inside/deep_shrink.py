"""Deep Shrink (kohya 2023): what a U-Net works on is made smaller at one of its input blocks, for a part of the run.

So a picture larger than those that the network has learned gets the composition of one of their size. On the way up it is made
as large again as what comes over the skip connections.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from engine.denoising.inside.base import Range
from engine.media.resizing import resize
from engine.models.errors import ModelError
from engine.models.networks.unet_places import Layout, pairs

if TYPE_CHECKING:
    from torch import Tensor

    from engine.denoising.inside.base import Given, Inner, Where


class DeepShrink:
    """The patch; `factor`: how many times smaller at input block `block`, after what goes over its skip connection or before."""

    def __init__(
        self,
        where: Where,
        block: int,
        factor: float,
        start_percent: float,
        end_percent: float,
        after_skip: bool,
        down: str,
        up: str,
    ) -> None:
        layout = Layout.of(where.network.module)
        assert layout is not None
        self._layout, self._block, self._factor = layout, block, factor
        self._after_skip, self._down, self._up = after_skip, down, up
        self._range = Range.of(where.schedule, start_percent, end_percent)

    def __call__(self, given: Given, inner: Inner) -> Tensor:
        """Return the prediction, made of smaller features where the noise level is in the range."""
        if given.sigma not in self._range:
            return inner(given)
        with ExitStack() as hooks:
            sizes: list[tuple[int, int]] = []
            self._shrink(hooks)  # before sizes are noted: a hook that is hung first is called first
            for _, last in self._layout.inputs:
                hooks.callback(last.register_forward_hook(_noted(sizes)).remove)
            self._grow(hooks, sizes)
            return inner(given.but(control=self._fitted(given)))

    def _shrink(self, hooks: ExitStack) -> None:
        following = [first for first, _ in self._layout.inputs[1:]] + self._layout.middle
        if self._after_skip and self._block < len(following):  # else no layer is left that it could be smaller for
            hooks.callback(following[self._block].register_forward_pre_hook(self._smaller_before).remove)
        elif not self._after_skip:
            hooks.callback(self._layout.inputs[self._block][1].register_forward_hook(self._smaller_after).remove)

    def _smaller(self, h: Tensor) -> Tensor:
        height, width = self._small(h.shape[-2], h.shape[-1])
        return resize(h, width, height, self._down)

    def _small(self, height: int, width: int) -> tuple[int, int]:
        return max(1, round(height / self._factor)), max(1, round(width / self._factor))

    def _smaller_before(self, _: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self._smaller(arguments[0]), *arguments[1:])

    def _smaller_after(self, _: Any, arguments: Any, result: Any) -> Any:
        return (self._smaller(result[0]), *result[1:]) if isinstance(result, tuple) else self._smaller(result)

    def _grow(self, hooks: ExitStack, sizes: Sequence[tuple[int, int]]) -> None:
        """Make h as large as what output block `number` is joined with, before the two are joined."""
        for block, first in self._layout.outputs:
            hooks.callback(block.register_forward_pre_hook(self._block_given(sizes, first), with_kwargs=True).remove)
            parts = pairs(block)
            for number, (resnet, attention) in enumerate(parts[:-1], first + 1):
                last = resnet if attention is None else attention
                hooks.callback(last.register_forward_hook(self._larger_after(sizes, number)).remove)
            for sampler in block.upsamplers or ():
                hooks.callback(sampler.register_forward_pre_hook(_upsampled_to(sizes, first + len(parts))).remove)

    def _larger(self, h: Tensor, size: tuple[int, int]) -> Tensor:
        return h if tuple(h.shape[-2:]) == size else resize(h, size[1], size[0], self._up)

    def _block_given(self, sizes: Sequence[tuple[int, int]], number: int) -> Any:
        def before(_: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
            if "hidden_states" in named:
                return arguments, {**named, "hidden_states": self._larger(named["hidden_states"], sizes[-1 - number])}
            return (self._larger(arguments[0], sizes[-1 - number]), *arguments[1:]), named

        return before

    def _larger_after(self, sizes: Sequence[tuple[int, int]], number: int) -> Any:
        def after(_: Any, arguments: Any, result: Any) -> Any:
            if isinstance(result, tuple):
                return (self._larger(result[0], sizes[-1 - number]), *result[1:])
            return self._larger(result, sizes[-1 - number])

        return after

    def _fitted(self, given: Given) -> Mapping[str, Any] | None:
        """What ControlNets add, as small as what it is added to."""
        control = given.control
        if control is None:
            return control
        if "levels" in control:
            raise ModelError(
                "PatchModelAddDownscale: a T2I-Adapter adds to every level of the U-Net at its full size. Leave the adapter or "
                "this node out, or let the adapter begin where this ends (its start_percent)."
            )
        if "down" not in control:  # of a kind that adds elsewhere, which sees the size itself
            return control
        height, width = given.x.shape[-2:]
        sizes, middle = self._foreseen(height, width)
        down = [resize(one, size[1], size[0], "area") for one, size in zip(control["down"], sizes, strict=True)]
        mid = control.get("mid")
        return {**control, "down": down, "mid": mid if mid is None else resize(mid, middle[1], middle[0], "area")}

    def _foreseen(self, height: int, width: int) -> tuple[list[tuple[int, int]], tuple[int, int]]:
        """The height and width of what each input block gives over its skip connection, and of the middle."""
        size, found = (height, width), []
        for number, (first, _) in enumerate(self._layout.inputs):
            if number and not hasattr(first, "conv1"):  # no residual block
                size = (-(-size[0] // 2), -(-size[1] // 2))
            if number == self._block and not self._after_skip:
                size = self._small(*size)
            found.append(size)
            if number == self._block and self._after_skip:
                size = self._small(*size)
        return found, size


def _noted(sizes: list[tuple[int, int]]) -> Any:
    def after(_: Any, arguments: Any, result: Any) -> None:
        height, width = (result[0] if isinstance(result, tuple) else result).shape[-2:]
        sizes.append((height, width))

    return after


def _upsampled_to(sizes: Sequence[tuple[int, int]], number: int) -> Any:
    """A hook that lets upsampling go to the size that the next output block is joined with."""

    def before(_: Any, arguments: tuple[Any, ...]) -> Any:
        size, (height, width) = sizes[-1 - number], arguments[0].shape[-2:]
        return None if size == (2 * height, 2 * width) else (arguments[0], size)

    return before
