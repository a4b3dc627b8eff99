"""Networks whose files stack, swap, join and turn what libraries keep apart: every changed weight is put back where it lay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from nodes.loaders import (
    checkpoint_loader,
    denoiser_loader,
    dual_text_encoder_loader,
    lora_loader_model_only,
    vae_loader,
)
from nodes.model_merging import clip_merge_add, model_merge_add
from nodes.model_saving import checkpoint_save, model_save, vae_save
from tests import every_family, tiny_packed
from tests.conftest import Bench
from tests.conftest import _save as save

WHOLE = ("sdxl", "sd3", "flux", "auraflow")
ALONE = ("ovis_image", "z_image", "qwen_image", "hidream", "chroma_radiance")


def state(bench: Bench, handle: Any) -> dict[str, torch.Tensor]:
    with bench.models.use(handle) as live:
        modules = [one.module for one in live.encoders] if hasattr(live, "encoders") else [live.module]
        return {
            f"{number} {name}": value.clone()
            for number, module in enumerate(modules)
            for name, value in module.state_dict().items()
        }


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    assert one.keys() == two.keys()
    return all(torch.equal(one[name], two[name]) for name in one)


def moved(bench: Bench, folder: str) -> str:
    [path] = bench.paths.directory("output").glob("saved_*")
    target = bench.paths.base / "models" / folder / path.name
    target.parent.mkdir(exist_ok=True)
    path.rename(target)
    return target.name


@pytest.mark.parametrize("name", WHOLE)
def test_a_checkpoint_comes_back(tmp_path: Path, name: str) -> None:
    parts = every_family.loaded(every_family.written(tmp_path, name), name)
    bench = parts.bench
    model, clip = model_merge_add(bench, parts.model, parts.model), clip_merge_add(bench, parts.clip, parts.clip)
    checkpoint_save(bench, model, clip, parts.vae, "saved")
    again = checkpoint_loader(bench, moved(bench, "checkpoints"))
    assert bench.warned == []
    assert same(state(bench, again.MODEL), state(bench, model))
    assert same(state(bench, again.CLIP), state(bench, clip))
    assert same(state(bench, again.VAE), state(bench, parts.vae))
    assert again.MODEL.config == parts.model.config
    assert again.MODEL.parameterization == parts.model.parameterization
    assert again.MODEL.latent == parts.model.latent
    assert not same(state(bench, again.MODEL), state(bench, parts.model))


@pytest.mark.parametrize("name", ALONE)
def test_parts_come_back(tmp_path: Path, name: str) -> None:
    parts = every_family.loaded(every_family.written(tmp_path, name), name)
    bench = parts.bench
    model = model_merge_add(bench, parts.model, parts.model)
    model_save(bench, model, "saved")
    again = denoiser_loader(bench, moved(bench, "diffusion_models"))
    assert same(state(bench, again), state(bench, model))
    assert again.config == parts.model.config
    if parts.vae.source.digest:
        vae_save(bench, parts.vae, "saved")
        assert same(state(bench, vae_loader(bench, moved(bench, "vae"))), state(bench, parts.vae))


def test_diffusers_reads_a_checkpoint_of_xl(tmp_path: Path) -> None:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    parts = every_family.loaded(every_family.written(tmp_path, "sdxl"), "sdxl")
    bench = parts.bench
    model = model_merge_add(bench, parts.model, parts.model)
    checkpoint_save(bench, model, parts.clip, parts.vae, "saved")
    path = bench.paths.find("checkpoints", moved(bench, "checkpoints"))
    assert load_file(path).keys() == load_file(Path(parts.model.source.path)).keys()
    with bench.models.use(model) as live:
        live.module.save_config(tmp_path / "unet")
        loaded = UNet2DConditionModel.from_single_file(str(path), config=str(tmp_path / "unet"), local_files_only=True)
        assert same(loaded.state_dict(), live.module.state_dict())


def test_packed_weights_are_written_unpacked(tmp_path: Path) -> None:
    base = every_family.written(tmp_path, "z_image")
    source = base / "models" / "diffusion_models" / "z_image.safetensors"
    packed, _ = tiny_packed.write_both(source, tiny_packed.fp8("scale_weight"))
    bench = every_family.loaded(base, "z_image").bench
    model = denoiser_loader(bench, packed.name)
    model_save(bench, model_merge_add(bench, model, model), "saved")
    found = state(bench, denoiser_loader(bench, moved(bench, "diffusion_models")))
    bare = state(bench, model)
    from engine.models.packed.tensor import PackedTensor

    assert found.keys() == bare.keys()
    for name, value in bare.items():
        plain = value.unpacked() if isinstance(value, PackedTensor) else value
        assert torch.allclose(found[name], 2 * plain, rtol=2**-7), name


def test_text_encoders_of_files_of_their_own_are_joined_into_a_checkpoint(tmp_path: Path) -> None:
    """The second tower of XL is brought into the names of open_clip, in which checkpoints have it."""
    base = every_family.written(tmp_path, "sdxl")
    parts = every_family.loaded(base, "sdxl")
    bench = parts.bench
    clip = dual_text_encoder_loader(bench, "clip_l.safetensors", "clip_g.safetensors", "sdxl")
    checkpoint_save(bench, parts.model, clip, parts.vae, "saved")
    path = bench.paths.find("checkpoints", moved(bench, "checkpoints"))
    assert same(load_file(path), load_file(base / "models" / "checkpoints" / "xl.safetensors"))
    again = checkpoint_loader(bench, path.name)
    assert same(state(bench, again.CLIP), state(bench, clip))
    assert [one.config for one in again.CLIP.towers] == [one.config for one in parts.clip.towers]


def test_layers_that_a_lora_widens_are_written_wide(tmp_path: Path) -> None:
    parts = every_family.loaded(every_family.written(tmp_path, "flux"), "flux")
    bench = parts.bench
    with bench.models.use(parts.model) as live:
        rows, columns = live.module.x_embedder.weight.shape
    lora = {
        "transformer.x_embedder.lora_A.weight": torch.randn(3, 2 * columns),
        "transformer.x_embedder.lora_B.weight": torch.randn(rows, 3),
    }
    (tmp_path / "flux" / "models" / "loras").mkdir(exist_ok=True)
    save(tmp_path / "flux" / "models" / "loras" / "wide.safetensors", lora)
    wide = lora_loader_model_only(bench, parts.model, "wide.safetensors", 0.5)
    model_save(bench, wide, "saved")
    again = denoiser_loader(bench, moved(bench, "diffusion_models"))
    assert again.in_channels == 2 * parts.model.in_channels
    assert same(state(bench, again), state(bench, wide))
