"""A network compiled by torch.compile for the calls of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch

from engine.models.errors import ModelError
from engine.models.handles import HYPERNETWORKS

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.denoising.inside.base import Given, Inner, Where

KIND: Final = "compiled"

_KEPT: Final = "safelight_compiled"
"""Attribute of a module: what it was compiled to, by backend. It goes with the module."""


class Compiled:
    """The patch. What is compiled does not see functions that others put into the network, so such calls are not compiled."""

    def __init__(self, where: Where, backend: str) -> None:
        self._network, self._backend = where.network, backend
        self._foreign = False

    def __call__(self, given: Given, inner: Inner) -> Tensor:
        """Return the prediction, of the compiled network. Raises ModelError where it cannot be compiled, with the reason."""
        module: Any = self._network.module
        handle = self._network.handle
        if _is_entered(module) or HYPERNETWORKS in handle.options:
            self._foreign = True
            return inner(given)
        before = module._compiled_call_impl
        try:
            module._compiled_call_impl = self._made(module)
            return inner(given)
        except Exception as problem:
            if type(problem).__module__.startswith(("torch._dynamo", "torch._inductor")):
                raise ModelError(self._refused(problem)) from problem
            raise
        finally:
            module._compiled_call_impl = before

    def told(self) -> tuple[str, list[str]]:
        """Return what a person is told of a run."""
        if not self._foreign:
            return "", []
        return (
            "TorchCompileModel: calls of the network that other nodes put functions into were not compiled, as these would not "
            "be seen. Leave this node out, or those.",
            [],
        )

    def _made(self, module: nn.Module) -> Any:
        if self._backend == "cudagraphs" and self._network.device.type != "cuda":
            raise ModelError(
                f"TorchCompileModel: backend: cudagraphs is for CUDA cards, and the model is computed on {self._network.device}. "
                "Choose inductor, or leave this node out."
            )
        kept = module.__dict__.setdefault(_KEPT, {})
        if self._backend not in kept:
            kept[self._backend] = torch.compile(module._call_impl, backend=self._backend)
        return kept[self._backend]

    def _refused(self, problem: Exception) -> str:
        reason = " ".join(str(problem).split())[:300]
        return (
            f"TorchCompileModel: torch.compile with {self._backend} failed on {self._network.device}: {type(problem).__name__}: "
            f"{reason} On a CPU inductor needs a C++ compiler (g++ or clang), on a card Triton. Install what is missing, or "
            "leave this node out: the model then runs as it is."
        )


def _is_entered(module: nn.Module) -> bool:
    """Whether functions or other modules have been put into a network, which compiled code would not see."""
    for one in module.modules():
        if one._forward_hooks or one._forward_pre_hooks or "forward" in one.__dict__:
            return True
        if type(one).__name__ == "_LeftOut" or type(getattr(one, "processor", None)).__module__.startswith("engine."):
            return True
    return False
