"""Wan's transformer: its sizes, off names and shapes, and its tensors' names in both layouts. No torch.

It is one network with parts that a file has or has not: an embedding of what CLIP sees, VACE's layers, a convolution for a
picture to go by, one for the path of a camera; and channels beside the latent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.families.base import Layout, NetworkKind
from engine.models.renaming import substituted
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.families.base import Family

HEAD: Final = 128
"""Width of a head of the published sizes, which tensors do not tell."""

_ORIGINAL: Final = (
    "patch_embedding.weight",
    "text_embedding.0.weight",
    "time_projection.1.weight",
    "head.head.weight",
    "head.modulation",
    "blocks.0.modulation",
    "blocks.0.self_attn.norm_q.weight",
    "blocks.0.cross_attn.k.weight",
)
_DIFFUSERS: Final = (
    "patch_embedding.weight",
    "condition_embedder.text_embedder.linear_1.weight",
    "condition_embedder.time_proj.weight",
    "proj_out.weight",
    "scale_shift_table",
    "blocks.0.scale_shift_table",
    "blocks.0.attn1.norm_q.weight",
    "blocks.0.attn2.to_k.weight",
)
_PARTS: Final = {
    "original": "patch_embedding text_embedding time_embedding time_projection blocks head img_emb",
    "diffusers": "patch_embedding condition_embedder blocks proj_out",
}
_FURTHER: Final = "vace_blocks vace_patch_embedding ref_conv control_adapter"
"""Named alike in both."""

_NAMES: Final = (
    (r"^time_embedding\.0\b", "condition_embedder.time_embedder.linear_1"),
    (r"^time_embedding\.2\b", "condition_embedder.time_embedder.linear_2"),
    (r"^text_embedding\.0\b", "condition_embedder.text_embedder.linear_1"),
    (r"^text_embedding\.2\b", "condition_embedder.text_embedder.linear_2"),
    (r"^time_projection\.1\b", "condition_embedder.time_proj"),
    (r"^img_emb\.emb_pos$", "condition_embedder.image_embedder.pos_embed"),
    (r"^img_emb\.proj\.0\b", "condition_embedder.image_embedder.norm1"),
    (r"^img_emb\.proj\.1\b", "condition_embedder.image_embedder.ff.net.0.proj"),
    (r"^img_emb\.proj\.3\b", "condition_embedder.image_embedder.ff.net.2"),
    (r"^img_emb\.proj\.4\b", "condition_embedder.image_embedder.norm2"),
    (r"^head\.head\b", "proj_out"),
    (r"^head\.modulation$", "scale_shift_table"),
    (r"\.modulation$", ".scale_shift_table"),
    (r"\.self_attn\.", ".attn1."),
    (r"\.cross_attn\.", ".attn2."),
    (r"\.(attn[12])\.([qkv])(?=\.|$)", r".\1.to_\2"),
    (r"\.(attn[12])\.o(?=\.|$)", r".\1.to_out.0"),
    (r"\.attn2\.([kv])_img(?=\.|$)", r".attn2.add_\1_proj"),
    (r"\.attn2\.norm_k_img(?=\.|$)", ".attn2.norm_added_k"),
    (r"blocks\.(\d+)\.norm3(?=\.|$)", r"blocks.\1.norm2"),  # the two others have no weights
    (r"\.ffn\.0(?=\.|$)", ".ffn.net.0.proj"),
    (r"\.ffn\.2(?=\.|$)", ".ffn.net.2"),
    (r"\.before_proj(?=\.|$)", ".proj_in"),
    (r"\.after_proj(?=\.|$)", ".proj_out"),
)
_UNUSED: Final = re.compile(r"norm_added_q|norm_q_img")
"""Of some files; nothing calls it."""


def library_name(name: str) -> str:
    """Return the library's name of a tensor or module of the original layout."""
    return substituted(name, _NAMES)


def layouts(*, channels: int) -> tuple[Layout, ...]:
    """Return the layouts of networks that give latents of so many channels, and are made of the parts that are known here."""

    def check(shapes: Shapes) -> bool:
        original = _ORIGINAL[1] in shapes
        parts = f"{_PARTS['original' if original else 'diffusers']} {_FURTHER}".split()
        known = all(name.partition(".")[0] in parts for name in shapes if "." in name)
        patches = shapes["patch_embedding.weight"]
        given = shapes["head.head.weight" if original else "proj_out.weight"][0]
        return known and len(patches) == 5 and given == channels * patches[2] * patches[3] * patches[4]

    return (
        Layout(name="original", has=_ORIGINAL, check=check),
        Layout(name="diffusers", has=_DIFFUSERS, lacks=_ORIGINAL[1:2], check=check),
    )


def sizes(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return `engine.models.networks.wan:transformer`'s arguments for tensors in either layout, without prefix."""
    found = {library_name(name): shape for name, shape in shapes.items()}
    width, channels, *patch = found["patch_embedding.weight"]
    heads = int(hints.get("heads") or hints.get("num_attention_heads") or width // HEAD)
    seen = found.get("condition_embedder.image_embedder.norm1.weight")
    places = found.get("condition_embedder.image_embedder.pos_embed")
    return {
        "patch_size": patch,
        "num_attention_heads": heads,
        "attention_head_dim": width // heads,
        "in_channels": channels,
        "out_channels": found["proj_out.weight"][0] // (patch[0] * patch[1] * patch[2]),
        "text_dim": found["condition_embedder.text_embedder.linear_1.weight"][1],
        "freq_dim": found["condition_embedder.time_embedder.linear_1.weight"][1],
        "ffn_dim": found["blocks.0.ffn.net.0.proj.weight"][0],
        "num_layers": count(found, "blocks."),
        "cross_attn_norm": "blocks.0.norm2.weight" in found,
        "image_dim": seen[0] if seen else None,
        "added_kv_proj_dim": found["blocks.0.attn2.add_k_proj.weight"][1] if seen else None,
        "pos_embed_seq_len": places[1] if places else None,
        **_further(found, hints),
    }


def _further(found: Shapes, hints: Facts) -> dict[str, Any]:
    """What a network has beside: VACE's layers stand at even distances where nothing tells otherwise."""
    more: dict[str, Any] = {}
    if "vace_patch_embedding.weight" in found:
        layers, own = count(found, "blocks."), count(found, "vace_blocks.")
        more["vace_layers"] = list(hints.get("vace_layers") or range(0, layers, layers // own)[:own])
        more["vace_in_channels"] = found["vace_patch_embedding.weight"][1]
    if "ref_conv.weight" in found:
        more["reference_channels"] = found["ref_conv.weight"][1]
    if "control_adapter.conv.weight" in found:
        more["camera_channels"] = found["control_adapter.conv.weight"][1]
        more["camera_blocks"] = count(found, "control_adapter.residual_blocks.")
    return more


def renamed(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a file's tensors under the library's names."""
    kept = {name: value for name, value in tensors.items() if not _UNUSED.search(name)}
    if _ORIGINAL[1] not in tensors:
        return kept
    return {library_name(name): value for name, value in kept.items()}


_ATTENTION: Final = ("q", "k", "v", "o", "norm_q", "norm_k")


def paths(config: Mapping[str, Any]) -> dict[str, str]:
    """Return {module path in the library: module path in the original layout}."""
    seen = ("k_img", "v_img", "norm_k_img") if config.get("added_kv_proj_dim") else ()
    block = [
        *(f"self_attn.{name}" for name in _ATTENTION),
        *(f"cross_attn.{name}" for name in (*_ATTENTION, *seen)),
        *("norm3", "ffn.0", "ffn.2"),
    ]
    names = [f"blocks.{i}.{name}" for i in range(int(config["num_layers"])) for name in block]
    for i in range(len(config.get("vace_layers") or ())):
        names += [f"vace_blocks.{i}.{name}" for name in (*block, "after_proj")]
        names += ["vace_blocks.0.before_proj"] if i == 0 else []
    names += ["vace_patch_embedding"] if config.get("vace_layers") else []
    names += ["patch_embedding", "head.head", "time_projection.1"]
    names += [f"{part}_embedding.{number}" for part in ("time", "text") for number in (0, 2)]
    names += [f"img_emb.proj.{number}" for number in (0, 1, 3, 4)] if config.get("image_dim") else []
    return {library_name(name): name for name in names}


WAN: Final = NetworkKind(
    title="transformer",
    module="engine.models.networks.wan_module:transformer",
    call="engine.models.networks.wan:WanNetwork",
    sizes=sizes,
    renamed=renamed,
    paths=paths,
)
