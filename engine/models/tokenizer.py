"""Finding the tokenizer of a text encoder. No torch, no transformers.

In order: what the text encoder's file carries, as a tensor (`spiece_model`, `tekken_model`, `tokenizer_json`), in its metadata
(`safelight.tokenizer`, of T5 `safelight.tokenizer.t5`; the text of a tokenizer.json) or in the facts of a GGUF file; the file
that a handle names (beside the weights, or a diffusers folder's own); the text encoder folders, `NAME/tokenizer.json` or another
form of `tokenizer_files`; what `safelight tokenizers fetch` put into the base directory; the hub's cache on this machine. Only
one whose vocabulary fits the encoder is taken.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from engine.models import tokenizer_gguf
from engine.models.checkpoints import PICKLE_SUFFIXES, read_bytes, read_header
from engine.models.errors import TokenizerError
from engine.models.families import tower_of
from engine.models.gguf_files import SUFFIX as GGUF
from engine.models.pinned import Known, known_for
from engine.models.tokenizer_files import END, START, files_in, parse, read_file
from engine.models.tokenizer_stored import READERS
from engine.models.towers import kind_named

if TYPE_CHECKING:
    from tokenizers import Tokenizer as FastTokenizer

    from engine.models.handles import ClipHandle

# Gemma's vocabulary has HTML's <s> and </s> too, which open and close nothing.
_STARTS: Final = (START, "<bos>", "<|begin_of_text|>", "<s>", "[CLS]")
_ENDS: Final = (END, "<eos>", "<|end_of_text|>", "</s>", "[SEP]")
_ROUNDED: Final = 128
"""Tables of tokens are rounded up to a multiple of this: T5's 32,100 tokens have 32,128 rows."""


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
        """Return the token ids of `text`, without start and end. Special tokens in it, as <|im_start|>, are one id each."""
        ...

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, without special tokens."""
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
        return _special(self._fast, self._told_start, _STARTS, self._where)

    @property
    def end(self) -> int:
        """The token that closes a row; TokenizerError where there is none, as in language models' that open a chat."""
        return _special(self._fast, self._told_end, _ENDS, self._where)

    def ids(self, text: str) -> list[int]:
        """Return the token ids of `text`, without start and end."""
        return list(self._fast.encode(text, add_special_tokens=False).ids)

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, without special tokens."""
        return str(self._fast.decode(list(ids), skip_special_tokens=True))


def load_tokenizer(handle: ClipHandle, folders: Sequence[Path] = (), fetched: Path | None = None) -> Tokenizer:
    """Return the tokenizer of a text encoder by the order this module opens with.

    `folders`: those of text encoders; `fetched`: where `safelight tokenizers fetch` puts them. Raises TokenizerError when
    there is none that fits, saying what was tried and what to do, and for one that is damaged.
    """
    return _Search(handle, folders, fetched).found()


def load_spelling(
    handle: ClipHandle, kind: str, rows: int, folders: Sequence[Path] = (), fetched: Path | None = None
) -> Tokenizer:
    """Return the tokenizer of another kind of encoder with `rows` tokens, which a text encoder's prompts are spelled in too.

    Sought as `load_tokenizer` does, though not in a file of weights. Raises TokenizerError when there is none that fits.
    """
    return _Search(handle, folders, fetched, (kind, rows)).found()


def tokenizer_files(folders: Sequence[Path]) -> Iterator[Path]:
    """Yield the tokenizer files in the folders of the text encoder folders."""
    for folder in folders:
        for part in sorted(p for p in Path(folder).glob("*") if p.is_dir()):
            yield from files_in(part)


class _Search:
    """One look for a tokenizer, which remembers where it has looked."""

    def __init__(
        self,
        handle: ClipHandle,
        folders: Sequence[Path],
        fetched: Path | None,
        spelling: tuple[str, int] | None = None,
    ) -> None:
        self.handle, self.folders, self.fetched = handle, folders, fetched
        self.source = Path(handle.source.path)
        self.other = spelling is not None
        self.name, self.rows = spelling or (
            tower_of(handle.family, handle.tower).kind,
            int(handle.config["vocab_size"]),
        )
        self.kind = kind_named(self.name)
        self.known = known_for(self.name, self.kind.TOKENIZER, self.rows)

    def found(self) -> Tokenizer:
        if (own := getattr(self.kind, "own_tokenizer", None)) is not None:
            made: Tokenizer = own()
            return made
        steps: list[Callable[[], Tokenizer | None]] = [self._in_folders, self._fetched, self._in_hub_cache]
        if not self.other:
            steps = [self._carried, self._named, *steps]
        for step in steps:
            if tokenizer := step():
                return tokenizer
        raise TokenizerError(self._nothing())

    def _made(self, fast: FastTokenizer, where: str) -> JsonTokenizer:
        if self.other:
            return JsonTokenizer(fast, where)
        told = self.handle.tokens
        return JsonTokenizer(fast, where, start=told.start, end=told.end)

    def _certain(self, tokenizer: Tokenizer, where: str) -> Tokenizer:
        """A tokenizer that is meant for this encoder: that it has more tokens is an error."""
        if tokenizer.size > self.rows:
            raise TokenizerError(
                f"{where}: its tokenizer has {tokenizer.size} tokens, but its text encoder knows {self.rows}."
            )
        return tokenizer

    def _carried(self) -> Tokenizer | None:
        """What the file has: a tensor at the encoder's level or above, or its metadata."""
        if self.source.suffix.lower() in PICKLE_SUFFIXES:
            return None
        if self.source.suffix.lower() == GGUF:
            told = tokenizer_gguf.read(self.source)
            where = f"{self.source}, facts tokenizer.ggml"
            return self._certain(self._made(told, where), where) if told else None
        header = read_header(self.source)
        for level in _levels(self.handle.prefix):
            for name, read in READERS.items():
                if (tensor := f"{level}{name}") in header.shapes:
                    where = f"{self.source}, tensor {tensor}"
                    tokenizer = self._made(read(read_bytes(self.source, [tensor])[tensor], where), where)
                    if self._is_likely(tokenizer):
                        return tokenizer
                    if level == self.handle.prefix:  # above, it may be another encoder's
                        return self._certain(tokenizer, where)
        if text := header.metadata.get(self.kind.METADATA):
            where = f"{self.source}, metadata {self.kind.METADATA}"
            return self._certain(self._made(parse(text, where), where), where)
        return None

    def _named(self) -> Tokenizer | None:
        """The file that the handle names, else one beside the weights."""
        if self.handle.tokenizer is None:
            return self._likely_in(self.source.parent)
        path = self.handle.tokenizer.path
        return self._certain(self._made(read_file(Path(path)), path), path)

    def _in_folders(self) -> Tokenizer | None:
        """The folder with the name of the encoder's kind first, then any whose vocabulary fits closely."""
        for folder in self.folders:
            for path in files_in(Path(folder) / self.name):
                tokenizer = self._made(read_file(path), str(path))
                if tokenizer.size <= self.rows:
                    return tokenizer
        for path in tokenizer_files(self.folders):
            if path.parent.name != self.name:
                tokenizer = self._made(read_file(path), str(path))
                if tokenizer.size <= self.rows < tokenizer.size + _ROUNDED:
                    return tokenizer
        return None

    def _fetched(self) -> Tokenizer | None:
        if self.fetched is None:
            return None
        for known in self.known:
            if tokenizer := self._likely_in(self.fetched / known.folder, known.without):
                return tokenizer
        return None

    def _in_hub_cache(self) -> Tokenizer | None:
        """The models that are known to have it, and the one that the encoder's kind names."""
        own = Known(folder=self.name, serves=(self.kind.TOKENIZER,), rows=(self.rows,))
        for known in (*self.known, own):
            for model in known.serves:
                for snapshot in sorted((_hub_cache() / f"models--{model.replace('/', '--')}" / "snapshots").glob("*")):
                    if tokenizer := self._likely_in(snapshot, known.without):
                        return tokenizer
        return None

    def _likely_in(self, folder: Path, without: Collection[str] = ()) -> Tokenizer | None:
        for path in files_in(folder):
            tokenizer = self._made(read_file(path, without), str(path))
            if self._is_likely(tokenizer):
                return tokenizer
        return None

    def _is_likely(self, tokenizer: Tokenizer) -> bool:
        """Say whether a table of tokens is as long as the vocabulary, or has a little room: Qwen's 151,669 have 151,936 rows."""
        return tokenizer.size <= self.rows <= tokenizer.size + max(_ROUNDED, self.rows // 100)

    def _nothing(self) -> str:
        places = self.folders[0] if self.folders else "models/text_encoders"
        first = "Run `safelight tokenizers fetch`, or put" if self.known else "Put"
        return (
            f"{self.source}: no tokenizer with {self.rows} tokens found {self._whose()}. "
            f"{first} the tokenizer.json of {self.kind.TOKENIZER} at {places}/{self.name}/tokenizer.json. "
            f"Tried: {'; '.join(self._tried(places))}."
        )

    def _whose(self) -> str:
        if self.other:
            return f"to spell prompts for {self.name} too, as its family wants it"
        return f"for its text encoder {self.handle.tower}"

    def _tried(self, places: Path | str) -> Iterator[str]:
        if not self.other:
            yield f"tensors {', '.join(READERS)} and metadata {self.kind.METADATA} of the file"
            if self.source.suffix.lower() == GGUF:
                yield "its facts tokenizer.ggml"
            yield "a tokenizer.json beside it or in its diffusers folder"
        yield f"the folders in {', '.join(map(str, self.folders)) or places}"
        if self.fetched is not None:
            names = ", ".join(dict.fromkeys(known.folder for known in self.known)) or "none is known for it"
            yield f"what was fetched into {self.fetched} ({names})"
        yield f"the hub's cache in {_hub_cache()}"


def _levels(prefix: str) -> Iterator[str]:
    """Yield a prefix of tensor names, and those above it: "a.b.", "a.", ""."""
    parts = prefix.removesuffix(".").split(".") if prefix else []
    for count in range(len(parts), -1, -1):
        yield "".join(f"{part}." for part in parts[:count])


def _hub_cache() -> Path:
    if cache := os.environ.get("HF_HUB_CACHE"):
        return Path(cache)
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    return Path(home) / "hub"


def _special(fast: FastTokenizer, told: int | None, names: Sequence[str], where: str) -> int:
    if told is not None:
        return int(told)
    for name in names:
        found = fast.token_to_id(name)
        if found is not None:
            return int(found)
    raise TokenizerError(f"{where}: holds none of the tokens {', '.join(names)}, which open and close a prompt.")
