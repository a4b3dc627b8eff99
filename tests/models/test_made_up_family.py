"""A family is one file: put into the folder, its checkpoints are found, loaded, sampled and patched."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.models import families, sd_keys
from engine.models.manager import ModelManager
from engine.paths import Paths
from nodes.conditioning import text_encode
from nodes.loaders import checkpoint_loader, lora_loader
from nodes.sampling import ksampler
from tests.conftest import Bench, _tokenizer_json
from tests.families import save, text_tower


@pytest.fixture
def bench(tiny_sd: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    (tmp_path / "pages").mkdir()
    shutil.copy(Path(__file__).with_name("made_up_family.py"), tmp_path / "pages" / "made_up.py")
    monkeypatch.setattr(families, "__path__", [*families.__path__, str(tmp_path / "pages")])
    families.families.cache_clear()
    write_checkpoint(tmp_path, _tokenizer_json(tiny_sd.tokenizer_files))
    yield Bench(ModelManager("cpu"), Paths(tmp_path))
    families.families.cache_clear()


def write_checkpoint(base: Path, tokenizer: str) -> None:
    torch.manual_seed(8)
    words = len(json.loads(tokenizer)["model"]["vocab"])
    text = text_tower(words, 32, 2, "quick_gelu")
    tensors = {
        "model.diffusion_model.blend.weight": torch.randn(5, 5, 3, 3) * 0.1,
        "model.diffusion_model.blend.bias": torch.zeros(5),
        "model.diffusion_model.words.weight": torch.randn(5, 32),
        "model.diffusion_model.words.bias": torch.zeros(5),
    } | sd_keys.text_to_original(text.state_dict(), prefix="words.")
    metadata = {"safelight.config": json.dumps({"text": {"heads": 2}}), "safelight.tokenizer": tokenizer}
    save(base / "models/checkpoints/made_up.safetensors", tensors, metadata)
    lora = {
        "lora_unet_words.lora_down.weight": torch.randn(2, 32),
        "lora_unet_words.lora_up.weight": torch.randn(5, 2),
        "lora_unet_mix.diff_b": torch.ones(5),
    }
    save(base / "models/loras/made_up.safetensors", lora)


def run(bench: Bench, model: Any, clip: Any) -> torch.Tensor:
    positive, negative = text_encode(bench, "red apple", clip), text_encode(bench, "", clip)
    empty = {"samples": torch.zeros(1, 4, 8, 8)}  # made before its model is known
    told = {"seed": 3, "steps": 2, "cfg": 2.0, "sampler_name": "euler", "scheduler": "simple"}
    result: torch.Tensor = ksampler(bench, model, **told, positive=positive, negative=negative, latent_image=empty)[
        "samples"
    ]
    return result


def by_hand(bench: Bench, clip: Any, *, strength: float = 0.0) -> torch.Tensor:
    """The same two steps of Euler's method over the shifted levels 1, 0.75, 0, written out."""
    from safetensors.torch import load_file

    from engine.sampling.noise import initial_noise

    weights = load_file(bench.paths.find("checkpoints", "made_up.safetensors"))
    lora = load_file(bench.paths.find("loras", "made_up.safetensors"))
    prefix = "model.diffusion_model."
    words = weights[f"{prefix}words.weight"] + strength * (
        lora["lora_unet_words.lora_up.weight"] @ lora["lora_unet_words.lora_down.weight"]
    )
    contexts = [text_encode(bench, text, clip)[0][0].mean(dim=1) for text in ("red apple", "")]
    x = initial_noise(torch.zeros(1, 5, 8, 8), 3)
    for level, after in ((1.0, 0.75), (0.75, 0.0)):
        mixed = torch.nn.functional.conv2d(x, weights[f"{prefix}blend.weight"], padding=1)
        mixed = mixed + strength * lora["lora_unet_mix.diff_b"][None, :, None, None]
        told = [context @ words.T * level + bright for context, bright in zip(contexts, (0.5, 0.0), strict=True)]
        positive, negative = (mixed + one[:, :, None, None] for one in told)
        x = x + (after - level) * (negative + 2.0 * (positive - negative))
    return x / 0.5 + 0.1


def test_a_checkpoint_of_it_is_found_loaded_and_sampled(bench: Bench) -> None:
    model, clip, vae = checkpoint_loader(bench, "made_up.safetensors")
    assert (model.family, model.latent.channels, model.parameterization.shift) == ("made_up", 5, 3.0)
    assert "holds no VAE" in vae.message
    assert torch.allclose(run(bench, model, clip), by_hand(bench, clip), atol=1e-4)


def test_a_lora_fits_it_by_either_of_its_names(bench: Bench) -> None:
    model, clip, _ = checkpoint_loader(bench, "made_up.safetensors")
    patched, _ = lora_loader(bench, model, clip, "made_up.safetensors", 0.5, 0.0)
    assert torch.allclose(run(bench, patched, clip), by_hand(bench, clip, strength=0.5), atol=1e-4)


def test_without_its_page_the_file_is_unknown_and_the_known_families_are_told(tiny_sd: Any, tmp_path: Path) -> None:
    from engine.models.errors import CheckpointError

    write_checkpoint(tmp_path, _tokenizer_json(tiny_sd.tokenizer_files))
    with pytest.raises(
        CheckpointError, match=r"made_up\.safetensors: holds a network of a family .* Stable Diffusion XL"
    ):
        ModelManager().checkpoint(tmp_path / "models/checkpoints/made_up.safetensors")
