"""LoRAs on text encoders that are language models, and on T5: as if their deltas were added to the library's weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from nodes.conditioning import text_encode
from nodes.loaders import text_encoder_loader
from tests.conftest import _save as save
from tests.tiny_towers import PROMPT, family, library_tokenizer, tiny, write_tokenizer, written

__all__ = ["family"]

RANK, ALPHA, STRENGTH = 2, 3.0, 0.7


def lora(module: Any, spelled: dict[str, str]) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """A LoRA's tensors for modules of the library under the names in a file, and the deltas that they are."""
    torch.manual_seed(9)
    tensors, deltas = {}, {}
    for name, spelling in spelled.items():
        weight = module.get_submodule(name).weight
        down, up = torch.randn(RANK, weight.shape[1]) * 0.3, torch.randn(weight.shape[0], RANK) * 0.3
        kohya = "." not in spelling
        first, second = ("lora_down", "lora_up") if kohya else ("lora_A", "lora_B")
        tensors |= {f"{spelling}.{first}.weight": down, f"{spelling}.{second}.weight": up}
        if kohya:
            tensors[f"{spelling}.alpha"] = torch.tensor(ALPHA)
        deltas[name] = up @ down * (ALPHA / RANK if kohya else 1.0)
    return tensors, deltas


@pytest.mark.parametrize(
    "pattern",
    [
        "lora_te_model_{flat}",
        "lora_te1_{flat}",
        "text_encoder.model.{name}",
        "base_model.model.model.{name}",
        "text_encoders.qwen3.transformer.model.{name}",
    ],
)
def test_a_lora_moves_a_language_model_and_off_again_it_is_as_it_was(family: Any, tmp_path: Path, pattern: str) -> None:
    from transformers import Qwen3Config, Qwen3Model

    bench = family("qwen3", "kind='qwen3'")
    words = library_tokenizer(write_tokenizer(tmp_path, "qwen3", "qwen"), "<|endoftext|>")
    rope = {"rope_type": "default", "rope_theta": 1e6}
    module = tiny(Qwen3Config, Qwen3Model, len(words), head_dim=16, rope_parameters=rope)
    written(bench, "qwen3", module)
    names = ["layers.0.self_attn.q_proj", "layers.3.mlp.down_proj"]
    spelled = {name: pattern.format(name=name, flat=name.replace(".", "_")) for name in names}
    tensors, deltas = lora(module, spelled)
    save(tmp_path / "models" / "loras" / "one.safetensors", tensors)
    clip = text_encoder_loader(bench, "qwen3.safetensors", "qwen3")
    before = text_encode(bench, PROMPT, clip)[0][0]
    result = bench.models.lora(tmp_path / "models" / "loras" / "one.safetensors", None, clip, 0.0, STRENGTH)
    assert result.unmatched == ()
    moved = text_encode(bench, PROMPT, result.clip)[0][0]
    for name, delta in deltas.items():
        module.get_submodule(name).weight.add_(delta * STRENGTH)
    expected = module(**words(PROMPT, return_tensors="pt")).last_hidden_state
    assert (moved - before).abs().max() > 1e-3
    assert torch.allclose(moved, expected, atol=1e-5)
    assert torch.equal(text_encode(bench, PROMPT, clip)[0][0], before)


def test_a_lora_reaches_t5_beside_clip(tiny_sd: Any, tmp_path: Path) -> None:
    """T5 is the second encoder of FLUX.1, which trainers call the third."""
    from engine.models.manager import ModelManager
    from engine.paths import Paths
    from nodes.loaders import dual_text_encoder_loader
    from tests.conftest import Bench, _tokenizer_json
    from tests.families import write_flux

    made = write_flux(tmp_path, tiny_sd.tokenizer_files, _tokenizer_json(tiny_sd.tokenizer_files))
    bench = Bench(ModelManager("cpu", tokenizer_dirs=[tmp_path / "models" / "text_encoders"]), Paths(tmp_path))
    clip = dual_text_encoder_loader(bench, "clip_l.safetensors", "t5xxl.safetensors", "flux")
    t5 = made.modules["text_encoder_2"]
    name = "encoder.block.1.layer.0.SelfAttention.v"
    for spelling in (f"lora_te3_{name.replace('.', '_')}", f"text_encoder_2.{name}"):
        tensors, deltas = lora(t5, {name: spelling})
        path = tmp_path / "models" / "loras" / f"{spelling}.safetensors"
        save(path, tensors)
        result = bench.models.lora(path, None, clip, 0.0, STRENGTH)
        assert result.unmatched == ()
        moved = text_encode(bench, "the red apple", result.clip)[0][0]
        weight = t5.get_submodule(name).weight
        kept = weight.clone()
        weight.add_(deltas[name] * STRENGTH)
        given = made.tokenizers["tokenizer_2"]("the red apple", padding="max_length", return_tensors="pt")
        assert torch.allclose(moved, t5(given.input_ids)[0], atol=1e-5)
        weight.copy_(kept)
