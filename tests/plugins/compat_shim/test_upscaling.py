"""Enlarging pictures with a network of the user's, and work in tiles."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from engine.models.handles import Source, UpscaleHandle
from engine.plugins.compat import upscale_models
from engine.plugins.compat.host import Host
from engine.plugins.compat.running import running


class Doubling:
    """Stands for a network: every pixel becomes four. It notes the tiles it saw, and can run out of memory."""

    scale = 2

    def __init__(self, most: int = 10_000) -> None:
        self.most = most
        self.tiles: list[tuple[int, ...]] = []
        self.devices: list[str] = []

    def to(self, device: Any) -> Doubling:
        self.devices.append(str(device))
        return self

    def __call__(self, planes: torch.Tensor) -> torch.Tensor:
        if max(planes.shape[2:]) > self.most:
            raise torch.OutOfMemoryError("too large")
        self.tiles.append(tuple(planes.shape[2:]))
        return planes.repeat_interleave(2, 2).repeat_interleave(2, 3)


def test_a_picture_is_enlarged_tile_by_tile_and_the_network_put_back(host: Host, told: Any) -> None:
    from comfy_extras.nodes_upscale_model import ImageUpscaleWithModel

    network, picture = Doubling(), torch.rand(2, 40, 600, 3)
    with running(told):
        (large,) = ImageUpscaleWithModel().upscale(network, picture)
    assert torch.allclose(large, picture.repeat_interleave(2, 1).repeat_interleave(2, 2), atol=1e-6)
    assert network.tiles == [(40, 512), (40, 120)] * 2
    assert network.devices[-1] == "cpu"
    assert told.steps[-1] == (4, 4)


def test_tiles_are_halved_where_memory_runs_out(host: Host) -> None:
    from comfy_extras.nodes_upscale_model import ImageUpscaleWithModel

    network, picture = Doubling(most=200), torch.rand(1, 16, 300, 3)
    (large,) = ImageUpscaleWithModel().upscale(network, picture)
    assert large.shape == (1, 32, 600, 3)
    assert [width for _, width in network.tiles] == [128, 128, 108]
    with pytest.raises(torch.OutOfMemoryError):
        ImageUpscaleWithModel().upscale(Doubling(most=20), picture)


def test_what_a_pack_does_to_a_network_of_ours_is_done_to_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is moved away after use, and perhaps made coarser; our node goes on with what it has."""
    network = torch.nn.Conv2d(3, 3, 1)
    ours = SimpleNamespace(use=lambda handle: nullcontext(SimpleNamespace(network=network)))
    monkeypatch.setattr(upscale_models, "model_manager", lambda: ours)
    theirs = upscale_models.UpscaleModel.of(UpscaleHandle(source=Source("x2.pth", "1")))
    before = theirs(torch.ones(1, 3, 2, 2))
    assert torch.equal(before, network(torch.ones(1, 3, 2, 2)))
    theirs.half()
    theirs.to("meta")
    assert theirs.weight.is_meta
    assert (network.weight.device.type, network.weight.dtype) == ("cpu", torch.float32)


def test_the_loader_lists_the_files_and_says_which_package_reads_them(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib

    from comfy.utils import save_torch_file
    from comfy_extras.nodes_upscale_model import UpscaleModelLoader

    folder = host.paths.base / "models" / "upscale_models"
    save_torch_file({"w": torch.ones(2)}, folder / "x2.safetensors")
    assert UpscaleModelLoader.INPUT_TYPES()["required"]["model_name"] == (["x2.safetensors"],)

    def missing(name: str, package: str | None = None) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(NotImplementedError, match="pip install spandrel"):
        UpscaleModelLoader().load_model("x2.safetensors")


@pytest.mark.parametrize(("width", "height"), [(600, 40), (512, 512), (513, 512), (1000, 1500), (33, 2000)])
def test_the_promised_number_of_tiles_is_the_number_that_is_worked_on(host: Host, width: int, height: int) -> None:
    from comfy.utils import get_tiled_scale_steps, tiled_scale

    network = Doubling()
    tiled_scale(torch.zeros(1, 1, height, width), network, 512, 512, 32, 2, 1)
    assert len(network.tiles) == get_tiled_scale_steps(width, height, 512, 512, 32)
