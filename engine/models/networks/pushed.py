"""What small networks beside a denoiser add to what its layers are given, by the paths of the layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from torch import Tensor, nn

PUSHED: Final = "pushed"
"""Name of a list of `Pushed` among what control networks give."""


@dataclass(frozen=True, eq=False)
class Pushed:
    """What is added to the input x of the layer at `path` in the denoiser's module: `push` (x) in the shape of x."""

    path: str
    push: Callable[[Tensor], Tensor]


@contextmanager
def pushed(module: nn.Module, control: Mapping[str, Any] | None) -> Iterator[None]:
    """Let what control networks add to the inputs of a module's layers be added in the block, in their order."""
    with ExitStack() as held:
        for one in (control or {}).get(PUSHED, ()):
            layer = module.get_submodule(one.path)
            held.callback(layer.register_forward_pre_hook(_before(one.push)).remove)
        yield


def _before(push: Callable[[Tensor], Tensor]) -> Callable[..., Any]:
    def before(_: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        return (given[0] + push(given[0]), *given[1:])

    return before
