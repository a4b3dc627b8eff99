"""Networks of a library made ready for the tensors of a file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn


def settled(module: Any, computed: Iterable[str] = ()) -> nn.Module:
    """Return a module whose state holds what files hold: no counts of batches, and none of the buffers `computed`."""
    left_out = set(computed)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.num_batches_tracked = None
            part.track_running_stats = (
                False  # else it wants a count while it is loaded; its means are used all the same
            )
        part._non_persistent_buffers_set.update(left_out & set(part._buffers))
    made: nn.Module = module
    return made
