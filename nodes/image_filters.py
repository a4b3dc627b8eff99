"""Pictures changed pixel by pixel or by their neighbourhood: blending, blurring, sharpening, edges, noise, palettes."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PillowImage
from torch import Tensor
from torch.nn.functional import conv2d, pad

from engine.api import Image, In, Seed, node
from engine.media.resizing import match_batches, match_channels, resize_images
from engine.media.tensors import to_bytes
from nodes.dimensions import ONE_CHOICE

Radius = Annotated[int, In(ge=1, le=31, step=1, tip="Reach in pixels.")]
RelativeSigma = Annotated[float, In(ge=0.1, le=10.0, step=0.1, tip="Width of the bell curve, in units of the radius.")]
FineSigma = Annotated[float, In(ge=0.1, le=10.0, step=0.01, tip="Width of the bell curve, in units of the radius.")]
BlendMode = Literal["normal", "multiply", "screen", "overlay", "soft_light", "difference"]
Dither = Literal["none", "floyd-steinberg", "bayer-2", "bayer-4", "bayer-8", "bayer-16"]


@node("ImageInvert", category="image", display_name="Invert Image")
def image_invert(image: Image) -> Image:
    """Turn pictures (B, H, W, C) into their negatives, alpha like the colours."""
    return 1.0 - image


@node("ImageBlend", category="image/postprocessing", display_name=None)
def image_blend(
    image1: Image,
    image2: Image,
    blend_factor: Annotated[float, In(ge=0, le=1, step=0.01, tip="Share of the blended result.")] = 0.5,
    blend_mode: Annotated[
        BlendMode, In(tip="Formulas of the W3C's Compositing and Blending Level 1.", options=ONE_CHOICE)
    ] = "normal",
) -> Image:
    """Blend `image2` onto `image1` (B, H, W, C); it is scaled and cut to its size, and the shorter batch repeats.

    The modes are those of https://www.w3.org/TR/compositing-1, with `image1` as the backdrop, except `difference`: it is
    1 - 2 without an absolute value, a slip of the field. Alpha is blended like the colours; results are cut to 0..1.
    """
    fitted = resize_images(image2, image1.shape[2], image1.shape[1], "bicubic", "center")
    below, above = match_batches(image1, match_channels(fitted, image1.shape[-1]).to(image1))
    return (below * (1 - blend_factor) + _blended(below, above, blend_mode) * blend_factor).clamp(0, 1)


def _blended(below: Tensor, above: Tensor, mode: str) -> Tensor:
    match mode:
        case "multiply":
            return below * above
        case "screen":
            return 1 - (1 - below) * (1 - above)
        case "overlay":
            return torch.where(below <= 0.5, 2 * below * above, 1 - 2 * (1 - below) * (1 - above))
        case "soft_light":
            return _soft_light(below, above)
        case "difference":
            return below - above
        case _:
            return above


def _soft_light(below: Tensor, above: Tensor) -> Tensor:
    """Section 10.1.9 of Compositing and Blending Level 1."""
    lifted = torch.where(below <= 0.25, ((16 * below - 12) * below + 4) * below, below.clamp(min=0).sqrt())
    darker = below - (1 - 2 * above) * below * (1 - below)
    lighter = below + (2 * above - 1) * (lifted - below)
    return torch.where(above <= 0.5, darker, lighter)


@node("ImageBlur", category="image/postprocessing", display_name=None)
def image_blur(image: Image, blur_radius: Radius = 1, sigma: RelativeSigma = 1.0) -> Image:
    """Blur pictures (B, H, W, C) with a Gaussian over 2 × `blur_radius` + 1 pixels, mirrored at the edges."""
    return gaussian_blur(image, blur_radius, sigma * blur_radius)


@node("ImageSharpen", category="image/postprocessing", display_name=None)
def image_sharpen(
    image: Image,
    sharpen_radius: Radius = 1,
    sigma: FineSigma = 1.0,
    alpha: Annotated[float, In(ge=0.0, le=5.0, step=0.01, tip="Strength; adds 10 × alpha of the lost detail.")] = 1.0,
) -> Image:
    """Unsharp masking: add 10 × `alpha` times what a blur takes away, to all channels of pictures (B, H, W, C)."""
    detail = image - gaussian_blur(image, sharpen_radius, sigma * sharpen_radius)
    return (image + 10 * alpha * detail).clamp(0, 1)


def gaussian_blur(images: Tensor, radius: int, sigma: float) -> Tensor:
    """Blur `images` (B, H, W, C) with a Gaussian of `sigma` pixels cut off at `radius`, rows and columns apart."""
    at = torch.arange(-radius, radius + 1, dtype=torch.float32)
    weights = torch.exp(-at.square() / (2 * sigma**2))
    weights = (weights / weights.sum()).to(images)
    planes = images.movedim(-1, 1)
    channels = planes.shape[1]
    rows = _mirrored(planes.shape[2], radius)
    columns = _mirrored(planes.shape[3], radius)
    planes = conv2d(planes[..., columns], weights.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
    planes = conv2d(planes[:, :, rows], weights.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
    return planes.movedim(1, -1)


def _mirrored(size: int, radius: int) -> Tensor:
    """Indices of `size` pixels with `radius` more on both sides, mirrored without repeating the edge, however small."""
    period = max(1, 2 * (size - 1))
    at = torch.arange(-radius, size + radius) % period
    return torch.minimum(at, period - at) if size > 1 else torch.zeros_like(at)


@node("ImageAddNoise", category="image", display_name="ImageAddNoise")
def image_add_noise(
    image: Image,
    seed: Seed = 0,
    strength: Annotated[float, In(ge=0, le=1, step=0.01, tip="Standard deviation of the noise.")] = 0.5,
) -> Image:
    """Add Gaussian noise to all channels of pictures (B, H, W, C), cut to 0..1; drawn on the CPU from `seed`."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(image.shape, generator=generator).to(image)
    return (image + strength * noise).clamp(0, 1)


@node("ImageQuantize", category="image/postprocessing", display_name=None)
def image_quantize(
    image: Image,
    colors: Annotated[int, In(ge=1, le=256, step=1, tip="How many colours remain.")] = 256,
    dither: Annotated[Dither, In(tip="How the missing colours are suggested.", options=ONE_CHOICE)] = "none",
) -> Image:
    """Reduce each picture (B, H, W, C) to a palette of its own by median cut; alpha stays."""
    pixels = to_bytes(image[..., :3])
    reduced = np.stack([_quantized(PillowImage.fromarray(picture), colors, dither) for picture in pixels])
    return torch.cat([torch.from_numpy(reduced).to(image) / 255, image[..., 3:]], dim=-1)


def _quantized(picture: PillowImage.Image, colors: int, dither: str) -> NDArray[np.uint8]:
    palette = picture.quantize(colors)
    if dither.startswith("bayer"):
        picture = _with_bayer_pattern(picture, int(dither.split("-")[1]), len(palette.getpalette() or ()) // 3)
    kind = PillowImage.Dither.FLOYDSTEINBERG if dither == "floyd-steinberg" else PillowImage.Dither.NONE
    return np.asarray(picture.quantize(palette=palette, dither=kind).convert("RGB"))


def _with_bayer_pattern(picture: PillowImage.Image, order: int, colors: int) -> PillowImage.Image:
    """Add the ordered pattern of Bayer (1973), `order` pixels wide, over a spread of 2 × 256 / `colors` levels.

    `colors` is how many the palette has. The sum is rounded by adding a half and truncating.
    """
    pattern: NDArray[np.floating] = np.zeros((1, 1), np.float32)
    while len(pattern) < order:
        pattern = np.block([[4 * pattern, 4 * pattern + 2], [4 * pattern + 3, 4 * pattern + 1]])
    pattern = (pattern + 0.5) / order**2 - 0.5
    pixels = np.asarray(picture, dtype=np.float32)
    rows, columns = (np.arange(size) % order for size in pixels.shape[:2])
    added = 2 * 256 / colors * pattern + 0.5
    shifted = pixels + added[rows[:, None], columns[None], None]
    return PillowImage.fromarray(shifted.clip(0, 255).astype(np.uint8))


@node("Canny", category="image/preprocessors", display_name=None)
def canny(
    image: Image,
    low_threshold: Annotated[float, In(ge=0.01, le=0.99, step=0.01, tip="Weaker edges are dropped.")] = 0.4,
    high_threshold: Annotated[float, In(ge=0.01, le=0.99, step=0.01, tip="Edges this strong stand alone.")] = 0.8,
) -> Image:
    """Draw the edges of pictures (B, H, W, C) white on black (B, H, W, 3), as ControlNets for edges expect them.

    Canny (1986): blur, gradient, thinning across the edge, and keeping weak edges only where they touch strong ones.
    Thresholds are for the gradient of luma by Sobel's operator, without its usual division by 8. Of two equal neighbours
    across an upright or level edge the left or upper one is the edge, as in kornia 0.9, which the field uses.
    Raises ValueError when the low threshold is above the high one.
    """
    if low_threshold > high_threshold:
        raise ValueError(
            f"Canny: low_threshold {low_threshold} is above high_threshold {high_threshold}; exchange them."
        )
    red, green, blue = image[..., :3].unbind(-1)
    luma = (0.299 * red + 0.587 * green + 0.114 * blue)[..., None]
    ridge = _thinned(*_gradient(gaussian_blur(luma, 2, 1.0)[..., 0]))
    edges = torch.stack([_connected(one > low_threshold, one > high_threshold) for one in ridge])
    return edges.to(image)[..., None].expand(-1, -1, -1, 3).contiguous()


def _gradient(luma: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient (x, y), each (B, H, W), of luma (B, H, W) by Sobel's operator, edges repeated."""
    across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]).to(luma)
    kernels = torch.stack([across, across.T])[:, None]
    x, y = conv2d(pad(luma[:, None], (1, 1, 1, 1), mode="replicate"), kernels).unbind(1)
    return x, y


def _thinned(x: Tensor, y: Tensor) -> Tensor:
    """Gradient strength (B, H, W), zero where a neighbour along the gradient is stronger, or as strong on the diagonals."""
    strength = (x.square() + y.square() + 1e-6).sqrt()
    direction = (torch.atan2(y, x) * (4 / torch.pi)).round().long() % 4
    padded = pad(strength, (1, 1, 1, 1))
    height, width = strength.shape[-2:]
    kept = torch.zeros_like(strength)
    for index, (dy, dx) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        ahead = padded[:, 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        behind = padded[:, 1 - dy : 1 - dy + height, 1 - dx : 1 - dx + width]
        wins = strength > ahead if index % 2 else strength >= ahead
        kept = torch.where((direction == index) & wins & (strength > behind), strength, kept)
    return kept


def _connected(weak: Tensor, strong: Tensor) -> Tensor:
    """The weak pixels (H, W) that reach a strong one through weak ones, diagonals included."""
    from scipy.ndimage import label  # slow to import, and only this node wants it

    regions, _ = label(weak.cpu().numpy(), structure=np.ones((3, 3)))
    wanted = np.unique(regions[strong.cpu().numpy()])
    return torch.from_numpy(np.isin(regions, wanted[wanted > 0]))
