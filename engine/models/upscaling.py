"""Networks that make pictures larger (ESRGAN, Wang et al. 2018, and its like), read by the library spandrel; work in tiles."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch

from engine.models.checkpoints import load_tensors
from engine.models.errors import CheckpointError, ModelError, shortened
from engine.models.memory import unless_out_of_memory
from engine.models.tiles import in_tiles, starts

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.handles import UpscaleHandle

TILE: Final = 512
LEAST_TILE: Final = 128
OVERLAP: Final = 32
"""Sides in pixels of the given picture, as the field has them."""

_COLOURS = 3
_LIBRARY = "spandrel"


def check_library() -> None:
    """Raise ModelError where the library that reads such networks is not installed."""
    if importlib.util.find_spec(_LIBRARY) is None:
        raise ModelError(
            f"Networks that make pictures larger need the package {_LIBRARY}, which is not installed. Install it with "
            "`pip install safelight[upscale]`."
        )


def load_network(path: Path) -> Any:
    """Return the library's description of the network in a file, on the CPU.

    Raises ModelError without the library, CheckpointError for a file that cannot be read or holds another kind of network.
    """
    check_library()
    spandrel: Any = importlib.import_module(_LIBRARY)
    tensors = load_tensors(path)
    try:
        network = spandrel.ModelLoader().load_from_state_dict(dict(tensors))
    except spandrel.UnsupportedModelError as problem:
        raise CheckpointError(
            f"{path}: not a network that {_LIBRARY} knows, its tensors are {shortened(list(tensors))}. Use one for making "
            "pictures larger, such as an ESRGAN, SwinIR, HAT or DAT."
        ) from problem
    if not isinstance(network, spandrel.ImageModelDescriptor):
        raise CheckpointError(
            f"{path}: takes more than a picture (a mask, or two pictures), so it cannot make one larger."
        )
    return network.eval()


class Upscaler:
    """A network that makes pictures `scale` times as large. `network`: the library's description, or what has its attributes."""

    def __init__(self, network: Any, name: str, device: torch.device | str) -> None:
        self._network = network.to(device)
        self._name = name
        self._device = torch.device(device)
        self.scale = int(network.scale)

    @classmethod
    def load(cls, handle: UpscaleHandle, device: torch.device | str) -> Upscaler:
        """Read a network onto a device, in float32."""
        return cls(load_network(Path(handle.source.path)), handle.source.path, device)

    @property
    def network(self) -> Any:
        """The library's description."""
        return self._network

    @property
    def bytes(self) -> int:
        """Bytes of its weights."""
        return sum(value.nbytes for value in self._network.model.parameters())

    @torch.no_grad()
    def enlarge(self, pictures: Tensor, report: Callable[[int, int], None] = lambda done, total: None) -> Tensor:
        """Return pictures (B, H, W, 3) in 0..1, of (B, H / s, W / s, 3 or more), in tiles of 512 pixels that share 32.

        Where memory runs out, tiles are halved, down to 128 pixels. `report` is told of every tile, of how many, and ends
        the work by raising. Raises ModelError for pictures that the network does not take.
        """
        taken = getattr(self._network, "input_channels", _COLOURS), getattr(self._network, "output_channels", _COLOURS)
        if taken != (_COLOURS, _COLOURS) or pictures.ndim != 4 or pictures.shape[-1] < _COLOURS:
            raise ModelError(
                f"{self._name}: a network from {taken[0]} to {taken[1]} channels, given pictures {list(pictures.shape)}: "
                f"expected {_COLOURS} colours for all. Use a network for colours, and pictures (B, H, W, 3 or 4)."
            )
        planes, tile = pictures[..., :_COLOURS].movedim(-1, 1), TILE
        while tile > LEAST_TILE:
            found = unless_out_of_memory(partial(self._in_tiles, planes, tile, report))
            if found is not None:
                return found
            tile //= 2
        return self._in_tiles(planes, LEAST_TILE, report)

    def _in_tiles(self, planes: Tensor, tile: int, report: Callable[[int, int], None]) -> Tensor:
        batch, _, height, width = planes.shape
        tiles = batch * len(starts(height, tile, OVERLAP)) * len(starts(width, tile, OVERLAP))
        made = torch.empty(batch, height * self.scale, width * self.scale, _COLOURS)
        count = iter(range(1, tiles + 1))
        for number in range(batch):
            one = in_tiles(
                planes[number : number + 1],
                self._apply,
                [tile] * 2,
                [OVERLAP] * 2,
                [float(self.scale)] * 2,
                _COLOURS,
                done=lambda: report(next(count), tiles),
            )
            made[number] = (
                one[0].movedim(0, -1).clamp(0.0, 1.0)
            )  # the library gives tensors that may not be written into
        return made

    def _apply(self, piece: Tensor) -> Tensor:
        larger: Tensor = self._network(piece.to(self._device, torch.float32)).float()
        return larger.cpu()
