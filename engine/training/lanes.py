"""Spread work over threads that each keep to one core: gradients of a batch, and plain mapping.

Threads that split single operations wait for one another at the end of every one, thousands of times a step. A lane works
through a whole forward and backward pass before it waits: as fast on an idle machine, several times faster on a busy one.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor, nn


class Lanes:
    """Replicas of a network that share its weights and have gradients of their own."""

    def __init__(self, network: nn.Module, count: int) -> None:
        """Make `count` lanes; the first one is `network` itself, and the sum of the gradients ends up there."""
        self.replicas = [network, *(_replica(network) for _ in range(count - 1))]
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="lane")
        self._threads = _threads(count)

    def split(self, batch: Tensor) -> tuple[Tensor, ...]:
        """Cut a batch (B, …) into at most one part a lane."""
        return batch.chunk(len(self.replicas))

    def backward(self, loss_of: Callable[[nn.Module, int], Tensor], parts: int) -> float:
        """Call `loss_of(replica, part)` and backward on it for every part; return the sum of the losses.

        The losses must already be shares of the whole batch's. Gradients are summed in the order of the lanes, so that the
        result does not depend on which thread was faster.
        """
        for replica in self.replicas:
            replica.zero_grad()
        losses = list(self._pool.map(lambda part: self._work(loss_of, part), range(parts)))
        own = list(self.replicas[0].parameters())
        for replica in self.replicas[1:parts]:
            for mine, theirs in zip(own, replica.parameters(), strict=True):
                if mine.grad is not None and theirs.grad is not None:
                    mine.grad += theirs.grad
        return sum(losses)

    def _work(self, loss_of: Callable[[nn.Module, int], Tensor], part: int) -> float:
        torch.set_num_threads(self._threads)
        loss = loss_of(self.replicas[part], part)
        torch.autograd.backward(loss)
        return float(loss.detach())


@torch.no_grad()
def spread(work: Callable[[Tensor], Tensor], items: Tensor, batch: int, lanes: int = 2) -> Tensor:
    """Apply `work` to parts of `items` (N, …) of at most `batch`, in `lanes` threads, without gradients; join the results."""

    def one(part: Tensor) -> Tensor:
        # Both settings belong to a thread.
        torch.set_num_threads(_threads(lanes))
        with torch.no_grad():
            return work(part)

    with ThreadPoolExecutor(lanes, thread_name_prefix="lane") as pool:
        return torch.cat(list(pool.map(one, torch.split(items, batch))))


def _threads(lanes: int) -> int:
    return max(1, (os.cpu_count() or 1) // lanes)


def _replica(network: nn.Module) -> nn.Module:
    replica = copy.deepcopy(network)
    for own, shared in zip(replica.parameters(), network.parameters(), strict=True):
        own.data = shared.data
    return replica
