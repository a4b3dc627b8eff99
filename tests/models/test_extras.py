"""Formats that take a library which is not installed: told in a graph, by the loader, with the command that brings it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.authoring.decorator import definition_of
from engine.cache.facade import Cache
from engine.execute.executor import Executor
from engine.execute.services import Services
from engine.graph.validate import check
from engine.models import gguf_files
from engine.models.checkpoints import load_tensors
from engine.models.errors import CheckpointError
from engine.models.manager import ModelManager
from engine.models.packed import load_tensors as load_packed
from engine.models.packed import read_header
from engine.models.packed.base import all_formats
from engine.paths import Paths
from nodes import conditioning, latent, loaders, logic, sampling
from tests.conftest import _tokenizer_json
from tests.families import Tiny, write_flux
from tests.tiny_packed import q8_0, write_gguf

OPTIONAL = ("gguf", "torchao", "bitsandbytes", "comfy_kitchen", "nunchaku")
"""Libraries that make or read such files elsewhere."""


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where none of them is installed."""
    for name in (*OPTIONAL, *(one for one in sys.modules if one.partition(".")[0] in OPTIONAL)):
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("constants", "quants"):
        monkeypatch.setitem(sys.modules, f"gguf.{name}", None)
    gguf_files._read_table.cache_clear()  # what it read while they were there


@pytest.fixture(scope="module")
def flux(tiny_sd: Any, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    files = tiny_sd.tokenizer_files
    made = write_flux(tmp_path_factory.mktemp("tiny_flux"), files, _tokenizer_json(files))
    write_rare(made.file("diffusion_models", "rare.gguf"), made.file("diffusion_models", "flux.safetensors"))
    return made


def write_rare(path: Path, source: Path) -> Path:
    """A network of which one weight is in blocks of a kind that only the package unpacks."""
    import gguf

    writer = gguf.GGUFWriter(path, "flux")
    kind = gguf.GGMLQuantizationType.IQ3_S
    for name, value in load_tensors(source).items():
        writer.add_tensor(name, value.float().numpy())
    size = gguf.GGML_QUANT_SIZES[kind][1]
    writer.add_tensor("rare.weight", torch.zeros(2, size, dtype=torch.uint8).numpy(), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def definitions() -> dict[str, Any]:
    found = [
        definition_of(one)
        for module in (conditioning, latent, loaders, logic, sampling)
        for one in vars(module).values()
    ]
    return {one.spec.name: one for one in found if one is not None}


def test_a_graph_says_which_extra_to_install_before_a_step_and_the_rest_of_it_runs(
    flux: Tiny, bare: None, builtin_catalogue: Any
) -> None:
    known = definitions()
    encoders = {"clip_name1": "clip_l.safetensors", "clip_name2": "t5xxl.safetensors", "type": "flux"}
    settings = {"seed": 1, "steps": 1, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0}
    graph: dict[str, tuple[str, dict[str, Any]]] = {
        "rare": ("UNETLoader", {"unet_name": "rare.gguf", "weight_dtype": "default"}),
        "clip": ("DualCLIPLoader", encoders),
        "text": ("CLIPTextEncode", {"clip": ["clip", 0], "text": "the red apple"}),
        "empty": ("EmptyLatentImage", {"width": 32, "height": 32, "batch_size": 1}),
        "sample": (
            "KSampler",
            {
                "model": ["rare", 0],
                "positive": ["text", 0],
                "negative": ["text", 0],
                "latent_image": ["empty", 0],
                **settings,
            },
        ),
        "picture": ("PreviewAny", {"source": ["sample", 0]}),
        "words": ("PreviewAny", {"source": ["text", 0]}),
        "good": ("UNETLoader", {"unet_name": "flux.safetensors", "weight_dtype": "default"}),
        "network": ("PreviewAny", {"source": ["good", 0]}),
    }
    prompt = {name: {"class_type": kind, "inputs": inputs} for name, (kind, inputs) in graph.items()}
    paths = Paths(flux.base)
    checked = check(prompt, builtin_catalogue, choices=lambda files: list(paths.listing(files.folder)))
    assert checked.problems == []
    manager = ModelManager(tokenizer_dirs=[flux.base / "models" / "text_encoders"])
    services = Services(models=manager, paths=paths, find_file=paths.locate)
    executor = Executor(
        lambda name: known[builtin_catalogue.spec(name).name], builtin_catalogue, Cache(None), services=services
    )
    try:
        result = executor.run_sync(checked.prompt, checked.outputs)
    finally:
        executor.close()
    [failure] = result.failures
    assert failure.node == "rare"
    assert "rare.gguf: rare.weight" in failure.message
    assert "pip install safelight[gguf]" in failure.message
    assert result.nodes["sample"].status != "ran"
    assert {name: result.nodes[name].status for name in ("words", "network")} == {"words": "ran", "network": "ran"}
    assert not any(fact.path.endswith("rare.gguf") for fact in manager.loaded())


def test_with_the_extra_the_same_file_is_read(flux: Tiny) -> None:
    assert read_header(flux.file("diffusion_models", "rare.gguf")).shapes["rare.weight"] == (2, 256)


def test_usual_files_need_none_of_these_libraries(bare: None, tmp_path: Path) -> None:
    from tests.models.test_packed_torchao import INT8, kept

    data, worth = q8_0(torch.randn(2, 32))
    path = write_gguf(tmp_path / "x.gguf", {"a.weight": ("Q8_0", (2, 32), data)}, {})
    assert torch.equal(load_packed(read_header(path), ["a.weight"])["a.weight"].unpacked(), worth)
    parts = {"qdata": torch.ones(2, 4, dtype=torch.int8), "scale": torch.tensor([[1.0], [2.0]])}
    assert kept(tmp_path, "Int8Tensor", parts, INT8).unpacked().tolist() == [[1.0] * 4, [2.0] * 4]
    assert {"torchao", "bitsandbytes", "svdquant"} <= all_formats().keys()


def test_a_text_encoder_that_needs_the_extra_says_so_too(bare: None, tmp_path: Path) -> None:
    facts = {"general.architecture": "t5encoder"}
    path = write_gguf(tmp_path / "x.gguf", {"token_embd.weight": ("Q4_0", (1, 256), bytes(66))}, facts)
    raw = path.read_bytes()
    at = raw.index(b"token_embd.weight") + 17 + 4 + 16
    path.write_bytes(raw[:at] + b"\x10" + raw[at + 1 :])  # IQ2_XXS
    said = r"token_embd\.weight, of ggml's type 16, needs .* `pip install safelight\[gguf\]`"
    with pytest.raises(CheckpointError, match=said):
        ModelManager().text_encoders([path], "sd3")
