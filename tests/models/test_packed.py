"""Networks whose weights are kept packed: they are recognised, compute as with unpacked weights, and take LoRAs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from engine.models.checkpoints import load_tensors
from engine.models.errors import CheckpointError
from engine.models.manager import ModelManager
from engine.models.packed import read_header
from engine.models.packed.tensor import PackedTensor
from tests.conftest import _tokenizer_json
from tests.families import write_flux, write_sd3, write_xl
from tests.tiny_packed import Pack, four_bits, fp8, grouped, int4, int8, lora_for, mxfp8, nvfp4, write_both

NETWORK = "model.diffusion_model."


@pytest.fixture(scope="module")
def checkpoints(tiny_sd, tmp_path_factory) -> dict[str, Path]:
    files = tiny_sd.tokenizer_files
    told = files, _tokenizer_json(files)
    bases = {name: tmp_path_factory.mktemp(name) for name in ("xl", "flux", "sd3")}
    return {
        "sdxl": write_xl(bases["xl"], *told).file("checkpoints", "xl.safetensors"),
        "flux": write_flux(bases["flux"], *told).file("checkpoints", "flux.safetensors"),
        "sd3": write_sd3(bases["sd3"], *told, newer=True).file("checkpoints", "sd3.safetensors"),
    }


def called(manager: ModelManager, model: Any) -> torch.Tensor:
    """What a network of any of the families gives for numbers that do not change."""
    numbers = torch.Generator().manual_seed(2)
    config = model.config
    channels = model.latent.channels
    context = config.get("joint_attention_dim") or config["cross_attention_dim"]
    pooled = config.get("pooled_projection_dim") or config["projection_class_embeddings_input_dim"] - 6 * 8
    given = {"pooled": torch.randn(1, pooled, generator=numbers), "guidance": torch.tensor([3.5])}
    given |= {"sizes": torch.full((1, 6), 64.0)}
    with manager.use(model) as network:
        options = network.inputs({"pooled_output": given["pooled"]}, torch.zeros(1, channels, 8, 8), True)
        x = torch.randn(1, channels, 8, 8, generator=numbers)
        text = torch.randn(1, 5, context, generator=numbers)
        return network(x, torch.tensor([500.0]), text, options=options)


def packed_parameters(manager: ModelManager, model: Any) -> dict[str, PackedTensor]:
    with manager.use(model) as network:
        return {n: p for n, p in network.module.named_parameters() if isinstance(p, PackedTensor)}


WAYS: dict[str, tuple[Pack, dict[str, Any]]] = {
    "fp8": (fp8(), {}),
    "fp8 e5m2": (fp8(dtype=torch.float8_e5m2), {}),
    "fp8, a factor": (fp8("scale_weight"), {}),
    "fp8, factors of rows": (fp8("weight_scale", rows=True), {"format": "float8_e4m3fn"}),
    "int8": (int8(), {"format": "int8_tensorwise"}),
    "int8, rotated": (int8(group=4), {"format": "int8_tensorwise", "convrot": True, "convrot_groupsize": 4}),
    "mxfp8": (mxfp8(), {"format": "mxfp8"}),
    "nvfp4": (nvfp4(), {"format": "nvfp4"}),
    "int4": (int4(), {"format": "convrot_w4a4", "convrot_groupsize": 4}),
    "nf4": (four_bits(8), {}),
    "grouped": (grouped(), {"format": "w4a8_int8", "convrot_groupsize": 4}),
}


@pytest.mark.parametrize("family", ["sdxl", "flux", "sd3"])
@pytest.mark.parametrize("way", WAYS)
def test_a_packed_network_computes_as_with_the_weights_that_it_is_worth(checkpoints, family, way):
    pack, told = WAYS[way]
    sides = (2, 4) if way.startswith("fp8") else (2,)  # convolutions too
    packed, plain = write_both(checkpoints[family], pack, told, sides=sides, prefix=NETWORK)
    manager = ModelManager()
    model, expected = manager.checkpoint(packed).model, manager.checkpoint(plain).model
    assert (model.family, model.config) == (family, expected.config)
    assert torch.equal(called(manager, model), called(manager, expected))
    kept = packed_parameters(manager, model)
    assert len(kept) > 20
    assert all(one.nbytes < one.numel() * 1.3 + 8 for one in kept.values())


@pytest.mark.parametrize(
    ("family", "way"),
    [("sdxl", "fp8, factors of rows"), ("flux", "int8, rotated"), ("sd3", "nvfp4"), ("flux", "grouped")],
)
def test_a_lora_on_packed_weights_is_exact_and_off_again_bit_equal(checkpoints, family, way, tmp_path):
    pack, told = WAYS[way]
    packed, plain = write_both(checkpoints[family], pack, told, where="metadata", prefix=NETWORK)
    manager = ModelManager()
    lora = lora_for(plain, tmp_path / "lora.safetensors", NETWORK)
    model, expected = manager.checkpoint(packed).model, manager.checkpoint(plain).model
    with_lora, wanted = (manager.lora(lora, one, None, 0.7).model for one in (model, expected))
    off = called(manager, model)
    on = called(manager, with_lora)
    assert torch.equal(on, called(manager, wanted))
    assert (on - off).abs().max() > 1e-3
    kept = packed_parameters(manager, with_lora)
    assert torch.equal(called(manager, model), off)
    assert torch.equal(called(manager, with_lora), on)
    assert packed_parameters(manager, model).keys() == kept.keys(), "patched ones stay packed"


@pytest.mark.parametrize("way", WAYS)
def test_large_weights_are_unpacked_some_rows_at_a_time(checkpoints, way, monkeypatch):
    from engine.models.packed import tensor

    pack, told = WAYS[way]
    packed, plain = write_both(checkpoints["flux"], pack, told, prefix=NETWORK)
    manager = ModelManager()
    model, expected = manager.checkpoint(packed).model, manager.checkpoint(plain).model
    monkeypatch.setitem(tensor._AT_ONCE, "cpu", 300)
    assert torch.equal(called(manager, model), called(manager, expected))


def test_a_copy_of_a_module_shares_what_is_packed(checkpoints):
    import copy

    packed, _ = write_both(checkpoints["flux"], fp8())
    manager = ModelManager()
    with manager.use(manager.checkpoint(packed).model) as network:
        one, other = network.module, copy.deepcopy(network.module)
    for (name, mine), theirs in zip(one.named_parameters(), other.parameters(), strict=True):
        assert type(mine) is type(theirs), name
        assert torch.equal(mine, theirs)
        assert mine is not theirs


def test_the_weights_stay_in_the_mapped_file_and_count_as_what_they_take(checkpoints):
    packed, plain = write_both(checkpoints["flux"], fp8("scale_weight"))
    manager, other = ModelManager(), ModelManager()
    called(manager, manager.checkpoint(packed).model)
    called(other, other.checkpoint(plain).model)
    (fact,), (whole,) = manager.loaded(), other.loaded()
    assert fact.bytes < 0.3 * whole.bytes, "a byte for a float32, and the vectors"


def test_text_encoders_are_packed_too_and_look_up_single_rows(checkpoints, tmp_path):
    def table_too(name: str, value: torch.Tensor) -> torch.Tensor:
        return value.to(torch.float8_e4m3fn) if value.ndim == 2 and "position" not in name else value

    tensors = load_tensors(checkpoints["flux"])
    metadata = read_header(checkpoints["flux"]).metadata
    texts = {name: value for name, value in tensors.items() if name.startswith("text_encoders.")}
    packed = {name: table_too(name, value) for name, value in texts.items()}
    save_file(tensors | packed, tmp_path / "packed.safetensors", metadata)
    plain = {name: value.float() for name, value in packed.items()}
    save_file(tensors | plain, tmp_path / "plain.safetensors", metadata)
    folder = checkpoints["flux"].parent.parent / "text_encoders"
    manager = ModelManager(tokenizer_dirs=[folder])
    found = []
    for name in ("packed", "plain"):
        clip = manager.checkpoint(tmp_path / f"{name}.safetensors").clip
        with manager.use(clip) as encoder:
            found.append(encoder.encode("a photo of the red apple"))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1]["pooled_output"], found[1][1]["pooled_output"])


def test_a_scale_of_another_shape_is_refused_by_name(tmp_path):
    tensors = {"a.weight": torch.ones(4, 4).to(torch.float8_e4m3fn), "a.weight_scale": torch.ones(3)}
    save_file(tensors, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match=r"a\.weight is kept as F8_E4M3 \[4, 4\] with weight_scale \[3\]"):
        read_header(tmp_path / "x.safetensors")


def test_packed_weights_cannot_be_written_into(checkpoints):
    packed, _ = write_both(checkpoints["flux"], fp8())
    manager = ModelManager()
    one = next(iter(packed_parameters(manager, manager.checkpoint(packed).model).values()))
    with pytest.raises(TypeError, match="kept packed"):
        one.zero_()
    copied = one.data.clone()
    assert not isinstance(copied, PackedTensor), "a copy is a tensor as others are"
    assert torch.equal(copied, one.unpacked())
    assert copied.zero_().sum() == 0
    assert one.unpacked().abs().sum() > 0
