"""The denoiser and the ControlNet as callables: what they take, and what they say to what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from engine.models import sd_keys
from engine.models.checkpoints import load_tensors, read_header
from engine.models.errors import ModelError
from engine.models.manager import ModelManager
from engine.models.network import fill, repeat_to

X, T, CONTEXT = torch.randn(1, 4, 8, 8), torch.tensor([400.0]), torch.randn(1, 7, 32)


@pytest.fixture
def manager() -> ModelManager:
    return ModelManager()


@pytest.fixture
def checkpoint(tiny_sd: Any) -> Path:
    return tiny_sd.file("checkpoints", "tiny.safetensors")


@pytest.fixture
def inpainting(checkpoint: Path, tmp_path: Path) -> Path:
    tensors = {name: value.clone() for name, value in load_tensors(checkpoint).items()}
    tensors["model.diffusion_model.input_blocks.0.0.weight"] = torch.randn(32, 9, 3, 3) * 0.1
    save_file(tensors, tmp_path / "inpaint.safetensors", read_header(checkpoint).metadata)
    return tmp_path / "inpaint.safetensors"


def test_the_network_keeps_no_gradients_and_answers_in_the_dtype_it_was_asked(
    manager: ModelManager, checkpoint: Path
) -> None:
    with manager.use(manager.checkpoint(checkpoint).model) as network:
        assert not network(X, T, CONTEXT).requires_grad
        assert network(X.double(), T, CONTEXT.double()).dtype == torch.float64


def test_a_batch_is_its_items(manager: ModelManager, checkpoint: Path) -> None:
    x, t, context = torch.randn(2, 4, 8, 8), torch.tensor([3.0, 800.0]), torch.randn(2, 7, 32)
    with manager.use(manager.checkpoint(checkpoint).model) as network:
        both = network(x, t, context)
        apart = torch.cat([network(x[i : i + 1], t[i : i + 1], context[i : i + 1]) for i in range(2)])
    assert torch.allclose(both, apart, atol=1e-5)


def test_latents_of_odd_sizes_pass(manager: ModelManager, checkpoint: Path) -> None:
    with manager.use(manager.checkpoint(checkpoint).model) as network:
        assert network(torch.randn(1, 4, 7, 9), T, CONTEXT).shape == (1, 4, 7, 9)


def test_conditioning_of_another_model_is_refused_with_both_widths(manager: ModelManager, checkpoint: Path) -> None:
    with (
        manager.use(manager.checkpoint(checkpoint).model) as network,
        pytest.raises(ModelError, match="width 32, got 768"),
    ):
        network(X, T, torch.randn(1, 77, 768))


def test_a_latent_of_another_model_is_refused_with_both_channel_counts(manager: ModelManager, checkpoint: Path) -> None:
    with manager.use(manager.checkpoint(checkpoint).model) as network:
        with pytest.raises(ModelError, match=r"4 channels .*got 16"):
            network(torch.randn(1, 16, 8, 8), T, CONTEXT)
        with pytest.raises(ModelError, match="got 9"):
            network(X, T, CONTEXT, concat=torch.randn(1, 5, 8, 8))


def test_an_inpainting_model_without_its_mask_says_which_node_makes_one(
    manager: ModelManager, inpainting: Path
) -> None:
    handle = manager.checkpoint(inpainting).model
    with manager.use(handle) as network:
        with pytest.raises(ModelError, match=r"wants 5 more channels.*InpaintModelConditioning"):
            network(X, T, CONTEXT)
        assert network(X, T, CONTEXT, concat=torch.randn(1, 5, 8, 8)).shape == X.shape


def test_residuals_of_strength_zero_change_nothing_and_strength_scales_them(
    manager: ModelManager, tiny_sd: Any
) -> None:
    model = manager.checkpoint(tiny_sd.file("checkpoints", "tiny.safetensors")).model
    handle, hint = manager.controlnet(tiny_sd.file("controlnet", "edges.safetensors")), torch.rand(1, 3, 64, 64)
    with manager.use(model) as network, manager.use(handle) as control:
        full, half, none = (control(X, T, CONTEXT, hint, strength) for strength in (1.0, 0.5, 0.0))
        assert torch.allclose(half["mid"] * 2, full["mid"], atol=1e-6)
        assert torch.equal(network(X, T, CONTEXT, control=none), network(X, T, CONTEXT))
        assert not torch.allclose(network(X, T, CONTEXT, control=full), network(X, T, CONTEXT), atol=1e-4)


def test_a_hint_of_another_size_or_batch_is_fitted_to_the_latent(manager: ModelManager, tiny_sd: Any) -> None:
    with manager.use(manager.controlnet(tiny_sd.file("controlnet", "edges.safetensors"))) as control:
        hint = torch.rand(1, 3, 100, 200)
        x, t, context = X.repeat(2, 1, 1, 1), T.repeat(2), CONTEXT.repeat(2, 1, 1)
        got = control(x, t, context, hint)
        expected = control(x, t, context, fill(hint, 64, 64).repeat(2, 1, 1, 1))
        assert torch.equal(got["mid"], expected["mid"])
        assert got["mid"].shape[0] == 2


def test_a_wide_picture_is_cropped_about_its_centre_before_it_is_resized() -> None:
    ramp = torch.arange(8.0).repeat(4, 1)[None, None]
    assert torch.equal(fill(ramp, 4, 4)[0, 0, 0], torch.tensor([2.0, 3.0, 4.0, 5.0]))
    assert torch.equal(fill(ramp.mT, 4, 4)[0, 0, :, 0], torch.tensor([2.0, 3.0, 4.0, 5.0]))
    assert fill(torch.rand(2, 3, 5, 9), 16, 8).shape == (2, 3, 16, 8)


def test_items_repeat_in_order() -> None:
    assert repeat_to(torch.tensor([1, 2, 3]), 5).tolist() == [1, 2, 3, 1, 2]
    assert repeat_to(torch.tensor([1, 2, 3]), 2).tolist() == [1, 2]


def test_a_controlnet_of_another_family_is_refused(manager: ModelManager, tiny_sd: Any, tmp_path: Path) -> None:
    handle = manager.controlnet(tiny_sd.file("controlnet", "edges.safetensors"))
    with manager.use(handle) as control, pytest.raises(ModelError, match="width 32, got 4 and 768"):
        control(X, T, torch.randn(1, 77, 768), torch.rand(1, 3, 64, 64))


def test_a_unet_alone_in_its_file_loads_with_and_without_prefix(
    manager: ModelManager, tiny_sd: Any, tmp_path: Path
) -> None:
    unet, metadata = tiny_sd.modules["unet"], read_header(tiny_sd.file("checkpoints", "tiny.safetensors")).metadata
    states = {
        "original": sd_keys.unet_to_original(unet.state_dict(), unet.config),
        "bare": sd_keys.unet_to_original(unet.state_dict(), unet.config, prefix=""),
        "diffusers": unet.state_dict(),
    }
    expected = unet(X, T, CONTEXT).sample
    for name, state in states.items():
        path = tmp_path / f"{name}.safetensors"
        save_file({key: value.contiguous() for key, value in state.items()}, path, metadata)
        with manager.use(manager.denoiser(path)) as network:
            assert torch.allclose(network(X, T, CONTEXT), expected, atol=1e-5), name
