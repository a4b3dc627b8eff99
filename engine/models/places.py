"""Where in a file a tensor in memory comes from: by that, tensors of two loads are known to be the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import torch
from torch import Tensor

from engine.models.packed.tensor import PackedTensor

Place: TypeAlias = tuple[object, ...]
"""Of two tensors that one file's bytes make, equal for equal ones."""


class Places:
    """The tensors of a file by name, and where others that were made of them by views lie in them."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._kept = {id(one.kept): name for name, one in tensors.items() if isinstance(one, PackedTensor)}
        plain = {name: one for name, one in tensors.items() if not isinstance(one, PackedTensor)}
        self._bytes = {one.untyped_storage().data_ptr(): name for name, one in plain.items()}

    def of(self, tensor: Tensor, dtype: torch.dtype) -> Place | None:
        """Return the place of a tensor that is brought to `dtype`; None for one that was computed and is no view."""
        if isinstance(tensor, PackedTensor):
            name = self._kept.get(id(tensor.kept))
            return None if name is None else (name, dtype)
        name = self._bytes.get(tensor.untyped_storage().data_ptr())
        if name is None:
            return None
        return name, dtype, tensor.dtype, tensor.storage_offset(), tuple(tensor.shape), tensor.stride()
