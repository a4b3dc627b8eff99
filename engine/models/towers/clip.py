"""CLIP's text towers, as OpenAI and open_clip lay them out: sizes and token rules, read off names and shapes. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from engine.models.families.base import Tower
from engine.models.handles import TokenFacts
from engine.models.sd_keys import is_open_clip, text_to_diffusers
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from torch import Tensor, nn


TITLE: Final = "CLIP's text tower"
ENCODER: Final = "engine.models.text:TextEncoder"
HALF: Final = "float16"
METADATA: Final = "safelight.tokenizer"
TOKENIZER: Final = "openai/clip-vit-large-patch14"


def is_there(shapes: Shapes) -> bool:
    """Say whether these are CLIP's text tower, in the names of transformers or open_clip."""
    names = ("text_model.embeddings.token_embedding.weight", "embeddings.token_embedding.weight")
    return any(name in shapes for name in names) or is_open_clip(shapes)


class TextEncoderFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A text encoder: `config` holds the arguments of CLIPTextConfig; the rest as in `ClipHandle`.

    `prefix`: under which a checkpoint holds it; "" in a file of its own.
    """

    tower: Tower
    config: dict[str, Any]
    tokens: TokenFacts
    stop_at: int
    cut_layers: int
    prefix: str = ""


def text_facts(shapes: Shapes, hints: Facts, tower: Tower) -> TextEncoderFacts:
    """Return CLIPTextConfig's arguments and token rules for text encoder tensors (CLIP or open_clip names, no prefix)."""
    shapes = {name.removeprefix("text_model."): shape for name, shape in shapes.items()}
    open_clip = is_open_clip(shapes)
    table = shapes["token_embedding.weight" if open_clip else "embeddings.token_embedding.weight"]
    positions = shapes["positional_embedding" if open_clip else "embeddings.position_embedding.weight"][0]
    layer = "transformer.resblocks." if open_clip else "encoder.layers."
    layers, width = count(shapes, layer), table[1]
    inner = shapes[f"{layer}0.mlp.c_fc.weight" if open_clip else f"{layer}0.mlp.fc1.weight"][0]
    projection = shapes.get("text_projection", shapes.get("text_projection.weight"))
    config = {
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": int(hints.get("heads", max(1, width // tower.head_dim))),
        "max_position_embeddings": positions,
        "vocab_size": table[0],
        "hidden_act": str(hints.get("act", tower.act)),
        "layer_norm_eps": float(hints.get("norm_eps", 1e-5)),
        "projection_dim": projection[1 if open_clip else 0] if projection else 0,
    }
    cut = 1 if tower.stop_at == -2 and layers == tower.full_layers - 1 else 0
    return TextEncoderFacts(
        tower=tower, config=config, tokens=_tokens(hints, positions, tower), stop_at=tower.stop_at, cut_layers=cut
    )


def _tokens(hints: Facts, positions: int, tower: Tower) -> TokenFacts:
    return TokenFacts(
        max_length=int(hints.get("max_length", positions)),
        start=hints.get("bos"),
        end=hints.get("eos"),
        pad=hints.get("pad", 0 if tower.pad == "zero" else None),
    )


def build(config: Mapping[str, Any]) -> nn.Module:
    """Make a CLIPTextModel, with a projection where the file has one."""
    from torch import nn
    from transformers.models.clip.configuration_clip import CLIPTextConfig
    from transformers.models.clip.modeling_clip import CLIPTextModel

    options = dict(config)
    projection = int(options.pop("projection_dim", 0))
    # Special ids are the tokenizer's business (see text.py); transformers only wants some that are in the vocabulary.
    module = cast("nn.Module", CLIPTextModel(CLIPTextConfig(**options, bos_token_id=0, eos_token_id=1, pad_token_id=1)))
    if projection:
        module.text_projection = nn.Linear(int(options["hidden_size"]), projection, bias=False)
    return module


def renamed(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a file's tensors as `text_model.*`; open_clip's stacked rows are split."""
    return text_to_diffusers(tensors)


def spelled(module: str) -> tuple[str, ...]:
    """Return how LoRAs call a module."""
    return module, module.removeprefix("text_model.")
