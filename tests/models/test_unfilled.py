"""Modules made for weights that come from a file: weights take no memory, what a module computes for itself is real."""

from __future__ import annotations

import threading

import torch
from torch import nn

from engine.models.unfilled import Unfilled


class Turned(nn.Module):
    """A layer with a buffer that no file holds, and a table that is not even a buffer, as position embeddings have them."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 4)
        self.table = torch.outer(torch.arange(3.0), torch.ones(2))
        self.register_buffer("frequencies", 1.0 / 10 ** torch.arange(3.0), persistent=False)


def test_weights_take_no_memory_and_tables_are_real():
    with Unfilled():
        made = Turned()
    assert made.layer.weight.is_meta
    assert made.layer.bias.is_meta
    assert torch.equal(made.frequencies, torch.tensor([1.0, 0.1, 0.01]))
    assert torch.equal(made.table, torch.tensor([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]))


def test_a_device_that_is_told_stands():
    with Unfilled():
        assert not torch.empty(2, device="cpu").is_meta


def test_other_threads_are_left_alone():
    found: list[bool] = []
    with Unfilled():
        thread = threading.Thread(target=lambda: found.append(nn.Linear(2, 2).weight.is_meta))
        thread.start()
        thread.join()
    assert found == [False]
