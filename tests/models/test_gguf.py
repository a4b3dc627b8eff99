"""GGUF files: read by our loaders, their weights kept in blocks."""

from __future__ import annotations

import struct
from typing import Any

import pytest
import torch

from engine.models.checkpoints import load_tensors
from engine.models.errors import CheckpointError
from engine.models.manager import ModelManager
from engine.models.packed import load_tensors as load_packed
from engine.models.packed import read_header
from engine.models.packed.tensor import PackedTensor
from engine.models.weights import bytes_needed
from tests.conftest import _tokenizer_json
from tests.families import Tiny, write_flux
from tests.tiny_packed import as_gguf, lora_for, q4_0, write_gguf


@pytest.fixture(scope="module")
def flux(tiny_sd, tmp_path_factory) -> Tiny:
    files = tiny_sd.tokenizer_files
    return write_flux(tmp_path_factory.mktemp("tiny_flux"), files, _tokenizer_json(files))


def called(manager: ModelManager, model: Any) -> torch.Tensor:
    numbers = torch.Generator().manual_seed(2)
    with manager.use(model) as network:
        pooled = torch.randn(1, 32, generator=numbers)
        options = network.inputs({"pooled_output": pooled}, torch.zeros(1, 16, 8, 8), True)
        x, text = torch.randn(1, 16, 8, 8, generator=numbers), torch.randn(1, 5, 24, generator=numbers)
        return network(x, torch.tensor([500.0]), text, options=options)


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0", "F16", "BF16"])
def test_a_network_in_a_gguf_file_computes_as_with_the_weights_that_it_is_worth(flux, tmp_path, kind):
    source = flux.file("diffusion_models", "flux.safetensors")
    path = as_gguf(source, tmp_path / "flux.gguf", kind, "flux")
    lora = lora_for(source, tmp_path / "lora.safetensors")
    manager = ModelManager()
    model, plain = manager.denoiser(path), manager.denoiser(tmp_path / "flux.plain.safetensors")
    assert model.family == "flux"
    told = model.config | {"axes_dims_rope": plain.config["axes_dims_rope"]}  # a GGUF file has no place to tell them
    model = type(model)(**{name: getattr(model, name) for name in model.__struct_fields__} | {"config": told})
    off = called(manager, model)
    assert torch.equal(off, called(manager, plain))
    on = called(manager, manager.lora(lora, model).model)
    assert torch.equal(on, called(manager, manager.lora(lora, plain).model))
    assert torch.equal(called(manager, model), off)
    with manager.use(model) as network:
        kept = {n for n, p in network.module.named_parameters() if isinstance(p, PackedTensor)}
        matrices = {n for n, p in network.module.named_parameters() if p.ndim > 1 and p.shape[1] % 32 == 0}
    assert kept == (matrices if kind.startswith("Q") else set())
    fact = next(fact for fact in manager.loaded() if fact.path == str(path))
    assert fact.bytes == bytes_needed(model, 4), "as many as were made room for"


def test_a_t5_encoder_has_the_names_of_llama_cpp(flux, tmp_path):
    theirs = {"shared.weight": "token_embd.weight", "encoder.final_layer_norm.weight": "enc.output_norm.weight"}
    parts = {
        "layer.0.layer_norm": "attn_norm",
        "layer.0.SelfAttention.relative_attention_bias": "attn_rel_b",
        "layer.1.layer_norm": "ffn_norm",
        "layer.1.DenseReluDense.wi_0": "ffn_gate",
        "layer.1.DenseReluDense.wi_1": "ffn_up",
        "layer.1.DenseReluDense.wo": "ffn_down",
    } | {f"layer.0.SelfAttention.{part}": f"attn_{part}" for part in "qkvo"}
    theirs |= {
        f"encoder.block.{i}.{ours}.weight": f"enc.blk.{i}.{name}.weight" for i in (0, 1) for ours, name in parts.items()
    }
    source = flux.file("text_encoders", "t5xxl.safetensors")
    tensors = {
        theirs[name]: ("F32", tuple(value.shape), value.numpy().tobytes())
        for name, value in load_tensors(source).items()
    }
    path = write_gguf(tmp_path / "t5.gguf", tensors, {"general.architecture": "t5encoder"})
    manager = ModelManager(tokenizer_dirs=[flux.base / "models" / "text_encoders"])
    clip_l = flux.file("text_encoders", "clip_l.safetensors")
    found = []
    for t5 in (path, source):
        with manager.use(manager.text_encoders([clip_l, t5], "flux")) as encoder:
            found.append(encoder.encode("a photo of the red apple")[0])
    assert torch.equal(*found)


def test_a_tensor_that_was_reshaped_to_fit_its_blocks_has_its_own_shape(tmp_path):
    weight = torch.randn(64, 2, 3, 3)
    data, worth = q4_0(weight.reshape(36, 32))
    facts = {"general.architecture": "flux", "comfy.gguf.orig_shape.a.weight": (64, 2, 3, 3)}
    path = write_gguf(tmp_path / "x.gguf", {"a.weight": ("Q4_0", (36, 32), data)}, facts)
    header = read_header(path)
    assert header.shapes == {"a.weight": (64, 2, 3, 3)}
    assert torch.equal(load_packed(header, ["a.weight"])["a.weight"], worth.reshape(weight.shape))


def test_a_damaged_gguf_file_is_refused_by_name(tmp_path):
    data, _ = q4_0(torch.randn(4, 32))
    path = write_gguf(tmp_path / "x.gguf", {"a.weight": ("Q4_0", (4, 32), data)}, {})
    whole = path.read_bytes()
    for cut in (whole[:-40], whole[:60], b"GGUF\x09\0\0\0" + whole[8:], b"", b"PK" + whole):
        path.write_bytes(cut)
        with pytest.raises(CheckpointError, match=r"x\.gguf: not a GGUF file, or truncated"):
            read_header(path)


@pytest.mark.parametrize(
    ("facts", "at", "put"),
    [
        ({"general.architecture": "flux"}, b"general.architecture", struct.pack("<I", 77)),  # no such kind of fact
        ({"general.alignment": "0000"}, b"general.alignment", struct.pack("<II", 4, 0)),
        ({"general.alignment": "0000"}, b"", b""),
        ({"comfy.gguf.orig_shape.a.weight": "4, 32"}, b"", b""),
        ({"list": (1, 2)}, b"list", struct.pack("<II", 9, 77)),
        ({"list": (1, 2)}, b"list", struct.pack("<IIQ", 9, 5, 1 << 60)),
    ],
)
def test_facts_that_make_no_sense_are_refused_by_name(tmp_path, facts, at, put):
    data, _ = q4_0(torch.randn(4, 32))
    path = write_gguf(tmp_path / "x.gguf", {"a.weight": ("Q4_0", (4, 32), data)}, facts)
    raw = path.read_bytes()
    begin = raw.index(at) + len(at) if at else 0
    path.write_bytes(raw[:begin] + put + raw[begin + len(put) :])
    with pytest.raises(CheckpointError, match=r"x\.gguf: not a GGUF file, or truncated"):
        read_header(path)


def test_a_kind_that_only_the_package_knows_says_how_to_get_it(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "gguf", None)
    monkeypatch.setitem(sys.modules, "gguf.constants", None)
    path = write_gguf(tmp_path / "x.gguf", {"a.weight": ("Q4_0", (1, 256), bytes(66))}, {})
    raw = path.read_bytes()
    at = raw.index(b"a.weight") + 8 + 4 + 16
    path.write_bytes(raw[:at] + b"\x10" + raw[at + 1 :])  # IQ2_XXS
    with pytest.raises(CheckpointError, match=r"pip install safelight\[gguf\]"):
        read_header(path)


def test_the_package_and_we_read_blocks_alike() -> None:
    import gguf
    import numpy as np

    from engine.models.gguf_files import kind_named
    from engine.models.packed import ggml

    random = np.random.default_rng(0)
    for name in ggml._KINDS:
        kind = kind_named(name)
        theirs = gguf.GGMLQuantizationType[name]
        assert (kind.numbers, kind.size) == gguf.GGML_QUANT_SIZES[theirs]
        rows = random.integers(0, 256, (3, 5 * kind.size), dtype=np.uint8)
        with np.errstate(all="ignore"):
            expected = gguf.dequantize(rows, theirs)
        got = ggml.unpacked(name, torch.from_numpy(rows), kind.size).numpy()
        assert np.array_equal(got, expected, equal_nan=True), name


def test_a_rare_kind_is_unpacked_by_the_package(tmp_path):
    import gguf
    import numpy as np

    kind = gguf.GGMLQuantizationType.IQ3_S
    rows = np.random.default_rng(1).integers(0, 60, (2, gguf.GGML_QUANT_SIZES[kind][1]), dtype=np.uint8)
    writer = gguf.GGUFWriter(tmp_path / "x.gguf", "flux")
    writer.add_tensor("a.weight", rows, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    header = read_header(tmp_path / "x.gguf")
    assert header.shapes == {"a.weight": (2, 256)}
    found = load_packed(header, ["a.weight"])["a.weight"]
    assert isinstance(found, PackedTensor)
    assert np.array_equal(found.unpacked().numpy(), gguf.dequantize(rows, kind))


def test_the_names_of_t5_are_those_of_the_package() -> None:
    import gguf

    from engine.models.gguf_names import renamed

    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.T5ENCODER, 2)
    ours = {f"{name}.weight" for name in ("token_embd", "enc.output_norm", "enc.blk.1.attn_q", "enc.blk.1.ffn_gate")}
    ours |= {
        f"enc.blk.1.{name}.weight" for name in ("attn_k", "attn_v", "attn_o", "attn_rel_b", "attn_norm", "ffn_norm")
    }
    ours |= {"enc.blk.1.ffn_up.weight", "enc.blk.1.ffn_down.weight"}
    back = {renamed(name, "t5encoder"): name for name in ours}
    assert {name: names.get_name(name, (".weight",)) for name in back} == back


def test_the_loaders_of_networks_and_encoders_take_gguf_files(flux):
    from engine.paths import Paths
    from nodes.loaders import denoiser_loader, text_encoder_loader
    from tests.conftest import Bench

    as_gguf(flux.file("diffusion_models", "flux.safetensors"), flux.file("diffusion_models", "q8.gguf"), "Q8_0", "flux")
    as_gguf(flux.file("text_encoders", "clip_l.safetensors"), flux.file("text_encoders", "l.gguf"), "Q4_0", "clip")
    bench = Bench(ModelManager(), Paths(flux.base))
    assert denoiser_loader(bench, "q8.gguf").family == "flux"
    assert text_encoder_loader(bench, "l.gguf").config["hidden_size"] == 32
