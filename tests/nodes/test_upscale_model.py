"""Pictures made larger by networks: in tiles, within memory, cancelled between tiles; and a real network where its library is."""

from __future__ import annotations

import importlib.util
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from engine.authoring.context import Cancelled
from engine.models import upscaling
from engine.models.errors import CheckpointError, ModelError
from engine.models.handles import decode_handle, encode_handle
from engine.models.manager import ModelManager
from engine.models.upscaling import Upscaler
from nodes.upscale_model import image_upscale_with_model, upscale_model_loader
from tests.conftest import _save as save


class Doubling:
    """Stands for the library's description of a network: every pixel becomes four. It can run out of memory."""

    scale = 2
    input_channels = output_channels = 3

    def __init__(self, most: int = 10_000) -> None:
        self.most = most
        self.tiles: list[tuple[int, ...]] = []
        self.places: list[str] = []
        self.model = nn.Linear(4, 4)

    def to(self, place: Any) -> Doubling:
        self.places.append(str(place))
        return self

    def eval(self) -> Doubling:
        return self

    def __call__(self, planes: torch.Tensor) -> torch.Tensor:
        if max(planes.shape[2:]) > self.most:
            raise torch.OutOfMemoryError("too large")
        self.tiles.append(tuple(planes.shape[2:]))
        return planes.repeat_interleave(2, 2).repeat_interleave(2, 3) * 1.0


def larger(picture: torch.Tensor) -> torch.Tensor:
    return picture[..., :3].repeat_interleave(2, 1).repeat_interleave(2, 2)


def test_pictures_are_enlarged_in_tiles_and_every_tile_is_told_of():
    network, picture, told = Doubling(), torch.rand(2, 40, 600, 4), []
    made = Upscaler(network, "x2", "cpu").enlarge(picture, lambda *done: told.append(done))
    assert torch.allclose(made, larger(picture), atol=1e-6)
    assert network.tiles == [(40, 512), (40, 120)] * 2
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_tiles_are_halved_where_memory_runs_out_and_no_further_than_128():
    network, picture = Doubling(most=200), torch.rand(1, 16, 300, 3)
    assert torch.allclose(Upscaler(network, "x2", "cpu").enlarge(picture), larger(picture), atol=1e-6)
    assert [width for _, width in network.tiles] == [128, 128, 108]
    with pytest.raises(torch.OutOfMemoryError):
        Upscaler(Doubling(most=20), "x2", "cpu").enlarge(picture)


def test_a_job_is_cancelled_between_tiles():
    network = Doubling()

    def cancelled(done: int, total: int) -> None:
        if done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        Upscaler(network, "x2", "cpu").enlarge(torch.rand(3, 40, 600, 3), cancelled)
    assert len(network.tiles) == 2


def test_values_stay_within_a_pictures_and_gray_networks_are_refused():
    bright = Doubling()
    picture = torch.full((1, 8, 8, 3), 2.0)
    assert float(Upscaler(bright, "x2", "cpu").enlarge(picture).max()) == 1.0
    bright.input_channels = 1
    with pytest.raises(ModelError, match="x2: a network from 1 to 3 channels"):
        Upscaler(bright, "x2", "cpu").enlarge(picture)


@pytest.fixture
def library(monkeypatch):
    """In the place of spandrel: it knows tensors named `doubling`."""

    class UnsupportedError(Exception):
        pass

    class Loader:
        def load_from_state_dict(self, tensors: dict[str, Any]) -> Any:
            if "doubling" not in tensors:
                raise UnsupportedError
            return Doubling() if len(tensors) == 1 else SimpleNamespace()

    made = SimpleNamespace(ModelLoader=Loader, UnsupportedModelError=UnsupportedError, ImageModelDescriptor=Doubling)
    monkeypatch.setitem(sys.modules, "spandrel", made)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: made)


def file_of(bench: Any, tensors: dict[str, torch.Tensor], name: str = "x2.safetensors") -> str:
    save(bench.paths.folders("upscale_models")[0] / name, tensors)
    return name


def test_a_network_is_read_once_for_several_pictures_and_given_back(bench, library, monkeypatch):
    handle = upscale_model_loader(bench, file_of(bench, {"doubling": torch.ones(2)}))
    assert decode_handle(encode_handle(handle)) == handle
    reads: list[str] = []
    load = upscaling.load_network
    monkeypatch.setattr(upscaling, "load_network", lambda path: reads.append(path.name) or load(path))
    picture = torch.rand(1, 8, 8, 3)
    for _ in range(2):
        assert torch.equal(image_upscale_with_model(bench, handle, picture), larger(picture))
    assert reads == ["x2.safetensors"]
    assert bench.models.free() >= 4 * 4 * 4
    image_upscale_with_model(bench, handle, picture)
    assert reads == ["x2.safetensors"] * 2


def test_it_makes_room_for_other_models(bench, library, tiny_sd):
    manager = ModelManager("cpu", byte_budget=1)
    handle = manager.upscale_model(bench.paths.find("upscale_models", file_of(bench, {"doubling": torch.ones(2)})))
    with manager.use(handle) as first:
        assert first.scale == 2
    with manager.use(handle) as second:
        assert second is first
    with manager.use(manager.vae(tiny_sd.file("checkpoints", "tiny.safetensors"))):
        pass
    with manager.use(handle) as third:
        assert third is not first


def test_a_network_that_a_pack_loaded_is_taken_and_put_back(bench):
    network, picture = Doubling(), torch.rand(1, 8, 8, 3)
    network.device = torch.device("cpu")
    assert torch.equal(image_upscale_with_model(bench, network, picture), larger(picture))
    assert network.places == ["cpu", "cpu"]


def test_files_that_hold_something_else_are_told_in_words(bench, library):
    other = upscale_model_loader(bench, file_of(bench, {"a": torch.ones(2)}, "other.safetensors"))
    with pytest.raises(CheckpointError, match=r"other\.safetensors: not a network that spandrel knows"):
        image_upscale_with_model(bench, other, torch.rand(1, 8, 8, 3))
    filling = upscale_model_loader(
        bench, file_of(bench, {"doubling": torch.ones(2), "mask": torch.ones(2)}, "fill.safetensors")
    )
    with pytest.raises(CheckpointError, match=r"fill\.safetensors: takes more than a picture"):
        image_upscale_with_model(bench, filling, torch.rand(1, 8, 8, 3))


def test_without_the_library_the_loader_names_the_extra(bench, monkeypatch):
    name = file_of(bench, {"doubling": torch.ones(2)})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install safelight\[upscale\]"):
        upscale_model_loader(bench, name)


def esrgan(width: int = 8, scale: int = 2) -> dict[str, torch.Tensor]:
    """ESRGAN's tensors by its first release's names (Wang et al. 2018): a block of three dense blocks, of small random weights."""
    generator = torch.Generator().manual_seed(3)
    found: dict[str, torch.Tensor] = {}

    def conv(name: str, inputs: int, outputs: int) -> None:
        found[f"{name}.weight"] = torch.randn(outputs, inputs, 3, 3, generator=generator) * 0.1
        found[f"{name}.bias"] = torch.randn(outputs, generator=generator) * 0.1

    conv("model.0", 3, width)
    for dense in (1, 2, 3):
        for layer in range(5):
            name = f"model.1.sub.0.RDB{dense}.conv{layer + 1}.0"
            conv(name, width + 32 * layer, width if layer == 4 else 32)
    conv("model.1.sub.1", width, width)
    conv("model.3", width, width)
    conv("model.5", width, width)
    conv("model.7", width, 3)
    return found


def by_hand(weights: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """ESRGAN of one block and one doubling, x (B, 3, H, W)."""

    def conv(name: str, value: torch.Tensor) -> torch.Tensor:
        return nn.functional.conv2d(value, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1)

    def leaky(value: torch.Tensor) -> torch.Tensor:
        return nn.functional.leaky_relu(value, 0.2)

    first = conv("model.0", x)
    block = first
    for dense in (1, 2, 3):
        seen = [block]
        for layer in range(4):
            seen.append(leaky(conv(f"model.1.sub.0.RDB{dense}.conv{layer + 1}.0", torch.cat(seen, dim=1))))
        block = block + 0.2 * conv(f"model.1.sub.0.RDB{dense}.conv5.0", torch.cat(seen, dim=1))
    body = first + conv("model.1.sub.1", 0.2 * block + first)
    grown = leaky(conv("model.3", nn.functional.interpolate(body, scale_factor=2)))
    return conv("model.7", leaky(conv("model.5", grown)))


def test_an_esrgan_gives_what_its_paper_says(bench):
    """Whole, and in tiles away from where they meet."""
    pytest.importorskip("spandrel")
    weights = esrgan()
    handle = upscale_model_loader(bench, file_of(bench, weights, "esrgan.safetensors"))
    picture = torch.rand(1, 24, 40, 3)
    expected = by_hand(weights, picture.movedim(-1, 1)).clamp(0, 1).movedim(1, -1)
    made = image_upscale_with_model(bench, handle, picture)
    assert made.shape == (1, 48, 80, 3)
    assert float((made - expected).abs().max()) <= 1e-5
    assert 0.0 < float(made.mean()) < 1.0
