"""Meshes: of a picture's points in space, and to files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

from engine.api import Context, In, Socket, WithUi, node
from engine.media.meshes import MeshValue, glb_files, mesh_of_points
from engine.media.numbered import told_of, write_named
from nodes.moge import Geometry

if TYPE_CHECKING:
    Mesh: TypeAlias = MeshValue
else:

    class Mesh(Socket, io_type="MESH"):
        """Triangles in space (`engine.media.meshes.MeshValue`)."""


@node("MoGePointMapToMesh", category="image/geometry", display_name="Convert MoGe Point Map to Mesh")
def moge_point_map_to_mesh(
    moge_geometry: Geometry,
    batch_index: Annotated[
        int, In(ge=0, le=4096, tip="Which of the pictures: they have different numbers of points.")
    ] = 0,
    decimation: Annotated[int, In(ge=1, le=8, tip="Every how manieth point counts.")] = 1,
    discontinuity_threshold: Annotated[
        float, In(ge=0, le=1, step=0.01, tip="How much of its depth a point may differ from its neighbours; 0: any.")
    ] = 0.04,
    texture: Annotated[bool, In(tip="Put the picture on the mesh.")] = True,
) -> Mesh:
    """Make triangles of the points of a picture, in glTF's axes: x to the right, y up, z towards the eye.

    Raises ValueError where there are no points, no such picture, or no triangle. Panoramas, whose points no lens has seen,
    are not taken.
    """
    points = moge_geometry.get("points")
    if points is None or "intrinsics" not in moge_geometry:
        raise ValueError("moge_geometry: it has no points that a lens has seen. Connect Run MoGe Inference.")
    if batch_index >= len(points):
        raise ValueError(f"batch_index: there are {len(points)} pictures, counted from 0; got {batch_index}.")
    depth = moge_geometry.get("depth", points[..., 2])
    picture = moge_geometry.get("image")
    shown = picture[batch_index] if texture and picture is not None else None
    return mesh_of_points(points[batch_index], depth[batch_index], decimation, discontinuity_threshold, shown)


@node(
    "SaveGLB",
    category="3d",
    display_name="Save 3D Model",
    output=True,
    hidden={"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
)
def save_glb(
    ctx: Context,
    mesh: Mesh,
    filename_prefix: Annotated[
        str, In(tip="Beginning of the file name; a/b makes folders, %date:yyyy-MM-dd% and %Node.input% are filled in.")
    ] = "mesh/ComfyUI",
) -> WithUi[None]:
    """Save each mesh of a batch as a GLB file in the output folder, with the workflow inside; empty ones are left out."""
    home = ctx.paths.directory("output").resolve()
    files = glb_files(mesh, ctx.embedded)
    if len(files) < len(mesh.vertices):
        ctx.warn(f"{len(mesh.vertices) - len(files)} of {len(mesh.vertices)} meshes are empty and were not saved.")

    def write(data: bytes) -> Path:
        return write_named(home, filename_prefix, ".glb", lambda part: part.write_bytes(data), ctx.prompt)

    return WithUi(ui={"3d": [told_of(write(data), home) for data in files]})
