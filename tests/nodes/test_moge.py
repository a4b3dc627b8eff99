"""MoGe 2 and 1: a file in its authors' names; the lens found back from points that it made; depth, normals and angles by formulas."""

from __future__ import annotations

import math

import pytest
import torch

from engine.models.errors import CheckpointError
from engine.models.networks.geometries import lens, solved
from engine.models.networks.moge_module import MoGeNetwork, plane
from nodes.colormap import gray, turbo
from nodes.moge import load_moge_model, moge_geometry_to_fov, moge_inference, moge_render
from tests.tiny_geometry import tiny_first_moge, tiny_moge, write_first_moge, write_moge
from tests.tiny_seeing import Seeing, seeing


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> tuple[Seeing, MoGeNetwork]:
    base = seeing(tmp_path_factory.mktemp("geometry_estimation"))
    write_moge(base.base / "models/geometry_estimation/moge_2.safetensors")
    return base, tiny_moge()


def test_what_is_estimated_is_the_networks_behind_the_lens_that_fits(there):
    base, module = there
    model = load_moge_model(base.context, "moge_2.safetensors")
    pictures = torch.rand(3, 40, 60, 3, generator=torch.Generator().manual_seed(7))
    found = moge_inference(base.context, model, pictures, resolution_level=3, batch_size=2)
    assert torch.equal(found["image"], pictures)
    assert base.context.steps[-2:] == [(2, 3), (3, 3)]
    with torch.no_grad():
        made = module(pictures.movedim(-1, 1), 14)
    for name, wanted in solved(made, None, project=True, masked=True).items():
        assert torch.allclose(found[name].float(), wanted.float(), atol=1e-4), name
    assert found["mask"].any()
    assert torch.isinf(found["depth"][~found["mask"]]).all()
    plain = moge_inference(
        base.context, model, pictures[:1], 3, 60.0, force_projection=False, apply_mask=False, refine_steps=0
    )
    assert torch.isfinite(plain["depth"]).all()
    assert moge_geometry_to_fov(plain, "horizontal").fov == pytest.approx(60.0, abs=1e-3)


def test_the_first_form_gives_points_and_a_mask(there):
    base, _ = there
    write_first_moge(base.base / "models/geometry_estimation/moge_1.safetensors")
    model, module = load_moge_model(base.context, "moge_1.safetensors"), tiny_first_moge()
    pictures = torch.rand(2, 40, 60, 3, generator=torch.Generator().manual_seed(7))
    found = moge_inference(base.context, model, pictures, resolution_level=3)
    with torch.no_grad():
        made = module(pictures.movedim(-1, 1), 14)
    assert made["points_head"].shape == (2, 40, 60, 3)
    for name, wanted in solved(made, None, project=True, masked=True).items():
        assert torch.allclose(found[name].float(), wanted.float(), atol=1e-4), name
    assert found["mask"].any()
    assert "normal" not in found
    assert moge_render(found, "normal_opengl").shape == (2, 40, 60, 3)
    tiny = moge_inference(base.context, model, pictures[:, :2, :, :1], resolution_level=0, apply_mask=False)
    assert tiny["points"].shape == (2, 2, 60, 3)


def made_by_a_lens(focal: float, shift: float, height: int = 48, width: int = 80) -> torch.Tensor:
    """Points of a surface that a lens of `focal` halves of the diagonal shows as a picture, moved along z."""
    places = plane(height, width, width / height)
    depth = 2.0 + 0.5 * torch.sin(4 * places[..., 0]) + 0.3 * places[..., 1]
    return torch.cat([places * depth[..., None] / focal, (depth - shift)[..., None]], dim=-1)


@pytest.mark.parametrize(("focal", "shift"), [(1.2, 0.7), (0.8, -0.4)])
def test_the_lens_and_the_shift_are_found_back_and_points_with_them(focal, shift):
    points = made_by_a_lens(focal, shift)
    assert lens(points, None, None) == pytest.approx((focal, shift), abs=2e-3)
    assert lens(points, None, focal)[1] == pytest.approx(shift, abs=2e-3)
    assert lens(points, torch.zeros(48, 80, dtype=torch.bool), None) == (1.0, 0.0)
    mask = torch.ones(1, 48, 80)
    mask[:, :10] = 0.1
    found = solved({"points_head": points[None], "mask_head": mask, "scale": torch.tensor([3.0])}, None, True, False)
    assert torch.allclose(found["points"][0], 3 * made_by_a_lens(focal, 0.0), atol=2e-2)
    across = 2 * math.atan(0.5 / float(found["intrinsics"][0, 0, 0]))
    assert across == pytest.approx(2 * math.atan(80 / math.hypot(48, 80) / focal), abs=2e-3)


def test_angles_are_those_of_the_lens():
    lens_of = torch.tensor([[[0.5, 0.0, 0.5], [0.0, 0.8, 0.5], [0.0, 0.0, 1.0]]])
    told = {"intrinsics": lens_of, "depth": torch.ones(1, 30, 48)}
    assert moge_geometry_to_fov(told) == pytest.approx((math.degrees(2 * math.atan(0.625)), 24.0))
    assert moge_geometry_to_fov(told, "horizontal", "radians").fov == pytest.approx(math.pi / 2)
    assert moge_geometry_to_fov(told, "diagonal", "radians").fov == pytest.approx(2 * math.atan(math.hypot(1.0, 0.625)))
    with pytest.raises(ValueError, match="needs intrinsics, which the geometry has not"):
        moge_geometry_to_fov({"depth": torch.ones(1, 3, 3)})
    with pytest.raises(ValueError, match="needs image or points or depth"):
        moge_geometry_to_fov({"intrinsics": lens_of})


def test_depth_and_mask_are_shown_by_the_formulas():
    depth = torch.rand(2, 9, 11, generator=torch.Generator().manual_seed(1)) + 0.5
    depth[0, 0] = math.inf
    told = {"depth": depth, "mask": torch.isfinite(depth)}
    shown = moge_render(told)
    for one, picture in zip(depth, shown, strict=True):
        near = 1 / one[torch.isfinite(one)]
        low, high = near.quantile(0.001), near.quantile(0.99)
        wanted = ((1 / one - low) / (high - low)).clamp(0, 1)
        assert torch.allclose(picture[..., 1], wanted, atol=1e-5)
    coloured = moge_render(told, "depth_colored")
    assert torch.allclose(coloured[1], turbo(shown[1, ..., 0]))
    assert not coloured[0, 0].any()
    assert torch.equal(moge_render(told, "mask"), gray(told["mask"].float()))
    assert not moge_render({"depth": torch.full((1, 2, 2), math.inf)}).any()


def test_normals_are_the_models_or_those_of_points():
    normal = torch.nn.functional.normalize(torch.randn(1, 4, 5, 3, generator=torch.Generator().manual_seed(1)), dim=-1)
    up, down = (moge_render({"normal": normal}, name) for name in ("normal_opengl", "normal_directx"))
    assert torch.allclose(up[..., 0], 0.5 + normal[..., 0] / 2)
    assert torch.allclose(up[..., 1] + down[..., 1], torch.ones(1, 4, 5))
    assert torch.allclose(up[..., 2], 0.5 - normal[..., 2] / 2)
    # a plane that falls away to the right: its normal leans to the left, towards the camera
    places = plane(6, 7, 7 / 6)
    points = torch.cat([places, 2.0 + places[..., :1]], dim=-1)[None]
    shown = moge_render({"points": points}, "normal_opengl")
    wanted = torch.tensor([1.0, 0.0, -1.0]) / math.sqrt(2)
    assert torch.allclose(shown, (wanted * torch.tensor([0.5, -0.5, -0.5]) + 0.5).expand_as(shown), atol=1e-5)
    points[0, 2, 3] = math.inf
    assert torch.allclose(moge_render({"points": points}, "normal_opengl")[0, 2, 2], torch.full((3,), 0.5))
    with pytest.raises(ValueError, match="normal_directx needs points"):
        moge_render({"depth": torch.ones(1, 2, 2)}, "normal_directx")


def test_other_files_are_told(there):
    base, _ = there
    base.file("geometry_estimation", "moge_3_vitg.safetensors", {"encoder.backbone.pos_embed": torch.zeros(1, 5, 4)})
    with pytest.raises(
        CheckpointError, match=r"moge_3_vitg\.safetensors: expected MoGe 2 or MoGe 1, got a file of 1 tensors"
    ):
        load_moge_model(base.context, "moge_3_vitg.safetensors")
