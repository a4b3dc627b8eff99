"""PhotoMaker's encoder of people (Li et al. 2023): what CLIP sees of pictures of a person, fused with the text of a word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import nn
from torch.nn import functional
from transformers.models.clip.configuration_clip import CLIPVisionConfig
from transformers.models.clip.modeling_clip import CLIPVisionModelWithProjection

from engine.models.encoded import Encoded
from engine.models.errors import ModelError
from engine.models.families import family_named
from engine.models.network import ControlNetwork
from engine.models.text import TextEncoder, Token
from engine.models.vision import preprocess

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.network import Company


_TOWERS: Final = 2
"""Text encoders of Stable Diffusion XL."""


class _Layers(nn.Module):
    """Two layers after a norm, with what they are given added where the widths are the same."""

    def __init__(self, seen: int, made: int) -> None:
        super().__init__()
        self.layernorm = nn.LayerNorm(seen)
        self.fc1, self.fc2 = nn.Linear(seen, made), nn.Linear(made, made)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.fc2(functional.gelu(self.fc1(self.layernorm(x))))
        return found + x if found.shape == x.shape else found


class _Fuse(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp1, self.mlp2 = _Layers(2 * width, width), _Layers(width, width)
        self.layer_norm = nn.LayerNorm(width)

    def forward(self, text: Tensor, person: Tensor) -> Tensor:
        """Return the text (N, D) of one word with N pictures of a person (N, D) in it."""
        found: Tensor = self.layer_norm(self.mlp2(self.mlp1(torch.cat([text, person], dim=-1)) + text))
        return found


class PersonEncoder(CLIPVisionModelWithProjection):  # type: ignore[misc]
    """CLIP's vision tower with a second projection, `second` wide, and what fuses both with a text."""

    def __init__(self, vision: Mapping[str, Any], second: int) -> None:
        super().__init__(CLIPVisionConfig(**vision))
        self.visual_projection_2 = nn.Linear(vision["hidden_size"], second, bias=False)
        self.fuse_module = _Fuse(vision["projection_dim"] + second)


class PhotoMaker(ControlNetwork):
    """How it is called: with the text encoder of a prompt."""

    @torch.no_grad()
    def encode(self, clip: Any, text: str, word: str, pictures: Tensor) -> Encoded:
        """Return a prompt's conditioning, in which the token before `word` is N tokens of a person, seen in N pictures.

        `clip`: the text encoder in use; `pictures` (N, H, W, C) in 0..1. `word` itself is left out.

        Raises ModelError where the text has no word before it, does not fit into one row, or is of another width.
        """
        module: Any = self.module
        width, encoders = module.fuse_module.layer_norm.normalized_shape[0], clip.encoders
        widths = [int(one.handle.config.get("hidden_size", 0)) for one in encoders]
        if (
            len(encoders) != _TOWERS
            or sum(widths) != width
            or not all(isinstance(one, TextEncoder) for one in encoders)
        ):
            raise ModelError(
                f"{self.handle.source.path}: PhotoMaker wants a text of width {width}, of Stable Diffusion XL's two encoders, "
                f"got {len(encoders)} of {family_named(clip.handle.family).title} of the width {' and '.join(map(str, widths))}. "
                "Link the CLIP of a model of Stable Diffusion XL."
            )
        file = self.handle.source.path
        rows = [_with_person(one, text, word, len(pictures), file) for one in encoders]
        context, options = clip.encode_tokens([[row] for row, _ in rows])
        places = list(rows[-1][1])
        size = int(self.handle.config["vision"]["image_size"])
        pixels = preprocess(pictures, size).to(self.device, self.dtype)
        seen = module.vision_model(pixel_values=pixels).pooler_output
        person = torch.cat([module.visual_projection(seen), module.visual_projection_2(seen)], dim=-1)
        fused = context.clone()
        asked = context[0, places].to(self.device, self.dtype)
        fused[0, places] = module.fuse_module(asked, person).to(context)
        return Encoded(fused, options).signed({one.tower.kind for one in encoders})

    def __call__(
        self,
        x: Tensor,
        t: Tensor,
        context: Tensor,
        hint: Tensor,
        strength: float = 1.0,
        options: Mapping[str, Any] | None = None,
        company: Company | None = None,
    ) -> dict[str, Any]:
        """Raise ModelError: it works on texts."""
        raise ModelError(
            f"{self.handle.source.path}: PhotoMaker's encoder works on the prompt, not within a model. Load it by "
            "PhotoMakerLoader and use PhotoMakerEncode."
        )


def _with_person(one: TextEncoder, text: str, word: str, pictures: int, file: str) -> tuple[list[Token], range]:
    """A text's row for one encoder, and the columns of the person in it."""
    row: list[Token] = []
    for framed in one.tokenize(text):
        ends = [i for i, token in enumerate(framed) if _is(token, one.tokenizer.end)]
        row += framed[1 : ends[0]]
    wanted = one.tokenizer.ids(word)
    begin = next(i for i in range(len(row)) if _are(row[i : i + len(wanted)], wanted))
    if begin == 0:
        raise ModelError(
            f"PhotoMakerEncode: text: expected a word for the person before {word!r}, as in 'a man {word}', got none before it."
        )
    row = [*row[: begin - 1], *[row[begin - 1]] * pictures, *row[begin + len(wanted) :]]
    room = one.length - 2
    if begin - 1 + pictures > room:
        raise ModelError(
            f"PhotoMakerEncode: the person, in {pictures} pictures after {begin - 1} tokens of text, does not fit into the first "
            f"{room} tokens, which is what {file} was trained with. Put the person further to the front, or link less pictures."
        )
    return one.framed(row[:room]), range(begin, begin + pictures)


def _is(token: Token, wanted: int) -> bool:
    return isinstance(token.value, int) and token.value == wanted


def _are(tokens: Sequence[Token], wanted: Sequence[int]) -> bool:
    return len(tokens) == len(wanted) and all(map(_is, tokens, wanted))
