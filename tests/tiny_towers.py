"""Tiny language models with random weights and tokenizers, and families that have one of them as their text encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
