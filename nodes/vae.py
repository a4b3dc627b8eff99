"""Between pictures and latents."""

from __future__ import annotations

import math
from typing import Annotated, Any, NamedTuple

import torch
from torch.nn import functional

from engine.api import Conditioning, Context, Image, In, Latent, Mask, Out, Vae, node
from engine.media.faults import picture_faults
from engine.models.autoencoder import Tiling
from engine.models.latent_spaces import check, space_of, with_samples

TileSize = Annotated[int, In(ge=64, le=4096, step=32, tip="Side of a tile in pixels.")]
EncodedTileSize = Annotated[int, In(ge=64, le=4096, step=64, tip="Side of a tile in pixels.")]
Overlap = Annotated[int, In(ge=0, le=4096, step=32, tip="Pixels that neighbouring tiles share and blend over.")]
FramesPerTile = Annotated[int, In(ge=8, le=4096, step=4, tip="For video VAEs: frames per tile.")]
FrameOverlap = Annotated[int, In(ge=4, le=4096, step=4, tip="For video VAEs: frames that tiles share.")]
TilingChoice = Annotated[
    Tiling | None,
    In(
        tip="mean of three averages square, wide and tall tiles, which hides seams; square only takes a third of the time."
    ),
]
GrowBy = Annotated[int, In(ge=0, le=64, step=1, tip="Pixels by which the mask grows, for a seamless edge.")]


class InpaintConditioning(NamedTuple):
    """What a model that works on a picture is given."""

    positive: Annotated[Conditioning, Out(name="positive")]
    negative: Annotated[Conditioning, Out(name="negative")]
    latent: Annotated[Latent, Out(name="latent")]


@node("VAEDecode", category="latent", display_name="VAE Decode")
def vae_decode(ctx: Context, samples: Latent, vae: Vae) -> Image:
    """Decode a latent (B, C, h, w) to a picture (B, f h, f w, 3), f the VAE's downscale (8).

    Of videos (B, C, T, h, w) all frames follow one another; a VAE that knows alpha gives it as a fourth channel.
    """
    latent = _latent_for(vae, samples)
    with ctx.models.use(vae) as autoencoder:
        picture: Image = autoencoder.decode(latent)
    return _told(ctx, picture)


@node("VAEDecodeTiled", category="_for_testing", display_name="VAE Decode (Tiled)")
def vae_decode_tiled(
    ctx: Context,
    samples: Latent,
    vae: Vae,
    tile_size: TileSize = 512,
    overlap: Overlap = 64,
    temporal_size: FramesPerTile = 64,
    temporal_overlap: FrameOverlap = 8,
    tiling: TilingChoice = "mean of three",
) -> Image:
    """Decode tile by tile, which needs less memory; overlaps, at most a quarter of a tile, are blended."""
    latent = _latent_for(vae, samples)
    shared = overlap if tile_size >= overlap * 4 else tile_size // 4
    with ctx.models.use(vae) as autoencoder:
        picture: Image = autoencoder.decode_tiled(latent, tile_size, shared, tiling or "mean of three", ctx.progress)
    return _told(ctx, picture)


def _told(ctx: Context, picture: Image) -> Image:
    """The picture, after a warning where it went wrong."""
    for fault in picture_faults(picture, decoded=True):
        ctx.warn(fault)
    return picture


@node("VAEEncode", category="latent", display_name="VAE Encode")
def vae_encode(ctx: Context, pixels: Image, vae: Vae) -> Latent:
    """Encode a picture (B, H, W, C) to a latent (B, C, H / f, W / f): the posterior's mean.

    A VAE of videos makes one video of the pictures, (1, C, T, H / f, W / f). Alpha is left out where the VAE does not know it.
    """
    with ctx.models.use(vae) as autoencoder:
        samples = autoencoder.encode(pixels)
    return with_samples({}, samples, space_of(vae))


@node("VAEEncodeTiled", category="_for_testing", display_name="VAE Encode (Tiled)")
def vae_encode_tiled(
    ctx: Context,
    pixels: Image,
    vae: Vae,
    tile_size: EncodedTileSize = 512,
    overlap: Overlap = 64,
    temporal_size: FramesPerTile = 64,
    temporal_overlap: FrameOverlap = 8,
    tiling: TilingChoice = "mean of three",
) -> Latent:
    """Encode tile by tile, which needs less memory; overlaps, less than half a tile, are blended."""
    with ctx.models.use(vae) as autoencoder:
        samples = autoencoder.encode_tiled(pixels, tile_size, overlap, tiling or "mean of three", ctx.progress)
    return with_samples({}, samples, space_of(vae))


@node("VAEEncodeForInpaint", category="latent/inpaint", display_name="VAE Encode (for Inpainting)")
def vae_encode_for_inpaint(ctx: Context, pixels: Image, vae: Vae, mask: Mask, grow_mask_by: GrowBy = 6) -> Latent:
    """Encode a picture with the masked part greyed out, and mark that part to be sampled anew (denoise 1).

    The mask (B, H, W) is scaled to the picture and rounded; what is sampled anew reaches `grow_mask_by` pixels further.
    """
    picture, fitted = _on_the_grid(pixels, mask, vae.latent.downscale)
    with ctx.models.use(vae) as autoencoder:
        samples = autoencoder.encode(_greyed_out(picture, fitted))
    return with_samples({"noise_mask": _grown(fitted.round(), grow_mask_by)}, samples, space_of(vae))


@node("InpaintModelConditioning", category="conditioning/inpaint")
def inpaint_model_conditioning(
    ctx: Context,
    positive: Conditioning,
    negative: Conditioning,
    vae: Vae,
    pixels: Image,
    mask: Mask,
    noise_mask: Annotated[bool, In(tip="Also keep the unmasked part as it is while sampling.")] = True,
) -> InpaintConditioning:
    """Give an inpainting checkpoint its two further inputs: the mask, and the picture with the masked part greyed out."""
    picture, fitted = _on_the_grid(pixels, mask, vae.latent.downscale)
    with ctx.models.use(vae) as autoencoder:
        samples = autoencoder.encode(picture)
        masked = autoencoder.encode(_greyed_out(picture, fitted))
    latent = with_samples({"noise_mask": fitted} if noise_mask else {}, samples, space_of(vae))
    facts = {"concat_latent_image": masked, "concat_mask": fitted}
    return InpaintConditioning(_with(positive, facts), _with(negative, facts), latent)


@node("InstructPixToPixConditioning", category="conditioning/instructpix2pix")
def instruct_pix_to_pix_conditioning(
    ctx: Context, positive: Conditioning, negative: Conditioning, vae: Vae, pixels: Image
) -> InpaintConditioning:
    """Give a model that edits pictures (InstructPix2Pix) the picture, and make an empty latent of its size."""
    rows, columns = (_middle(side, vae.latent.downscale) for side in pixels.shape[1:3])
    with ctx.models.use(vae) as autoencoder:
        seen = autoencoder.encode(pixels[:, rows, columns, :3])
    facts = {"concat_latent_image": seen}
    empty = {"samples": torch.zeros_like(seen)}
    return InpaintConditioning(_with(positive, facts), _with(negative, facts), empty)


def _with(conditioning: Conditioning, facts: dict[str, Any]) -> Conditioning:
    return [[tokens, {**options, **facts}] for tokens, options in conditioning]


def _latent_for(vae: Vae, latent: Latent) -> torch.Tensor:
    samples: torch.Tensor = latent["samples"]
    if samples.ndim < 4 or samples.shape[1] != vae.latent.channels:
        raise ValueError(
            f"This VAE decodes latents of {vae.latent.channels} channels (B, {vae.latent.channels}, h, w); "
            f"it was given {tuple(samples.shape)}. Use the VAE that belongs to the model that made the latent."
        )
    check(latent, space_of(vae), "This VAE decodes", "Use the VAE that belongs to the model that made the latent.")
    return samples


def _on_the_grid(pixels: torch.Tensor, mask: torch.Tensor, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale the mask to the picture and crop both, centred, to multiples of `step`: (B, H, W, 3) and (B, 1, H, W)."""
    height, width = pixels.shape[1:3]
    fitted = functional.interpolate(
        mask.reshape((-1, 1, *mask.shape[-2:])).float(), size=(height, width), mode="bilinear"
    )
    rows, columns = _middle(height, step), _middle(width, step)
    return pixels[:, rows, columns, :3], fitted[:, :, rows, columns]


def _middle(side: int, step: int) -> slice:
    """The middle of a side that is a multiple of `step`; all of one that is shorter, which autoencoders refuse."""
    kept = side // step * step or side
    return slice((side - kept) // 2, (side - kept) // 2 + kept)


def _greyed_out(picture: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Set the masked part of (B, H, W, 3) to mid-grey, which encodes to nothing in particular."""
    keep = 1.0 - mask.round().movedim(1, -1)
    return (picture - 0.5) * keep + 0.5


def _grown(mask: torch.Tensor, pixels: int) -> torch.Tensor:
    """Dilate a mask (B, 1, H, W) of zeros and ones by a square of side `pixels`."""
    if pixels <= 1:
        return mask
    height, width = mask.shape[-2:]
    return functional.max_pool2d(mask, pixels, stride=1, padding=math.ceil((pixels - 1) / 2))[..., :height, :width]
