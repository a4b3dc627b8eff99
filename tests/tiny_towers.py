"""Tiny language models with random weights and tokenizers, and families that have one of them as their text encoder."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Bench
from tests.conftest import _save as save

PROMPT = "a photo of the red apple, (twice:1.3)\n on {a} tree"
SPECIALS = {
    "qwen": ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>"),
    "gemma": ("<pad>", "<eos>", "<bos>"),
    "llama": ("<|begin_of_text|>", "<|eot_id|>"),
    "mistral": ("<unk>", "<s>", "</s>", "[INST]", "[/INST]", "<pad>", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"),
}

PAGE = """
from engine.datatypes.parameterization import LatentFormat
from engine.models.families.base import Family, Layout, Prompting, Tower
from tests.models.made_up_family import FAMILY as MADE_UP
import msgspec

FAMILY = msgspec.structs.replace(
    MADE_UP,
    name="{name}",
    title="Made-up {name}",
    layouts=(Layout(name="none", has=("{name}.weight",)),),
    towers=(Tower(name="{name}", {tower}),),
    loader_types=("{type}",),
)
"""


def bytes_tokenizer(specials: tuple[str, ...]) -> Any:
    """Byte pairs with a few merges, as language models have them: a token for each byte, some words, special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=256 + 40 + len(specials),
        special_tokens=list(specials),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["a photo of the red apple on a tree, the dog and the blue ball"] * 4, trainer)
    return tokenizer


def write_tokenizer(base: Path, kind: str, specials: str) -> Path:
    """Into the folder in which that of a kind is looked for."""
    path = base / "models" / "text_encoders" / kind / "tokenizer.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(bytes_tokenizer(SPECIALS[specials]).to_str())
    return path


def library_tokenizer(path: Path, pad: str, **told: Any) -> Any:
    """The same as the pipelines have it."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_file=str(path), pad_token=pad, **told)


@pytest.fixture
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Bench]]:
    """`family(name, tower)` adds one whose only text encoder is `tower`, written as in a page; its type is its name."""
    from engine.models import families

    pages = tmp_path / "pages"
    pages.mkdir()
    monkeypatch.setattr(families, "__path__", [*families.__path__, str(pages)])

    def add(name: str, tower: str, kind: str | None = None) -> Bench:
        (pages / f"{name}.py").write_text(PAGE.format(name=name, tower=tower, type=kind or name))
        sys.modules.pop(f"{families.__name__}.{name}", None)
        families.families.cache_clear()
        from engine.models.manager import ModelManager
        from engine.paths import Paths

        folders = [tmp_path / "models" / "text_encoders"]
        return Bench(ModelManager("cpu", tokenizer_dirs=folders), Paths(tmp_path))

    yield add
    families.families.cache_clear()


def tiny(settings: Any, model: Any, vocabulary: int, **told: Any) -> Any:
    """A language model of four layers, whose norms and biases are random too."""
    import torch

    torch.manual_seed(3)
    config = settings(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=48,
        num_attention_heads=4,
        num_key_value_heads=2,
        **{"num_hidden_layers": 4, **told},
    )
    made = model(config).eval().requires_grad_(False)
    for name, parameter in made.named_parameters():
        if "norm" in name or name.endswith("bias"):
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return made


def written(bench: Bench, name: str, module: Any, told: dict[str, Any] | None = None) -> None:
    """A module's tensors into a file of their own, without a head."""
    state = {key: value for key, value in module.state_dict().items() if not key.startswith("lm_head")}
    path = bench.paths.base / "models" / "text_encoders" / f"{name}.safetensors"
    save(path, state, {"safelight.config": json.dumps({"text": told or {}})})


def encoded(bench: Bench, name: str, text: str = PROMPT) -> tuple[Any, dict[str, Any]]:
    """The context and the options of a prompt by our nodes."""
    from nodes.conditioning import text_encode
    from nodes.loaders import text_encoder_loader

    [[context, options]] = text_encode(bench, text, text_encoder_loader(bench, f"{name}.safetensors", name))
    return context, options
