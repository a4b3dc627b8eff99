"""A LoRA that does not fit says whose it is, off names and sizes alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.models import lora_families
from engine.models.errors import LoraError
from engine.models.families import families, family_named
from engine.models.header import Header
from nodes.loaders import lora_loader, lora_loader_model_only
from tests.families import save

KNOWN = [family.name for family in families() if family.full is not None]


@pytest.fixture(scope="module", autouse=True)
def full_size() -> Any:
    """Every network is made once for all tests."""
    kept: dict[str, Any] = {}
    make = lora_families.full_size

    def once(family: Any, full: Any) -> Any:
        if family.name not in kept:
            kept[family.name] = make(family, full)
        return kept[family.name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lora_families, "full_size", once)
        yield once


def weights_of(name: str, word: str = "") -> dict[str, tuple[int, ...]]:
    """The matrices of a family's full-size network, by module."""
    family = family_named(name)
    assert family.full is not None
    parameters, _ = lora_families.full_size(family, family.full)
    named = {path.removesuffix(".weight"): shape for path, shape in parameters.items() if path.endswith(".weight")}
    return {path: shape for path, shape in named.items() if len(shape) == 2 and word in path}


def kohya(name: str, word: str = "") -> dict[str, tuple[int, ...]]:
    """Names and shapes of a LoRA in kohya's names."""
    found: dict[str, tuple[int, ...]] = {}
    for path, (rows, columns) in weights_of(name, word).items():
        key = f"lora_unet_{path.replace('.', '_')}"
        found |= {f"{key}.lora_down.weight": (1, columns), f"{key}.lora_up.weight": (rows, 1), f"{key}.alpha": ()}
    return found


def file(folder: Path, shapes: dict[str, tuple[int, ...]]) -> Path:
    path = folder / "other.safetensors"
    save(path, {name: torch.ones(shape) for name, shape in shapes.items()})
    return path


@pytest.mark.parametrize("name", KNOWN)
def test_a_lora_of_a_family_fits_it_whole(name):
    """So what its page says of the full size is its network, and the names of LoRAs are known by it."""
    shapes = kohya(name)
    family = family_named(name)
    assert shapes
    fit = lora_families._fit(
        Header(path="a.safetensors", shapes=shapes, dtypes={}, metadata={}), family, family.full or {}
    )
    assert (fit.tensors, fit.sized) == (len(shapes), len(shapes) * 2 // 3)


def test_nothing_else_is_left_out():
    """Of these no LoRA is told: they have another's names, or no published sizes."""
    assert {family.name for family in families()} - set(KNOWN) == {
        "ddpm",
        "deepfloyd_if",
        "lotus",
        "sd2_unclip",
        "sd_x4",
    }


def test_a_lora_that_fits_nothing_says_whose_it_is(everyone, tmp_path):
    """By its authors' names, in which projections are stacked; three families have the same blocks."""
    manager = everyone["z_image"][0].bench.models
    model = everyone["z_image"][0].model
    shapes = {}
    for i in range(19):
        key = f"diffusion_model.double_blocks.{i}.img_attn.qkv"
        shapes |= {f"{key}.lora_A.weight": (1, 3072), f"{key}.lora_B.weight": (9216, 1)}
    shapes |= {"diffusion_model.vector_in.in_layer.lora_A.weight": (1, 768)}
    shapes |= {"diffusion_model.vector_in.in_layer.lora_B.weight": (3072, 1)}
    with pytest.raises(LoraError, match=r"none of its 40 tensors fits this model, Z-Image \(.*; 40 fit FLUX\.1\. Use"):
        manager.lora(file(tmp_path, shapes), model)


def test_what_only_partly_fits_says_whose_the_rest_is(everyone):
    """Of families that have the same names, the one whose sizes it has too."""
    parts, _ = everyone["sd1"]
    model, clip = parts.model, parts.clip
    text = {"lora_te_text_model_encoder_layers_9_mlp_fc1.lora_up.weight": (4, 1)}
    path = parts.bench.paths.find("loras", "kohya.safetensors").parent
    shapes = kohya("sdxl", "transformer_blocks")
    file(path, shapes | text)
    parts.bench.warned.clear()
    lora_loader(parts.bench, model, clip, "other.safetensors", 1.0, 1.0)
    [note] = parts.bench.warned
    left = int(note.removeprefix("other.safetensors: ").split()[0])
    assert len(shapes) / 2 < left < len(shapes)
    assert f"They are most of its {len(shapes) + 1}" in note
    assert note.endswith(f"of them {left - 1} fit Stable Diffusion XL, 1 are for text encoders.")
    parts.bench.warned.clear()
    lora_loader_model_only(parts.bench, model, "other.safetensors", 1.0)
    assert f"They are most of its {len(shapes)}," in parts.bench.warned[0]
    (path / "other.safetensors").unlink()


def test_sizes_tell_families_of_the_same_names_apart(tmp_path):
    shapes = kohya("flux2_klein", "single")
    assert lora_families.told(file(tmp_path, shapes), shapes) == f"{len(shapes)} fit FLUX.2 klein 4B"


def test_what_is_no_familys_says_so(tmp_path):
    shapes = {"lora_unet_tower_0.lora_up.weight": (2, 2)}
    assert lora_families.told(file(tmp_path, shapes), shapes) == "they fit no family that is known"


def test_what_mostly_fits_compares_with_no_other_family(tmp_path, monkeypatch):
    monkeypatch.setattr(lora_families, "fits", lambda header: pytest.fail("nobody asked"))
    shapes = {f"lora_unet_{i}.lora_up.weight": (2, 2) for i in range(4)}
    path = file(tmp_path, shapes)
    assert lora_families.left_over("a", path, [], with_text=True) == ""
    assert lora_families.left_over("a", path, list(shapes)[:2], with_text=True) == (
        "a: 2 tensors fit nothing in this model, such as lora_unet_0.lora_up.weight."
    )
