"""Control networks of Z-Image (Z-Image-Turbo-Fun-Controlnet-Union 1.0, 2.0 and 2.1; Alibaba PAI 2025). No torch.

They share the denoiser's own embedders and refiners. 2.0 and 2.1 take a mask and a picture to fill too, and add to the denoiser's
refiner of noise as well: 2.0 by its layers, 2.1 by a refiner of its own, whose first projection is zero in the other's files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.shapes import Facts, Shapes, Spread, count

if TYPE_CHECKING:
    from torch import Tensor

TITLE: Final = "control network of Z-Image"
PATCH: Final = True
MODULE: Final = "engine.models.networks.z_image_control:z_image_control_net"
CALL: Final = "engine.models.networks.z_image_control:ZImageControl"
_PICTURE: Final = "control_all_x_embedder.2-1.weight"
_REFINER: Final = "control_noise_refiner."
_BEFORE: Final = "control_noise_refiner.0.before_proj.weight"
_LAYERS: Final = 30
"""Of the denoiser, over which the layers of the control network are spread evenly."""
_LATENT: Final = 16


def is_there(shapes: Shapes) -> bool:
    """Say whether these are ZImageControlNetModel's tensors."""
    return _PICTURE in shapes and "control_layers.0.before_proj.weight" in shapes


def family(shapes: Shapes) -> str:
    """It needs none."""
    return ""


def config(shapes: Shapes, hints: Facts, spread: Spread) -> dict[str, Any]:
    """Return ZImageControlNetModel's arguments."""
    width, seen = shapes[_PICTURE]
    head = shapes["control_layers.0.attention.norm_q.weight"][0]
    layers, refiners = count(shapes, "control_layers."), count(shapes, _REFINER)
    places = hints.get("control_layers_places") or [i * (_LAYERS // layers) for i in range(layers)]
    newer = seen // 4 > _LATENT
    refined = None
    if newer:
        refined = "control_noise_refiner" if _BEFORE in shapes and _used(spread) else "control_layers"
    return {
        "control_layers_places": [int(place) for place in places],
        "control_refiner_layers_places": list(range(refiners or 2)) if newer else None,
        "control_in_dim": seen // 4,
        "add_control_noise_refiner": refined,
        "dim": width,
        "n_refiner_layers": refiners or 2,
        "n_heads": width // head,
        "n_kv_heads": width // head,
    }


def _used(spread: Spread) -> bool:
    return spread(_BEFORE) > 0.0


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors under ZImageControlNetModel's names, without what is of no use."""
    if config["add_control_noise_refiner"] != "control_layers":
        return dict(tensors)
    return {name: value for name, value in tensors.items() if not name.startswith(_REFINER)}
