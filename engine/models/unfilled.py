"""Modules without weights, for weights that come from a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch
from torch.nn import init
from torch.overrides import TorchFunctionMode

_FILLING: Final = frozenset(
    {
        *(one for name, one in vars(init).items() if name.endswith("_") and not name.startswith("_")),
        *(getattr(torch.Tensor, name) for name in ("uniform_", "normal_", "fill_", "zero_")),
    }
)
"""What gives a layer's weights their first values."""


class Unfilled(TorchFunctionMode):
    """While this is entered, modules made by this thread have their weights on the meta device: no memory, no time.

    What a module computes when it is made is real, unlike under `torch.device("meta")`: buffers and tables of positions,
    which no file holds. torch's layers make their weights by `torch.empty`, and nothing else by it. Other threads are left alone.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call `func`, on the meta device where it is `torch.empty` and no device is told; fill nothing there."""
        told = dict(kwargs or {})
        if func is torch.empty and told.get("device") is None:
            told["device"] = "meta"
        if func in _FILLING:
            filled = args[0] if args else told["tensor"]
            if filled.is_meta:
                return filled
        return func(*args, **told)
