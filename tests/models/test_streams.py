"""Networks of images by transformers, in half precision and with packed weights, as templates name them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.models.manager import ModelManager
from tests import (
    tiny_anima,
    tiny_cosmos,
    tiny_ernie_image,
    tiny_fibo2,
    tiny_ideogram4,
    tiny_joyimage,
    tiny_krea2,
    tiny_wan,
)
from tests.tiny_packed import fp8, int8, write_both

FILES = {
    "ernie_image": (tiny_ernie_image, "ernie.safetensors", 128, 24),
    "krea2": (tiny_krea2, "krea2.safetensors", 16, 192),
    "ideogram4": (tiny_ideogram4, "ideogram4.safetensors", 128, 208),
    "fibo2": (tiny_fibo2, "fibo2.safetensors", 128, 288),
    "joyimage": (tiny_joyimage, "joyimage.safetensors", 16, 16),
    "cosmos_predict2": (tiny_cosmos, "cosmos.safetensors", 16, 20),
    "wan": (tiny_wan, "wan.safetensors", 16, 20),
    "anima": (tiny_anima, "anima.safetensors", 16, 32),
}
OPTIONS = {"anima": {"t5xxl_ids": torch.tensor([[3, 5, 9, 1]])}}
WAYS = {
    "fp8": (fp8("weight_scale"), {"format": "float8_e4m3fn"}),
    "int8, rotated": (int8(group=4), {"format": "int8_tensorwise", "convrot": True, "convrot_groupsize": 4}),
}


@pytest.fixture(scope="module", params=FILES)
def network(request, tmp_path_factory) -> tuple[str, Path]:
    module, name, *_ = FILES[request.param]
    tiny: Any = module.write(tmp_path_factory.mktemp(request.param))
    return request.param, tiny.file("diffusion_models", name)


def called(manager: ModelManager, model: Any) -> torch.Tensor:
    numbers = torch.Generator().manual_seed(2)
    *_, channels, width = FILES[model.family]
    x, context = (torch.randn(1, *size, generator=numbers) for size in ((channels, 4, 6), (5, width)))
    with manager.use(model) as network:
        return network(x, torch.tensor([500.0]), context, options=OPTIONS.get(model.family))


@pytest.mark.parametrize("way", WAYS)
def test_a_packed_network_computes_as_with_the_weights_that_it_is_worth(network, way):
    family, path = network
    packed, plain = write_both(path, *WAYS[way])
    manager = ModelManager()
    model, expected = manager.denoiser(packed), manager.denoiser(plain)
    assert (model.family, model.config) == (family, expected.config)
    assert torch.equal(called(manager, model), called(manager, expected))
    kept = [fact.bytes for fact in manager.loaded()]
    assert kept[0] < 0.6 * kept[1]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_in_half_precision_it_gives_nearly_the_same(network, dtype):
    _, path = network
    exact, half = (ModelManager("cpu", dtype=one) for one in ("float32", dtype))
    wanted, got = (called(manager, manager.denoiser(path)) for manager in (exact, half))
    assert got.dtype == torch.float32
    assert float((got - wanted).abs().mean() / wanted.abs().mean()) < 0.03
