"""How far everything in a picture is, by Depth Anything 3, and pictures of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

from engine.api import Choosing, Context, Files, Image, In, Out, Socket, node
from nodes.colormap import gray, turbo

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.handles import PerceptionHandle as DepthModel

    DepthGeometry: TypeAlias = dict[str, Any]
else:

    class DepthModel(Socket, io_type="DA3_MODEL"):
        """Handle of Depth Anything 3."""

    class DepthGeometry(Socket, io_type="DA3_GEOMETRY"):
        """Dict of `depth` (B, H, W), growing with the distance, `image` (B, H, W, 3), `mode`, and `sky` (B, H, W), 0 for none."""


_SKY: Final = 0.3
"""From here on a pixel is sky, as the network's authors have it."""
_SHARE: Final = 0.99
_WIDE: Final = 2.0
"""Deviations from the mean that the gray values of `v2_style` cover to each side."""

_SEVERAL: Final[dict[str, Any]] = {
    "ref_view_strategy": [
        "COMBO",
        {"default": "saddle_balanced", "options": ["saddle_balanced", "saddle_sim_range", "first", "middle"]},
    ],
    "pose_method": ["COMBO", {"default": "cam_dec", "options": ["cam_dec", "ray_pose"]}],
}
_MODES: Final[list[dict[str, Any]]] = [
    {"key": "mono", "inputs": {"required": {}}},
    {"key": "multiview", "inputs": {"required": _SEVERAL}},
]
_DEPTH: Final[dict[str, Any]] = {
    "normalization": ["COMBO", {"default": "v2_style", "options": ["v2_style", "min_max", "raw"]}],
    "apply_sky_clip": ["BOOLEAN", {"default": False}],
}
_COLORED: Final[dict[str, Any]] = {"colored": ["BOOLEAN", {"default": False}]}
_OUTPUTS: Final[list[dict[str, Any]]] = [
    {"key": "depth", "inputs": {"required": _DEPTH}},
    {"key": "depth_colored", "inputs": {"required": _DEPTH}},
    {"key": "sky_mask", "inputs": {"required": _COLORED}},
    {"key": "confidence", "inputs": {"required": _COLORED}},
]


@node("LoadDA3Model", category="loaders", display_name="Load Depth Anything 3")
def load_da3_model(
    ctx: Context,
    model_name: Annotated[str, In(choices=Files("geometry_estimation"), tip="A file in models/geometry_estimation.")],
    weight_dtype: Annotated[
        str | None,
        In(choices=("default", "fp16", "bf16", "fp32"), tip="Kept for saved workflows; it computes in float32."),
    ] = "default",
) -> Annotated[DepthModel, Out(name="DA3_MODEL")]:
    """Load Depth Anything 3 for single pictures, Mono or Metric; or 1 or 2 as transformers has them, with their config.json."""
    return ctx.models.perception(ctx.paths.find("geometry_estimation", model_name), "depth", "depth_anything")


@node("DA3Inference", category="image/geometry", display_name="Run Depth Anything 3")
def da3_inference(
    ctx: Context,
    da3_model: DepthModel,
    image: Image,
    resolution: Annotated[
        int,
        In(ge=140, le=2520, step=14, tip="The side that it works in, in pixels; more shows more, and takes longer."),
    ] = 504,
    resize_method: Annotated[
        str,
        In(
            choices=("upper_bound_resize", "lower_bound_resize"),
            tip="Which side has the resolution: the longest or the shortest.",
        ),
    ] = "upper_bound_resize",
    *,
    mode: Annotated[
        Choosing,
        In(
            tip="mono: each picture for itself; multiview is of models that are not known here.",
            options={"options": _MODES},
        ),
    ],
) -> Annotated[DepthGeometry, Out(name="da3_geometry")]:
    """Estimate how far everything in pictures (B, H, W, C) is, at their size.

    Inferred: pictures are made smaller by smoothing and larger by cubics, where the authors' code takes means of areas; depth
    is 1 over the nearness that models 1 and 2 give, at most 100 times the least. Raises ValueError for `multiview`, which
    wants a model for several views.
    """
    if mode.get("mode", "mono") != "mono":
        raise ValueError(
            "DA3Inference: mode is multiview, which the models for single pictures (Mono, Metric) cannot do. Choose mono."
        )
    with ctx.models.use(da3_model) as estimator:
        longest = resize_method == "upper_bound_resize"
        depth, sky = estimator.estimate(image, resolution, longest=longest, report=ctx.progress)
    pictures = image[..., :3] if image.shape[-1] >= 3 else image[..., :1].expand(-1, -1, -1, 3)
    return {"depth": depth, "image": pictures, "mode": "mono", "sky": sky}


@node("DA3Render", category="image/geometry", display_name="Render Depth Anything 3")
def da3_render(
    da3_geometry: Annotated[DepthGeometry, In(tip="What DA3Inference estimated.")],
    *,
    output: Annotated[Choosing, In(tip="What to show.", options={"options": _OUTPUTS})],
) -> Image:
    """Show depth or sky as pictures (B, H, W, 3) in 0..1.

    Inferred: near is bright. `v2_style` shows inverse depth, two deviations about the mean of what is no sky; `min_max` the whole
    range of depth; `raw` depth as it is, held to 1. A clipped sky is as far as 99 % of what is before it. Raises ValueError where
    the geometry lacks what is to be shown.
    """
    kind = str(output.get("output", "depth"))
    depth, sky = _part(da3_geometry, "depth", kind), da3_geometry.get("sky")
    if kind in ("depth", "depth_colored"):
        clipped = bool(output.get("apply_sky_clip"))
        if clipped:
            depth = _clipped(depth, _part(da3_geometry, "sky", "apply_sky_clip"))
        values = _normal(depth, None if sky is None or clipped else sky, str(output.get("normalization", "v2_style")))
        return turbo(values) if kind == "depth_colored" else gray(values)
    values = _part(da3_geometry, "sky" if kind == "sky_mask" else "confidence", kind)
    if kind == "confidence":
        values = _stretched(values)
    return turbo(values) if output.get("colored") else gray(values)


def _part(geometry: DepthGeometry, name: str, what: str) -> Tensor:
    found = geometry.get(name) if isinstance(geometry, dict) else None
    if found is None:
        raise ValueError(
            f"DA3Render: {what} needs {name}, which the geometry has not. It has {', '.join(sorted(geometry))}: models for "
            "single pictures give depth and sky, those for several views confidence."
        )
    tensor: Tensor = found
    return tensor


def _clipped(depth: Tensor, sky: Tensor) -> Tensor:
    """Depth with the sky no further than nearly all that is before it, picture by picture."""
    import torch

    made = depth.clone()
    for number, (one, above) in enumerate(zip(depth, sky, strict=True)):
        before = one[above < _SKY]
        if 10 < before.numel() < one.numel() - 10:
            far = before.sort().values[min(before.numel() - 1, int(_SHARE * before.numel()))]
            made[number] = torch.where(above < _SKY, one, far)
    return made


def _normal(depth: Tensor, sky: Tensor | None, way: str) -> Tensor:
    """Depth as values in 0..1, near ones large, picture by picture."""
    import torch

    if way == "raw":
        return depth
    if way == "min_max":
        return 1.0 - _stretched(depth)
    near = 1.0 / depth.clamp(min=1e-6)
    made = []
    for number, one in enumerate(near):
        ground = one if sky is None or not bool((sky[number] < _SKY).any()) else one[sky[number] < _SKY]
        deviation = float(ground.std(correction=0)) or 1.0
        made.append(0.5 + (one - ground.mean()) / (2.0 * _WIDE * deviation))
    return torch.stack(made) if made else near


def _stretched(values: Tensor) -> Tensor:
    """Values with the least of each picture at 0 and the largest at 1; 0 where all are alike."""
    least, most = values.amin(dim=(1, 2), keepdim=True), values.amax(dim=(1, 2), keepdim=True)
    return (values - least) / (most - least).clamp(min=1e-12)
