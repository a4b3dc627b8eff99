"""Pictures in another colour space, in parts of brightness and colour, and with a wider range of brightness."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, NamedTuple

import torch
from torch import Tensor

from engine.api import Choosing, Image, In, Out, node
from engine.media.resizing import match_channels
from nodes.dimensions import ONE_CHOICE

Space = Literal["sRGB", "HDR", "HDR ACEScct", "HDR LogC3", "HDR PQ", "linear", "linear ACEScg"]

ALGORITHMS: Final[list[dict[str, Any]]] = [
    {
        "key": "lottes",
        "inputs": {
            "required": {
                "target_luminance": [
                    "FLOAT",
                    {
                        "default": 650.0,
                        "min": 0.0,
                        "max": 10000.0,
                        "step": 1.0,
                        "tooltip": "What white becomes, in cd/m²; 0 is the usual 1000.",
                    },
                ]
            }
        },
    }
]
"""The ways to widen a range, each with the inputs that it brings, as editors read them."""

_MIDDLE: Final = 0.18
"""Linear light of a middle grey, which keeps its brightness."""


class Planes(NamedTuple):
    """A picture in brightness and two differences of colour, each (B, H, W, 3) of three equal channels."""

    Y: Annotated[Image, Out(tip="Brightness.")]
    U: Annotated[Image, Out(tip="Blue less brightness; 0.5 is none.")]
    V: Annotated[Image, Out(tip="Red less brightness; 0.5 is none.")]


@node("ImageColorSpace", category="image/color", display_name="Convert Image Color Space")
def image_color_space(
    image: Image,
    source: Annotated[Space, In(tip="What the numbers of the picture mean.", options=ONE_CHOICE)] = "sRGB",
    destination: Annotated[
        Space, In(tip="What they are to mean; save the result as this.", options=ONE_CHOICE)
    ] = "sRGB",
) -> Image:
    """Convert pictures (B, H, W, C) between colour spaces; alpha stays.

    sRGB and linear have Rec. 709 primaries, HDR is Rec. 2020 HLG on a display of 1000 cd/m², HDR PQ Rec. 2020 with SMPTE ST
    2084, HDR LogC3 ARRI's Log C at EI 800 on Rec. 709 cut to 0..1, ACEScg and ACEScct AP1 with D60 white adapted by
    Bradford's transform. Linear 1.0 is 203 cd/m². To sRGB, and from PQ to HLG, what is too bright is brought down by one
    curve for the batch, and colours out of gamut are mixed with grey (both curves inferred); the other ways keep values
    beyond 1. The same space twice changes nothing.
    """
    if source == destination:
        return image
    from engine.media.color_spaces import in_space

    colours = match_channels(image, 3) if image.shape[-1] >= 3 else image.expand(*image.shape[:3], 3)
    return torch.cat([in_space(colours, source, destination), image[..., 3:].float()], dim=-1)


@node("ImageSDRToHDR", category="image/color", display_name="Convert SDR to HDR")
def image_sdr_to_hdr(
    image: Image,
    algorithm: Annotated[Choosing, In(tip="How brightness is spread.", options={"options": ALGORITHMS})],
) -> Image:
    """Spread the brightness of sRGB pictures (B, H, W, C) and give them as Rec. 2020 HLG, to be saved as HDR; alpha stays.

    Each luminance is the mean, in logarithms, of two curves that keep black and send white to the target: the inverse of
    Lottes' tone curve ("Advanced Techniques and Optimization of HDR Color Pipelines", GDC 2016) with a contrast and shoulder
    of 1, which keeps the middle grey of 0.18, and a gain that grows from there to white. The field's numbers are not
    documented, so these are inferred: its pictures differ a little. White is what 1.0 becomes, so dark pictures stay dark; a
    target below 203 cd/m² leaves white there, and one above 1000 is the peak of the display for which HLG is written.
    """
    from engine.media.color_spaces import (
        HLG_NITS,
        WHITE_NITS,
        converted,
        linear_to_hlg,
        luminance,
        srgb_to_linear,
    )

    target = float(algorithm["target_luminance"]) or HLG_NITS
    colours = match_channels(image, 3) if image.shape[-1] >= 3 else image.expand(*image.shape[:3], 3)
    light = srgb_to_linear(colours.float().clamp(0, 1))
    level = luminance(light)
    wider = light * (_widened(level, max(1.0, target / WHITE_NITS)) / level.clamp(min=1e-9))
    code = linear_to_hlg(converted(wider, "rec709", "rec2020"), max(HLG_NITS, target))
    return torch.cat([code.clamp(0, 1), image[..., 3:].float()], dim=-1)


def _widened(level: Tensor, peak: float) -> Tensor:
    """Luminance 0..1 as 0..`peak`, monotonic."""
    factor = peak * (1 - _MIDDLE) / (peak - _MIDDLE)
    rational = factor * level / (1 - (1 - factor / peak) * level)
    share = ((level - _MIDDLE) / (1 - _MIDDLE)).clamp(0, 1)
    gained = level * torch.exp2(share * share * (3 - 2 * share) * torch.log2(torch.tensor(peak)))
    return (rational.clamp(min=0) * gained.clamp(min=0)).sqrt()


@node("ImageRGBToYUV", category="image/color", display_name="Image RGB to YUV")
def image_rgb_to_yuv(image: Image) -> Planes:
    """Split pictures (B, H, W, C) into brightness and two differences of colour, each (B, H, W, 3) of equal channels.

    That is full-range YCbCr of Rec. 601 with middles of 0.5 (JFIF). Inferred: differences are scaled by 0.564 and 0.713.
    """
    red, green, blue = match_channels(image, 3).unbind(-1) if image.shape[-1] >= 3 else (image[..., 0],) * 3
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    planes = (luma, (blue - luma) * 0.564 + 0.5, (red - luma) * 0.713 + 0.5)
    return Planes(*(plane[..., None].repeat(1, 1, 1, 3) for plane in planes))


@node("ImageYUVToRGB", category="image/color", display_name="Image YUV to RGB")
def image_yuv_to_rgb(
    Y: Annotated[Image, In(tip="Brightness.")],
    U: Annotated[Image, In(tip="Blue less brightness; 0.5 is none.")],
    V: Annotated[Image, In(tip="Red less brightness; 0.5 is none.")],
) -> Annotated[Image, Out(name="output")]:
    """Put brightness and two differences of colour (B, H, W, C) together as pictures (B, H, W, 3), cut to 0..1.

    Each is the mean of its first three channels. Raises ValueError when their sizes or numbers differ.
    """
    shapes = {name: tuple(one.shape[:3]) for name, one in (("Y", Y), ("U", U), ("V", V))}
    if len(set(shapes.values())) > 1:
        told = ", ".join(f"{name} is {shape}" for name, shape in shapes.items())
        raise ValueError(f"ImageYUVToRGB: {told} (number, height, width); all three must be of one size.")
    luma, blue, red = (one[..., :3].mean(-1) for one in (Y, U, V))
    blue, red = blue - 0.5, red - 0.5
    parts = (luma + 1.403 * red, luma - 0.714 * red - 0.344 * blue, luma + 1.773 * blue)
    return torch.stack(parts, dim=-1).clamp(0, 1)
