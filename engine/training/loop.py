"""Parts that both training loops share: time, learning rate, precision."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import torch


class Clock:
    """When to save and when to stop. `now` gives seconds."""

    def __init__(
        self, max_seconds: float | None, save_seconds: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        """Stop after `max_seconds` (None: never), save every `save_seconds`."""
        self._now = now
        self._start = now()
        self._saved = self._start
        self._end = math.inf if max_seconds is None else self._start + max_seconds
        self._save_seconds = save_seconds

    def seconds(self) -> float:
        """Seconds since the start."""
        return self._now() - self._start

    def is_over(self) -> bool:
        """Whether the time given is used up."""
        return self._now() >= self._end

    def is_save_due(self) -> bool:
        """Whether to save now; true once every `save_seconds`."""
        now = self._now()
        if now - self._saved < self._save_seconds:
            return False
        self._saved = now
        return True


def learning_rate(step: int, steps: int, peak: float, warmup: int, decay_from: float) -> float:
    """Linear warm-up over `warmup` steps, `peak`, then half a cosine down to 2 % of it from the share `decay_from` of `steps`."""
    start = decay_from * steps
    rate = peak * min(1.0, (step + 1) / max(1, warmup))
    if step <= start:
        return rate
    progress = min(1.0, (step - start) / max(1.0, steps - start))
    return rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))


def precision(device: str = "cpu") -> AbstractContextManager[object]:
    """Autocast to bfloat16 where the device computes in it, which halves a step; else full precision."""
    if device != "cpu":
        return torch.autocast(
            device, torch.bfloat16, enabled=torch.cuda.is_available() and torch.cuda.is_bf16_supported()
        )
    native = (
        torch.backends.cpu.get_cpu_capability().startswith("AVX512") and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )
    return torch.autocast("cpu", torch.bfloat16, enabled=native)
