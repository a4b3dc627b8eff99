"""Diffusers folders whose parts are in several files under an index."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from engine.models.checkpoints import load_tensors, read_header
from engine.models.errors import CheckpointError
from engine.models.manager import ModelManager
from tests.conftest import _tokenizer_json
from tests.families import Tiny, write_flux

PARTS = ("transformer", "vae", "text_encoder", "text_encoder_2")


@pytest.fixture(scope="module")
def flux(tiny_sd, tmp_path_factory) -> Tiny:
    files = tiny_sd.tokenizer_files
    return write_flux(tmp_path_factory.mktemp("tiny_flux"), files, _tokenizer_json(files))


@pytest.fixture
def folder(flux, tmp_path) -> Path:
    for name in PARTS:
        flux.modules[name].save_pretrained(tmp_path / name, max_shard_size="16KB")
    (tmp_path / "model_index.json").write_text("{}")
    return tmp_path


def manager_of(flux: Tiny) -> ModelManager:
    return ModelManager(tokenizer_dirs=[flux.base / "models" / "text_encoders"])


def test_every_part_may_be_in_several_files(flux, folder):
    for name in PARTS:
        assert len(list((folder / name).glob("*-of-*.safetensors"))) > 1, name
    manager = manager_of(flux)
    found, expected = manager.checkpoint(folder), manager.checkpoint(flux.file("checkpoints", "flux.safetensors"))
    assert found.model.source.path.endswith("diffusion_pytorch_model.safetensors.index.json")
    for one, other in zip(found[:1] + found[2:], expected[:1] + expected[2:], strict=True):
        with manager.use(one) as live:
            got = {name: value.clone() for name, value in live.module.state_dict().items()}
        with manager.use(other) as live:
            assert all(torch.equal(got[name], value) for name, value in live.module.state_dict().items())
    text = []
    for clip in (found.clip, expected.clip):
        with manager.use(clip) as encoder:
            text.append(encoder.encode("a red apple")[0])
    assert torch.equal(*text)


def test_a_part_is_named_by_the_content_of_all_its_files(flux, folder):
    before = manager_of(flux).checkpoint(folder).model
    shard = sorted((folder / "transformer").glob("*-of-*.safetensors"))[-1]
    raw = bytearray(shard.read_bytes())
    raw[-1] ^= 1
    shard.unlink()
    shard.write_bytes(raw)
    after = manager_of(flux).checkpoint(folder).model
    assert before.source.path == after.source.path
    assert before.source.digest != after.source.digest


def test_a_missing_file_is_named_with_what_to_do(flux, folder):
    gone = sorted((folder / "text_encoder_2").glob("*-of-*.safetensors"))[0]
    gone.unlink()
    with pytest.raises(CheckpointError, match=rf"1 of its \d+ files are missing \({gone.name}\). Download them into"):
        manager_of(flux).checkpoint(folder)


def test_a_part_that_another_library_quantised_is_refused_by_its_name(flux, folder):
    config = folder / "transformer" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"quantization_config": {"quant_method": "quanto"}}))
    with pytest.raises(CheckpointError, match="transformer: its weights were quantised by quanto, which is not read"):
        manager_of(flux).checkpoint(folder)


def test_a_file_that_lacks_what_the_index_promises_is_told(folder):
    index = folder / "transformer" / "diffusion_pytorch_model.safetensors.index.json"
    table = json.loads(index.read_text())
    file = next(iter(table["weight_map"].values()))
    index.write_text(json.dumps(table | {"weight_map": {**table["weight_map"], "not.there": file}}))
    with pytest.raises(CheckpointError, match=r"lack 1 tensors that it names \(not\.there\)"):
        read_header(index)
    with pytest.raises(KeyError):
        load_tensors(index, ["nowhere"])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {"a": "../other.safetensors"}}'])
def test_an_index_that_is_none_is_refused_by_name(tmp_path, text):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(text)
    with pytest.raises(CheckpointError, match=r"model\.safetensors\.index\.json: (not an index|names)"):
        read_header(index)
