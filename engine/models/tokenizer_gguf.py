"""Tokenizers that GGUF files tell in their facts (`tokenizer.ggml.…`), as tokenizers of the library `tokenizers`.

Three ways are read: byte pairs on bytes ("gpt2"), SentencePiece's byte pairs ("llama") and its unigrams ("t5"). How text is split
before byte pairs are joined is told by a name (`tokenizer.ggml.pre`), of which those of the text encoders here are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from engine.models.errors import TokenizerError
from engine.models.gguf_files import facts
from engine.models.tokenizer_stored import BAR, Piece, PieceModel, of_pieces

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_FACT: Final = "tokenizer.ggml."
_UNKNOWN, _CONTROL, _USER_DEFINED, _BYTE = 2, 3, 4, 6
_ALGORITHMS: Final = {"t5": 1, "llama": 2}
_WORDS: Final = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST: Final = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_MARKED: Final = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"


class _Split(NamedTuple):
    """How text is split. `whole`: a piece that is a token is taken as it is; `composed`: letters and their marks are joined."""

    pattern: str
    whole: bool = False
    composed: bool = False


_QWEN2: Final = _Split(_WORDS + r"\p{N}|" + _REST, composed=True)
_LLAMA3: Final = _Split(_WORDS + r"\p{N}{1,3}|" + _REST, whole=True)
_TEKKEN: Final = _Split(
    rf"[^\r\n\p{{L}}\p{{N}}]?{_MARKED[0]}*{_MARKED[1]}+|[^\r\n\p{{L}}\p{{N}}]?{_MARKED[0]}+{_MARKED[1]}*|"
    r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    whole=True,
)
_SPLITS: Final = {
    "qwen2": _QWEN2,
    "llama3": _LLAMA3,
    "llama-v3": _LLAMA3,
    "llama-bpe": _LLAMA3,
    "tekken": _TEKKEN,
    "pixtral": _LLAMA3,
}


def read(path: Path) -> Tokenizer | None:
    """Return the tokenizer of a GGUF file; None where its facts have none, or one of a kind that is not known.

    Raises TokenizerError for one that is damaged, and CheckpointError for a file that cannot be read.
    """
    told = {name.removeprefix(_FACT): value for name, value in facts(path).items() if name.startswith(_FACT)}
    model = told.get("model")
    if not told.get("tokens") or model not in (*_ALGORITHMS, "gpt2"):
        return None
    if model == "gpt2" and told.get("pre") not in _SPLITS:
        return None
    try:
        return _byte_pairs(told) if model == "gpt2" else of_pieces(_pieces(told, _ALGORITHMS[model]))
    except Exception as problem:  # the library raises a bare Exception
        raise TokenizerError(
            f"{path}: {_FACT}… tells no tokenizer of the kind {model!r}: {problem!r}. Download the file again."
        ) from problem


def _byte_pairs(told: Mapping[str, Any]) -> Tokenizer:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
    from tokenizers.models import BPE

    split = _SPLITS[told["pre"]]
    vocabulary = {token: number for number, token in enumerate(told["tokens"])}
    merges = [_pair(merge) for merge in told["merges"]]
    fast = Tokenizer(BPE(vocabulary, merges, ignore_merges=split.whole))
    if split.composed:
        fast.normalizer = normalizers.NFC()
    fast.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(split.pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    fast.decoder = decoders.ByteLevel()
    kinds = told.get("token_type", ())
    fast.add_tokens(
        [
            AddedToken(token, normalized=False, special=kind == _CONTROL)
            for token, kind in zip(told["tokens"], kinds, strict=False)
            if kind in (_CONTROL, _USER_DEFINED)
        ]
    )
    return fast


def _pair(merge: str) -> tuple[str, str]:
    first, _, second = merge.partition(" ")
    return first, second


def _pieces(told: Mapping[str, Any], algorithm: int) -> PieceModel:
    tokens, kinds = told["tokens"], told["token_type"]
    pieces = [
        # Pieces that users defined are written with spaces there, all others with bars.
        Piece(token.replace(" ", BAR) if kind == _USER_DEFINED else token, score, kind)
        for token, score, kind in zip(tokens, told["scores"], kinds, strict=True)
    ]
    unknown = told.get("unknown_token_id", kinds.index(_UNKNOWN) if _UNKNOWN in kinds else 0)
    return PieceModel(
        pieces=pieces,
        algorithm=algorithm,
        byte_fallback=_BYTE in kinds,
        unknown=int(unknown),
        charsmap=bytes(number & 255 for number in told.get("precompiled_charsmap", ())),
        prefix=bool(told.get("add_space_prefix", True)),
        one_space=bool(told.get("remove_extra_whitespaces", algorithm == _ALGORITHMS["t5"])),
    )
