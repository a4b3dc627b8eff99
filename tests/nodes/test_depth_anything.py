"""Depth Anything 3: a file in its authors' names gives the network's depth at the picture's size, and pictures of it by formulas."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional
from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config, DPTImageProcessor

from engine.models.errors import CheckpointError
from engine.models.networks.depth_module import DepthNetwork
from engine.models.networks.depths import working_size
from engine.models.networks.fitted import IMAGENET
from nodes.colormap import gray, turbo
from nodes.depth_anything import da3_inference, da3_render, load_da3_model
from tests.tiny_geometry import depth_as_written, tiny_depth, write_depth
from tests.tiny_seeing import Seeing, random, seeing

MONO = {"mode": "mono"}


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> tuple[Seeing, DepthNetwork]:
    base = seeing(tmp_path_factory.mktemp("geometry_estimation"))
    write_depth(base.base / "models/geometry_estimation/mono.safetensors")
    return base, tiny_depth()


@pytest.mark.parametrize(
    ("height", "width", "resolution", "longest", "wanted"),
    [
        (1080, 1920, 504, True, (280, 504)),  # 283.5 → 284, of 14: 20.28
        (1080, 1920, 504, False, (504, 896)),
        (100, 100, 504, True, (504, 504)),
        (10, 2000, 504, True, (14, 504)),
        (21, 14, 140, True, (140, 98)),  # 93.3 → 93, between 84 and 98
    ],
)
def test_the_working_size_is_the_nearest_of_whole_patches(height, width, resolution, longest, wanted):
    assert working_size(height, width, resolution, longest=longest, patch=14) == wanted


def test_depth_is_the_networks_at_the_pictures_size(there):
    base, module = there
    model = load_da3_model(base.context, "mono.safetensors")
    pictures = torch.rand(2, 150, 200, 3, generator=torch.Generator().manual_seed(3))
    found = da3_inference(base.context, model, pictures, 140, "upper_bound_resize", mode=MONO)
    assert found["mode"] == "mono"
    assert torch.equal(found["image"], pictures)
    assert base.context.steps[-1] == (2, 2)
    whole = (pictures.movedim(-1, 1) * 255).round().to(torch.uint8)
    seen = functional.interpolate(whole, (112, 140), mode="bilinear", antialias=True).float() / 255
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        made = module((seen - mean[:, None, None]) / deviation[:, None, None])
    for name, wanted in zip(("depth", "sky"), made, strict=True):
        larger = functional.interpolate(wanted[:, None], (150, 200), mode="bilinear", align_corners=False)[:, 0]
        assert torch.allclose(found[name], larger, atol=1e-4)
    assert found["depth"].std() > 1e-3
    tall = da3_inference(base.context, model, pictures[:1, :40, :30, :1], 140, "lower_bound_resize", mode=MONO)
    assert tall["depth"].shape == (1, 40, 30)
    assert tall["image"].shape == (1, 40, 30, 3)


def test_several_views_and_other_files_are_told(there):
    base, module = there
    model = load_da3_model(base.context, "mono.safetensors")
    with pytest.raises(ValueError, match="mode is multiview"):
        da3_inference(base.context, model, torch.rand(1, 28, 28, 3), mode={"mode": "multiview"})
    kept = {name: value for name, value in depth_as_written(module.state_dict()).items() if "sky" not in name}
    base.file("geometry_estimation", "views.safetensors", kept)
    with pytest.raises(CheckpointError, match=r"views\.safetensors: looks like Depth Anything 3.*use Mono or Metric"):
        load_da3_model(base.context, "views.safetensors")
    base.file("geometry_estimation", "odd.safetensors", {"a": torch.zeros(1)})
    with pytest.raises(CheckpointError, match=r"odd\.safetensors: expected Depth Anything 3"):
        load_da3_model(base.context, "odd.safetensors")


def older(base: Seeing, folder: str, **more: Any) -> DepthAnythingForDepthEstimation:
    """Depth Anything as transformers saves it, of random weights, in a folder of the models."""
    eye = Dinov2Config(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        image_size=70,
        patch_size=14,
        out_indices=[1, 2, 3, 4],
        reshape_hidden_states=False,
    )
    sizes = {"reassemble_hidden_size": 32, "neck_hidden_sizes": [8] * 4, "fusion_hidden_size": 8, "head_hidden_size": 4}
    network = DepthAnythingForDepthEstimation(DepthAnythingConfig(backbone_config=eye, **sizes, **more))
    random(network, seed=5)
    network.eval().save_pretrained(base.base / "models/geometry_estimation" / folder)
    return network


@pytest.mark.parametrize("more", [{}, {"depth_estimation_type": "metric", "max_depth": 20}])
def test_older_models_are_those_of_transformers(there, more):
    base, _ = there
    network = older(base, f"older{len(more)}", **more)
    model = load_da3_model(base.context, f"older{len(more)}/model.safetensors")
    picture = torch.randint(0, 256, (1, 70, 140, 3), generator=torch.Generator().manual_seed(3)) / 255
    processor = DPTImageProcessor(do_resize=False, image_mean=IMAGENET[0], image_std=IMAGENET[1])
    planes = processor((picture[0] * 255).round().to(torch.uint8).numpy(), return_tensors="pt").pixel_values
    with torch.no_grad():
        wanted = network(planes).predicted_depth
    found = da3_inference(base.context, model, picture, 140, "upper_bound_resize", mode=MONO)
    if not more:
        assert (wanted > 0).any()
        wanted = 1 / wanted.clamp(min=0.01 * wanted.max())
    assert (found["depth"] - wanted).abs().max() <= 1e-4 * wanted.max()
    assert wanted.std() > 1e-4 * wanted.max()
    assert not found["sky"].any()
    assert torch.isfinite(da3_render(found, output={"output": "depth"})).all()


def test_older_models_without_their_facts_are_told(there):
    base, _ = there
    network = older(base, "bare")
    base.file("geometry_estimation", "alone.safetensors", dict(network.state_dict()))
    with pytest.raises(CheckpointError, match=r"looks like Depth Anything 1 or 2.*config\.json beside the file"):
        load_da3_model(base.context, "alone.safetensors")
    theirs = {"pretrained.pos_embed": torch.zeros(1), "depth_head.scratch.layer1_rn.weight": torch.zeros(1)}
    base.file("geometry_estimation", "theirs.safetensors", theirs)
    with pytest.raises(CheckpointError, match="use the form of transformers, with its config"):
        load_da3_model(base.context, "theirs.safetensors")


def geometry() -> dict[str, Any]:
    depth = torch.rand(2, 6, 7, generator=torch.Generator().manual_seed(1)) + 0.5
    sky = torch.zeros(2, 6, 7)
    depth[0, :2], sky[0, :2] = 9.0, 0.8
    return {"depth": depth, "sky": sky, "image": torch.rand(2, 6, 7, 3), "mode": "mono"}


def test_depth_is_shown_near_bright_by_the_formulas():
    told = geometry()
    depth, sky = told["depth"], told["sky"]
    raw = da3_render(told, output={"output": "depth", "normalization": "raw"})
    assert torch.equal(raw, gray(depth))
    span = da3_render(told, output={"output": "depth", "normalization": "min_max"})
    wanted = [(one.max() - one) / (one.max() - one.min()) for one in depth]
    assert torch.allclose(span[..., 0], torch.stack(wanted), atol=1e-6)
    style = da3_render(told, output={"output": "depth", "normalization": "v2_style"})
    for one, above, shown in zip(1 / depth, sky, style[..., 0], strict=True):
        ground = one[above < 0.3]
        score = (one - ground.mean()) / ((ground - ground.mean()) ** 2).mean().sqrt()
        assert torch.allclose(shown, ((score + 2) / 4).clamp(0, 1), atol=1e-5)
    clipped = da3_render(told, output={"output": "depth", "normalization": "raw", "apply_sky_clip": True})
    before = depth[0][sky[0] < 0.3].sort().values
    assert torch.allclose(clipped[0, :2], before[int(0.99 * len(before))].clamp(0, 1).expand(2, 7, 3))
    coloured = da3_render(told, output={"output": "depth_colored", "normalization": "min_max"})
    assert torch.allclose(coloured, turbo(span[..., 0]))


def test_sky_and_confidence_are_shown_where_they_are_there():
    told = geometry()
    assert torch.equal(da3_render(told, output={"output": "sky_mask"}), gray(told["sky"]))
    assert torch.equal(da3_render(told, output={"output": "sky_mask", "colored": True}), turbo(told["sky"]))
    sure = {**told, "confidence": torch.arange(84.0).reshape(2, 6, 7)}
    shown = da3_render(sure, output={"output": "confidence"})
    assert torch.allclose(shown[1, ..., 0].flatten(), torch.arange(42.0) / 41)
    with pytest.raises(ValueError, match="DA3Render: confidence needs confidence, which the geometry has not"):
        da3_render(told, output={"output": "confidence"})
    without = {name: value for name, value in told.items() if name != "sky"}
    with pytest.raises(ValueError, match="apply_sky_clip needs sky"):
        da3_render(without, output={"output": "depth", "apply_sky_clip": True})
    assert torch.isfinite(da3_render({**without, "depth": torch.ones(1, 3, 3)}, output={"output": "depth"})).all()


def test_turbos_ends_and_middle_are_its_authors():
    shown = turbo(torch.tensor([0.0, 0.5, 1.0, 2.0, -1.0]))
    # its table has (0.19, 0.07, 0.23), (0.64, 0.99, 0.23) and (0.48, 0.02, 0.01); the polynomials come near
    table = torch.tensor([[0.19, 0.07, 0.23], [0.64, 0.99, 0.23], [0.48, 0.02, 0.01]])
    assert (shown[:3] - table).abs().max() < 0.13
    assert torch.equal(shown[3], shown[2])
    assert torch.equal(shown[4], shown[0])
