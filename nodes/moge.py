"""Points, depth, normals and the lens of a picture, by MoGe, and pictures of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple, TypeAlias

from engine.api import Context, Files, Image, In, Out, Socket, node
from nodes.colormap import gray, turbo

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.handles import PerceptionHandle as MoGeModel

    Geometry: TypeAlias = dict[str, Any]
else:

    class MoGeModel(Socket, io_type="MOGE_MODEL"):
        """Handle of MoGe."""

    class Geometry(Socket, io_type="MOGE_GEOMETRY"):
        """Dict of `image` (B, H, W, 3) and, as far as they are known, of a camera that looks along z, x to the right, y down:

        `points` (B, H, W, 3), `depth` (B, H, W), `normal` (B, H, W, 3), `mask` (B, H, W) of bool, and `intrinsics` (B, 3, 3) of
        a picture of width and height 1. What is infinite in points and depth is not there.
        """


_LOW, _HIGH = 0.001, 0.99
"""Shares of inverse depth that are shown black and white, as MoGe's authors show it."""
_NORMALS: Final = {"normal_opengl": (0.5, -0.5, -0.5), "normal_directx": (0.5, 0.5, -0.5)}


@node("LoadMoGeModel", category="loaders", display_name="Load MoGe Model")
def load_moge_model(
    ctx: Context,
    model_name: Annotated[str, In(choices=Files("geometry_estimation"), tip="A file in models/geometry_estimation.")],
) -> Annotated[MoGeModel, Out(name="MOGE_MODEL")]:
    """Load MoGe 2, with or without normals and scale, or MoGe 1."""
    return ctx.models.perception(ctx.paths.find("geometry_estimation", model_name), "geometry", "geometry_first")


@node("MoGeInference", category="image/geometry", display_name="Run MoGe Inference")
def moge_inference(
    ctx: Context,
    moge_model: MoGeModel,
    image: Image,
    resolution_level: Annotated[int, In(ge=0, le=9, tip="How closely it looks: 0 is fastest, 9 shows most.")] = 9,
    fov_x_degrees: Annotated[
        float,
        In(
            ge=0.0,
            le=170.0,
            step=0.1,
            tip="The lens' angle from left to right; 0 finds it.",
            options={"advanced": True},
        ),
    ] = 0.0,
    batch_size: Annotated[int, In(ge=1, le=64, tip="Pictures at once; less takes less memory.")] = 4,
    force_projection: Annotated[
        bool, In(tip="Points are where the depth has them behind the lens.", options={"advanced": True})
    ] = True,
    apply_mask: Annotated[
        bool, In(tip="Points and depth of the sky and the like are infinite.", options={"advanced": True})
    ] = True,
    refine_steps: Annotated[int, In(ge=0, le=8, tip="Of MoGe 3; others do without.", options={"advanced": True})] = 3,
) -> Annotated[Geometry, Out(name="moge_geometry")]:
    """Estimate points, depth, normals and the lens of pictures (B, H, W, C), at their size; in metres where it has a scale."""
    with ctx.models.use(moge_model) as estimator:
        found = estimator.estimate(
            image,
            resolution_level,
            fov=fov_x_degrees or None,
            together=batch_size,
            project=force_projection,
            mask=apply_mask,
            report=ctx.progress,
        )
    pictures = image[..., :3] if image.shape[-1] >= 3 else image[..., :1].expand(-1, -1, -1, 3)
    return {"image": pictures, **found}


@node("MoGeRender", category="image/geometry", display_name="Render MoGe Geometry")
def moge_render(
    moge_geometry: Annotated[Geometry, In(tip="What MoGeInference estimated.")],
    output: Annotated[
        str,
        In(
            choices=("depth", "depth_colored", "normal_opengl", "normal_directx", "mask"),
            tip="What to show. In OpenGL's normals green is up, in DirectX's down.",
        ),
    ] = "depth",
) -> Image:
    """Show depth, normals or the mask as pictures (B, H, W, 3) in 0..1.

    Depth is shown as its inverse from its 0.1 % to its 99 % (as the authors do; the rest is inferred), near bright, and black
    where there is none. Normals of a model that gives none are those of its points. Raises ValueError where the geometry lacks
    what is to be shown.
    """
    if output == "mask":
        return gray(_part(moge_geometry, output, "mask").float())
    if output in _NORMALS:
        import torch

        normal = moge_geometry.get("normal") if isinstance(moge_geometry, dict) else None
        if normal is None:
            normal = _of_points(_part(moge_geometry, output, "points"))
        shown: Image = (normal * torch.tensor(_NORMALS[output]) + 0.5).clamp(0.0, 1.0)
        return shown
    depth = _part(moge_geometry, output, "depth")
    values, there = _near(depth)
    return turbo(values) * there[..., None] if output == "depth_colored" else gray(values * there)


def _part(geometry: Geometry, what: str, *names: str) -> Tensor:
    for name in names:
        if isinstance(geometry, dict) and (found := geometry.get(name)) is not None:
            tensor: Tensor = found
            return tensor
    has = ", ".join(sorted(geometry)) if isinstance(geometry, dict) else type(geometry).__name__
    raise ValueError(f"{what} needs {' or '.join(names)}, which the geometry has not. It has {has}.")


def _near(depth: Tensor) -> tuple[Tensor, Tensor]:
    """Inverse depth as values in 0..1, picture by picture, and where there is any."""
    import torch

    there = torch.isfinite(depth) & (depth > 0)
    values = torch.zeros_like(depth)
    for number, (one, known) in enumerate(zip(depth, there, strict=True)):
        if known.any():
            near = (1.0 / one[known]).sort().values
            low, high = (_quantile(near, share) for share in (_LOW, _HIGH))
            values[number][known] = (1.0 / one[known] - low) / max(float(high - low), 1e-12)
    return values.clamp(0.0, 1.0), there


def _quantile(ordered: Tensor, share: float) -> Tensor:
    """The value below which a share of sorted ones lies, between two of them in proportion."""
    place = share * (len(ordered) - 1)
    below = ordered[int(place)]
    return below + (ordered[min(int(place) + 1, len(ordered) - 1)] - below) * (place - int(place))


def _of_points(points: Tensor) -> Tensor:
    """Normals (B, H, W, 3) of points, towards the camera; zeros where a neighbour is not there."""
    import torch
    from torch.nn import functional

    planes = points.movedim(-1, 1)
    wide = functional.pad(torch.nan_to_num(planes, posinf=math.inf), (1, 1, 1, 1), mode="replicate")
    across = wide[:, :, 1:-1, 2:] - wide[:, :, 1:-1, :-2]
    down = wide[:, :, 2:, 1:-1] - wide[:, :, :-2, 1:-1]
    crossed = torch.linalg.cross(down, across, dim=1)
    known = torch.isfinite(crossed).all(dim=1, keepdim=True)
    return functional.normalize(torch.where(known, crossed, 0.0), dim=1).movedim(1, -1)


class FieldOfView(NamedTuple):
    """What a lens shows."""

    fov: Annotated[float, Out(tip="The angle.")]
    focal_pixels: Annotated[float, Out(tip="The focal length in pixels of the picture's height.")]


@node("MoGeGeometryToFOV", category="image/geometry", display_name="Get FoV from MoGe Geometry")
def moge_geometry_to_fov(
    moge_geometry: Annotated[Geometry, In(tip="What MoGeInference estimated.")],
    axis: Annotated[str, In(choices=("vertical", "horizontal", "diagonal"), tip="Between which edges.")] = "vertical",
    unit: Annotated[str, In(choices=("degrees", "radians"), tip="Of the angle.")] = "degrees",
) -> FieldOfView:
    """Return the angle that the lens of the first picture shows, and its focal length in pixels.

    Raises ValueError for a geometry without a lens, or without anything of the picture's size.
    """
    lens = _part(moge_geometry, "MoGeGeometryToFOV", "intrinsics").reshape(-1, 3, 3)[0]
    sized = _part(moge_geometry, "MoGeGeometryToFOV", "image", "points", "depth")
    across, down = 0.5 / float(lens[0, 0]), 0.5 / float(lens[1, 1])
    half = {"vertical": down, "horizontal": across, "diagonal": math.hypot(across, down)}[axis]
    angle = 2.0 * math.atan(half)
    return FieldOfView(math.degrees(angle) if unit == "degrees" else angle, float(lens[1, 1]) * sized.shape[1])
