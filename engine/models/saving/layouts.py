"""Under which names a part is written: those of the original single files where its layout is known, else its own file's.

Stable Diffusion's U-Nets, KL autoencoders and CLIP's text towers are brought into the original layout from whatever layout their
file has. Other networks are written as their file has them, which in practice is the original layout too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch

from engine.models import sd_keys
from engine.models.families import family_named, tower_of
from engine.models.handles import ClipHandle, FileDigest, ModelHandle, VaeHandle
from engine.models.networks.unet_sizes import U_NET
from engine.models.packed import read_header
from engine.models.saving.baked import as_in_file, as_parameters
from engine.models.saving.pieces import Piece

if TYPE_CHECKING:
    from torch import Tensor

_OF_DIFFUSERS: Final = "conv_in.weight"
_OF_DIFFUSERS_VAE: Final = ("encoder.down_blocks.0.", "decoder.up_blocks.0.")


def network_pieces(handle: ModelHandle, files: FileDigest) -> list[Piece]:
    """Return a denoiser's weights with its patches, in the original layout without a prefix."""
    if family_named(handle.family).network is U_NET and f"{handle.prefix}{_OF_DIFFUSERS}" in _names(handle):
        pieces = as_parameters(handle, files)
        return _renamed(pieces, lambda tensors: sd_keys.unet_to_original(tensors, handle.config, ""))
    return as_in_file(handle, files)


def vae_pieces(handle: VaeHandle, files: FileDigest) -> list[Piece]:
    """Return an autoencoder's weights, in the original layout without a prefix; none of one that has no file."""
    if not handle.source.digest:
        return []
    here = [name[len(handle.prefix) :] for name in _names(handle) if name.startswith(handle.prefix)]
    if handle.kind == "kl" and any(name.startswith(_OF_DIFFUSERS_VAE) for name in here):
        pieces = as_parameters(handle, files)
        return _renamed(pieces, lambda tensors: sd_keys.vae_to_original(tensors, handle.config, ""))
    return as_in_file(handle, files)


def tower_pieces(handle: ClipHandle, files: FileDigest) -> list[Piece]:
    """Return a text encoder's weights with its patches: of CLIP's towers in the names of transformers, else as in its file."""
    if tower_of(handle.family, handle.tower).kind == "clip":
        return as_parameters(handle, files)
    return as_in_file(handle, files)


def open_clip_pieces(handle: ClipHandle, files: FileDigest) -> list[Piece]:
    """Return the weights of a CLIP tower in the names of open_clip, in which queries, keys and values stand stacked."""
    here = {name[len(handle.prefix) :] for name in _names(handle) if name.startswith(handle.prefix)}
    if sd_keys.is_open_clip(here):
        return as_in_file(handle, files)
    pieces = {piece.name: piece for piece in as_parameters(handle, files)}
    found: list[Piece] = []
    for name in pieces:
        if ".k_proj." in name or ".v_proj." in name or name.endswith("position_ids"):
            continue
        of = [pieces[name.replace(".q_proj.", f".{part}_proj.")] for part in ("qkv" if ".q_proj." in name else "q")]
        found += _renamed(of, lambda tensors: sd_keys.text_to_open_clip(tensors, ""))
    return found


def _names(handle: ModelHandle | VaeHandle | ClipHandle) -> Mapping[str, Any]:
    return read_header(Path(handle.source.path)).shapes


def _renamed(pieces: list[Piece], rename: Callable[[dict[str, Tensor]], Mapping[str, Tensor]]) -> list[Piece]:
    """Return pieces under the names and in the shapes of another layout; each of its tensors is made of one piece, or of all."""
    empty = {piece.name: torch.empty(piece.shape, device="meta") for piece in pieces}
    names = {id(value): name for name, value in empty.items()}
    by_name = {piece.name: piece for piece in pieces}
    found = []
    for name, value in rename(empty).items():
        origin = names.get(id(value if value._base is None else value._base))
        of = [by_name[origin]] if origin is not None else pieces
        found.append(Piece(name, of[0].dtype, tuple(value.shape), _remade(of, name, rename)))
    return found


def _remade(
    of: list[Piece], name: str, rename: Callable[[dict[str, Tensor]], Mapping[str, Tensor]]
) -> Callable[[], Tensor]:
    return lambda: rename({piece.name: piece.make() for piece in of})[name]
