"""Merging models block by block: a ratio for each part of a network, by the beginnings of names in its original layout."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from engine.api import Context, Model, node
from engine.authoring.decorator import definition_of
from engine.authoring.definition import DEFINITION
from engine.graph.schema import InputSpec
from engine.models.errors import shortened
from engine.models.merging import block_shares, merged

Merge = Callable[..., Model]


def _numbered(begun: str, count: int, end: str = ".") -> list[str]:
    return [f"{begun}{number}{end}" for number in range(count)]


def _merging(name: str, title: str, blocks: Iterable[str]) -> Merge:
    """Declare a node whose inputs are two models and a ratio for each block.

    Its inputs are called as saved workflows have them, with dots, which no parameter of Python can be.
    """

    def merge(ctx: Context, model1: Model, model2: Model, **ratios: Any) -> Model:
        handle, left = merged(model1, model2, block_shares({block: float(ratios[block]) for block in told}))
        if left:
            ctx.warn(
                f"{len(left)} weights of the first model are left as they are, such as {shortened(list(left))}: the second "
                "has none of that name and size."
            )
        return handle

    told = tuple(blocks)
    merge.__module__ = __name__
    merge.__name__ = merge.__qualname__ = name
    merge.__doc__ = (
        f"Take means of the weights of two models of {title}, with a ratio for each block: 1 is the first, 0 the second.\n\n"
        "A ratio is for the weights whose names in the original layout begin with the input's name, the longest that fits; "
        f"weights of no block take that of `{told[0]}` (inferred). What the second model does not have in the same size stays as "
        "it is, and is told."
    )
    declared = node(name, category="advanced/model_merging/model_specific")(merge)
    definition = definition_of(declared)
    assert definition is not None
    ratios = [
        InputSpec(
            name=block,
            type="FLOAT",
            default=1.0,
            ge=0.0,
            le=1.0,
            step=0.01,
            tip=f"Share of the first model in {block.rstrip('.')}: 1 is the first, 0 the second.",
        )
        for block in told
    ]
    definition.spec = msgspec.structs.replace(
        definition.spec, inputs=(*definition.spec.inputs, *ratios), open_inputs=False
    )
    setattr(declared, DEFINITION, definition)
    return declared


_U_NET = (
    *("time_embed.", "label_emb."),
    *_numbered("input_blocks.", 12),
    *_numbered("middle_block.", 3),
    *_numbered("output_blocks.", 12),
    "out.",
)
_SD3 = ("pos_embed.", "x_embedder.", "context_embedder.", "y_embedder.", "t_embedder.")

model_merge_sd1 = _merging("ModelMergeSD1", "Stable Diffusion 1", _U_NET)
model_merge_sd2 = _merging("ModelMergeSD2", "Stable Diffusion 2", _U_NET)
model_merge_sdxl = _merging(
    "ModelMergeSDXL",
    "Stable Diffusion XL",
    (
        *("time_embed.", "label_emb."),
        *_numbered("input_blocks.", 9, ""),
        *_numbered("middle_block.", 3, ""),
        *_numbered("output_blocks.", 9, ""),
        "out.",
    ),
)
model_merge_sd3_2b = _merging(
    "ModelMergeSD3_2B", "Stable Diffusion 3 (2B)", (*_SD3, *_numbered("joint_blocks.", 24), "final_layer.")
)
model_merge_sd35_large = _merging(
    "ModelMergeSD35_Large", "Stable Diffusion 3.5 Large", (*_SD3, *_numbered("joint_blocks.", 38), "final_layer.")
)
model_merge_flux1 = _merging(
    "ModelMergeFlux1",
    "FLUX.1",
    (
        *("img_in.", "time_in.", "guidance_in", "vector_in.", "txt_in."),
        *_numbered("double_blocks.", 19),
        *_numbered("single_blocks.", 38),
        "final_layer.",
    ),
)
model_merge_auraflow = _merging(
    "ModelMergeAuraflow",
    "AuraFlow",
    (
        *("init_x_linear.", "positional_encoding", "cond_seq_linear.", "register_tokens", "t_embedder."),
        *_numbered("double_layers.", 4),
        *_numbered("single_layers.", 32),
        *("modF.", "final_linear."),
    ),
)
model_merge_qwen_image = _merging(
    "ModelMergeQwenImage",
    "Qwen-Image",
    (
        *("pos_embeds.", "img_in.", "txt_norm.", "txt_in.", "time_text_embed."),
        *_numbered("transformer_blocks.", 60),
        "proj_out.",
    ),
)
model_merge_krea2 = _merging(
    "ModelMergeKrea2",
    "Krea 2",
    (
        *("first.", "tmlp.", "txtmlp.", "tproj."),
        *_numbered("txtfusion.layerwise_blocks.", 2),
        "txtfusion.projector.",
        *_numbered("txtfusion.refiner_blocks.", 2),
        *_numbered("blocks.", 28),
        "last.",
    ),
)
_PREDICT2 = ("pos_embedder.", "x_embedder.", "t_embedder.", "t_embedding_norm.")
model_merge_cosmos_predict2_2b = _merging(
    "ModelMergeCosmosPredict2_2B",
    "Cosmos Predict 2 (2B), whose layout Anima has",
    (*_PREDICT2, *_numbered("blocks.", 28), "final_layer."),
)
model_merge_cosmos_predict2_14b = _merging(
    "ModelMergeCosmosPredict2_14B", "Cosmos Predict 2 (14B)", (*_PREDICT2, *_numbered("blocks.", 36), "final_layer.")
)
