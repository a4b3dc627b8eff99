"""HunyuanImage's transformer: its sizes, read off names and shapes, and its names in each layout. No torch but for tensors.

Its authors' files keep queries, keys and values apart; others stack them, of which some have the field's names for parts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from engine.models.families.base import Fused, Layout, NetworkKind
from engine.models.networks.stacked import stacked, unstacked
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.families.base import Family

_FIRST: Final = {"original": "img_in.proj.weight", "diffusers": "x_embedder.proj.weight"}
_REFINED: Final = "txt_in.individual_token_refiner.blocks.0."
_DOUBLE_ROWS: Final = "double_blocks.0.img_attn"


_LAST: Final = {"original": "final_layer.linear.weight", "diffusers": "proj_out.weight"}


def _of_pictures(layout: str) -> Callable[[Shapes], bool]:
    """Whether patches are of pictures: networks for videos, and the refiner, have frames too."""
    return lambda shapes: len(shapes[_FIRST[layout]]) == 4


def _of_refining(layout: str) -> Callable[[Shapes], bool]:
    """Whether it takes another latent beside its own, and both have frames."""
    return lambda shapes: len(shapes[_FIRST[layout]]) == 5 and shapes[_FIRST[layout]][1] == 2 * shapes[_LAST[layout]][0]


def _layouts(check: Callable[[str], Callable[[Shapes], bool]]) -> tuple[Layout, ...]:
    first, videos = _FIRST["original"], ("vector_in.in_layer.weight",)
    apart = f"{_REFINED}self_attn_qkv.weight"
    original = check("original")
    return (
        Layout(name="original", has=(first, apart, f"{_DOUBLE_ROWS}_q.weight"), lacks=videos, check=original),
        Layout(name="stacked", has=(first, apart, f"{_DOUBLE_ROWS}_qkv.weight"), lacks=videos, check=original),
        Layout(
            name="field",
            has=(first, f"{_REFINED}self_attn.qkv.weight", f"{_DOUBLE_ROWS}.qkv.weight"),
            lacks=videos,
            check=original,
        ),
        Layout(
            name="diffusers",
            has=(
                _FIRST["diffusers"],
                "context_embedder.token_refiner.refiner_blocks.0.attn.to_q.weight",
                "transformer_blocks.0.attn.add_q_proj.weight",
                "single_transformer_blocks.0.proj_mlp.weight",
            ),
            check=check("diffusers"),
        ),
    )


LAYOUTS: Final = _layouts(_of_pictures)
REFINER_LAYOUTS: Final = _layouts(_of_refining)

_FIELDS: Final = tuple(
    (re.compile(pattern), word)
    for pattern, word in (
        (r"_attn\.(qkv|proj)\.", r"_attn_\1."),
        (r"_attn\.norm\.(q|k)\w+_norm\.", r"_attn_\1_norm."),
        (r"(single_blocks\.\d+)\.norm\.(q|k)\w+_norm\.", r"\1.\2_norm."),
        (r"(_mod|modulation)\.lin\.", r"\1.linear."),
        (r"(_mlp|blocks\.\d+\.mlp)\.0\.", r"\1.fc1."),
        (r"(_mlp|blocks\.\d+\.mlp)\.2\.", r"\1.fc2."),
        (r"(time_in|time_r_in|guidance_in|t_embedder)\.in_layer\.", r"\1.mlp.0."),
        (r"(time_in|time_r_in|guidance_in|t_embedder)\.out_layer\.", r"\1.mlp.2."),
        (r"c_embedder\.in_layer\.", "c_embedder.linear_1."),
        (r"c_embedder\.out_layer\.", "c_embedder.linear_2."),
    )
)
"""The field's words and its authors'."""

_ENDS: Final = (
    {"x_embedder.proj": "img_in.proj", "proj_out": "final_layer.linear"}
    | {"context_embedder.proj_in": "txt_in.input_embedder"}
    | {
        f"{ours}.linear_{layer}": f"{theirs}.mlp.{2 * layer - 2}"
        for ours, theirs in (
            ("context_embedder.time_text_embed.timestep_embedder", "txt_in.t_embedder"),
            ("time_guidance_embed.timestep_embedder", "time_in"),
        )
        for layer in (1, 2)
    }
    | {f"context_embedder.time_text_embed.text_embedder.linear_{i}": f"txt_in.c_embedder.linear_{i}" for i in (1, 2)}
)
_GLYPHS: Final = {"context_embedder_2.norm": "byt5_in.layernorm"} | {
    f"context_embedder_2.linear_{i}": f"byt5_in.fc{i}" for i in (1, 2, 3)
}
_REFINER: Final = {
    "norm1": "norm1",
    "norm2": "norm2",
    "attn.to_out.0": "self_attn_proj",
    "ff.net.0.proj": "mlp.fc1",
    "ff.net.2": "mlp.fc2",
    "norm_out.linear": "adaLN_modulation.1",
}
_DOUBLE: Final = (
    {"norm1.linear": "img_mod.linear", "norm1_context.linear": "txt_mod.linear"}
    | {"attn.norm_q": "img_attn_q_norm", "attn.norm_k": "img_attn_k_norm", "attn.to_out.0": "img_attn_proj"}
    | {
        "attn.norm_added_q": "txt_attn_q_norm",
        "attn.norm_added_k": "txt_attn_k_norm",
        "attn.to_add_out": "txt_attn_proj",
    }
    | {f"attn.to_{part}": f"img_attn_{part}" for part in "qkv"}
    | {f"attn.add_{part}_proj": f"txt_attn_{part}" for part in "qkv"}
    | {
        f"{ours}.net.{layer}": f"{theirs}_mlp.{other}"
        for ours, theirs in (("ff", "img"), ("ff_context", "txt"))
        for layer, other in (("0.proj", "fc1"), ("2", "fc2"))
    }
)
_SINGLE: Final = (
    {"norm.linear": "modulation.linear", "attn.norm_q": "q_norm", "attn.norm_k": "k_norm"}
    | {f"attn.to_{part}": f"linear1_{part}" for part in "qkv"}
    | {"proj_mlp": "linear1_mlp", "proj_out": "linear2.fc"}
)

_Value = TypeVar("_Value")


def _original(tensors: Mapping[str, _Value]) -> dict[str, _Value]:
    """Return tensors of the field's names under its authors'; of others as they are."""
    found: dict[str, _Value] = {}
    for name, value in tensors.items():
        for pattern, word in _FIELDS:
            name = pattern.sub(word, name)
        found[name] = value
    return found


def sizes(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return HunyuanImageTransformer2DModel's arguments for its tensors in any layout, without prefix."""
    if _FIRST["diffusers"] in shapes:
        return _sizes_of_library(shapes)
    found = _original(shapes)
    norm = "double_blocks.0.img_attn_q_norm."
    return {
        **_common(
            found[_FIRST["original"]],
            found["final_layer.linear.weight"],
            head=(found.get(f"{norm}weight") or found[f"{norm}scale"])[0],
            inner=found["double_blocks.0.img_mlp.fc1.weight"][0],
        ),
        "num_layers": count(found, "double_blocks."),
        "num_single_layers": count(found, "single_blocks."),
        "num_refiner_layers": count(found, "txt_in.individual_token_refiner.blocks."),
        "text_embed_dim": found["txt_in.input_embedder.weight"][1],
        "text_embed_2_dim": found.get("byt5_in.fc1.weight", (0, None))[1],
        "guidance_embeds": "guidance_in.mlp.0.weight" in found,
        "use_meanflow": "time_r_in.mlp.0.weight" in found,
    }


def _sizes_of_library(shapes: Shapes) -> dict[str, Any]:
    time = "time_guidance_embed."
    return {
        **_common(
            shapes[_FIRST["diffusers"]],
            shapes["proj_out.weight"],
            head=shapes["transformer_blocks.0.attn.norm_q.weight"][0],
            inner=shapes["transformer_blocks.0.ff.net.0.proj.weight"][0],
        ),
        "num_layers": count(shapes, "transformer_blocks."),
        "num_single_layers": count(shapes, "single_transformer_blocks."),
        "num_refiner_layers": count(shapes, "context_embedder.token_refiner.refiner_blocks."),
        "text_embed_dim": shapes["context_embedder.proj_in.weight"][1],
        "text_embed_2_dim": shapes.get("context_embedder_2.linear_1.weight", (0, None))[1],
        "guidance_embeds": f"{time}guidance_embedder.linear_1.weight" in shapes,
        "use_meanflow": f"{time}timestep_embedder_r.linear_1.weight" in shapes,
    }


def _common(first: tuple[int, ...], last: tuple[int, ...], *, head: int, inner: int) -> dict[str, Any]:
    width, channels, *patch = first
    return {
        "in_channels": channels,
        "out_channels": last[0] // math.prod(patch),
        "num_attention_heads": width // head,
        "attention_head_dim": head,
        "mlp_ratio": inner / width,
        "patch_size": patch,
        # Of 128: 64 for rows and columns, or 16 for frames, and 56 for these.
        "rope_axes_dim": [head // 2] * 2 if len(patch) == 2 else [head // 8, *[head * 7 // 16] * 2],
    }


def paths(config: Mapping[str, Any]) -> dict[str, str]:
    """Return {module path in diffusers: module path in its authors' layout} of what is one module in both."""
    found = _ENDS | (_GLYPHS if config["text_embed_2_dim"] else {})
    for wanted, ours, theirs in (
        (config["use_meanflow"], "timestep_embedder_r", "time_r_in"),
        (config["guidance_embeds"], "guidance_embedder", "guidance_in"),
    ):
        if wanted:
            found |= {f"time_guidance_embed.{ours}.linear_{i}": f"{theirs}.mlp.{2 * i - 2}" for i in (1, 2)}
    for ours, theirs, number, names in (
        (
            "context_embedder.token_refiner.refiner_blocks",
            "txt_in.individual_token_refiner.blocks",
            "num_refiner_layers",
            _REFINER,
        ),
        ("transformer_blocks", "double_blocks", "num_layers", _DOUBLE),
        ("single_transformer_blocks", "single_blocks", "num_single_layers", _SINGLE),
    ):
        for i in range(int(config[number])):
            found |= {f"{ours}.{i}.{name}": f"{theirs}.{i}.{other}" for name, other in names.items()}
    return found


def fused(config: Mapping[str, Any]) -> Fused:
    """Return which rows of stacked projections make which module; the last norm has shift and scale swapped."""
    width = int(config["num_attention_heads"]) * int(config["attention_head_dim"])
    inner = int(width * config["mlp_ratio"])
    found: dict[str, Any] = {"final_layer.adaLN_modulation.1": {"norm_out.linear": ((width, 2 * width), (0, width))}}
    for i in range(int(config["num_refiner_layers"])):
        block = f"context_embedder.token_refiner.refiner_blocks.{i}.attn"
        found[f"txt_in.individual_token_refiner.blocks.{i}.self_attn_qkv"] = _apart(
            [f"{block}.to_{p}" for p in "qkv"], width
        )
    for i in range(int(config["num_layers"])):
        block = f"transformer_blocks.{i}.attn"
        found[f"double_blocks.{i}.img_attn_qkv"] = _apart([f"{block}.to_{part}" for part in "qkv"], width)
        found[f"double_blocks.{i}.txt_attn_qkv"] = _apart([f"{block}.add_{part}_proj" for part in "qkv"], width)
    for i in range(int(config["num_single_layers"])):
        block = f"single_transformer_blocks.{i}"
        parts = [*(f"{block}.attn.to_{part}" for part in "qkv"), f"{block}.proj_mlp"]
        found[f"single_blocks.{i}.linear1"] = stacked(parts, [width, width, width, inner])
        found[f"single_blocks.{i}.linear2"] = stacked([f"{block}.proj_out"], [width])
    return found


def _apart(modules: list[str], width: int) -> Any:
    return stacked(modules, [width] * len(modules))


def renamed(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a file's tensors under the names of HunyuanImageTransformer2DModel."""
    if _FIRST["diffusers"] in tensors:
        return dict(tensors)
    return unstacked(_original(tensors), paths(config), fused(config))


HUNYUAN_IMAGE: Final = NetworkKind(
    title="transformer",
    module="diffusers.models.transformers.transformer_hunyuanimage:HunyuanImageTransformer2DModel",
    call="engine.models.networks.hunyuan_image:HunyuanImageNetwork",
    sizes=sizes,
    renamed=renamed,
    paths=paths,
    fused=fused,
)
