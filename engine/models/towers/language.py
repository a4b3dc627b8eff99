"""Decoder-only language models as text encoders: sizes read off names and shapes, and the library's module. No torch.

A kind is one architecture (`qwen3.py`, `gemma2.py`…). What tensors do not tell (the base of the rotation, windows) is a constant
of its page, unless a file's metadata or a folder's config tells it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

from engine.models.families.base import Tower, named
from engine.models.handles import TokenFacts
from engine.models.shapes import Facts, Shapes, count
from engine.models.towers.chat import Chat
from engine.models.towers.clip import TextEncoderFacts

if TYPE_CHECKING:
    from torch import Tensor, nn

TABLE = "embed_tokens.weight"
MISTRAL_TOKENS, LLAMA_TOKENS = 131_072, 128_256
"""Vocabularies by which the published models of two architectures of the same names are told apart."""
MISTRAL_SMALL_SIZE = (5120, 32_768)
MINISTRAL_SIZES = ((3072, 9216), (4096, 14_336), (5120, 16_384))
"""Width and feed-forward width of published models of the same names and vocabulary."""
_VISION = ("visual.", "model.visual.", "vision_tower.", "model.vision_tower.")
_PREFIXES = ("model.language_model.", "language_model.model.", "language_model.", "model.", "")
"""Under which files have the language model, that of a model which sees pictures too among them."""


@dataclass(frozen=True, kw_only=True)
class LanguageKind:
    """One architecture of language models; a `Kind` of `engine.models.towers`.

    `name`: of its module here; `title`: in messages. `model` and `settings`: the library's classes, `module:name`. `has` and
    `lacks`: the tensors that tell it, as the library's bare model names them, `check`: a rule on sizes. `head_dim`: where no norm
    of queries tells it. `constants`: the arguments of `settings` that tensors do not tell. `pad`: the token of padding.
    `sees`: whether a file has a vision tower too, by which some are told; None: either.
    `chat`: how it is talked to, where it can write.
    """

    name: str
    title: str
    model: str
    settings: str
    tokenizer: str
    pad: str
    has: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    check: Callable[[Shapes], bool] = lambda shapes: True
    head_dim: int = 128
    constants: Mapping[str, Any] = field(default_factory=dict)
    sees: bool | None = None
    chat: Chat | None = None

    ENCODER = "engine.models.towers.language_encoder:LanguageEncoder"
    HALF: Literal["bfloat16"] = field(default="bfloat16", init=False)
    """Their activations leave the range of float16."""

    @property
    def TITLE(self) -> str:  # noqa: N802
        """What messages call it."""
        return self.title

    @property
    def METADATA(self) -> str:  # noqa: N802
        """Under which a file's metadata has the text of its tokenizer.json."""
        return f"safelight.tokenizer.{self.name}"

    @property
    def TOKENIZER(self) -> str:  # noqa: N802
        """Whose tokenizer.json it is."""
        return self.tokenizer

    def is_there(self, shapes: Shapes) -> bool:
        """Say whether these are this language model, alone or within one that sees pictures too."""
        found = bare(shapes)
        return (
            TABLE in found
            and self.sees in (None, any(name.startswith(_VISION) for name in shapes))
            and all(name in found for name in self.has)
            and not any(name in found for name in self.lacks)
            and self.check(found)
        )

    def text_facts(self, shapes: Shapes, hints: Facts, tower: Tower) -> TextEncoderFacts:
        """Return the arguments of the library's config, and how many layers run; KeyError for a tensor that is not there.

        `hints` may tell "heads", "head_dim", "norm_eps", "rope" (`rope_parameters`), and of the rotation "rope_theta" and
        "mrope_section" alone.
        """
        found = bare(shapes)
        depth = count(found, "layers.")
        needed = max(number for put in tower.promptings for number in numbered(put.layers, depth))
        if needed > depth:
            raise KeyError(f"layers.{depth}.input_layernorm.weight")
        config = dict(self.constants) | self._sizes(found, hints) | {"num_hidden_layers": max(needed, 1)}
        if "norm_eps" in hints:
            config["rms_norm_eps"] = float(hints["norm_eps"])
        if hints.get("rope"):
            config["rope_parameters"] = dict(hints["rope"])
        else:
            rope = config["rope_parameters"]
            config["rope_parameters"] = {name: hints.get(name, value) for name, value in rope.items()}
        tokens = TokenFacts(pad=hints.get("pad"))
        return TextEncoderFacts(
            tower=tower, config=config, tokens=tokens, stop_at=-1, cut_layers=depth - config["num_hidden_layers"]
        )

    def _sizes(self, found: Shapes, hints: Facts) -> dict[str, Any]:
        attention = "layers.0.self_attn."
        queries, keys = found[f"{attention}q_proj.weight"][0], found[f"{attention}k_proj.weight"][0]
        norm = found.get(f"{attention}q_norm.weight")
        told = hints.get("head_dim") or (queries // int(hints["heads"]) if hints.get("heads") else self.head_dim)
        head_dim = norm[0] if norm else int(told)
        return {
            "vocab_size": found[TABLE][0],
            "hidden_size": found[TABLE][1],
            "intermediate_size": found["layers.0.mlp.gate_proj.weight"][0],
            "num_attention_heads": queries // head_dim,
            "num_key_value_heads": keys // head_dim,
            "head_dim": head_dim,
        }

    def with_all_layers(self, config: Mapping[str, Any], cut: int) -> dict[str, Any]:
        """Return `config` with the `cut` layers at the end that prompts do not need."""
        return {**config, "num_hidden_layers": int(config["num_hidden_layers"]) + cut}

    def build(self, config: Mapping[str, Any]) -> nn.Module:
        """Make the library's model, without a head."""
        told = {name: list(value) if isinstance(value, tuple) else value for name, value in config.items()}
        settings = named(self.settings)(**told, use_cache=False, pad_token_id=None)
        return cast("nn.Module", named(self.model)(settings))

    def renamed(self, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
        """Return the language model's tensors, as the library's bare model names them, of those layers that are run."""
        last = int(config["num_hidden_layers"])
        return {
            name: value
            for name, value in bare(tensors).items()
            if name in (TABLE, "norm.weight") or (name.startswith("layers.") and int(name.split(".")[1]) < last)
        }

    def spelled(self, module: str) -> tuple[str, ...]:
        """Return how LoRAs call a module: as files call it, alone or within a model that sees pictures."""
        own = module.removeprefix("language_model.")
        return tuple(f"{prefix}{own}" for prefix in _PREFIXES)


def bare(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Return the language model's tensors without what stands before their names; {} when there is no table of tokens."""
    prefix = next((prefix for prefix in _PREFIXES if f"{prefix}{TABLE}" in tensors), None)
    if prefix is None:
        return {}
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}


def feed_forward(shapes: Shapes) -> tuple[int, int]:
    """Return a bare model's width and that of its feed-forward layers."""
    return shapes[TABLE][1], shapes["layers.0.mlp.gate_proj.weight"][0]


def numbered(layers: tuple[int, ...], depth: int) -> tuple[int, ...]:
    """Return `Prompting.layers` counted from the first, in a model of `depth` layers; KeyError for one that it has not."""
    found = tuple(layer + depth + 1 if layer < 0 else layer for layer in layers)
    if min(found) < 0 or max(found) > depth:
        raise KeyError(f"layers.{depth}.input_layernorm.weight")
    return found
