"""Encoded data sets: made of pictures and texts, kept on disk and back bit for bit, and sorted by size."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.models.errors import CheckpointError
from engine.paths import PathError, Paths
from engine.training.pictures import DataError
from nodes.conditioning import text_encode
from nodes.loaders import checkpoint_loader
from nodes.training_data import load_training_dataset, make_training_dataset, resolution_bucket, save_training_dataset
from nodes.vae import vae_encode
from tests.conftest import Bench


def latent(*shape: int) -> dict[str, Any]:
    return {"samples": torch.randn(*shape)}


def text(**options: Any) -> list[Any]:
    return [[torch.randn(1, 3, 8), options]]


@pytest.fixture
def desk(tmp_path: Path) -> Bench:
    return Bench(None, Paths(tmp_path))


def test_pictures_and_texts_are_encoded_in_pairs(bench: Bench) -> None:
    model = checkpoint_loader(bench, "tiny.safetensors")
    images = [torch.rand(1, 16, 24, 3), torch.rand(1, 32, 16, 4), torch.rand(1, 16, 16, 3)]
    made = make_training_dataset(bench, images, [model.VAE], [model.CLIP], ["red apple", "a cat", "red apple"])
    for image, one in zip(images, made.latents, strict=True):
        assert torch.equal(one["samples"], vae_encode(bench, image[..., :3], model.VAE)["samples"])
    wanted = [text_encode(bench, words, model.CLIP)[0][0] for words in ("red apple", "a cat", "red apple")]
    assert all(torch.equal(one[0][0], other) for one, other in zip(made.conditioning, wanted, strict=True))
    for texts in (None, [], ["a cat"]):
        assert len(make_training_dataset(bench, images, [model.VAE], [model.CLIP], texts).conditioning) == 3
    with pytest.raises(ValueError, match="one for each of the 3 images, got 2"):
        make_training_dataset(bench, images, [model.VAE], [model.CLIP], ["a", "b"])


def test_a_data_set_comes_back_bit_for_bit(desk: Bench) -> None:
    latents = [latent(1, 4, 4, 6), latent(2, 4, 8, 8), latent(1, 4, 4, 4)]
    texts = [text(pooled_output=torch.randn(1, 5), guidance=3.5), text(), text(layers=(torch.ones(2), 1), none=None)]
    save_training_dataset(desk, latents, texts, ["project/run1"], [2])
    folder = desk.paths.base / "models" / "datasets" / "project" / "run1"
    assert sorted(one.name for one in folder.iterdir()) == ["metadata.json", "shard_0000.pkl", "shard_0001.pkl"]
    assert json.loads((folder / "metadata.json").read_text()) == {"num_samples": 3, "num_shards": 2, "shard_size": 2}
    assert [one.name for one in folder.parent.iterdir()] == ["run1"]
    assert desk.paths.listing("datasets") == ("project/run1",)
    found = load_training_dataset(desk, "project/run1")
    assert all(torch.equal(one["samples"], two["samples"]) for one, two in zip(found.latents, latents, strict=True))
    assert all(torch.equal(one[0][0], two[0][0]) for one, two in zip(found.conditioning, texts, strict=True))
    assert found.conditioning[0][0][1]["guidance"] == 3.5
    assert torch.equal(found.conditioning[0][0][1]["pooled_output"], texts[0][0][1]["pooled_output"])
    assert torch.equal(found.conditioning[2][0][1]["layers"][0], torch.ones(2))
    save_training_dataset(desk, latents[:1], texts[:1], "project/run1", 1000)
    assert len(load_training_dataset(desk, "project/run1").latents) == 1
    assert [one.name for one in folder.parent.iterdir()] == ["run1"]


def test_what_is_no_data_set_is_told(desk: Bench) -> None:
    home = desk.paths.base / "models" / "datasets"
    one, words = [latent(1, 4, 4, 4)], [text()]
    for name in ("../out", "/abs", "", ".", "a/..", "a/../.."):
        with pytest.raises(DataError, match="folder_name"):
            save_training_dataset(desk, one, words, name, 10)
    (home / "mine").mkdir(parents=True)
    (home / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="is no data set"):
        save_training_dataset(desk, one, words, "mine", 10)
    with pytest.raises(DataError, match="got 1 latents and 2 conditionings"):
        save_training_dataset(desk, one, words * 2, "other", 10)
    with pytest.raises(DataError, match=r"option 'control' .object. cannot be saved"):
        save_training_dataset(desk, one, [text(control=object())], "other", 10)
    assert not list(home.rglob("*.pkl"))
    assert not list(home.glob(".*"))
    (home / "mine" / "metadata.json").write_text("{}")
    with pytest.raises(DataError, match="no shard_"):
        load_training_dataset(desk, "mine")
    (home / "mine" / "shard_0000.pkl").write_bytes(pickle.dumps({"latents": [print]}))
    with pytest.raises(CheckpointError, match="Nothing was run"):
        load_training_dataset(desk, "mine")
    torch.save({"latents": [1], "conditioning": [2]}, home / "mine" / "shard_0000.pkl")
    with pytest.raises(DataError, match="number 0 is no latent"):
        load_training_dataset(desk, "mine")
    with pytest.raises(PathError):
        load_training_dataset(desk, "nothing")


def test_a_data_set_that_ends_half_way_leaves_the_old_one(desk: Bench) -> None:
    save_training_dataset(desk, [latent(1, 4, 4, 4)], [text()], "kept", 10)

    def end(*_: Any) -> None:
        raise RuntimeError("no space left")

    desk.progress = end  # type: ignore[method-assign]
    with pytest.raises(Exception, match="no space left"):
        save_training_dataset(desk, [latent(1, 4, 8, 8)], [text()], "kept", 10)
    assert load_training_dataset(desk, "kept").latents[0]["samples"].shape == (1, 4, 4, 4)
    assert [one.name for one in (desk.paths.base / "models" / "datasets").iterdir()] == ["kept"]


def test_sizes_are_put_together_in_order(desk: Bench) -> None:
    latents = [latent(1, 4, 4, 6), latent(2, 4, 8, 8), latent(1, 4, 4, 6)]
    texts = [text(), [*text(), *text()], text()]
    found = resolution_bucket(latents, texts)
    assert [list(one["samples"].shape) for one in found.latents] == [[2, 4, 4, 6], [2, 4, 8, 8]]
    assert torch.equal(found.latents[0]["samples"][1:], latents[2]["samples"])
    assert torch.equal(found.conditioning[0][1][0], texts[2][0][0])
    assert [len(one) for one in found.conditioning] == [2, 2]
    for wrong, words, told in (
        (latents, texts[:2], "got 2 for 3"),
        ([latent(2, 4, 4, 4)], [text()], "holds 2 examples, and has 1"),
        ([latent(1, 4, 4, 4), latent(1, 16, 4, 4)], [text(), text()], "same channels and frames"),
    ):
        with pytest.raises(DataError, match=told):
            resolution_bucket(wrong, words)
