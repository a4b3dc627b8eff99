"""A network without some layers is that network with layers that add nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from nodes.loaders import denoiser_loader
from tests.conftest import _tokenizer_json
from tests.runs import bench_of, text

POOLED = {"sd3": 72, "flux": 32}


def _flux(base: Path, tiny_sd: Any) -> Any:
    from tests.families import write_flux

    return write_flux(base, tiny_sd.tokenizer_files, _tokenizer_json(tiny_sd.tokenizer_files))


def _sd3(base: Path, tiny_sd: Any) -> Any:
    from tests.families import write_sd3

    return write_sd3(base, tiny_sd.tokenizer_files, _tokenizer_json(tiny_sd.tokenizer_files), newer=True)


def _chroma(base: Path, tiny_sd: Any) -> Any:
    from tests.tiny_chroma import write

    return write(base, _tokenizer_json(tiny_sd.tokenizer_files))


def _qwen(base: Path, tiny_sd: Any) -> Any:
    from tests.tiny_qwen_image import write_qwen_image

    return write_qwen_image(base)


def _z_image(base: Path, tiny_sd: Any) -> Any:
    from tests.tiny_z_image import write_z_image

    return write_z_image(base)


def _lumina(base: Path, tiny_sd: Any) -> Any:
    from tests.tiny_lumina2 import write_lumina2

    return write_lumina2(base)


def _flux2(base: Path, tiny_sd: Any) -> Any:
    from tests.tiny_flux2 import write

    return write(base, guidance=False)


def _auraflow(base: Path, tiny_sd: Any) -> Any:
    from tests.tiny_auraflow import write_auraflow

    return write_auraflow(base)


def _longcat(base: Path, tiny_sd: Any) -> Any:
    from tests.tiny_longcat import write_longcat

    return write_longcat(base)


def _ovis(base: Path, tiny_sd: Any) -> Any:
    from tests.tiny_ovis import write_ovis

    return write_ovis(base)


Layers = tuple[list[int], list[int]]
CASES: list[tuple[str, Callable[[Path, Any], Any], list[Layers]]] = [
    ("sd3", _sd3, [([1], []), ([0, 2], [0])]),
    ("flux", _flux, [([1], []), ([], [0]), ([0], [1])]),
    ("chroma", _chroma, [([1], []), ([], [0])]),
    ("flux2_klein", _flux2, [([0], []), ([], [1])]),
    ("auraflow", _auraflow, [([0], []), ([], [0])]),
    ("longcat_image", _longcat, [([0], []), ([], [0])]),
    ("ovis_image", _ovis, [([0], []), ([], [0])]),
    ("qwen_image", _qwen, [([1], [0])]),
    ("z_image", _z_image, [([1], []), ([], [0])]),
    ("lumina2", _lumina, [([1], []), ([], [0])]),
]
LISTS = {
    "sd3": ("transformer_blocks", ""),
    "flux": ("transformer_blocks", "single_transformer_blocks"),
    "chroma": ("transformer_blocks", "single_transformer_blocks"),
    "flux2_klein": ("transformer_blocks", "single_transformer_blocks"),
    "auraflow": ("joint_transformer_blocks", "single_transformer_blocks"),
    "longcat_image": ("transformer_blocks", "single_transformer_blocks"),
    "ovis_image": ("transformer_blocks", "single_transformer_blocks"),
    "qwen_image": ("transformer_blocks", ""),
    "z_image": ("layers", "layers"),
    "lumina2": ("layers", "layers"),
}


def model_of(bench: Any, tiny: Any) -> Any:
    from nodes.loaders import checkpoint_loader

    folder = tiny.base / "models"
    files = sorted(path.name for path in (folder / "diffusion_models").glob("*.safetensors"))
    if files:
        return denoiser_loader(bench, files[0])
    return checkpoint_loader(bench, min(path.name for path in (folder / "checkpoints").glob("*3.safetensors"))).MODEL


@pytest.mark.parametrize(("family", "write", "wanted"), CASES, ids=[case[0] for case in CASES])
def test_layers_left_out_are_layers_that_add_nothing(family, write, wanted, tmp_path, tiny_sd):
    tiny = write(tmp_path, tiny_sd)
    bench = bench_of(tiny)
    model = model_of(bench, tiny)
    assert model.family == family
    with bench.models.use(model) as network:
        width = next(model.config[key] for key in ("joint_attention_dim", "cap_feat_dim") if key in model.config)
        options = {"pooled_output": text(1, POOLED.get(family, 8), 3)[0]}
        x = torch.randn(1, model.latent.channels, 8, 8, generator=torch.Generator().manual_seed(4))
        told = network.inputs(options, x, True)

        def call() -> torch.Tensor:
            return network(x, torch.tensor([500.0]), text(5, width, 5), options=told)

        whole = call()
        for double, single in wanted:
            with network.without_layers([*double, 90], single):
                got = call()
            layers = {
                getattr(network.module, name)[number]
                for name, numbers in zip(LISTS[family], (double, single), strict=True)
                for number in numbers
                if name
            }
            kept = [(one, one.clone()) for layer in layers for one in layer.parameters()]
            for one, _ in kept:
                one.zero_()
            expected = call()
            for one, before in kept:
                one.copy_(before)
            assert float((got - expected).abs().max()) <= 1e-5
            assert float((got - whole).abs().max()) > 1e-3
        assert torch.equal(call(), whole)
        with pytest.raises(ModelError, match="none of the layers to skip is there"), network.without_layers([90], []):
            pass


def test_a_network_that_keeps_references_says_that_all_its_layers_do(tmp_path, tiny_sd):
    from nodes.prefix_cache import flux_kv_cache

    bench = bench_of(_flux2(tmp_path, tiny_sd))
    model = flux_kv_cache(denoiser_loader(bench, "flux2.safetensors"))
    with bench.models.use(model) as network:
        refused = pytest.raises(ModelError, match="where references are kept")
        with refused, network.without_layers([0], []):
            pass
