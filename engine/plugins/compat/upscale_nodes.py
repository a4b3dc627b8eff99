"""`comfy_extras.nodes_upscale_model`: node classes that enlarge pictures with a network of the user's."""

from __future__ import annotations

from typing import Any, Final

import torch

from engine.plugins.compat import folder_paths, model_management
from engine.plugins.compat.tensors_and_files import ProgressBar, get_tiled_scale_steps, load_torch_file, tiled_scale
from engine.plugins.compat.upscale_models import load_state_dict

TILE: Final = 512
SMALLEST_TILE: Final = 128
OVERLAP: Final = 32


class UpscaleModelLoader:
    """A network from a file in `models/upscale_models`."""

    RETURN_TYPES = ("UPSCALE_MODEL",)
    FUNCTION = "load_model"
    CATEGORY = "loaders"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - the field's name
        """The files that are there."""
        return {"required": {"model_name": (folder_paths.get_filename_list("upscale_models"),)}}

    def load_model(self, model_name: str) -> tuple[Any]:
        """The network. Raises FileNotFoundError, and CompatError where the package spandrel is not installed."""
        path = folder_paths.get_full_path_or_raise("upscale_models", model_name)
        return (load_state_dict(load_torch_file(path, safe_load=True)),)


class ImageUpscaleWithModel:
    """Pictures enlarged tile by tile, so that large ones fit."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "upscale"
    CATEGORY = "image/upscaling"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - the field's name
        """A network and pictures."""
        return {"required": {"upscale_model": ("UPSCALE_MODEL",), "image": ("IMAGE",)}}

    def upscale(self, upscale_model: Any, image: torch.Tensor) -> tuple[torch.Tensor]:
        """`image` (B, H, W, C) as (B, H · scale, W · scale, C), values 0..1. Where memory runs out, tiles are halved."""
        device = model_management.get_torch_device()
        upscale_model.to(device)
        tile = TILE
        try:
            while True:
                try:
                    return (_upscaled(upscale_model, image.movedim(-1, 1).to(device), tile),)
                except model_management.OOM_EXCEPTION:
                    tile //= 2
                    if tile < SMALLEST_TILE:
                        raise
        finally:
            upscale_model.to("cpu")


def _upscaled(model: Any, planes: torch.Tensor, tile: int) -> torch.Tensor:
    """`planes` (B, C, H, W) enlarged, as (B, H, W, C)."""
    tiles = get_tiled_scale_steps(planes.shape[3], planes.shape[2], tile_x=tile, tile_y=tile, overlap=OVERLAP)
    progress = ProgressBar(planes.shape[0] * tiles)
    made = tiled_scale(planes, model, tile, tile, OVERLAP, model.scale, planes.shape[1], pbar=progress)
    return made.movedim(1, -1).clamp(0.0, 1.0)
