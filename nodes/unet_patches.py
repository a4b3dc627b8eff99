"""Patches of U-Nets: FreeU, Deep Shrink, HyperTile, token merging."""

from __future__ import annotations

from typing import Annotated

from engine.api import In, Model, node
from engine.denoising.inside.base import check_unet, with_patch
from engine.denoising.inside.unet_sizes import check_input_block
from engine.media.resizing import LatentMethod

_ADVANCED = {"advanced": True}
Weight = Annotated[float, In(ge=0, le=10, step=0.01, options=_ADVANCED)]
Percent = Annotated[
    float, In(ge=0, le=1, step=0.001, tip="Share of the noise levels that are behind.", options=_ADVANCED)
]
_BACKBONE = "How much what comes from below counts, where it has {} times the channels of the first level."
_SKIP = "How much the low frequencies of what comes over the skip connection count, in the same places as {}."

B1 = Annotated[Weight, In(tip=_BACKBONE.format("four"))]
B2 = Annotated[Weight, In(tip=_BACKBONE.format("two"))]
S1 = Annotated[Weight, In(tip=_SKIP.format("b1"))]
S2 = Annotated[Weight, In(tip=_SKIP.format("b2"))]


@node("FreeU", category="model_patches/unet", display_name=None)
def free_u(model: Model, b1: B1 = 1.1, b2: B2 = 1.2, s1: S1 = 0.9, s2: S2 = 0.2) -> Model:
    """Weigh anew what the decoder of a U-Net is given, for clearer pictures without training (FreeU; Si et al. 2023).

    Half of the channels that come from below are multiplied by b, the low frequencies of the skip connection by s.
    For Stable Diffusion 1, 2 and XL, which mostly want other values each.
    """
    check_unet(model, "FreeU", "skip connections to a decoder")
    return with_patch(model, "free_u", b1=b1, b2=b2, s1=s1, s2=s2, version=1)


@node("FreeU_V2", category="model_patches/unet", display_name=None)
def free_u_v2(model: Model, b1: B1 = 1.3, b2: B2 = 1.4, s1: S1 = 0.9, s2: S2 = 0.2) -> Model:
    """Weigh anew what the decoder of a U-Net is given, by how strong it is at each place (FreeU's second version; 2023).

    Half of the channels that come from below are multiplied by 1..b: by b where their mean is largest, by 1 where it is least.
    For Stable Diffusion 1, 2 and XL.
    """
    check_unet(model, "FreeU_V2", "skip connections to a decoder")
    return with_patch(model, "free_u", b1=b1, b2=b2, s1=s1, s2=s2, version=2)


@node(
    "PatchModelAddDownscale", category="model_patches/unet", display_name="PatchModelAddDownscale (Kohya Deep Shrink)"
)
def patch_model_add_downscale(
    model: Model,
    block_number: Annotated[
        int, In(ge=1, le=32, step=1, tip="Input block of the U-Net after which it is smaller.", options=_ADVANCED)
    ] = 3,
    downscale_factor: Annotated[float, In(ge=0.1, le=9, step=0.001, tip="How many times smaller.")] = 2.0,
    start_percent: Percent = 0.0,
    end_percent: Percent = 0.35,
    downscale_after_skip: Annotated[
        bool, In(tip="Let the skip connection have the full size.", options=_ADVANCED)
    ] = True,
    downscale_method: LatentMethod = "bicubic",
    upscale_method: LatentMethod = "bicubic",
) -> Model:
    """Let a U-Net work on something smaller at first, so that large pictures get sound compositions (Deep Shrink; kohya 2023).

    Input blocks are counted from 0, the first convolution: Stable Diffusion 1 and 2 have 12, XL 9. What ControlNets add is made
    smaller where it is added to something smaller. Raises ModelError for a block that the model does not have.
    """
    check_unet(model, "PatchModelAddDownscale", "input blocks with skip connections")
    check_input_block(model, "PatchModelAddDownscale", block_number)
    return with_patch(
        model,
        "deep_shrink",
        block=block_number,
        factor=downscale_factor,
        start_percent=start_percent,
        end_percent=end_percent,
        after_skip=downscale_after_skip,
        down=downscale_method,
        up=upscale_method,
    )


@node("HyperTile", category="model_patches/unet", display_name=None)
def hyper_tile(
    model: Model,
    tile_size: Annotated[
        int, In(ge=1, le=2048, tip="Pixels a side that a tile has at least; below 32 it is 32.", options=_ADVANCED)
    ] = 256,
    swap_size: Annotated[
        int, In(ge=1, le=128, tip="Between how many ways to divide a side lots are drawn.", options=_ADVANCED)
    ] = 2,
    max_depth: Annotated[
        int,
        In(
            ge=0,
            le=10,
            tip="How often the picture may be halved where there are tiles. XL wants 1 or more.",
            options=_ADVANCED,
        ),
    ] = 0,
    scale_depth: Annotated[
        bool, In(tip="Larger tiles where the picture is halved, as counted there.", options=_ADVANCED)
    ] = False,
) -> Model:
    """Let a U-Net's self-attention look within tiles only, which is quicker for large pictures (HyperTile; tfernd 2023).

    Which of the `swap_size` coarsest ways is taken is drawn by lot for each noise level and layer; the same run draws the same.
    """
    check_unet(model, "HyperTile", "self-attention over places of the picture alone")
    return with_patch(
        model, "tiles", tile_size=tile_size, swap_size=swap_size, max_depth=max_depth, scale_depth=scale_depth
    )


@node("TomePatchModel", category="model_patches/unet", display_name=None)
def tome_patch_model(
    model: Model,
    ratio: Annotated[
        float, In(ge=0, le=1, step=0.01, tip="Share of the tokens that is merged; more than 0.75 is 0.75.")
    ] = 0.3,
) -> Model:
    """Let a U-Net's self-attention take alike tokens as one, which is quicker (token merging; Bolya and Hoffman 2023).

    It works in layers at the latent's own size, as in the paper: Stable Diffusion 1 and 2 have some, XL none: it stays as it is.
    One token in each square of four stays, drawn by lot for each noise level and layer; the same run draws the same. Of this and
    HyperTile the first in the chain counts in layers that both are for.
    """
    check_unet(model, "TomePatchModel", "self-attention over places of the picture alone")
    return model if ratio == 0.0 else with_patch(model, "merged_tokens", ratio=ratio)
