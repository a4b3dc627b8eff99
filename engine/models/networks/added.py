"""What control networks add to the layers of transformers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Added:
    """What one control network adds to a stack of layers, tensors (B, T, D); each for the same number of layers in a row.

    `repeats`: they come round again and again instead.
    """

    parts: Sequence[Tensor]
    repeats: bool = False

    def to(self, number: int, layers: int) -> Tensor | None:
        """Return what is added after layer `number` of `layers`; None for nothing."""
        if self.repeats:
            return self.parts[number % len(self.parts)]
        return self.parts[number // math.ceil(layers / len(self.parts))]


@dataclass(frozen=True, eq=False)
class Placed:
    """What one control network adds after some layers, by their numbers, tensors (B, T, D)."""

    parts: Mapping[int, Tensor]

    def to(self, number: int, layers: int) -> Tensor | None:
        """Return what is added after layer `number` of `layers`; None for nothing."""
        return self.parts.get(number)


def per_layer(added: Sequence[Added | Placed], layers: int, tokens: int, place: Tensor) -> list[Tensor] | None:
    """Return the sum of what is added after each of `layers`, (B, `tokens`, D) on the device and in the dtype of `place`.

    Tokens that a control network does not know, of pictures to go by, get nothing. None when nothing is added.
    """
    if not added or not layers:
        return None
    found = []
    for number in range(layers):
        parts = [part.to(place) for one in added if (part := one.to(number, layers)) is not None]
        total = torch.stack(parts).sum(0) if len(parts) > 1 else parts[0] if parts else place.new_zeros(1, 1, 1)
        missing = tokens - total.shape[1] if parts else 0
        found.append(torch.nn.functional.pad(total, (0, 0, 0, missing)) if missing else total)
    return found


def added_to(control: Mapping[str, Any] | None, stack: str) -> Sequence[Added | Placed]:
    """Return what control networks add to a stack of layers, "double" or "single"."""
    found: Sequence[Added | Placed] = (control or {}).get(stack, ())
    return found


@contextmanager
def within(layers: Sequence[nn.Module], control: Mapping[str, Any] | None, tokens: int) -> Iterator[None]:
    """Let what control networks add within a stack be added, in the block, to the first `tokens` tokens after each layer.

    Layers give the picture's tokens (B, T, D) last of what they give.
    """
    functions = (control or {}).get("between", ())

    def after(number: int, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        hidden = given[-1]
        own = hidden[:, :tokens]
        total = own + sum(function(number, own) for function in functions)
        return (*given[:-1], torch.cat([total, hidden[:, tokens:]], dim=1))

    with ExitStack() as held:
        for number, layer in enumerate(layers if functions else ()):
            hook = layer.register_forward_hook(lambda _, __, given, number=number: after(number, given))
            held.callback(hook.remove)
        yield


@contextmanager
def refined(layers: Sequence[nn.Module], control: Mapping[str, Any] | None) -> Iterator[None]:
    """Add, in the block, what control networks have under "refiner" ({layer: (B, T, D)}) to what these layers give."""
    found: Sequence[Mapping[int, Tensor]] = (control or {}).get("refiner", ())
    with ExitStack() as held:
        for one in found:
            for number, added in one.items():
                hook = layers[number].register_forward_hook(lambda _, __, given, added=added: given + added.to(given))
                held.callback(hook.remove)
        yield


def by_layer(control: Mapping[str, Any] | None, place: Tensor) -> dict[int, Tensor] | None:
    """Return the sum of what control networks add to each layer by number, in the dtype of `place`; None for nothing."""
    found: dict[int, Tensor] = {}
    for one in (control or {}).get("layers", ()):
        for number, added in one.items():
            found[number] = found[number] + added.to(place) if number in found else added.to(place)
    return found or None


@contextmanager
def before_text(embedder: nn.Module, control: Mapping[str, Any] | None) -> Iterator[int]:
    """Let what control networks put before the text stand there, in the block; how many tokens that is."""
    parts = (control or {}).get("before text", ())
    if not parts:
        yield 0
        return
    tokens = torch.cat(list(parts), dim=1)

    def after(_: nn.Module, __: Any, given: Tensor) -> Tensor:
        return torch.cat([tokens.to(given).expand(len(given), -1, -1), given], dim=1)

    hook = embedder.register_forward_hook(after)
    try:
        yield tokens.shape[1]
    finally:
        hook.remove()
