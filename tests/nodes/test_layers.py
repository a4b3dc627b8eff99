"""Layers: stacked, placed, blended."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image, ImageChops

from nodes.layer_blending import BLENDS
from nodes.layers import add_layer, image_compositor, layers_from_bounding_boxes


def picture(height: int = 6, width: int = 8, channels: int = 3, batch: int = 1, seed: int = 1) -> torch.Tensor:
    return torch.rand(batch, height, width, channels, generator=torch.Generator().manual_seed(seed))


def composed(layers: dict) -> tuple[torch.Tensor, torch.Tensor]:
    return image_compositor(layers).values


def test_layers_lie_over_one_another_at_their_places() -> None:
    below, above = picture(), picture(3, 4, seed=2)
    image, mask = composed(add_layer(above, add_layer(below), x=6, y=-1))
    assert image.shape == (1, 6, 10, 4)
    assert torch.equal(image[0, 2:, :8, :3], below[0, 2:])
    assert torch.equal(image[0, :2, 6:, :3], above[0, 1:])
    assert mask[0, 2:, 8:].all()
    assert not mask[0, :, :8].any()


def test_an_opaque_composite_has_no_alpha() -> None:
    image, mask = composed(add_layer(picture(channels=4).clamp(min=0.6).round()))
    assert image.shape == (1, 6, 8, 3)
    assert mask.shape == (1, 6, 8)
    assert not mask.any()


def test_over_is_pillows_with_masks_alpha_and_opacity() -> None:
    below, above = picture(channels=4), picture(channels=4, seed=2)
    shade = picture(channels=1, seed=3)[..., 0]
    image, mask = composed(add_layer(above, add_layer(below), mask=shade, opacity=0.5))
    above = torch.cat([above[..., :3], above[..., 3:] * (1 - shade[..., None]) * 0.5], -1)
    under, over = (Image.fromarray((one[0] * 255).round().byte().numpy()) for one in (below, above))
    wanted = np.asarray(Image.alpha_composite(under, over)) / 255
    assert np.abs(image[0].numpy() - wanted).max() < 0.03
    assert np.abs(1 - mask[0].numpy() - wanted[..., 3]).max() < 0.01


def test_a_higher_index_is_nearer_and_batches_follow_one_another() -> None:
    first, second = torch.zeros(1, 4, 4, 3), torch.ones(2, 4, 4, 3) * torch.tensor([0.3, 0.6]).view(2, 1, 1, 1)
    assert composed(add_layer(second, add_layer(first)))[0].mean() == pytest.approx(0.6)
    assert composed(add_layer(second, add_layer(first, z_index=1)))[0].mean() == 0


def test_size_flip_and_quarter_turns_are_exact() -> None:
    image = picture(4, 8)
    larger, _ = composed(add_layer(torch.full((1, 2, 2, 3), 0.25), width=6, height=4))
    assert larger.shape == (1, 4, 6, 3)
    torch.testing.assert_close(larger, torch.full_like(larger, 0.25))
    smaller, _ = composed(add_layer(image, width=4, height=2))
    torch.testing.assert_close(smaller[0], image.view(2, 2, 4, 2, 3).mean((1, 3)))
    flipped, _ = composed(add_layer(image, flip_h=True, flip_v=True))
    assert torch.equal(flipped, image.flip(1, 2))
    turned, _ = composed(add_layer(image, x=-2, y=2, rotation=90.0))
    torch.testing.assert_close(turned, image.rot90(1, (2, 1)), atol=1e-5, rtol=0)


def test_a_turn_of_any_angle_keeps_the_area() -> None:
    layers = add_layer(torch.ones(1, 20, 30, 3), x=20, y=20, rotation=33.0)
    _, mask = composed(layers)
    assert float((1 - mask).sum()) == pytest.approx(600, rel=0.01)


def test_modes_are_pillows_and_over_nothing_they_are_nothing() -> None:
    below, above = picture(24, 32), picture(24, 32, seed=2)
    under, over = (Image.fromarray((one[0] * 255).round().byte().numpy()) for one in (below, above))
    for mode, blend in {
        "multiply": ImageChops.multiply,
        "screen": ImageChops.screen,
        "darken": ImageChops.darker,
        "lighten": ImageChops.lighter,
        "difference": ImageChops.difference,
        "overlay": ImageChops.overlay,
        "hard_light": ImageChops.hard_light,
    }.items():
        image, _ = composed(add_layer(above, add_layer(below), blend_mode=mode))
        assert np.abs(image[0].numpy() - np.asarray(blend(under, over)) / 255).max() < 0.012, mode
    for mode in BLENDS:
        image, mask = composed(add_layer(above, blend_mode=mode))
        assert image.isfinite().all()
        assert bool(mask.all()) is (mode != "normal")


def test_modes_without_a_counterpart_in_pillow_have_the_specifications_values() -> None:
    under, over = torch.tensor([0.2, 0.4, 0.9]), torch.tensor([0.8, 0.3, 0.25])
    wanted = {
        "color_dodge": [1.0, 0.4 / 0.7, 1.0],
        "color_burn": [0.0, 0.0, 0.6],
        "exclusion": [0.68, 0.46, 0.7],
        "soft_light": [0.2 + 0.6 * (0.448 - 0.2), 0.4 - 0.4 * 0.24, 0.9 - 0.5 * 0.09],
    }
    for mode, values in wanted.items():
        assert BLENDS[mode](under, over).tolist() == pytest.approx(values, abs=1e-5), mode
    luma = torch.tensor([0.3, 0.59, 0.11])
    for mode, of_under in (("hue", True), ("saturation", True), ("color", True), ("luminosity", False)):
        mixed = BLENDS[mode](under, over)
        assert float(mixed @ luma) == pytest.approx(float((under if of_under else over) @ luma), abs=1e-5), mode
    assert BLENDS["luminosity"](under, under).tolist() == pytest.approx(under.tolist(), abs=1e-5)


def test_boxes_place_layers_and_scale_them() -> None:
    image = picture(4, 4, batch=3)
    boxes = [
        {"x": 3, "y": 1, "width": 4, "height": 4, "metadata": {"desc": "cup"}},
        {"x": 0, "y": 5, "width": 2, "height": 2},
    ]
    layers = layers_from_bounding_boxes(
        image, [boxes[0], boxes[1]], layers=add_layer(picture(), z_index=4, name="ground")
    )
    assert [item.get("name") for item in layers["items"]] == ["ground", "cup", None, None]
    assert [item.get("z_index", 0) for item in layers["items"]] == [4, 5, 5, 5]
    picture_of, _ = composed(layers)
    torch.testing.assert_close(picture_of[0, 5:7, :2, :3], image[1].view(2, 2, 2, 2, 3).mean((1, 3)))
    assert torch.equal(picture_of[0, :4, :4, :3], image[2])
    assert layers_from_bounding_boxes(image, json.dumps(boxes))["items"][0]["x"] == 3


def test_elements_need_a_canvas_and_content_is_cut() -> None:
    element = {"type": "obj", "bbox": [250, 500, 500, 1000], "desc": "cup"}
    layers = layers_from_bounding_boxes(picture(), [element], canvas_width=8, canvas_height=16)
    assert {key: layers["items"][0][key] for key in ("x", "y", "width", "height")} == {
        "x": 4,
        "y": 4,
        "width": 4,
        "height": 4,
    }
    assert composed(layers)[0].shape[1:3] == (16, 8)
    with pytest.raises(ValueError, match="canvas_width and canvas_height"):
        layers_from_bounding_boxes(picture(), [element])
    box = {
        "x": 10,
        "y": 20,
        "width": 99,
        "height": 99,
        "metadata": {"content_rect": {"x": 1, "y": 2, "width": 3, "height": 4}},
    }
    image, shade = picture(), picture(channels=1, seed=3)[..., 0]
    item = layers_from_bounding_boxes(image, box, shade)["items"][0]
    assert (item["x"], item["y"], "width" in item) == (11, 22, False)
    assert torch.equal(item["image"], image[:, 2:6, 1:4])
    assert torch.equal(item["mask"], shade[:, 2:6, 1:4])
    assert layers_from_bounding_boxes(image, box, crop_to_content=False)["items"][0]["width"] == 99
    box["metadata"]["content_rect"]["x"] = 7
    with pytest.raises(ValueError, match="not within its picture of 8 × 6"):
        layers_from_bounding_boxes(image, box)


def test_no_layer_is_a_small_nothing_and_a_saved_composition_is_stale() -> None:
    result = image_compositor({"version": 1, "items": []}, {"version": 3})
    assert [tuple(one.shape) for one in result.values] == [(1, 64, 64, 4), (1, 64, 64)]
    assert result.ui == {"stale": [True]}


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        ({"version": 2, "items": []}, "version 2"),
        ([1], "no stack of layers"),
        ({"version": 1, "items": [{"type": "vector"}]}, "'vector'"),
        (add_layer(torch.zeros(51, 2, 2, 3)), "got 51 layers"),
        (add_layer(torch.zeros(1, 2, 2, 3), x=16384), "16386 × 2"),
    ],
)
def test_what_cannot_be_put_together_is_told(layers: object, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        image_compositor(layers)


@pytest.mark.parametrize("boxes", [3, "{", [1], [{"x": 1}], [{"bbox": [1, 2]}]])
def test_what_is_no_box_is_refused(boxes: object) -> None:
    with pytest.raises(ValueError, match=r"LayersFromBoundingBoxes: .*(box|JSON)"):
        layers_from_bounding_boxes(picture(), boxes, canvas_width=8, canvas_height=8)
