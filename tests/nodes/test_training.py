"""LoRAs trained in graphs: the loss falls, the same seed gives the same file, and what is written is what was trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from engine.authoring.context import Cancelled
from engine.models.errors import LoraError, ModelError
from nodes.conditioning import text_encode
from nodes.loaders import checkpoint_loader, lora_loader_model_only
from nodes.training import Trained, loss_graph, save_lora, train_lora
from tests import every_family
from tests.conftest import Bench
from tests.nodes.test_model_saving import desk, moved, state, written

__all__ = ["desk"]
FP32 = {"training_dtype": "fp32", "lora_dtype": "fp32"}


@pytest.fixture
def data(desk: Bench) -> dict[str, Any]:
    """Two latents with their texts."""
    parts = checkpoint_loader(desk, "tiny.safetensors")
    generator = torch.Generator().manual_seed(2)
    latents = [{"samples": torch.randn(1, 4, 8, 8, generator=generator)} for _ in range(2)]
    texts = [text_encode(desk, text, parts.CLIP) for text in ("red apple", "a cat")]
    return {"model": parts.MODEL, "latents": latents, "positive": texts}


def trained(bench: Bench, data: dict[str, Any], **told: Any) -> Trained:
    found: Trained = train_lora(bench, **{**data, **FP32, "rank": 2, "steps": 3, **told})
    return found


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor], within: float = 0.0) -> bool:
    assert one.keys() == two.keys()
    return all(torch.allclose(one[name], two[name], rtol=0, atol=within) for name in one)


def test_the_loss_falls_and_the_network_is_left_as_it_was(desk: Bench, data: dict[str, Any]) -> None:
    before = state(desk, data["model"])
    made = trained(desk, data, steps=30, batch_size=4, learning_rate=0.02, rank=4)
    losses = made.loss_map["loss"]
    assert made.steps == len(losses) == 30
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])
    assert desk.told[-1] == (30, 30)
    assert same(state(desk, data["model"]), before)
    with desk.models.use(data["model"]) as live:
        modules = list(live.module.modules())
        assert not any(part.requires_grad for part in live.module.parameters())
        assert not any(one._forward_hooks or one._forward_pre_hooks or "weight" in one.__dict__ for one in modules)


def test_the_same_seed_gives_the_same_lora(desk: Bench, data: dict[str, Any]) -> None:
    one, two, other = (trained(desk, data, seed=seed) for seed in (7, 7, 2**64 - 1))
    assert same(one.lora, two.lora)
    assert one.loss_map == two.loss_map
    assert one.loss_map != other.loss_map


def test_accumulated_gradients_are_those_of_a_larger_batch(desk: Bench, data: dict[str, Any]) -> None:
    whole = trained(desk, data, batch_size=4)
    parts = trained(desk, data, batch_size=2, grad_accumulation_steps=2)
    assert parts.loss_map["loss"] == pytest.approx(whole.loss_map["loss"], rel=1e-5)
    assert same(parts.lora, whole.lora, 1e-4)


def test_memory_saved_changes_nothing(desk: Bench, data: dict[str, Any]) -> None:
    losses = [
        trained(desk, data, algorithm="LoHa", gradient_checkpointing=kept, bypass_mode=bypass).loss_map["loss"]
        for kept, bypass in ((True, False), (False, False), (True, True))
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert losses[2] == pytest.approx(losses[0], rel=1e-4)


@pytest.mark.parametrize("algorithm", ["LoRA", "LoHa", "LoKr", "OFT"])
def test_what_is_saved_is_what_was_trained(desk: Bench, data: dict[str, Any], algorithm: str) -> None:
    """One step from nothing with the network as it is, and the next with the file on it: the losses are those of two in a row."""
    told = {"algorithm": algorithm, "optimizer": "SGD", "learning_rate": 0.5, "seed": 3}
    made = trained(desk, data, **told, steps=2)
    save_lora(desk, made.lora, "mine", made.steps)
    name = moved(desk, written(desk, "mine_2_steps_00001_.safetensors"), "loras")
    on = lora_loader_model_only(desk, data["model"], name, 1.0)
    assert not same(state(desk, on), state(desk, data["model"]))
    going_on = trained(desk, data, **told, steps=1, existing_lora=name)
    put_on = trained(desk, {**data, "model": on}, **told, steps=1)
    assert going_on.steps == 3
    assert put_on.loss_map["loss"] == pytest.approx(going_on.loss_map["loss"], rel=1e-4)
    assert going_on.loss_map["loss"][0] != pytest.approx(made.loss_map["loss"][0], rel=1e-5)


def test_peft_and_diffusers_take_the_file(desk: Bench, data: dict[str, Any], tiny_sd: Any) -> None:
    import copy

    from diffusers.loaders.lora_pipeline import StableDiffusionLoraLoaderMixin as Loader

    made = trained(desk, data, learning_rate=0.05)
    save_lora(desk, made.lora, "mine")
    path = written(desk, "mine_00001_.safetensors")
    unet = copy.deepcopy(tiny_sd.modules["unet"])
    tensors, alphas = Loader.lora_state_dict(load_file(path))
    Loader.load_lora_into_unet(tensors, alphas, unet, adapter_name="mine")
    x, t, text = torch.randn(1, 4, 8, 8), torch.tensor([300.0]), data["positive"][0][0][0]
    theirs = unet(x, t, encoder_hidden_states=text).sample
    with desk.models.use(lora_loader_model_only(desk, data["model"], moved(desk, path, "loras"), 1.0)) as live:
        ours, bare = live(x, t, text), tiny_sd.modules["unet"](x, t, encoder_hidden_states=text).sample
    assert torch.allclose(ours, theirs, atol=1e-4)
    assert not torch.allclose(ours, bare, atol=1e-3)


def test_latents_of_several_sizes_and_buckets(desk: Bench, data: dict[str, Any]) -> None:
    sizes = [{"samples": torch.randn(2, 4, 8, 8)}, {"samples": torch.randn(1, 4, 4, 8)}]
    texts = [[*data["positive"][0], *data["positive"][1]], data["positive"][0]]
    for bucketed in (True, False):
        made = trained(desk, {**data, "latents": sizes, "positive": texts}, batch_size=3, bucket_mode=bucketed)
        assert len(made.loss_map["loss"]) == 3
    one_for_all = trained(desk, {**data, "latents": sizes, "positive": [data["positive"][0]]})
    assert len(one_for_all.loss_map["loss"]) == 3


@pytest.mark.parametrize("name", ["sdxl", "z_image"])
def test_other_families_are_trained_too(tmp_path: Path, name: str) -> None:
    parts = every_family.loaded(every_family.written(tmp_path, name), name)
    texts = [text_encode(parts.bench, "a red apple", parts.clip)]
    noise = torch.randn(1, parts.model.latent.channels, 8, 8, generator=torch.Generator().manual_seed(5))
    latents = [{"samples": noise}]
    data = {"model": parts.model, "latents": latents, "positive": texts}
    made = trained(parts.bench, data, steps=12, batch_size=2, learning_rate=0.02)
    losses = made.loss_map["loss"]
    assert sum(losses[-4:]) < sum(losses[:4])
    save_lora(parts.bench, made.lora, "mine")
    file = moved(parts.bench, written(parts.bench, "mine_00001_.safetensors"), "loras")
    on = lora_loader_model_only(parts.bench, parts.model, file, 1.0)
    assert parts.bench.warned == []
    assert not same(state(parts.bench, on), state(parts.bench, parts.model))


def test_a_run_is_cancelled_between_steps(desk: Bench, data: dict[str, Any]) -> None:
    def cancel(*_: Any) -> None:
        raise Cancelled

    before = state(desk, data["model"])
    bench = replace(desk)
    bench.progress = cancel  # type: ignore[method-assign]
    with pytest.raises(Cancelled):
        trained(bench, data, steps=1000)
    assert same(state(desk, data["model"]), before)


def test_what_cannot_be_trained_is_told(desk: Bench, data: dict[str, Any]) -> None:
    wrong = [
        ({"latents": []}, "there are none to train on"),
        ({"positive": data["positive"] * 2}, "for each of the 2 latents, or a single one for all, got 4"),
        ({"latents": [{"samples": torch.ones(1, 16, 8, 8)}] * 2}, r"number 0 has the shape \[1, 16, 8, 8\]"),
        ({"learning_rate": 1e6, "optimizer": "SGD", "steps": 30}, "Lower the learning rate"),
        ({"positive": [[[torch.ones(1, 4, 32), {"control": 1}]]]}, "ControlNets take no part"),
    ]
    for told, message in wrong:
        with pytest.raises(ModelError, match=message):
            trained(desk, {**data, **told})
    torch.save({"lora_unet_nothing.lora_up.weight": torch.ones(2, 2)}, desk.paths.folders("loras")[0] / "other.pt")
    with pytest.raises(LoraError, match="has nothing for the layers"):
        trained(desk, data, existing_lora="other.pt")


def test_the_loss_is_drawn(desk: Bench) -> None:
    from engine.training.loss_graph import HEIGHT, MARGIN, WIDTH, points

    assert points([3.0, 1.0, 2.0]) == [
        (MARGIN, MARGIN),
        (WIDTH / 2, HEIGHT - MARGIN),
        (WIDTH - MARGIN, HEIGHT / 2),
    ]
    assert len(points([1.0] * 100_000)) == 4 * WIDTH
    saved: list[Any] = []

    def save_images(images: Any, prefix: str, folder: str) -> list[dict[str, str]]:
        saved.append((images.shape, prefix, folder))
        return [{"filename": "a.png", "subfolder": "", "type": folder}]

    desk.save_images = save_images  # type: ignore[attr-defined]
    shown = loss_graph(desk, {"loss": [0.5]})
    assert shown.ui["images"][0]["type"] == "temp"
    assert saved == [((1, HEIGHT, WIDTH, 3), "loss_graph", "temp")]
    with pytest.raises(ValueError, match="expected a list of numbers"):
        loss_graph(desk, {"loss": []})
