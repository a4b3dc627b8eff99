"""What Marigold predicts, as pictures."""

from __future__ import annotations

from typing import Annotated

from engine.api import Image, In, node


@node("MarigoldV2PostProcess", category="image/geometry", display_name="Marigold V2 Post-Process")
def marigold_v2_post_process(
    image: Annotated[Image, In(tip="What a VAE made of Marigold's latent.")],
    prediction: Annotated[str, In(choices=("depth", "normals", "albedo"), tip="What it is a prediction of.")],
) -> Image:
    """Show a prediction (B, H, W, 3) in 0..1 as a picture.

    `depth`: the mean of the colours, picture by picture from its largest value, which is far and becomes 0, to its least, which
    becomes 1 (that large is far, and the mean, are inferred). `normals`: vectors of -1..1 made of length 1. `albedo`: linear
    light as sRGB (IEC 61966-2-1).
    """
    import torch
    from torch.nn import functional

    colours = image[..., :3].float()
    if prediction == "depth":
        depth = colours.mean(dim=-1)
        least, most = depth.amin(dim=(1, 2), keepdim=True), depth.amax(dim=(1, 2), keepdim=True)
        return (
            ((most - depth) / (most - least).clamp(min=1e-12)).clamp(0.0, 1.0)[..., None].repeat_interleave(3, dim=-1)
        )
    if prediction == "normals":
        return functional.normalize(2.0 * colours - 1.0, dim=-1) * 0.5 + 0.5
    light = colours.clamp(0.0, 1.0)
    return torch.where(light <= 0.0031308, 12.92 * light, 1.055 * light.clamp(min=0.0031308) ** (1 / 2.4) - 0.055)
