"""What is in memory: shared, patched apart when used together, dropped by age within a budget, retried when memory ran out."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from engine.datatypes.identity import Identified
from engine.models.errors import CheckpointError, LoraError
from engine.models.handles import HookedModel, ModelHandle
from engine.models.manager import ModelManager


@pytest.fixture
def checkpoint(tiny_sd: Any) -> Path:
    return tiny_sd.file("checkpoints", "tiny.safetensors")


def load(manager: ModelManager, handle: Any) -> None:
    with manager.use(handle):
        pass


def parts(manager: ModelManager) -> list[str]:
    return [fact.part for fact in manager.loaded()]


def test_nothing_is_loaded_until_it_is_used(checkpoint: Path) -> None:
    manager = ModelManager()
    model, clip, vae = manager.checkpoint(checkpoint)
    assert manager.loaded() == []
    load(manager, vae)
    load(manager, model)
    load(manager, vae)
    assert parts(manager) == ["U-Net", "VAE"]
    load(manager, clip)
    assert parts(manager) == ["U-Net", "VAE", "text encoder"]
    fact = manager.loaded()[0]
    assert (fact.path, fact.dtype, fact.patches, fact.in_use) == (str(checkpoint), "float32", 0, False)
    assert fact.bytes == sum(p.nbytes for p in weights_of(manager, model))


def weights_of(manager: ModelManager, handle: Any) -> list[torch.Tensor]:
    with manager.use(handle) as live:
        return list(live.module.parameters())


def test_handles_of_one_file_share_weights(checkpoint: Path) -> None:
    manager = ModelManager()
    first, second = manager.checkpoint(checkpoint).model, manager.checkpoint(checkpoint).model.with_option("a", 1)
    with manager.use(first) as one, manager.use(second) as two:
        assert one.module is two.module
        assert two.handle.options == {"a": 1}
    assert len(manager.loaded()) == 1


def test_two_patchings_of_one_model_can_be_used_together(checkpoint: Path, tiny_sd: Any) -> None:
    manager = ModelManager()
    model = manager.checkpoint(checkpoint).model
    patched = manager.lora(tiny_sd.file("loras", "kohya.safetensors"), model).model
    x, t, context = torch.randn(1, 4, 8, 8), torch.tensor([10.0]), torch.randn(1, 5, 32)
    with manager.use(model) as network:
        alone = network(x, t, context)
    with manager.use(patched) as network:
        alone_patched = network(x, t, context)
    with manager.use(model) as plain, manager.use(patched) as changed:
        assert torch.equal(plain(x, t, context), alone)
        assert torch.equal(changed(x, t, context), alone_patched)
        assert plain.module.conv_in.weight.data_ptr() == changed.module.conv_in.weight.data_ptr()
    with manager.use(model) as network:
        assert torch.equal(network(x, t, context), alone)
    assert len(manager.loaded()) == 1


@pytest.mark.parametrize("damaged", ["numbers", "content", "sizes"])
def test_a_patch_that_fails_leaves_nothing_of_the_one_before_it(tiny_sd: Any, tmp_path: Path, damaged: str) -> None:
    """Whether it is told when the file is opened or when it is put on."""
    from safetensors.torch import load_file, save_file

    manager = ModelManager("cpu")
    model, _, _ = manager.checkpoint(tiny_sd.file("checkpoints", "tiny.safetensors"))
    good = tiny_sd.file("loras", "kohya.safetensors")
    tensors, bad = {name: tensor * 2 for name, tensor in load_file(good).items()}, tmp_path / "bad.safetensors"
    if damaged == "numbers":
        tensors[next(name for name in tensors if "lora_unet" in name and "up" in name)][0, 0] = torch.nan
    elif damaged == "sizes":
        name = [name for name in tensors if "lora_unet" in name and "up" in name][-1]
        tensors[name] = tensors[name][:-1]
    save_file(tensors, bad)
    broken = manager.lora(bad, model).model
    if damaged == "content":
        bad.write_bytes(b"something else")

    def weights(handle: Any) -> dict[str, torch.Tensor]:
        with manager.use(handle) as network:
            return {name: value.clone() for name, value in network.module.named_parameters()}

    plain, patched = weights(model), weights(manager.lora(good, model).model)
    assert any(not torch.equal(plain[name], patched[name]) for name in plain)
    with pytest.raises((LoraError, CheckpointError)), manager.use(broken):
        pass
    assert all(torch.equal(value, plain[name]) for name, value in weights(model).items())
    assert all(torch.equal(value, patched[name]) for name, value in weights(manager.lora(good, model).model).items())


def test_the_least_recently_used_goes_first_when_the_budget_is_full(checkpoint: Path) -> None:
    probe = ModelManager()
    model, clip, vae = probe.checkpoint(checkpoint)
    for handle in (model, clip, vae):
        load(probe, handle)
    sizes = {fact.part: fact.bytes for fact in probe.loaded()}
    manager = ModelManager(byte_budget=sum(sizes.values()) - 1)
    for handle in (model, clip):
        load(manager, handle)
    load(manager, model)
    load(manager, vae)
    assert parts(manager) == ["U-Net", "VAE"]
    load(manager, clip)
    assert parts(manager) == ["VAE", "text encoder"]
    assert sum(fact.bytes for fact in manager.loaded()) <= sum(sizes.values()) - 1


def test_a_model_in_use_is_never_dropped(checkpoint: Path) -> None:
    manager = ModelManager(byte_budget=1)
    model, _, vae = manager.checkpoint(checkpoint)
    with manager.use(model) as network:
        with manager.use(vae):
            assert parts(manager) == ["U-Net", "VAE"]
            assert [fact.in_use for fact in manager.loaded()] == [True, True]
        assert manager.free() > 0
        assert parts(manager) == ["U-Net"]
        assert network(torch.randn(1, 4, 8, 8), torch.tensor([1.0]), torch.randn(1, 3, 32)).shape == (1, 4, 8, 8)
    assert manager.free() > 0
    assert manager.loaded() == []


def test_an_error_inside_use_lets_the_model_go(checkpoint: Path) -> None:
    manager = ModelManager()
    vae = manager.checkpoint(checkpoint).vae
    with pytest.raises(KeyError), manager.use(vae):
        raise KeyError
    assert [fact.in_use for fact in manager.loaded()] == [False]


def test_one_thread_at_a_time_uses_the_device(checkpoint: Path) -> None:
    manager = ModelManager()
    vae = manager.checkpoint(checkpoint).vae
    entered, order = threading.Event(), []

    def other() -> None:
        entered.set()
        with manager.use(vae):
            order.append("other")

    thread = threading.Thread(target=other)
    with manager.use(vae), manager.use(vae):
        thread.start()
        assert entered.wait(10)
        thread.join(0.2)
        order.append("first")
    thread.join(10)
    assert order == ["first", "other"]


def test_out_of_memory_frees_what_is_idle_and_tries_once_more(checkpoint: Path) -> None:
    manager = ModelManager()
    load(manager, manager.checkpoint(checkpoint).vae)
    calls = []

    def hungry() -> int:
        calls.append(parts(manager))
        if len(calls) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return 5

    assert manager.attempt(hungry) == 5
    assert calls == [["VAE"], []]


@pytest.mark.parametrize("problem", [torch.OutOfMemoryError("again"), ValueError("another reason")])
def test_a_second_failure_and_another_failure_are_raised(problem: Exception) -> None:
    calls = []

    def failing() -> None:
        calls.append(1)
        raise problem

    with pytest.raises(type(problem)):
        ModelManager().attempt(failing)
    assert len(calls) == (2 if isinstance(problem, torch.OutOfMemoryError) else 1)


def test_half_precision_is_used_for_networks_when_asked_but_not_for_the_vae(checkpoint: Path) -> None:
    manager = ModelManager(dtype="bfloat16")
    model, clip, vae = manager.checkpoint(checkpoint)
    for handle in (model, clip, vae):
        load(manager, handle)
    assert {fact.part: fact.dtype for fact in manager.loaded()} == {
        "U-Net": "bfloat16",
        "text encoder": "bfloat16",
        "VAE": "float32",
    }
    x = torch.randn(1, 4, 8, 8)
    with manager.use(model) as network:
        assert network(x, torch.tensor([10.0]), torch.randn(1, 5, 32)).dtype == torch.float32


def test_a_file_that_changed_or_went_since_it_was_opened_is_not_loaded_as_the_old_one(
    checkpoint: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "model.safetensors"
    copy.write_bytes(checkpoint.read_bytes())
    manager = ModelManager()
    vae = manager.checkpoint(copy).vae
    other = tmp_path / "other.safetensors"
    other.write_bytes(checkpoint.read_bytes()[:-4] + b"abcd")
    other.replace(copy)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: changed since"), manager.use(vae):
        pass
    copy.unlink()
    with pytest.raises(CheckpointError, match="gone since"), manager.use(vae):
        pass


def test_a_patch_keeps_a_share_of_the_weights_it_is_for(tiny_sd: Any) -> None:
    manager = ModelManager()
    model = manager.checkpoint(tiny_sd.file("checkpoints", "tiny.safetensors")).model
    assert model is not None
    whole = manager.lora(tiny_sd.file("loras", "kohya.safetensors"), model).model
    assert whole is not None
    (patch,) = whole.patches
    kept = model.with_patch(msgspec.structs.replace(patch, keep=0.25))

    def weights(handle: Any) -> dict[str, torch.Tensor]:
        with manager.use(handle) as network:
            return {name: value.clone() for name, value in network.module.state_dict().items()}

    plain, added, both = weights(model), weights(whole), weights(kept)
    for name, value in plain.items():
        changed = not torch.equal(added[name], value)
        wanted = 0.25 * value + (added[name] - value) if changed else value
        assert torch.allclose(both[name], wanted, atol=1e-6)
    assert kept.identity() != whole.identity()


def test_a_model_with_functions_has_the_weights_of_the_plain_one(tiny_sd: Any) -> None:
    manager = ModelManager()
    model = manager.checkpoint(tiny_sd.file("checkpoints", "tiny.safetensors")).model
    assert model is not None
    facts = {name: getattr(model, name) for name in ModelHandle.__struct_fields__}
    hooked = HookedModel(**facts, hooks=print)
    with manager.use(model) as plain, manager.use(hooked) as network:
        assert network.module is plain.module
        assert network.handle is hooked
    assert not isinstance(hooked, Identified)
    assert manager.lora(tiny_sd.file("loras", "kohya.safetensors"), hooked).model.hooks is print  # type: ignore[union-attr]
