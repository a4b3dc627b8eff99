"""Attention of U-Nets with something before and after it: processors around the library's, for the time of one call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.networks.unet_places import Attended, Layout

Compute: TypeAlias = "Callable[[Tensor], Tensor]"
"""Self-attention of tokens (B, N, C), with projections."""

Changed: TypeAlias = "Callable[[Tensor, Compute], Tensor]"
"""What is computed in its place."""


class _Around:
    def __init__(self, inner: Any, changed: Changed) -> None:
        self._inner, self._changed = inner, changed

    def __call__(self, attn: Any, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return the attention's output (B, N, C); where it looks at a text, as some networks' first one does, as it is."""
        if (args and args[0] is not None) or kwargs.get("encoder_hidden_states") is not None:
            found: Tensor = self._inner(attn, hidden_states, *args, **kwargs)
            return found
        return self._changed(hidden_states, lambda tokens: self._inner(attn, tokens, *args, **kwargs))


@contextmanager
def self_attention(changes: Iterable[tuple[Attended, Changed]]) -> Iterator[None]:
    """Let self-attention of transformer blocks be computed otherwise in the block."""
    with ExitStack() as held:
        for attended, changed in changes:
            attention = attended.module.attn1
            held.callback(setattr, attention, "processor", attention.processor)
            attention.processor = _Around(attention.processor, changed)
        yield


@contextmanager
def sizes_noted(layout: Layout) -> Iterator[dict[int, tuple[int, int]]]:
    """Give a record, by number of the transformer, of the height and width that its tokens have in the call in the block."""
    found: dict[int, tuple[int, int]] = {}

    def note(number: int) -> Any:
        def before(_: Any, arguments: tuple[Tensor, ...]) -> None:
            height, width = arguments[0].shape[-2:]
            found[number] = (height, width)

        return before

    with ExitStack() as hooks:
        for number, transformer in {one.transformer: one.within for one in layout.attended}.items():
            hooks.callback(transformer.register_forward_pre_hook(note(number)).remove)
        yield found
