"""Modules without weights, for weights that come from a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


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
        """Call `func`, on the meta device where it is `torch.empty` and no device is told."""
        told = dict(kwargs or {})
        if func is torch.empty and told.get("device") is None:
            told["device"] = "meta"
        return func(*args, **told)
