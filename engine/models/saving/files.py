"""The files that models are written to: whole checkpoints, and single parts."""

from __future__ import annotations

from typing import NamedTuple

from engine.models.errors import ModelError
from engine.models.families import family_named
from engine.models.handles import ClipHandle, FileDigest, ModelHandle, VaeHandle
from engine.models.saving import layouts
from engine.models.saving.facts import markers, metadata_of
from engine.models.saving.pieces import Piece
from engine.models.sd_keys import UNET_PREFIX, VAE_PREFIX

_OF_OPEN_CLIP = ".model."
"""How the prefix of a text encoder ends that checkpoints have in the names of open_clip."""


class ModelFile(NamedTuple):
    """What is to be written: the tensors and the metadata."""

    pieces: list[Piece]
    metadata: dict[str, str]


def checkpoint_file(
    model: ModelHandle, clip: ClipHandle, vae: VaeHandle, files: FileDigest, title: str = ""
) -> ModelFile:
    """Return a checkpoint of a denoiser, its text encoders and its autoencoder, each with its patches.

    Raises ModelError for a text encoder that checkpoints of the model's family do not hold.
    """
    pieces = _prefixed(layouts.network_pieces(model, files), UNET_PREFIX)
    for tower in clip.towers:
        prefix = _prefix(model, tower)
        opened = prefix.endswith(_OF_OPEN_CLIP)
        of_tower = layouts.open_clip_pieces(tower, files) if opened else layouts.tower_pieces(tower, files)
        pieces += _prefixed(of_tower, prefix)
    pieces += _prefixed(layouts.vae_pieces(vae, files), VAE_PREFIX)
    return ModelFile([*pieces, *markers(model)], metadata_of(model, clip, vae, title=title))


def model_file(model: ModelHandle, files: FileDigest, title: str = "") -> ModelFile:
    """Return the file of a denoiser alone, without a prefix."""
    return ModelFile([*layouts.network_pieces(model, files), *markers(model)], metadata_of(model, title=title))


def tower_file(tower: ClipHandle, files: FileDigest) -> ModelFile:
    """Return the file of one text encoder."""
    return ModelFile(layouts.tower_pieces(tower, files), metadata_of(clip=tower, one_tower=True))


def vae_file(vae: VaeHandle, files: FileDigest) -> ModelFile:
    """Return the file of an autoencoder. Raises ModelError for the one that has no weights."""
    if not (pieces := layouts.vae_pieces(vae, files)):
        raise ModelError("This VAE has no weights to save: the model denoises pictures themselves (pixel_space).")
    return ModelFile(pieces, metadata_of(vae=vae))


def _prefix(model: ModelHandle, tower: ClipHandle) -> str:
    """Where checkpoints of a family hold a text encoder."""
    of_family = {one.name: one for one in family_named(model.family).towers}
    known = of_family.get(tower.tower)
    if known is None:
        raise ModelError(
            f"{tower.source.path}: checkpoints of {family_named(model.family).title} hold no text encoder {tower.tower} "
            f"(expected {', '.join(of_family) or 'none'}). Connect the clip of this model, or save the parts each in a file of "
            "its own by ModelSave, CLIPSave and VAESave."
        )
    if tower.prefix in known.prefixes:
        return tower.prefix
    if not known.prefixes:
        raise ModelError(
            f"{tower.source.path}: no checkpoint layout of {family_named(model.family).title} is known that holds its text "
            f"encoder {tower.tower}. Save the parts each in a file of its own by ModelSave, CLIPSave and VAESave."
        )
    return known.prefixes[0]


def _prefixed(pieces: list[Piece], prefix: str) -> list[Piece]:
    return [piece._replace(name=f"{prefix}{piece.name}") for piece in pieces]
