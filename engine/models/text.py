"""Prompts to conditioning: rows of tokens, the text tower, and weights.

Weighting: every token's output is moved away from the empty prompt's output at the same place,
z = (z - z_empty) * weight + z_empty. A prompt longer than one row becomes several, encoded apart and laid end to end.
"""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import torch

from engine.models.checkpoints import CHECKPOINT_SUFFIXES, load_tensors
from engine.models.encoded import Encoded
from engine.models.encoder import Encoder, Warn, refuse_pictures
from engine.models.errors import EmbeddingError, ModelError, shortened
from engine.models.prompt import phrases, references, segments

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.handles import ClipHandle
    from engine.models.tokenizer import Tokenizer

_LARGE = 8
"""A piece of this many tokens is cut where its row is full; a shorter one begins the next row."""

log = logging.getLogger(__name__)


class Token(NamedTuple):
    """A token id, or the vector (D,) of a textual-inversion embedding, with its weight; `padding` that a model is not to see."""

    value: int | Tensor
    weight: float
    padding: bool = False


class TextEncoder(Encoder):
    """A CLIP text tower (Radford et al. 2021) with its tokenizer."""

    def __init__(
        self,
        module: nn.Module,
        handle: ClipHandle,
        tokenizer: Tokenizer,
        device: torch.device,
        dtype: torch.dtype,
        embedding_folders: Sequence[Path] = (),
    ) -> None:
        super().__init__(module, handle, tokenizer, device, dtype, embedding_folders)
        self._tower: nn.Module = getattr(module, "text_model", module)  # transformers 5 dropped a level
        self._end = tokenizer.end
        pad = handle.tokens.pad
        self._pad = self._end if pad is None else pad
        self._masked = self.tower.padding != "seen"

    @property
    def length(self) -> int:
        """Tokens in a row, start and end included."""
        return min(self.handle.tokens.max_length, int(self.handle.config["max_position_embeddings"]))

    def encode(self, text: str, warn: Warn = log.warning, pictures: Sequence[Tensor] = (), style: str = "") -> Encoded:
        """Return the context (1, T * rows, D) and the pooled text (1, P) of a prompt with emphasis and embeddings."""
        refuse_pictures(self.handle, pictures)
        return self.encode_tokens(self.tokenize(text, warn))

    def tokenize(self, text: str, warn: Warn = log.warning) -> list[list[Token]]:
        """Return the prompt's rows, each `length` tokens: start, text, end, padding.

        `warn` is told of embeddings that are not there or not of this encoder's width, which are left out. Raises
        CheckpointError for one whose file cannot be read.
        """
        rows: list[list[Token]] = [[]]
        room = self.length - 2
        for piece in self._tokens(text, warn):
            rest = piece
            while len(rows[-1]) + len(rest) > room:
                free = room - len(rows[-1]) if len(piece) >= _LARGE or not rows[-1] else 0
                rows[-1].extend(rest[:free])
                rest = rest[free:]
                rows.append([])
            rows[-1].extend(rest)
        return [self.framed(row) for row in rows]

    def framed(self, row: list[Token]) -> list[Token]:
        """Return a row of tokens between start and end, padded to `length`."""
        framed = [Token(self.tokenizer.start, 1.0), *row, Token(self._end, 1.0)]
        return framed + [Token(self._pad, 1.0, padding=self._masked)] * (self.length - len(framed))

    def _tokens(self, text: str, warn: Warn) -> Iterator[list[Token]]:
        """Yield the tokens of each stretch of text, and of each embedding, in order."""
        for segment in segments(text):
            for phrase in phrases(segment.text):
                rest = phrase
                if named := references(phrase):
                    vectors, rest = self._embedding(named, warn)
                    yield [Token(vector, segment.weight) for vector in vectors]
                yield [Token(i, segment.weight) for i in self.tokenizer.ids(rest)] if rest.strip() else []

    def _embedding(self, named: list[tuple[str, str]], warn: Warn) -> tuple[list[Tensor], str]:
        """Return the vectors of the first of these embeddings that is there, [] without one, and the text after its name."""
        for name, after in named:
            if path := embedding_file(name, self._folders):
                try:
                    return list(read_embedding(path, int(self.handle.config["hidden_size"]), self.handle.tower)), after
                except EmbeddingError as problem:
                    warn(f"prompt: embedding:{name} is left out. {problem}")
                    return [], after
        name, after = named[-1]
        warn(self._missing(name))
        return [], after

    def _missing(self, name: str) -> str:
        known = sorted(
            p.stem for folder in self._folders for p in Path(folder).rglob("*") if p.suffix in CHECKPOINT_SUFFIXES
        )
        nearest = difflib.get_close_matches(name, known, n=3)
        hint = (
            f"Nearest: {', '.join(nearest)}." if nearest else f"{len(known)} are there: {shortened(known) or 'none'}."
        )
        return f"prompt: there is no embedding {name!r}, so it is left out. {hint} Put its file into the embeddings folder."

    @torch.no_grad()
    def encode_tokens(self, rows: Sequence[Sequence[Token]]) -> Encoded:
        """Return context and pooled text of rows as `tokenize` makes them; pooled is the first row's, without weights.

        Pooled is the last layer's output at the first end token, through the final layer norm, and through the text
        projection where there is one.
        """
        weighted = any(token.weight != 1.0 for row in rows for token in row)
        batch = [list(row) for row in rows]
        if weighted:
            batch.append(self.framed([]))
        hidden, pooled = self._run(batch)
        if weighted:
            weights = torch.tensor([[token.weight for token in row] for row in rows])[:, :, None]
            hidden, empty = hidden[:-1], hidden[-1:]
            hidden = torch.where(weights == 1.0, hidden, (hidden - empty) * weights + empty)
        return self.signed(Encoded(hidden.reshape(1, -1, hidden.shape[-1]), {"pooled_output": pooled[:1]}))

    def _run(self, rows: list[list[Token]]) -> tuple[Tensor, Tensor]:
        """Return (hidden (R, T, D) at the handle's layer, pooled (R, P)) of R rows, float32 on the CPU."""
        ids = [[t.value if isinstance(t.value, int) else self._end for t in row] for row in rows]
        places = [
            (r, c, t.value) for r, row in enumerate(rows) for c, t in enumerate(row) if not isinstance(t.value, int)
        ]
        stopped: list[Tensor] = []
        hooks = [self._embeddings().register_forward_hook(lambda _m, _a, out: _spliced(out, places))] if places else []
        layer = self._stop_layer()
        if layer is not None:
            hooks.append(
                layer.register_forward_hook(
                    lambda _m, _a, out: stopped.append(out[0] if isinstance(out, tuple) else out)
                )
            )
        try:
            tokens = torch.tensor(ids, device=self.device)
            seen = torch.tensor([[int(not token.padding) for token in row] for row in rows], device=self.device)
            told = {"attention_mask": seen} if self._masked else {}
            last = cast("Tensor", self.module(input_ids=tokens, **told).last_hidden_state)
        finally:
            for hook in hooks:
                hook.remove()
        hidden = last
        if stopped:
            hidden = self._tower.final_layer_norm(stopped[0]) if self.handle.normed else stopped[0]  # type: ignore[operator]
        return hidden.float().cpu(), self._pooled(last, rows).float().cpu()

    def _pooled(self, last: Tensor, rows: list[list[Token]]) -> Tensor:
        ends = [next(i for i, t in enumerate(row) if isinstance(t.value, int) and t.value == self._end) for row in rows]
        pooled = last[torch.arange(len(rows)), ends]
        projection = getattr(self.module, "text_projection", None)
        return pooled if projection is None else cast("Tensor", projection(pooled))

    def _embeddings(self) -> nn.Module:
        return cast("nn.Module", self._tower.embeddings.token_embedding)  # type: ignore[union-attr]

    def _stop_layer(self) -> nn.Module | None:
        """Return the layer to stop at, None for the last one of this tower with the norm after it."""
        layers = cast("Sequence[nn.Module]", self._tower.encoder.layers)  # type: ignore[union-attr]
        index = len(layers) + self.handle.cut_layers + self.handle.stop_at
        if index < 0:
            raise ModelError(
                f"{self.handle.source.path}: its text encoder has {len(layers)} layers, so it cannot stop at layer "
                f"{self.handle.stop_at}. Use CLIPSetLastLayer with -{len(layers)} to -1."
            )
        if index < len(layers) - 1:
            return layers[index]
        return None if self.handle.normed else layers[-1]


def _spliced(embedded: Tensor, places: list[tuple[int, int, Tensor]]) -> Tensor:
    embedded = embedded.clone()
    for row, column, vector in places:
        embedded[row, column] = vector.to(embedded)
    return embedded


def embedding_file(name: str, folders: Sequence[Path]) -> Path | None:
    """Return the file of the embedding `name` (with or without suffix, may be in a subfolder), None when there is none.

    `sub/name` and `sub\\name` are the same. A name that leads out of the folders names nothing; a link in them may.
    """
    inside = os.path.normpath(name.replace("\\", "/"))
    if inside.startswith(("/", "..")):
        return None
    for folder in folders:
        for suffix in ("", *CHECKPOINT_SUFFIXES):
            path = Path(folder) / f"{inside}{suffix}"
            if path.suffix in CHECKPOINT_SUFFIXES and _is_file(path):
                return path
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long for the file system
        return False


def read_embedding(path: Path, width: int, tower: str = "clip_l") -> Tensor:
    """Return the vectors (N, width) of a textual-inversion file (Gal et al. 2022) for a tower of this name.

    Known layouts: `emb_params`, `string_to_param` with one entry, one tensor under the token's name, and `clip_l` beside
    `clip_g` for a model with two encoders. Of several tensors `clip_l` is taken, or the first of this width.

    Raises EmbeddingError when there is none of this width.
    """
    found = {name: t for name, t in load_tensors(path).items() if t.is_floating_point() and t.ndim in (1, 2)}
    tensors = sorted(found.items(), key=lambda item: item[0] != tower)
    for _, value in tensors:
        if value.shape[-1] == width:
            return value.reshape(-1, width)
    shapes = [str(list(value.shape)) for _, value in tensors]
    raise EmbeddingError(
        f"{path}: expected vectors of width {width} for this text encoder, got {shortened(shapes) or 'none'}. "
        "The embedding was trained for another model family."
    )
