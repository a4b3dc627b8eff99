"""The forms in which tokenizers lie in folders, read as one of the library `tokenizers`. No torch, no transformers.

`tokenizer.json`, also gzipped; CLIP's `vocab.json` with `merges.txt`; and the list of merges that CLIP was published with.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine.models.errors import TokenizerError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

START, END = "<|startoftext|>", "<|endoftext|>"
CLIP_MERGES: Final = "bpe_simple_vocab_16e6.txt.gz"
_CLIP_MERGED = 49152 - 256 - 2
"""Of the merges listed there, CLIP has so many."""
# The pattern that CLIP (Radford et al. 2021) splits text by before byte-pair encoding.
_CLIP_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def tokenizer_file(folder: Path) -> Path | None:
    """Return the tokenizer file in one folder, None without one."""
    return next(files_in(folder), None)


def files_in(folder: Path) -> Iterator[Path]:
    """Yield the tokenizer file of a folder, if it has one."""
    for name in ("tokenizer.json", "tokenizer.json.gz"):
        if (folder / name).is_file():
            yield folder / name
            return
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        yield folder / "vocab.json"
    elif (folder / CLIP_MERGES).is_file():
        yield folder / CLIP_MERGES


def read_file(path: Path, without: Collection[str] = ()) -> Tokenizer:
    """Return the tokenizer in a file that `files_in` found, `without` some of its added tokens.

    Raises TokenizerError for a file that cannot be read, or holds something else.
    """
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as problem:
        raise TokenizerError(f"{path}: cannot be read: {problem}. Fetch or export it again.") from problem
    if path.name == CLIP_MERGES:
        return _published_clip(text, path)
    if path.name == "vocab.json":
        return _clip_files(text, path)
    return parse(text, str(path), without)


def parse(text: str, where: str, without: Collection[str] = ()) -> Tokenizer:
    """Return the tokenizer of the text of a tokenizer.json. Raises TokenizerError, which names `where`."""
    from tokenizers import Tokenizer

    try:
        if without:
            table = json.loads(text)
            table["added_tokens"] = [one for one in table["added_tokens"] if one["content"] not in without]
            text = json.dumps(table, ensure_ascii=False)
        return Tokenizer.from_str(text)
    except Exception as problem:  # the library raises a bare Exception
        raise TokenizerError(f"{where}: not a tokenizer.json: {problem}") from problem


def _published_clip(text: str, path: Path) -> Tokenizer:
    """CLIP's vocabulary: 256 bytes, the same ending words, the merges, and the two tokens that open and close a prompt."""
    merges = [tuple(line.split()) for line in text.split("\n")[1 : _CLIP_MERGED + 1]]
    if len(merges) < _CLIP_MERGED or any(len(merge) != 2 for merge in merges):
        raise TokenizerError(f"{path}: expected {_CLIP_MERGED} merges of two pieces, got {len(merges)} lines.")
    letters = byte_letters()
    words = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(merge) for merge in merges), START, END]
    vocabulary = {word: number for number, word in enumerate(words)}
    return _clip(vocabulary, [(first, second) for first, second in merges], path)


def _clip_files(text: str, path: Path) -> Tokenizer:
    try:
        lines = path.with_name("merges.txt").read_text(encoding="utf-8").splitlines()
        pairs = [line.split() for line in lines if line and not line.startswith("#version")]
        return _clip(json.loads(text), [(first, second) for first, second in pairs], path)
    except (OSError, ValueError) as problem:
        raise TokenizerError(f"{path}: no byte-pair vocabulary with its merges.txt: {problem}") from problem


def _clip(vocabulary: dict[str, int], merges: Sequence[tuple[str, str]], path: Path) -> Tokenizer:
    from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
    from tokenizers.models import BPE

    try:
        model = BPE(vocab=vocabulary, merges=list(merges), end_of_word_suffix="</w>", unk_token=END)
    except Exception as problem:  # the library raises a bare Exception
        raise TokenizerError(f"{path}: no byte-pair vocabulary with its merges.txt: {problem}") from problem
    fast = Tokenizer(model)
    fast.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    split = pre_tokenizers.Split(Regex(_CLIP_PATTERN), behavior="removed", invert=True)
    fast.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    fast.add_special_tokens([START, END])
    return fast


def byte_letters() -> list[str]:
    """Return the letters that byte-level vocabularies write bytes as (Radford et al. 2019), in the order of CLIP's ids.

    First those bytes that are printable, as themselves; the others, in order, as letters from U+0100 on.
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [*map(chr, printable), *(chr(256 + number) for number in range(256 - len(printable)))]


def letter_of_byte() -> list[str]:
    """Return the same letters, by byte."""
    printable = [ord(letter) for letter in byte_letters() if ord(letter) < 256]
    others = [number for number in range(256) if number not in printable]
    table = {number: chr(number) for number in printable}
    return [letter for _, letter in sorted((table | {n: chr(256 + i) for i, n in enumerate(others)}).items())]
