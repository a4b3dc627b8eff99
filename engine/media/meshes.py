"""Meshes of triangles: made of a picture whose points in space are known, and written as glTF (GLB 2.0)."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from engine.media.errors import MediaError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

MAX_FACES: Final = 20_000_000
"""Triangles that a file is written of."""


@dataclass(frozen=True, eq=False)
class MeshValue:
    """What a MESH link carries: `vertices` (B, V, 3): x to the right, y up, z to the eye; `faces` (B, F, 3): places among them.

    `uvs` (B, V, 2): places in the texture, 0..1 from its upper left corner. `texture` (B, H, W, 3), 0..1.
    """

    vertices: Tensor
    faces: Tensor
    uvs: Tensor | None = None
    texture: Tensor | None = None


def mesh_of_points(points: Tensor, depth: Tensor, stride: int, span: float, texture: Tensor | None) -> MeshValue:
    """The mesh of one picture's points (H, W, 3), x to the right, y down and z away: two triangles between each four of them.

    Every `stride`-th point counts. A point is left out that is not finite, or about which the 3 × 3 depths (H, W) differ by
    more than `span` of the nearest (0: whatever they do). Raises ValueError where no triangle is left.
    """
    import torch

    kept = _kept(points, depth, span)[::stride, ::stride]
    some = points[::stride, ::stride]
    height, width = kept.shape
    number = torch.arange(height * width).reshape(height, width)
    corners = [number[:-1, :-1], number[1:, :-1], number[:-1, 1:], number[1:, 1:]]
    whole = torch.stack([kept.flatten()[one] for one in corners]).all(dim=0)
    upper_left, lower_left, upper_right, lower_right = (one[whole] for one in corners)
    first = torch.stack([upper_left, lower_left, upper_right], dim=-1)
    second = torch.stack([upper_right, lower_left, lower_right], dim=-1)
    faces = torch.cat([first, second])
    if not len(faces):
        raise ValueError(
            "No triangle is left of the points. Set discontinuity_threshold to 0, so that jumps of depth are kept, or use a "
            "smaller decimation."
        )
    used, places = torch.unique(faces, return_inverse=True)
    flipped = some.reshape(-1, 3)[used] * torch.tensor([1.0, -1.0, -1.0])
    down, across = torch.div(used, width, rounding_mode="floor"), used % width
    uvs = torch.stack(
        [across * stride / max(1, points.shape[1] - 1), down * stride / max(1, points.shape[0] - 1)], dim=-1
    )
    return MeshValue(flipped[None], places[None], uvs[None].float(), None if texture is None else texture[None])


def _kept(points: Tensor, depth: Tensor, span: float) -> Tensor:
    """Which points (H, W) are there, and are no edge in depth."""
    import torch
    from torch.nn.functional import max_pool2d

    there = torch.isfinite(points).all(dim=-1) & torch.isfinite(depth)
    if span <= 0:
        return there
    far = torch.where(there, depth, -torch.inf)[None, None]
    near = torch.where(there, depth, torch.inf)[None, None]
    furthest, nearest = max_pool2d(far, 3, 1, 1)[0, 0], -max_pool2d(-near, 3, 1, 1)[0, 0]
    return there & ((furthest - nearest) <= span * nearest.clamp(min=1e-8))


def glb_files(mesh: MeshValue, told: Mapping[str, Any] | None = None) -> list[bytes]:
    """One GLB file for each mesh of the batch; empty ones are left out. `told`: documents that the asset's extras carry.

    Raises MediaError for what is no mesh, for numbers that are not finite, and for places of vertices that there are not.
    """
    if not hasattr(mesh, "vertices") or not hasattr(mesh, "faces"):
        raise MediaError(f"Here should be a MESH; it is a {type(mesh).__name__}.")
    files = []
    for number in range(len(mesh.vertices)):
        vertices = _numbers(mesh.vertices[number], "f4")
        faces = _numbers(mesh.faces[number], "u4")
        if len(vertices) and len(faces):
            uvs = getattr(mesh, "uvs", None)
            texture = getattr(mesh, "texture", None)
            files.append(
                _glb(
                    vertices,
                    faces,
                    None if uvs is None else _numbers(uvs[number], "f4"),
                    None if texture is None or uvs is None else texture[min(number, len(texture) - 1)],
                    told or {},
                )
            )
    return files


def _numbers(value: Tensor, kind: str) -> NDArray[np.generic]:
    import numpy as np

    found: NDArray[np.generic] = np.ascontiguousarray(value.detach().cpu().numpy()).astype(f"<{kind}")
    if kind == "f4" and not np.isfinite(found).all():
        raise MediaError("The mesh has vertices that are not finite numbers, which no file can hold.")
    return found


def _glb(vertices: Any, faces: Any, uvs: Any, texture: Any, told: Mapping[str, Any]) -> bytes:
    if int(faces.max()) >= len(vertices):
        raise MediaError(f"The mesh has a triangle at vertex {int(faces.max())}, and {len(vertices)} vertices.")
    if len(faces) > MAX_FACES:
        raise MediaError(f"The mesh has {len(faces):,} triangles; files are written of {MAX_FACES:,}. Decimate it.")
    parts = [(vertices.tobytes(), 34962), (faces.tobytes(), 34963)]
    attributes = {"POSITION": 0}
    accessors = [
        {
            "bufferView": 0,
            "componentType": 5126,
            "count": len(vertices),
            "type": "VEC3",
            "min": vertices.min(axis=0).tolist(),
            "max": vertices.max(axis=0).tolist(),
        },
        {"bufferView": 1, "componentType": 5125, "count": faces.size, "type": "SCALAR"},
    ]
    scene: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "Safelight", **({"extras": _texts(told)} if told else {})},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
    }
    primitive: dict[str, Any] = {"attributes": attributes, "indices": 1}
    if uvs is not None:
        attributes["TEXCOORD_0"] = len(accessors)
        accessors.append({"bufferView": len(parts), "componentType": 5126, "count": len(uvs), "type": "VEC2"})
        parts.append((uvs.tobytes(), 34962))
    if texture is not None:
        scene |= {
            "images": [{"bufferView": len(parts), "mimeType": "image/png"}],
            "textures": [{"source": 0}],
            "materials": [{"pbrMetallicRoughness": _TEXTURED, "doubleSided": True}],
        }
        primitive["material"] = 0
        parts.append((_png(texture), 0))
    views, body = _laid_out(parts)
    scene |= {"meshes": [{"primitives": [primitive]}], "accessors": accessors, "bufferViews": views}
    scene["buffers"] = [{"byteLength": len(body)}]
    return _container(json.dumps(scene).encode(), body)


_TEXTURED: Final = {"baseColorTexture": {"index": 0}, "metallicFactor": 0.0, "roughnessFactor": 1.0}


def _texts(told: Mapping[str, Any]) -> dict[str, str]:
    return {name: json.dumps(value) for name, value in told.items()}


def _laid_out(parts: list[tuple[bytes, int]]) -> tuple[list[dict[str, int]], bytes]:
    """The parts one after the other, each from a multiple of four on, and where they are."""
    body, views = bytearray(), []
    for data, target in parts:
        views.append(
            {"buffer": 0, "byteOffset": len(body), "byteLength": len(data), **({"target": target} if target else {})}
        )
        body += data + bytes(-len(data) % 4)
    return views, bytes(body)


def _container(text: bytes, body: bytes) -> bytes:
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(body), b"BIN\0") + body
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _png(texture: Tensor) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    levels = (texture[..., :3].detach().float().clamp(0, 1) * 255).round().byte().cpu().numpy()
    Image.fromarray(levels).save(file, "PNG")
    return file.getvalue()
