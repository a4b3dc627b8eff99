"""Gradients computed in several threads."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from engine.training.lanes import Lanes, spread


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))


def gradients(count: int, batch: int = 7) -> tuple[float, list[torch.Tensor]]:
    net = network()
    lanes = Lanes(net, count)
    parts = lanes.split(torch.randn(batch, 3, generator=torch.Generator().manual_seed(1)))
    loss = lanes.backward(lambda replica, part: replica(parts[part]).square().sum() / batch, len(parts))
    return loss, [parameter.grad for parameter in net.parameters()]


@pytest.mark.parametrize("count", [2, 3])
def test_lanes_together_give_the_gradient_of_the_whole_batch(count):
    one_loss, one = gradients(1)
    loss, several = gradients(count)
    assert loss == pytest.approx(one_loss, rel=1e-5)
    for expected, got in zip(one, several, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-6, rtol=1e-5)


def test_a_batch_smaller_than_the_lanes_uses_as_many_as_it_has_pictures():
    one, several = gradients(1, batch=1), gradients(3, batch=1)
    assert one[0] == several[0]
    assert all(torch.equal(a, b) for a, b in zip(one[1], several[1], strict=True))


def test_replicas_see_an_update_of_the_weights_and_start_every_batch_without_gradients():
    net = network()
    lanes = Lanes(net, 2)
    inputs = torch.ones(2, 3)
    first = lanes.backward(lambda replica, part: replica(inputs[part]).sum(), 2)
    gradient = [parameter.grad.clone() for parameter in net.parameters()]
    lanes.backward(lambda replica, part: replica(inputs[part]).sum(), 2)
    assert all(torch.equal(a, b.grad) for a, b in zip(gradient, net.parameters(), strict=True))
    torch.optim.SGD(net.parameters(), lr=0.1).step()
    assert lanes.backward(lambda replica, part: replica(inputs[part]).sum(), 2) < first


def test_an_error_in_a_lane_reaches_the_caller():
    lanes = Lanes(network(), 2)

    def broken(replica: nn.Module, part: int) -> torch.Tensor:
        raise ArithmeticError(f"part {part}")

    with pytest.raises(ArithmeticError, match="part 0"):
        lanes.backward(broken, 2)


def test_spread_keeps_the_order_and_records_no_gradients():
    weight = torch.ones(1, requires_grad=True)
    out = spread(lambda part: part * weight, torch.arange(10.0), 3)
    assert out.tolist() == list(range(10))
    assert not out.requires_grad
