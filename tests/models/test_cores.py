"""How many threads a model is computed with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import torch

from engine.models.cores import SMALL, Cores
from engine.threads import OWN_CHOICE

OURS = {OWN_CHOICE: "1", "OMP_NUM_THREADS": "3"}


@pytest.fixture(autouse=True)
def _put_back() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def counts(cores: Cores, *parameters: int) -> list[int]:
    """Threads within each of the uses, which are nested, and after them."""
    found = []
    with ExitStack() as stack:
        for size in parameters:
            stack.enter_context(cores.computing(size))
            found.append(torch.get_num_threads())
    return [*found, torch.get_num_threads()]


def test_a_small_network_has_one_thread_and_a_large_one_all() -> None:
    assert counts(Cores("cpu", OURS), SMALL - 1) == [1, 2]
    assert counts(Cores("cpu", OURS), SMALL) == [3, 2]


def test_a_large_network_keeps_its_threads_beside_a_small_one() -> None:
    assert counts(Cores("cpu", OURS), SMALL, 1000) == [3, 3, 2]
    assert counts(Cores("cpu", OURS), 1000, SMALL) == [1, 3, 2]


def test_the_count_is_put_back_when_the_use_fails() -> None:
    cores = Cores("cpu", OURS)
    with pytest.raises(KeyError), cores.computing(1):
        raise KeyError
    assert torch.get_num_threads() == 2
    assert counts(cores, 1) == [1, 2]


@pytest.mark.parametrize(("device", "environment"), [("cpu", {"OMP_NUM_THREADS": "3"}), ("cuda:0", OURS)])
def test_a_set_count_and_other_devices_are_left_alone(device: str, environment: dict[str, str]) -> None:
    assert counts(Cores(device, environment), 1) == [2, 2]
