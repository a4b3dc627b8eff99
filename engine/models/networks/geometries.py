"""MoGe at work: pictures in; points, depth, the lens, normals and a mask out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import torch
from torch.nn import functional

from engine.models.networks.moge_module import plane

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.handles import PerceptionHandle

_SMALL: Final = 64
"""Points a side by which the lens is found."""
_LEVELS: Final = 9


class GeometryEstimator:
    """MoGe on its device."""

    def __init__(self, module: nn.Module, handle: PerceptionHandle, device: torch.device, dtype: torch.dtype) -> None:
        self.module: Any = module
        self.handle, self.device, self.dtype = handle, device, dtype

    @torch.no_grad()
    def estimate(
        self,
        pictures: Tensor,
        level: int,
        *,
        fov: float | None,
        together: int,
        project: bool,
        mask: bool,
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> dict[str, Tensor]:
        """Return what `solved` does of pictures (B, H, W, C) in 0..1, `together` at once; `level` 0..9: how closely it looks.

        `report` is told of every picture, of how many, and ends the work by raising.
        """
        least, most = self.handle.config["tokens"]
        tokens = int(least + level / _LEVELS * (most - least))
        found: list[dict[str, Tensor]] = []
        for first in range(0, len(pictures), together):
            some = pictures[first : first + together]
            planes = some[..., :3].movedim(-1, 1).expand(-1, 3, -1, -1).clamp(0.0, 1.0)
            planes = planes.to(self.device, self.dtype)
            made = {name: value.float() for name, value in self.module(planes, tokens).items()}
            found.append({name: value.cpu() for name, value in solved(made, fov, project, mask).items()})
            report(min(first + together, len(pictures)), len(pictures))
        return {name: torch.cat([one[name] for one in found]) for name in found[0]}


def solved(made: dict[str, Tensor], fov: float | None, project: bool, masked: bool) -> dict[str, Tensor]:
    """Return the geometry of what the network made: its points moved along z to where a lens shows them as they are.

    `points` (B, H, W, 3) to the right, down and away; `depth` (B, H, W); `intrinsics` (B, 3, 3) for a picture of width and
    height 1; `mask` (B, H, W) of bool; `normal` (B, H, W, 3). `fov`: the lens' angle from left to right in degrees, where it
    is known. `project`: points are where the depth has them. `masked`: points and depth are infinite where the mask is not.
    """
    points = made["points_head"].clone()
    mask = made["mask_head"] > 0.5 if "mask_head" in made else None
    aspect = points.shape[2] / points.shape[1]
    diagonal = math.sqrt(1 + aspect * aspect)
    told = None if fov is None else aspect / diagonal / math.tan(math.radians(fov) / 2)
    pairs = [lens(one, None if mask is None else mask[number], told) for number, one in enumerate(points)]
    focal, shift = torch.tensor(pairs, dtype=points.dtype, device=points.device).T
    across, down = focal / 2 * diagonal / aspect, focal / 2 * diagonal
    points[..., 2] += shift[:, None, None]
    depth = points[..., 2].clone()
    if mask is not None:
        mask = mask & (depth > 0)
    if project:
        points = _projected(depth, across, down)
    if "scale" in made:
        points, depth = points * made["scale"][:, None, None, None], depth * made["scale"][:, None, None]
    normal = made.get("normal_head")
    if masked and mask is not None:
        points = torch.where(mask[..., None], points, torch.inf)
        depth = torch.where(mask, depth, torch.inf)
        normal = None if normal is None else torch.where(mask[..., None], normal, 0.0)
    zeros, ones = torch.zeros_like(across), torch.ones_like(across)
    rows = [across, zeros, 0.5 * ones, zeros, down, 0.5 * ones, zeros, zeros, ones]
    intrinsics = torch.stack(rows, dim=-1).reshape(-1, 3, 3)
    found = {"points": points, "depth": depth, "intrinsics": intrinsics, "mask": mask, "normal": normal}
    return {name: value for name, value in found.items() if value is not None}


def lens(points: Tensor, mask: Tensor | None, focal: float | None) -> tuple[float, float]:
    """Return the focal length, in halves of the diagonal, and the shift along z that show points (H, W, 3) best as they are.

    By least squares over 64 by 64 of those in the mask. (1, 0) where there is none.
    """
    from scipy.optimize import least_squares

    height, width = points.shape[:2]
    places = plane(height, width, width / height).to(points.device)
    small = [
        functional.interpolate(one.movedim(-1, 0)[None], (_SMALL, _SMALL), mode="nearest")[0]
        for one in (points, places)
    ]
    kept = torch.ones(_SMALL, _SMALL, dtype=torch.bool, device=points.device)
    if mask is not None:
        kept = functional.interpolate(mask[None, None].float(), (_SMALL, _SMALL), mode="nearest")[0, 0] > 0
    xyz, shown = (one[:, kept].T.cpu().numpy() for one in small)
    if len(xyz) < 2:
        return (focal or 1.0), 0.0

    def best(flat: Any) -> float:
        return focal or float((flat * shown).sum() / (flat * flat).sum())

    def missed(shift: Any) -> Any:
        flat = xyz[:, :2] / (xyz[:, 2] + shift)[:, None]
        return (best(flat) * flat - shown).ravel()

    shift = float(least_squares(missed, x0=0, ftol=1e-3, method="lm").x[0])
    return best(xyz[:, :2] / (xyz[:, 2] + shift)[:, None]), shift


def _projected(depth: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """Points (B, H, W, 3) of depth (B, H, W) behind a lens."""
    height, width = depth.shape[1:]
    y = ((torch.arange(height, device=depth.device) + 0.5) / height - 0.5)[:, None] / down[:, None, None]
    x = ((torch.arange(width, device=depth.device) + 0.5) / width - 0.5) / across[:, None, None]
    return torch.stack([x * depth, y * depth, depth], dim=-1)
