"""Train a byte-pair tokenizer in the manner of CLIP (Sennrich et al. 2016; Radford et al. 2021) on the captions."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from engine.media.atomic import write_whole
from engine.training.recipe import TokenizerRecipe

START = "<|startoftext|>"
END = "<|endoftext|>"
WORD_END = "</w>"
# CLIP's split: contractions, letters, single digits, runs of other signs.
WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def train_tokenizer(phrases: Iterable[str], recipe: TokenizerRecipe) -> Any:
    """Learn at most `recipe.vocabulary` tokens: 256 bytes, 256 bytes at a word's end, merges, then start and end as the last two.

    Any text can be encoded. Ids are padded with the end token to `recipe.max_length` and cut there, start and end included.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    letters = alphabet + [letter + WORD_END for letter in alphabet]
    learner = _with_rules(Tokenizer(models.BPE(end_of_word_suffix=WORD_END)))
    trainer = trainers.BpeTrainer(
        vocab_size=recipe.vocabulary - 2,
        initial_alphabet=alphabet,
        # Given here, word-end letters have ids from the start. Else ids, and with them the choice between equally frequent
        # merges, would follow the order of a hash table, which differs from run to run.
        special_tokens=letters,
        end_of_word_suffix=WORD_END,
        show_progress=False,
    )
    learner.train_from_iterator(phrases, trainer)
    merges = json.loads(learner.to_str())["model"]["merges"]
    tokens = [*letters, *("".join(pair) for pair in merges), START, END]
    model = models.BPE(
        vocab={token: index for index, token in enumerate(dict.fromkeys(tokens))},
        merges=[tuple(pair) for pair in merges],
        end_of_word_suffix=WORD_END,
        unk_token=END,
    )
    return _with_special_tokens(_with_rules(Tokenizer(model)), recipe.max_length)


def save_tokenizer(tokenizer: Any, path: Path) -> None:
    """Write tokenizer.json whole."""
    write_whole(path, lambda temporary: tokenizer.save(str(temporary)))


def load_tokenizer(path: Path) -> Any:
    """Read what `save_tokenizer` wrote."""
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(path))


def _with_rules(tokenizer: Any) -> Any:
    from tokenizers import Regex, decoders, normalizers, pre_tokenizers

    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.Sequence([decoders.Replace(WORD_END, " "), decoders.ByteLevel()])
    return tokenizer


def _with_special_tokens(tokenizer: Any, max_length: int) -> Any:
    from tokenizers import processors

    tokenizer.add_special_tokens([START, END])
    start, end = tokenizer.token_to_id(START), tokenizer.token_to_id(END)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=[(START, start), (END, end)]
    )
    tokenizer.enable_truncation(max_length)
    tokenizer.enable_padding(pad_id=end, pad_token=END, length=max_length)
    return tokenizer
