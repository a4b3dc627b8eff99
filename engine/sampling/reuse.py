"""Steps that are not computed, because what they would give is known well enough from those before (EasyCache; Zhou et al. 2025).

With x the input of a step, v its output, and means of magnitudes: k = |Δv| / |Δx| between the last two computed steps. The change
that a step is expected to bring is k |x - x'| / |v'|, with x', v' of the step before. While the sum of these since the last
computed step is below the threshold, v is x plus the v - x of the last computed one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.sampling.denoisers import Branches, Denoiser, Spread, branches, spread

if TYPE_CHECKING:
    from torch import Tensor


class Expected:
    """Decides which steps of a run are computed, at noise levels from `start` down to `end`."""

    def __init__(self, threshold: float, start: float, end: float) -> None:
        self._threshold, self._start, self._end = threshold, start, end
        self._sum = 0.0
        self._rate: float | None = None
        self._before: tuple[Tensor, Tensor] | None = None
        self._x: Tensor | None = None
        self._length = 0.0
        self._last = (-1.0, False)
        self.again = False
        """Whether it was asked of a step that it has decided on, for another part of it."""
        self.steps = self.reused = 0
        self.told: list[str] = []
        """A line for each step."""

    def reuses(self, x: Tensor, sigma: float) -> bool:
        """Return whether the step at x is not to be computed."""
        moved = None if self._x is None or self._x.shape != x.shape else _mean(x - self._x)
        self.again = moved == 0.0 and self._last[0] == sigma
        if self.again:
            return self._last[1]
        self.steps += 1
        reused = self._decided(x, sigma, moved)
        self._last = (sigma, reused)
        return reused

    def _decided(self, x: Tensor, sigma: float, moved: float | None) -> bool:
        self._x = x.clone()
        known = moved is not None and self._rate is not None and self._length > 0.0
        if known and self._end <= sigma <= self._start:
            assert moved is not None
            assert self._rate is not None
            self._sum += self._rate * moved / self._length
            if self._sum < self._threshold:
                self.told.append(f"sigma {sigma:g}: known, expected change {self._sum:.4f}")
                return True
        self.told.append(f"sigma {sigma:g}: computed, expected change {self._sum:.4f}")
        self._sum = 0.0
        return False

    def came(self, x: Tensor, output: Tensor, *, computed: bool) -> None:
        """Take note of what a step at x gave; it may have been computed although it need not have been."""
        if self.again:
            return
        self.reused += not computed
        self._length = _mean(output)
        if not computed:
            return
        if self._before is not None and self._before[0].shape == x.shape:
            moved = _mean(x - self._before[0])
            self._rate = _mean(output - self._before[1]) / moved if moved > 0.0 else self._rate
        self._before = (x.clone(), output.clone())

    def summary(self, name: str) -> str:
        """Return what a person is told after the run."""
        computed = max(1, self.steps - self.reused)
        return (
            f"{name}: {self.reused} of {self.steps} steps were not computed, {self.steps / computed:.2f} times as fast."
        )


def _mean(x: Tensor) -> float:
    return float(x.float().abs().mean())


class LazyDenoiser:
    """A guided prediction of which steps are not computed: the same on x and the predicted x_0, whatever the network is."""

    def __init__(self, inner: Denoiser, expected: Expected) -> None:
        self._inner, self._expected = inner, expected
        self._added: Tensor | None = None

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """Return the prediction (B, C, h, w)."""
        return self._once(x, sigma, lambda: self._inner(x, sigma))

    def branches(self, x: Tensor, sigma: float) -> Branches:
        """Return both predictions, which are always computed."""
        return branches(self._inner, x, sigma)

    def spread(self, x: Tensor, sigma: float) -> Spread:
        """Return the prediction with its learned variance, where there is one, which is then always computed."""
        found: list[Spread] = []

        def compute() -> Tensor:
            found.append(spread(self._inner, x, sigma))
            return found[0].prediction

        prediction = self._once(x, sigma, compute)
        return found[0] if found else Spread(prediction, None)

    def _once(self, x: Tensor, sigma: float, compute: Callable[[], Tensor]) -> Tensor:
        if self._expected.reuses(x, sigma) and self._added is not None:
            output = x + self._added
            self._expected.came(x, output, computed=False)
            return output
        output = compute()
        self._added = output - x
        self._expected.came(x, output, computed=True)
        return output


def chosen(inner: Any, expected: Expected | None) -> Any:
    """Return a denoiser that leaves steps out, itself where there is nothing to decide by."""
    return inner if expected is None else LazyDenoiser(inner, expected)
