"""Tokenizers that text encoder files carry as tensors of bytes: SentencePiece's models, Mistral's tekken, a tokenizer.json.

Read as tokenizers of the library `tokenizers`. A SentencePiece model (Kudo and Richardson 2018) is a protocol buffer, of which
the few fields that matter are read here; tekken is JSON. The names of the tensors are those of the field's files;
`tokenizer_json` is inferred.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from engine.models.errors import TokenizerError
from engine.models.tokenizer_files import letter_of_byte, parse

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BAR: Final = "\u2581"
"""What SentencePiece writes for a space."""
_CONTROL, _USER_DEFINED = 3, 4
_UNIGRAM, _BPE = 1, 2


class Piece(NamedTuple):
    """A piece of a SentencePiece vocabulary; `kind` as in its own enumeration (1 normal, 3 control, 4 user-defined)."""

    text: str
    score: float
    kind: int


class PieceModel(NamedTuple):
    """What of a SentencePiece model decides about ids."""

    pieces: list[Piece]
    algorithm: int
    byte_fallback: bool
    unknown: int
    charsmap: bytes
    prefix: bool
    one_space: bool


def sentencepiece(data: bytes, where: str) -> Tokenizer:
    """Return the tokenizer of a serialized SentencePiece model. Raises TokenizerError, which names `where`."""
    try:
        return of_pieces(read_pieces(data))
    except TokenizerError:
        raise
    except Exception as problem:  # the library raises a bare Exception
        raise TokenizerError(f"{where}: not a SentencePiece model: {problem}. Download the file again.") from problem


def of_pieces(model: PieceModel) -> Tokenizer:
    """Return the tokenizer of a SentencePiece model. Raises ValueError, and what the library raises, for one that is none."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers

    fast = Tokenizer(_pieces_model(model))
    steps: list[Any] = [normalizers.Precompiled(model.charsmap)] if model.charsmap else []
    if model.one_space:
        steps += [normalizers.Replace(Regex(" {2,}"), " "), normalizers.Strip()]
    fast.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", BAR)])
    after = "always" if model.algorithm == _UNIGRAM else "first"  # a unigram's text is stripped, and needs it again
    scheme = after if model.prefix else "never"
    fast.pre_tokenizer = pre_tokenizers.Metaspace(replacement=BAR, prepend_scheme=scheme, split=False)
    back: list[Any] = [decoders.Replace(BAR, " "), decoders.ByteFallback(), decoders.Fuse()]
    fast.decoder = decoders.Sequence([*back, *([decoders.Strip(" ", 1, 0)] if model.prefix else [])])
    fast.add_tokens(
        [
            # A piece with spaces is found in the text as it is after they are written as bars.
            AddedToken(piece.text, normalized=BAR in piece.text, special=piece.kind == _CONTROL)
            for piece in model.pieces
            if piece.kind in (_CONTROL, _USER_DEFINED)
        ]
    )
    return fast


def _pieces_model(model: PieceModel) -> Any:
    from tokenizers.models import BPE, Unigram

    if model.algorithm == _UNIGRAM:
        scores = [(piece.text, piece.score) for piece in model.pieces]
        return Unigram(scores, unk_id=model.unknown, byte_fallback=model.byte_fallback)
    if model.algorithm != _BPE:
        raise ValueError(f"its pieces are of kind {model.algorithm}; unigrams (1) and byte pairs (2) can be read")
    vocabulary = {piece.text: number for number, piece in enumerate(model.pieces)}
    normal = {piece.text: -piece.score for piece in model.pieces if piece.kind == 1}
    merges = merges_of(normal, vocabulary.get)
    unknown = model.pieces[model.unknown].text
    return BPE(vocabulary, merges, unk_token=unknown, fuse_unk=True, byte_fallback=model.byte_fallback)


def merges_of(ranks: Mapping[Any, float], number: Callable[[Any], int | None]) -> list[tuple[Any, Any]]:
    """Return the pairs that make each word (str or bytes) of `ranks`, words of lower rank first.

    A word is put together of any two that have a `number`.
    """
    found = []
    for word, rank in ranks.items():
        for cut in range(1, len(word)):
            first, second = number(word[:cut]), number(word[cut:])
            if first is not None and second is not None:
                found.append((rank, first, second, word[:cut], word[cut:]))
    found.sort(key=lambda one: one[:3])
    return [(one[3], one[4]) for one in found]


def read_pieces(data: bytes) -> PieceModel:
    """Return the vocabulary and rules of a serialized SentencePiece model. Raises ValueError for other bytes."""
    fields = list(_fields(data))
    trainer = dict(_fields(next((value for number, value in fields if number == 2), b"")))
    rules = dict(_fields(next((value for number, value in fields if number == 3), b"")))
    pieces = [_piece(dict(_fields(value))) for number, value in fields if number == 1]
    if not pieces:
        raise ValueError("it holds no pieces")
    return PieceModel(
        pieces=pieces,
        algorithm=trainer.get(3, _UNIGRAM),
        byte_fallback=bool(trainer.get(35, 0)),
        unknown=trainer.get(40, 0),
        charsmap=rules.get(2, b""),
        prefix=bool(rules.get(3, 1)),
        one_space=bool(rules.get(4, 1)),
    )


def _piece(fields: Mapping[int, Any]) -> Piece:
    score = struct.unpack("<f", fields.get(2, b"\0\0\0\0"))[0]
    return Piece(fields[1].decode("utf-8"), score, fields.get(3, 1))


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Yield (number, value) of a protocol buffer's fields: ints, and bytes for everything else."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        if key & 7 == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if key & 7 == 2:
            size, at = _varint(data, at)
        elif key & 7 in (1, 5):
            size = 8 if key & 7 == 1 else 4
        else:
            raise ValueError(f"byte {at} begins no field")
        if at + size > len(data):
            raise ValueError(f"{at + size - len(data)} bytes are missing")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data):
            raise ValueError("it ends within a number")
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def tekken(data: bytes, where: str) -> Tokenizer:
    """Return the tokenizer of Mistral's tekken.json: special tokens first, then byte pairs by rank.

    Raises TokenizerError, which names `where`.
    """
    from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE

    try:
        table = json.loads(data)
        specials = _tekken_specials(table)
        ranks = _tekken_ranks(table, len(specials))
        letters = letter_of_byte()
        written = {word: "".join(letters[byte] for byte in word) for word in ranks}
        vocabulary = {token: number for number, token in enumerate(specials)}
        vocabulary |= {written[word]: rank + len(specials) for word, rank in ranks.items()}
        merges = [(written[first], written[second]) for first, second in merges_of(ranks, ranks.get)]
        fast = Tokenizer(BPE(vocabulary, merges, ignore_merges=True))
        split = pre_tokenizers.Split(Regex(table["config"]["pattern"]), behavior="isolated")
        fast.pre_tokenizer = pre_tokenizers.Sequence(
            [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        )
        fast.decoder = decoders.ByteLevel()
        fast.add_special_tokens(specials)
    except Exception as problem:  # the library raises a bare Exception
        raise TokenizerError(f"{where}: not a tekken.json with its special tokens: {problem!r}.") from problem
    return fast


def _tekken_specials(table: Mapping[str, Any]) -> list[str]:
    """The special tokens in order of their ids, those without a name filled in."""
    named = {one["rank"]: str(one["token_str"]) for one in table["special_tokens"]}
    count = table["config"].get("default_num_special_tokens", len(named))
    return [named.get(rank, f"<SPECIAL_{rank}>") for rank in range(count)]


def _tekken_ranks(table: Mapping[str, Any], specials: int) -> dict[bytes, int]:
    words: Iterable[Mapping[str, Any]] = table["vocab"]
    size = table["config"].get("default_vocab_size")
    kept = list(words)[: None if size is None else size - specials]
    return {base64.b64decode(one["token_bytes"]): rank for rank, one in enumerate(kept)}


def _json(data: bytes, where: str) -> Tokenizer:
    try:
        return parse(data.decode("utf-8"), where)
    except UnicodeDecodeError as problem:
        raise TokenizerError(f"{where}: not a tokenizer.json: {problem}") from problem


READERS: Final[Mapping[str, Callable[[bytes, str], Tokenizer]]] = {
    "spiece_model": sentencepiece,
    "tekken_model": tekken,
    "tokenizer_json": _json,
}
"""Name of the tensor → what reads its bytes."""
