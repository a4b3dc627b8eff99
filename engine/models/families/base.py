"""The records of a model family: how its files are recognised, and what their tensors do not say about themselves.

A page of this folder is one family: a module that sets `FAMILY`. Nothing outside the folder names one. Pages are read without
torch; what they name by `module:name` is imported when the family is first used.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from engine.datatypes.parameterization import LatentFormat, Parameterization
from engine.models.shapes import Facts, Shapes, Spread

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.encoded import Encoded


Rows: TypeAlias = tuple[tuple[int, int], ...]
"""Rows of a tensor: pieces (from, to), one after the other."""

Padding: TypeAlias = Literal["seen", "masked", "zero"]

Fused: TypeAlias = Mapping[str, Mapping[str, Rows]]
"""Module of the original layout → module of the library → the rows that it is."""


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """One way in which files name the tensors of a family's network, the prefix taken off.

    It fits tensors that have all of `has` and none of `lacks`, and pass `check`.
    """

    name: str
    has: tuple[str, ...]
    lacks: tuple[str, ...] = ()
    check: Callable[[Shapes], bool] | None = None

    def fits(self, shapes: Shapes) -> bool:
        """Say whether these tensors are laid out so."""
        named = all(name in shapes for name in self.has) and not any(name in shapes for name in self.lacks)
        return named and (self.check is None or self.check(shapes))


class Prompting(msgspec.Struct, frozen=True, kw_only=True):
    """How a prompt is put to a language model, and what of what that makes of it is the conditioning.

    `template`: the text that it reads, the prompt at `{}`, special tokens written out (`<|im_start|>`, `<bos>`). `drop`: how many
    of its first tokens, which are the template's, are left out of the conditioning. `layers`: whose outputs are taken, side by
    side along the width in this order; counted as transformers counts `hidden_states`: 0 is what the first layer takes, 3 the
    third layer's output, -1 the last one's through the last norm, -2 the output of the layer before, without a norm.
    `last_normed` False takes the last one's without its norm too. Layers that nothing is taken of are neither loaded nor run.
    `most`: tokens that the text is cut to, template and all, 0 for any number; `cut`: "end" cuts the template's end off too, as
    tokenizers do; "prompt" keeps it. `least`: tokens that it is padded to; `multiple`: of what its length is made a multiple.
    `side`: where padding stands, "middle" before what follows the prompt in the template, where it takes no place. `pad_place`:
    the place that all padding is said to have, None for its own. It is masked in the language model, and part of the
    conditioning, whose option `attention_mask` (1, T) is then 0 there, 1 elsewhere. `picture`: what stands for picture
    number `{}` before the prompt, `between`: what stands between two of them.

    `alone`: so many tokens the prompt itself is cut and padded to, between the halves of the template, which are left out of
    the conditioning; 0: the rules above. `letters`: what a prompt has in quotes is read letter by letter.
    """

    template: str = "{}"
    drop: int = 0
    layers: tuple[int, ...] = (-1,)
    last_normed: bool = True
    most: int = 0
    cut: Literal["end", "prompt"] = "end"
    least: int = 0
    multiple: int = 1
    side: Literal["right", "left", "middle"] = "right"
    pad_place: int | None = None
    picture: str = ""
    between: str = ""
    alone: int = 0
    letters: bool = False


class Tower(msgspec.Struct, frozen=True, kw_only=True):
    """A text encoder of a family.

    `name` is what its embeddings are called in files ("clip_l", "clip_g"); `kind` the module of `engine.models.towers` that
    reads it. `prefixes`: under which checkpoints hold it; `folder`: the part of a diffusers folder. `pad` "end" repeats the end
    token, "zero" is id 0. `stop_at` counts in the full tower, of which a folder may leave out layers; `normed`: what is taken
    there goes through the last norm. `full_layers` and `width`: of the full-size tower, to notice that and to tell it from
    others. `open_clip`: published in open_clip's names. Heads are `width / head_dim` unless told. `least`: tokens that a row is
    padded to, where a tower has no fixed number. `padding`: of T5 and its like: "seen" as text is, "masked" in the
    encoder, the option `attention_mask` (1, T) telling it, or masked and then "zero". `lower`: prompts are put in small
    letters, without space around. `prompting`: of language models; `styles`: other ways of the same family, by names that its
    nodes use. `spells`: options (1, N) of a conditioning in which the prompt stands as another kind's tokens too: {option: (that
    kind, rows of its table)}. `only_writes`: it is no text encoder, and is asked for texts alone. `glyphs`: it reads
    what a prompt has in quotes alone.
    """

    name: str = "clip_l"
    kind: str = "clip"
    prefixes: tuple[str, ...] = ()
    folder: str = "text_encoder"
    tokenizer_folder: str = "tokenizer"
    lora_prefixes: tuple[str, ...] = ("lora_te_", "lora_te1_", "lycoris_te_")
    act: str = ""
    pad: Literal["end", "zero"] = "end"
    stop_at: int = -1
    normed: bool = True
    open_clip: bool = False
    full_layers: int = 12
    width: int = 768
    head_dim: int = 64
    least: int = 0
    padding: Padding = "seen"
    lower: bool = False
    prompting: Prompting = Prompting()
    styles: Mapping[str, Prompting] = {}
    spells: Mapping[str, tuple[str, int]] = {}
    only_writes: bool = False
    glyphs: bool = False

    @property
    def promptings(self) -> tuple[Prompting, ...]:
        """Every way in which it puts prompts."""
        return (self.prompting, *self.styles.values())


class NetworkKind(msgspec.Struct, frozen=True, kw_only=True):
    """What families with the same network share.

    `title`: what messages call it. `module`: the library's class. `call`: the class that calls it, a
    `engine.models.network.Network`. `sizes(shapes, hints, family)` gives the library's arguments off tensors in any layout;
    `renamed(tensors, config)` gives a file's tensors under the library's names; `paths(config)` the library's module paths
    with those of the original layout, by which LoRAs name them too. `fused(config)`: for each original module whose rows are
    several modules of the library, or stand there in another order, which rows (pieces from, to) make which module. `grows`:
    matrices that a LoRA may give more columns, with the argument that counts these.
    """

    title: str
    module: str
    call: str
    sizes: Callable[[Shapes, Facts, Family], dict[str, Any]]
    renamed: Callable[[Mapping[str, Tensor], Mapping[str, Any]], dict[str, Tensor]]
    paths: Callable[[Mapping[str, Any]], Mapping[str, str]]
    fused: Callable[[Mapping[str, Any]], Fused] = lambda config: {}
    grows: Mapping[str, str] = {}


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """One family; without `layouts`, text encoders of no network.

    `context_dim`: width of the conditioning that the full-size network takes, by which encoders and ControlNets are told apart;
    None: any other. `heads`: attention heads at every level, or None where each head is `head_dim` wide. `towers`, in the
    order in which what they give is joined, along the width; none for a network that takes no text. `pooled`: which of them
    gives the pooled vector. `join` joins them in another way: it is given what each gave by name, and gives the same: a context
    (1, T, D) and options beside it; it may do with fewer of them. `patch`: latent pixels a side that are one token, whose
    channels the network's first layer counts together. `gives`: values that the network gives for each channel of its latents,
    2 where it has learned the variance of a step. `prediction(base, shapes, config, spread)` reads off tensors what the network
    predicts, where they tell.
    """

    name: str
    title: str
    layouts: tuple[Layout, ...]
    network: NetworkKind
    context_dim: int | None = None
    heads: int | None = None
    head_dim: int | None = None
    parameterization: Parameterization = Parameterization()
    latent: LatentFormat = LatentFormat()
    towers: tuple[Tower, ...] = ()
    pooled: int = 0
    join: Callable[[Mapping[str, Encoded]], Encoded] | None = None
    patch: int = 1
    gives: int = 1
    prediction: Callable[[Parameterization, Shapes, Mapping[str, Any], Spread | None], Parameterization] | None = None
    loader_types: tuple[str, ...] = ()
    """What saved workflows call it in the loaders of text encoders."""
    size_facts: int = 0
    """How many numbers about sizes the network takes: 6 for Stable Diffusion XL, 5 for its refiner."""
    full: Mapping[str, Any] | None = None
    """Arguments of the full-size network, of which there are most layers, where they are not the defaults of the library's
    class; by its names and sizes a LoRA of the family is known when it is put on another. None: it is known by nothing."""

    def fits(self, shapes: Shapes) -> bool:
        """Say whether these tensors, the prefix taken off, are a network of this family."""
        return any(layout.fits(shapes) for layout in self.layouts)


def named(path: str) -> Any:
    """Import what a page names by `module:name`."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
