"""Meshes of points, and what is in the files."""

from __future__ import annotations

import io
import json
import struct
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from engine.media.embedded import read_embedded
from engine.media.errors import MediaError
from engine.media.meshes import MeshValue, glb_files
from nodes.meshes import moge_point_map_to_mesh, save_glb


def plane(height: int = 4, width: int = 5, z: float = 2.0) -> dict[str, Any]:
    """A wall before a camera: x to the right, y down, z away."""
    y, x = torch.meshgrid(torch.arange(height).float(), torch.arange(width).float(), indexing="ij")
    points = torch.stack([x, y, torch.full_like(x, z)], dim=-1)[None]
    picture = torch.rand(1, height, width, 3, generator=torch.Generator().manual_seed(1))
    return {"points": points, "depth": points[..., 2].clone(), "intrinsics": torch.eye(3)[None], "image": picture}


def normals(mesh: MeshValue) -> torch.Tensor:
    a, b, c = (mesh.vertices[0][mesh.faces[0][:, at]] for at in range(3))
    return torch.linalg.cross(b - a, c - a)


def opened(data: bytes) -> tuple[dict[str, Any], bytes]:
    kind, version, length, text_length = struct.unpack_from("<4sIII", data)
    assert (kind, version, length) == (b"glTF", 2, len(data))
    scene = json.loads(data[20 : 20 + text_length])
    return scene, data[20 + text_length + 8 :]


def test_a_wall_is_two_triangles_between_each_four_points_that_face_the_eye():
    mesh = moge_point_map_to_mesh(plane())
    assert (mesh.vertices.shape, mesh.faces.shape) == ((1, 20, 3), (1, 2 * 3 * 4, 3))
    assert torch.equal(mesh.vertices[0].amax(dim=0), torch.tensor([4.0, 0.0, -2.0]))
    assert bool((normals(mesh)[:, 2] > 0).all())
    assert float(normals(mesh).norm(dim=-1).sum() / 2) == 12.0
    assert torch.equal(mesh.uvs[0][[0, 19]], torch.tensor([[0.0, 0.0], [1.0, 1.0]]))
    assert moge_point_map_to_mesh(plane(9, 9), decimation=4).faces.shape == (1, 8, 3)


def test_jumps_of_depth_and_points_that_are_not_there_make_holes():
    wall = plane(6, 6)
    wall["points"][0, :, 3:, 2] = wall["depth"][0, :, 3:] = 3.0
    whole, holed = moge_point_map_to_mesh(wall, 0, 1, 0.0), moge_point_map_to_mesh(wall, 0, 1, 0.1)
    assert (len(whole.faces[0]), len(holed.faces[0])) == (50, 30 - 10)
    wall["points"][0, 0, 0] = torch.inf
    assert len(moge_point_map_to_mesh(wall, 0, 1, 0.0).faces[0]) == 48
    wall["points"][0] = torch.inf
    with pytest.raises(ValueError, match="Set discontinuity_threshold to 0"):
        moge_point_map_to_mesh(wall)
    with pytest.raises(ValueError, match="there are 1 pictures"):
        moge_point_map_to_mesh(plane(), 1)
    with pytest.raises(ValueError, match="no points that a lens has seen"):
        moge_point_map_to_mesh({"points": plane()["points"]})


def test_a_file_has_the_mesh_its_picture_and_the_workflow(bench):
    bench.prompt, bench.workflow = {"1": {"class_type": "X", "inputs": {}}}, {"nodes": []}
    wall = plane()
    mesh = moge_point_map_to_mesh(wall)
    [told] = save_glb(bench, mesh, "3d/wall").ui["3d"]
    data = (bench.paths.directory("output") / told["subfolder"] / told["filename"]).read_bytes()
    assert read_embedded(data, "it").workflow == {"nodes": []}
    scene, body = opened(data)
    view = [body[one["byteOffset"] : one["byteOffset"] + one["byteLength"]] for one in scene["bufferViews"]]
    np.testing.assert_array_equal(np.frombuffer(view[0], "<f4").reshape(-1, 3), mesh.vertices[0].numpy())
    np.testing.assert_array_equal(np.frombuffer(view[1], "<u4").reshape(-1, 3), mesh.faces[0].numpy())
    assert scene["accessors"][0]["min"] == [0.0, -3.0, -2.0]
    picture = np.asarray(Image.open(io.BytesIO(view[3])))
    np.testing.assert_array_equal(picture, (wall["image"][0] * 255).round().byte().numpy())
    assert glb_files(moge_point_map_to_mesh(wall, texture=False))[0].count(b"PNG") == 0


def test_meshes_that_are_empty_or_wrong_are_told(bench):
    mesh = moge_point_map_to_mesh(plane())
    empty = MeshValue(torch.zeros(2, 0, 3), torch.zeros(2, 0, 3, dtype=torch.long))
    assert save_glb(bench, empty, "x").ui["3d"] == []
    assert "2 of 2 meshes are empty" in bench.warned[-1]
    with pytest.raises(MediaError, match="triangle at vertex 19, and 3 vertices"):
        glb_files(MeshValue(mesh.vertices[:, :3], mesh.faces))
    with pytest.raises(MediaError, match="not finite"):
        glb_files(MeshValue(mesh.vertices * float("nan"), mesh.faces))
