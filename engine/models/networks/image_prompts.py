"""Cross-attention of U-Nets that looks at pictures beside the text: by the same query, with their own keys (Ye et al. 2023)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor, nn

PROMPTS: Final = "image prompts"
"""Name of a list of `ImagePrompt` among what control networks give."""

_CROSS: Final = ".attn2.processor"


class Place(NamedTuple):
    """A cross-attention to text, and the transformer it is in, which is given (B, C, h, w); paths in the network."""

    attention: str
    within: str


@dataclass(frozen=True, eq=False)
class ImagePrompt:
    """What is added, before the last projection, to what each of `places` gives.

    `look`: (number of the place, query (B, T, D), heads, (h, w) of the tokens) -> (B, T, D).
    """

    places: list[Place]
    look: Callable[[int, Tensor, int, tuple[int, int]], Tensor]


def cross_attentions(unet: Any) -> list[Place]:
    """Return the cross-attentions of a U-Net in the library's order: on the way down, up, in the middle."""
    names = [name.removesuffix(".processor") for name in unet.attn_processors if name.endswith(_CROSS)]
    return [Place(name, name.partition(".transformer_blocks.")[0]) for name in names]


@contextmanager
def looked_at(unet: nn.Module, control: Mapping[str, Any] | None) -> Iterator[None]:
    """Let a U-Net's cross-attentions look at pictures too in the block."""
    with ExitStack() as held:
        for prompt in (control or {}).get(PROMPTS, ()):
            sizes: dict[str, tuple[int, int]] = {}
            for path in dict.fromkeys(place.within for place in prompt.places):
                note = _noted(sizes, path)
                held.callback(unet.get_submodule(path).register_forward_pre_hook(note).remove)
            for number, place in enumerate(prompt.places):
                _attend(held, unet.get_submodule(place.attention), prompt, number, sizes)
        yield


def _attend(
    held: ExitStack, attention: Any, prompt: ImagePrompt, number: int, sizes: dict[str, tuple[int, int]]
) -> None:
    queries: list[Tensor] = []

    def asked(_: Any, __: Any, query: Tensor) -> None:
        queries[:] = [query]

    def before(_: Any, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        (query,) = queries
        queries.clear()
        size = sizes[prompt.places[number].within]
        return (given[0] + prompt.look(number, query, attention.heads, size), *given[1:])

    held.callback(attention.to_q.register_forward_hook(asked).remove)
    held.callback(attention.to_out[0].register_forward_pre_hook(before).remove)


def _noted(sizes: dict[str, tuple[int, int]], path: str) -> Any:
    def before(_: Any, given: tuple[Tensor, ...]) -> None:
        height, width = given[0].shape[-2:]
        sizes[path] = (height, width)

    return before
