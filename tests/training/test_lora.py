"""LoRA training: on a tiny checkpoint that the tiny recipe made."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from engine.models.manager import ModelManager
from engine.training.lora import read_folder
from engine.training.lowrank import Adapters
from engine.training.pictures import DataError
from engine.training.recipe import RecipeError, load_recipe
from engine.training.run import train

LORA = """
kind = "lora"
name = "style"
seed = 3
checkpoint = "{folder}/models/tiny.safetensors"
pictures = "{folder}/mine"
output = "{folder}/models/style.safetensors"
size = 16
rank = 2
alpha = 4.0
steps = 4
batch = 2
learning_rate = 0.05
warmup = 1
checkpoint_seconds = 0.001
"""


@pytest.fixture
def lora_path(recipe_path, data_dir, tmp_path) -> Path:
    """A LoRA recipe with its pictures and checkpoint."""
    train(recipe_path, work_dir=tmp_path / "work", data_dir=data_dir)
    folder = tmp_path / "mine"
    folder.mkdir()
    Image.new("RGB", (40, 20), "red").save(folder / "red_square.png")
    Image.new("RGB", (16, 16), "blue").save(folder / "b.jpg")
    (folder / "b.txt").write_text("a blue square\n")
    path = tmp_path / "style.toml"
    path.write_text(LORA.format(folder=tmp_path))
    return path


def test_a_trained_lora_fits_its_checkpoint_and_changes_what_it_predicts(lora_path, tmp_path):
    result = train(lora_path, work_dir=tmp_path / "lora")
    assert result.finished
    assert result.checkpoint is not None
    manager = ModelManager()
    model, _, _ = manager.checkpoint(tmp_path / "models" / "tiny.safetensors")
    put_on = manager.lora(result.checkpoint, model)
    assert put_on.unmatched == ()
    inputs = torch.ones(1, 4, 8, 8), torch.tensor([500.0]), torch.ones(1, 20, 16)
    with manager.use(model) as plain:
        before = plain(*inputs)
    with manager.use(put_on.model) as patched:
        assert not torch.allclose(patched(*inputs), before, atol=1e-4)
    with manager.use(model) as again:
        assert torch.equal(again(*inputs), before)


def test_an_interrupted_lora_goes_on_to_the_same_weights(lora_path, tmp_path):
    output = tmp_path / "models" / "style.safetensors"
    train(lora_path, work_dir=tmp_path / "whole")
    whole = load_file(output)

    def kill(event) -> None:
        if (event.stage, event.step) == ("diffusion", 3):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(lora_path, work_dir=tmp_path / "cut", on_progress=kill)
    train(lora_path, work_dir=tmp_path / "cut")
    assert all(torch.equal(value, whole[name]) for name, value in load_file(output).items())


def test_adapters_start_at_zero_train_alone_and_come_off_again():
    torch.manual_seed(0)
    network = nn.ModuleDict({"to_q": nn.Linear(4, 4), "conv": nn.Conv2d(4, 4, 3, padding=1), "other": nn.Linear(4, 4)})
    x, picture = torch.randn(2, 4), torch.randn(2, 4, 5, 5)
    before = network["to_q"](x), network["conv"](picture)
    with Adapters(network, ("to_q", "conv"), rank=2, alpha=1.0) as adapters:
        assert set(adapters.layers) == {"to_q", "conv"}
        assert torch.equal(network["to_q"](x), before[0])
        network["to_q"](x).sum().backward()
        assert network["to_q"].weight.grad is None
        assert adapters.layers["to_q"].up.weight.grad.abs().sum() > 0
        nn.init.ones_(adapters.layers["conv"].up.weight)
        assert not torch.equal(network["conv"](picture), before[1])
    assert torch.equal(network["conv"](picture), before[1])


def test_targets_that_no_layer_has_are_refused():
    with pytest.raises(ValueError, match=r"ends in \.to_z"):
        Adapters(nn.ModuleDict({"to_q": nn.Linear(2, 2)}), ("to_z",), 1, 1.0)


def test_pictures_are_cropped_square_and_captioned_by_file_or_name(lora_path, tmp_path):
    examples = read_folder(tmp_path / "mine", 8)
    assert [caption for _, caption in examples] == ["a blue square", "red square"]
    assert examples[1][0].shape == (8, 8, 3)
    assert examples[1][0][0, 0].tolist() == [1, 0, 0]


def test_an_empty_folder_and_a_broken_picture_are_named(tmp_path):
    with pytest.raises(DataError, match="no pictures"):
        read_folder(tmp_path / "nothing", 8)
    (tmp_path / "bad.png").write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"bad\.png: not a readable picture"):
        read_folder(tmp_path, 8)


def test_a_recipe_of_an_unknown_kind_is_refused(lora_path):
    lora_path.write_text(lora_path.read_text().replace('kind = "lora"', 'kind = "hypernetwork"'))
    with pytest.raises(RecipeError, match="hypernetwork"):
        load_recipe(lora_path)
