"""What packs are told of the device, and of how the program was started."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.paths import Paths
from engine.plugins.compat.host import Host
from engine.plugins.compat.install import install_shim, uninstall_shim


@pytest.fixture
def on(tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Install the shim on a machine that computes with the device of that name."""
    yield lambda device: install_shim(Host(Paths(tmp_path), device=lambda: device))
    uninstall_shim()


@pytest.mark.parametrize(("device", "state", "memory"), [("cpu", "CPU", "DISABLED"), ("cuda:1", "GPU", "NORMAL_VRAM")])
def test_packs_are_told_the_device_of_the_worker_while_they_are_imported(
    on: Any, monkeypatch: pytest.MonkeyPatch, device: str, state: str, memory: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: device == "cpu")  # what torch sees does not count
    on(device)
    import comfy.model_management
    from comfy.cli_args import args

    assert comfy.model_management.get_torch_device() == torch.device(device)
    assert comfy.model_management.cpu_state.name == state
    assert comfy.model_management.vram_state.name == memory
    assert args.cpu is (device == "cpu")


def test_what_the_machine_has_is_measured_when_it_is_asked_for(host: Host) -> None:
    from comfy import model_management

    assert model_management.total_ram * (1 << 20) >= model_management.get_free_memory() > 0
    assert 0 < model_management.maximum_vram_for_weights() < model_management.total_vram * (1 << 20)
    assert model_management.pick_weight_dtype(torch.float8_e4m3fn, torch.float16) is torch.float16
    with pytest.raises(AttributeError, match=r"model_management.*no attribute 'no_such_thing'"):
        model_management.no_such_thing  # noqa: B018
