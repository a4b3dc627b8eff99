"""Models to files and back: equal weights here and in diffusers, patches written in, and files that are whole or not there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from engine.media.errors import MediaError
from engine.models.errors import ModelError
from engine.paths import Paths
from nodes.loaders import (
    Checkpoint,
    checkpoint_loader,
    denoiser_loader,
    lora_loader,
    lora_loader_model_only,
    text_encoder_loader,
    vae_loader,
)
from nodes.model_merging import clip_merge_simple, clip_merge_subtract, model_merge_simple, model_merge_subtract
from nodes.model_saving import checkpoint_save, clip_save, lora_save, model_save, vae_save
from tests.conftest import Bench
from tests.conftest import _save as save


@pytest.fixture
def desk(tiny_sd: Any, tmp_path: Path) -> Bench:
    """A bench of its own: the tiny model's files, and folders that a test may write to."""
    from engine.models.manager import ModelManager

    for folder in ("checkpoints", "loras", "vae"):
        (tmp_path / "models" / folder).mkdir(parents=True)
        for file in (tiny_sd.base / "models" / folder).iterdir():
            (tmp_path / "models" / folder / file.name).symlink_to(file)
    bench = Bench(ModelManager("cpu"), Paths(tmp_path))
    return replace(bench, prompt={"1": {"class_type": "CheckpointSave", "inputs": {}}}, workflow={"nodes": []})


@pytest.fixture
def first(desk: Bench) -> Checkpoint:
    return checkpoint_loader(desk, "tiny.safetensors")


@pytest.fixture
def second(desk: Bench) -> Checkpoint:
    """The same model with other weights."""
    generator = torch.Generator().manual_seed(4)
    path = desk.paths.find("checkpoints", "tiny.safetensors")
    tensors = {
        name: value + 0.05 * torch.randn(value.shape, generator=generator) if value.is_floating_point() else value
        for name, value in load_file(path).items()
    }
    save(desk.paths.folders("checkpoints")[0] / "other.safetensors", tensors, metadata_of(path))
    return checkpoint_loader(desk, "other.safetensors")


def metadata_of(path: Path) -> dict[str, str]:
    with safe_open(path, "pt") as file:
        found: dict[str, str] = file.metadata()
    return found


def state(bench: Any, handle: Any) -> dict[str, torch.Tensor]:
    with bench.models.use(handle) as live:
        module = live.encoders[0].module if hasattr(live, "encoders") else live.module
        return {name: value.clone() for name, value in module.state_dict().items()}


def equal(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor], within: float = 0.0) -> bool:
    assert one.keys() == two.keys()
    return all(torch.allclose(one[name], two[name], rtol=0, atol=within) for name in one)


def written(bench: Bench, pattern: str) -> Path:
    [path] = bench.paths.directory("output").glob(pattern)
    return path


def moved(bench: Bench, path: Path, folder: str) -> str:
    target = bench.paths.base / "models" / folder / path.name
    target.parent.mkdir(exist_ok=True)
    path.rename(target)
    return target.name


def test_a_checkpoint_comes_back_with_every_patch_written_in(desk: Bench, first: Any, second: Any) -> None:
    lora = "kohya.safetensors"
    model, clip = lora_loader(desk, first.MODEL, first.CLIP, lora, 0.7, 0.4)
    model = model_merge_simple(desk, model, second.MODEL, 0.3)
    clip = clip_merge_simple(desk, clip, second.CLIP, 0.6)
    checkpoint_save(desk, model, clip, second.VAE, "merged/one")
    path = written(desk, "merged/one_00001_.safetensors")
    metadata = metadata_of(path)
    assert json.loads(metadata["prompt"]) == desk.prompt
    assert json.loads(metadata["workflow"]) == desk.workflow
    assert metadata["modelspec.architecture"] == "stable-diffusion-v1"
    assert metadata["modelspec.prediction_type"] == "epsilon"
    assert not list(path.parent.glob(".*"))
    original = load_file(desk.paths.find("checkpoints", "tiny.safetensors"))
    assert load_file(path).keys() == original.keys()
    again = checkpoint_loader(desk, moved(desk, path, "checkpoints"))
    assert equal(state(desk, again.MODEL), state(desk, model))
    assert equal(state(desk, again.CLIP), state(desk, clip))
    assert equal(state(desk, again.VAE), state(desk, second.VAE))
    assert again.MODEL.parameterization == model.parameterization
    assert again.MODEL.patches == ()


def test_diffusers_reads_what_is_saved(desk: Bench, first: Any, tiny_sd: Any, tmp_path: Path) -> None:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    model = lora_loader_model_only(desk, first.MODEL, "kohya.safetensors", 0.7)
    checkpoint_save(desk, model, first.CLIP, first.VAE, "for_diffusers")
    path = written(desk, "for_diffusers_00001_.safetensors")
    for name, kind, expected in (
        ("unet", UNet2DConditionModel, state(desk, model)),
        ("vae", AutoencoderKL, state(desk, first.VAE)),
    ):
        tiny_sd.modules[name].save_config(tmp_path / name)
        loaded = kind.from_single_file(str(path), config=str(tmp_path / name), local_files_only=True)
        assert equal(loaded.state_dict(), expected)


def test_diffusers_folders_become_original_files(desk: Bench, tiny_sd: Any, first: Any, tmp_path: Path) -> None:
    from nodes.loaders import diffusers_loader

    folder = desk.paths.base / "models" / "diffusers" / "tiny"
    for name in ("unet", "vae", "text_encoder"):
        tiny_sd.modules[name].save_pretrained(folder / name)
    (folder / "model_index.json").write_text("{}")
    parts = diffusers_loader(desk, "tiny")
    checkpoint_save(desk, parts.MODEL, first.CLIP, parts.VAE, "of_folder")
    path = written(desk, "of_folder_00001_.safetensors")
    expected, found = load_file(desk.paths.find("checkpoints", "tiny.safetensors")), load_file(path)
    assert equal(found, expected)
    again = checkpoint_loader(desk, moved(desk, path, "checkpoints"))
    assert equal(state(desk, again.MODEL), state(desk, parts.MODEL))
    assert again.MODEL.config == parts.MODEL.config


def test_parts_are_saved_alone(desk: Bench, first: Any, second: Any) -> None:
    model = model_merge_simple(desk, first.MODEL, second.MODEL, 0.5)
    clip = clip_merge_simple(desk, first.CLIP, second.CLIP, 0.5)
    model_save(desk, model)
    clip_save(desk, clip)
    vae_save(desk, first.VAE)
    of_model = denoiser_loader(
        desk, moved(desk, written(desk, "diffusion_models/ComfyUI_00001_.safetensors"), "diffusion_models")
    )
    of_clip = text_encoder_loader(
        desk, moved(desk, written(desk, "clip/ComfyUI_clip_l_00001_.safetensors"), "text_encoders")
    )
    of_vae = vae_loader(desk, moved(desk, written(desk, "vae/ComfyUI_vae_00001_.safetensors"), "vae"))
    assert equal(state(desk, of_model), state(desk, model))
    assert equal(state(desk, of_clip), state(desk, clip))
    assert equal(state(desk, of_vae), state(desk, first.VAE))


def test_what_a_network_predicts_is_saved(desk: Bench, first: Any) -> None:
    import msgspec

    changed = msgspec.structs.replace(first.MODEL.parameterization, prediction="v", zero_terminal_snr=True)
    model_save(desk, first.MODEL.with_parameterization(changed), "predicts_v")
    path = written(desk, "predicts_v_00001_.safetensors")
    assert {"v_pred", "ztsnr"} <= load_file(path).keys()
    assert denoiser_loader(desk, moved(desk, path, "diffusion_models")).parameterization == changed


def test_names_and_faults(desk: Bench, first: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    vae_save(desk, first.VAE, "numbered")
    vae_save(desk, first.VAE, "numbered")
    assert {path.name for path in desk.paths.directory("output").iterdir()} == {
        "numbered_00001_.safetensors",
        "numbered_00002_.safetensors",
    }
    with pytest.raises(MediaError, match="leads out of"):
        vae_save(desk, first.VAE, "../outside")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    desk.progress = full  # type: ignore[method-assign]
    with pytest.raises(MediaError, match=r"disk is full.*Nothing half-written"):
        vae_save(desk, first.VAE, "half")
    assert not [path for path in desk.paths.directory("output").iterdir() if "numbered" not in path.name]


def test_a_text_encoder_of_another_family_is_no_part_of_a_checkpoint(desk: Bench, first: Any) -> None:
    import msgspec

    other = msgspec.structs.replace(first.CLIP, family="sdxl", tower="clip_g")
    with pytest.raises(ModelError, match="hold no text encoder clip_g"):
        checkpoint_save(desk, first.MODEL, other, first.VAE, "never")


# --- LoRAs of differences -------------------------------------------------------------------------------------------


def test_a_lora_of_a_difference_is_the_difference_again(desk: Bench, first: Any, second: Any) -> None:
    difference = model_merge_subtract(desk, second.MODEL, first.MODEL, 1.0)
    of_texts = clip_merge_subtract(desk, second.CLIP, first.CLIP, 1.0)
    for kind, rank in (("full_diff", 8), ("standard", 4096)):
        lora_save(desk, kind, rank, kind, True, difference, of_texts)
        name = moved(desk, written(desk, f"{kind}_00001_.safetensors"), "loras")
        model, clip = lora_loader(desk, first.MODEL, first.CLIP, name, 1.0, 1.0)
        assert equal(state(desk, model), state(desk, second.MODEL), 1e-5)
        assert equal(state(desk, clip), state(desk, second.CLIP), 1e-5)
    assert desk.warned == []


def test_of_a_lora_that_was_put_on_as_much_comes_back(desk: Bench, first: Any) -> None:
    """A difference of rank 4 is found whole at rank 4, and kept without biases for diffusers."""
    changed = lora_loader_model_only(desk, first.MODEL, "kohya.safetensors", 1.0)
    lora_save(desk, "again", 4, "standard", False, model_merge_subtract(desk, changed, first.MODEL, 1.0))
    path = written(desk, "again_00001_.safetensors")
    made, kept = load_file(path), load_file(desk.paths.find("loras", "kohya.safetensors"))
    assert made.keys() == {name for name in kept if name.startswith("lora_unet")}
    back = lora_loader_model_only(desk, first.MODEL, moved(desk, path, "loras"), 1.0)
    assert equal(state(desk, back), state(desk, changed), 1e-5)


def test_diffusers_puts_on_a_lora_that_was_extracted(desk: Bench, first: Any, second: Any, tiny_sd: Any) -> None:
    from diffusers.loaders.lora_pipeline import StableDiffusionLoraLoaderMixin as Loader
    from diffusers.utils.state_dict_utils import convert_unet_state_dict_to_peft

    difference = model_merge_subtract(desk, second.MODEL, first.MODEL, 1.0)
    of_texts = clip_merge_subtract(desk, second.CLIP, first.CLIP, 1.0)
    lora_save(desk, "peft", 4096, "standard", False, difference, of_texts)
    path = written(desk, "peft_00001_.safetensors")
    tensors, alphas = Loader.lora_state_dict(load_file(path))
    unet = {name.removeprefix("unet."): value for name, value in tensors.items() if name.startswith("unet.")}
    found = convert_unet_state_dict_to_peft(unet)
    before, after = state(desk, first.MODEL), state(desk, second.MODEL)
    modules = {name.removesuffix(".lora_A.weight") for name in found if name.endswith(".lora_A.weight")}
    assert modules == {name.removesuffix(".weight") for name, value in before.items() if value.ndim > 1}
    for module in modules:
        up, down = found[f"{module}.lora_B.weight"], found[f"{module}.lora_A.weight"]
        change = (up.flatten(1) @ down.flatten(1)).view_as(before[f"{module}.weight"])
        assert torch.allclose(before[f"{module}.weight"] + change, after[f"{module}.weight"], atol=1e-5), module
    assert {float(alpha) for alpha in alphas.values()} <= {
        float(len(found[f"{module}.lora_A.weight"])) for module in modules
    }


def test_the_largest_directions_of_a_large_matrix() -> None:
    from engine.models.saving.extracted import factors

    generator = torch.Generator().manual_seed(1)
    left, right = (torch.linalg.qr(torch.randn(size, 1100, generator=generator)).Q for size in (1200, 1100))
    matrix = left * (0.8 ** torch.arange(1100)) @ right.T
    up, down = factors(matrix, 6)
    best = torch.linalg.svdvals(matrix)[6:].square().sum().sqrt()
    assert torch.dist(up @ down, matrix) <= best * 1.0001
    kernel = matrix[:60, :90].reshape(60, 10, 3, 3)
    up, down = factors(kernel, 60)
    assert up.shape == (60, 60, 1, 1)
    assert torch.allclose(torch.einsum("or...,rihw->oihw", up.flatten(1), down), kernel, atol=1e-5)


def test_bad_differences_are_told(desk: Bench, first: Any) -> None:
    with pytest.raises(ModelError, match="no difference of two models"):
        lora_save(desk, "never", model_diff=first.MODEL)
    with pytest.raises(ModelError, match="the two models have the same weights"):
        lora_save(desk, "never", model_diff=model_merge_subtract(desk, first.MODEL, first.MODEL, 1.0))
    lora_save(desk, "never")
    assert desk.warned == ["Nothing is saved: connect what ModelMergeSubtract or CLIPMergeSubtract gives."]
