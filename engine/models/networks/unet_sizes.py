"""The U-Nets of Stable Diffusion and their ControlNets: sizes read off names and shapes, and names in both layouts. No torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from engine.models import sd_keys
from engine.models.families.base import Layout, NetworkKind
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from engine.models.families.base import Family

ORIGINAL = ("input_blocks.0.0.weight", "time_embed.0.weight", "out.2.weight")
DIFFUSERS = ("conv_in.weight", "time_embedding.linear_1.weight", "conv_out.weight")
CLASS_EMBEDDING = ("label_emb.0.0.weight", "add_embedding.linear_1.weight", "class_embedding.linear_1.weight")
"""What U-Nets have that take more than a text and a time, in each layout."""
CLASS_TABLE = ("label_emb.weight", "class_embedding.weight")
"""What those have that take one of some classes."""


class _Level(msgspec.Struct):
    channels: int = 0
    depths: list[int] = []
    """Transformer blocks after each residual block; 0 without attention."""
    only_text: bool = False
    """Whether its first attention is over the text as well, where others have one over the picture."""

    @property
    def attends(self) -> bool:
        return any(self.depths)


def unet_config(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return UNet2DConditionModel's arguments for U-Net tensors in the original or diffusers naming, without prefix."""
    config = _denoiser_config(shapes, hints, family)
    ups = _original_ups(shapes, config) if ORIGINAL[0] in shapes else _diffusers_ups(shapes)
    out = "out.2.weight" if "out.2.weight" in shapes else "conv_out.weight"
    told = {
        "out_channels": shapes[out][0],
        "up_block_types": ["CrossAttnUpBlock2D" if up.attends else "UpBlock2D" for up in ups],
    }
    expected = config["transformer_layers_per_block"]
    mirrored = [expected] * len(ups) if isinstance(expected, int) else expected[::-1]
    if any(up.attends and _depth(up) != depth for up, depth in zip(ups, mirrored, strict=True)):
        told["reverse_transformer_layers_per_block"] = [_depth(up) or 1 for up in ups]
    return config | told | _size_facts(shapes, hints, family) | _class_facts(shapes, family)


def _class_facts(shapes: Shapes, family: Family) -> dict[str, Any]:
    """The embedding of one of some classes (of a level of noise, for an upscaler), or of a vector in its place (unCLIP)."""
    if table := next((shapes[name] for name in CLASS_TABLE if name in shapes), None):
        return {"num_class_embeds": table[0]}
    vector = next((shapes[name] for name in (CLASS_EMBEDDING[0], CLASS_EMBEDDING[2]) if name in shapes), None)
    if vector is None or family.size_facts:
        return {}
    return {"class_embed_type": "projection", "projection_class_embeddings_input_dim": vector[1]}


def _size_facts(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """The embedding of sizes and pooled text that Stable Diffusion XL adds to that of time (Podell et al. 2023, section 2.2)."""
    embedding = next((shapes[name] for name in CLASS_EMBEDDING[:2] if name in shapes), None)
    if embedding is None or not family.size_facts:
        return {}
    return {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": int(hints.get("size_width", 256)),
        "projection_class_embeddings_input_dim": embedding[1],
    }


def controlnet_config(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return ControlNetModel's arguments for ControlNet tensors in the original or diffusers naming, without prefix."""
    config = _denoiser_config(shapes, hints, family)
    original = "input_hint_block.0.weight" in shapes
    first = "input_hint_block.0.weight" if original else "controlnet_cond_embedding.conv_in.weight"
    block = "input_hint_block.{}.weight" if original else "controlnet_cond_embedding.blocks.{}.weight"
    widths, step = [shapes[first][0]], 1
    while (name := block.format(2 * step + 2 if original else step)) in shapes:
        widths.append(shapes[name][0])
        step += 2
    config["conditioning_channels"] = shapes[first][1]
    config["conditioning_embedding_out_channels"] = widths
    return config | _size_facts(shapes, hints, family)


def _denoiser_config(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    original = "input_blocks.0.0.weight" in shapes
    levels = _original_levels(shapes) if original else _diffusers_levels(shapes)
    widths = [level.channels for level in levels]
    projection = next((shape for name, shape in shapes.items() if name.endswith(".proj_in.weight")), (0, 0, 1, 1))
    layers = [len(level.depths) for level in levels]
    middle = "middle_block.1.transformer_blocks." if original else "mid_block.attentions.0.transformer_blocks."
    depths = [_depth(level) or 1 for level in levels]
    if not levels[-1].attends:  # the middle has the depth of the last level
        depths[-1] = count(shapes, middle) or 1
    only_text = [level.only_text for level in levels]
    return ({"only_cross_attention": only_text} if any(only_text) else {}) | {
        "in_channels": shapes["input_blocks.0.0.weight" if original else "conv_in.weight"][1],
        "block_out_channels": widths,
        "down_block_types": ["CrossAttnDownBlock2D" if level.attends else "DownBlock2D" for level in levels],
        "mid_block_type": _middle(shapes),
        "layers_per_block": layers[0] if len(set(layers)) == 1 else layers,
        "transformer_layers_per_block": depths[0] if all(depth == depths[0] for depth in depths) else depths,
        "cross_attention_dim": context_dim(shapes),
        "attention_head_dim": _heads(widths, hints, family),
        "use_linear_projection": len(projection) == 2,
        "norm_num_groups": int(hints.get("norm_groups", 32)),
        "norm_eps": float(hints.get("norm_eps", 1e-5)),
        "act_fn": str(hints.get("act", "silu")),
    }


def _middle(shapes: Shapes) -> str | None:
    if "middle_block.1.norm.weight" in shapes or "mid_block.attentions.0.norm.weight" in shapes:
        return "UNetMidBlock2DCrossAttn"
    there = "middle_block.0.in_layers.2.weight" in shapes or "mid_block.resnets.0.conv1.weight" in shapes
    return "UNetMidBlock2D" if there else None


def _depth(level: _Level) -> int | list[int]:
    """As diffusers takes it: a number for all of a level's layers, or one for each."""
    return level.depths[0] if len(set(level.depths)) == 1 else level.depths


def _original_levels(shapes: Shapes) -> list[_Level]:
    levels, index = [_Level()], 1
    while True:
        block = f"input_blocks.{index}"
        if f"{block}.0.op.weight" in shapes:
            levels.append(_Level())
        elif f"{block}.0.in_layers.2.weight" in shapes:
            levels[-1].channels = shapes[f"{block}.0.in_layers.2.weight"][0]
            levels[-1].depths.append(count(shapes, f"{block}.1.transformer_blocks."))
            levels[-1].only_text = _only_text(shapes, f"{block}.1")
        else:
            return levels
        index += 1


def _diffusers_levels(shapes: Shapes) -> list[_Level]:
    return [_diffusers_level(shapes, f"down_blocks.{i}") for i in range(count(shapes, "down_blocks."))]


def _diffusers_level(shapes: Shapes, block: str) -> _Level:
    layers = range(count(shapes, f"{block}.resnets."))
    depths = [count(shapes, f"{block}.attentions.{layer}.transformer_blocks.") for layer in layers]
    only_text = _only_text(shapes, f"{block}.attentions.0")
    return _Level(channels=shapes[f"{block}.resnets.0.conv1.weight"][0], depths=depths, only_text=only_text)


def _only_text(shapes: Shapes, attention: str) -> bool:
    """Where keys of the first attention are made of something of another width than the level's, it is the text."""
    keys = shapes.get(f"{attention}.transformer_blocks.0.attn1.to_k.weight")
    return keys is not None and keys[0] != keys[1]


def _original_ups(shapes: Shapes, config: Facts) -> list[_Level]:
    layers = config["layers_per_block"]
    per_level = [layers] * len(config["block_out_channels"]) if isinstance(layers, int) else layers
    ups, index = [], 0
    for number in per_level[::-1]:
        blocks = range(index, index + number + 1)
        ups.append(_Level(0, [count(shapes, f"output_blocks.{block}.1.transformer_blocks.") for block in blocks]))
        index += number + 1
    return ups


def _diffusers_ups(shapes: Shapes) -> list[_Level]:
    return [_diffusers_level(shapes, f"up_blocks.{i}") for i in range(count(shapes, "up_blocks."))]


def context_dim(shapes: Shapes) -> int:
    return next((shape[1] for name, shape in shapes.items() if name.endswith(".attn2.to_k.weight")), 0)


def _heads(widths: list[int], hints: Facts, family: Family) -> list[int]:
    """diffusers calls this `attention_head_dim`, but for this class it is the number of heads of each level."""
    if "heads" in hints:
        heads = hints["heads"]
        return [int(n) for n in heads] if isinstance(heads, list) else [int(heads)] * len(widths)
    head_dim = hints.get("head_dim", family.head_dim)
    if head_dim is not None:
        return [max(1, width // int(head_dim)) for width in widths]
    return [family.heads or 8] * len(widths)


U_NET = NetworkKind(
    title="U-Net",
    module="diffusers.models.unets.unet_2d_condition:UNet2DConditionModel",
    call="engine.models.networks.unet:UNet",
    sizes=unet_config,
    renamed=lambda tensors, config: sd_keys.unet_to_diffusers(tensors, config, ""),
    paths=sd_keys.unet_names,
)
"""Of Rombach et al. 2022, with the additions of Podell et al. 2023."""


def layouts(
    *,
    sized: bool,
    width: Callable[[int], bool],
    classes: bool = False,
    vector: Callable[[int], bool] = lambda numbers: True,
) -> tuple[Layout, ...]:
    """Return the two layouts of a U-Net for conditionings of these widths.

    `sized`: with an embedding of sizes, or of another vector, of so many numbers; `classes`: with a table of classes.
    """

    def fits(shapes: Shapes) -> bool:
        found = next((shapes[name][1] for name in CLASS_EMBEDDING if name in shapes), None)
        has_table = any(name in shapes for name in CLASS_TABLE)
        right = (sized, classes) == (found is not None, has_table) and (found is None or vector(found))
        return right and width(context_dim(shapes))

    return (
        Layout(name="original", has=ORIGINAL, check=fits),
        Layout(name="diffusers", has=DIFFUSERS, check=fits),
    )
