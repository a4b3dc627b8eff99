"""A detector finds what the library's own, with its processor, finds, whatever its file's naming; what is no detector is told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image as Pictures

from engine.datatypes import coco
from engine.models.errors import CheckpointError, ModelError
from engine.models.handles import decode_handle, encode_handle
from nodes.detection import boxes_of, rtdetr_detect
from nodes.loaders import denoiser_loader
from tests.tiny_seeing import Seeing, in_names_of_dfine, seeing, tiny_detector, write_detector


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> tuple[Seeing, Any]:
    module = tiny_detector()
    base = seeing(tmp_path_factory.mktemp("detectors"))
    state = module.state_dict()
    base.file("diffusion_models", "folder/model.safetensors", state, module.config.to_dict())
    write_detector(base.base)
    return base, module


def picture() -> torch.Tensor:
    return torch.rand(2, 90, 120, 3, generator=torch.Generator().manual_seed(2))


def expected(module: Any, pictures: torch.Tensor) -> list[dict[str, torch.Tensor]]:
    """What the library's processor and detector make of pictures."""
    from transformers.models.rt_detr.image_processing_pil_rt_detr import RTDetrImageProcessorPil

    processor = RTDetrImageProcessorPil()
    found = []
    for one in pictures:
        bytes_ = (one * 255).round().to(torch.uint8).numpy()
        inputs = processor(images=Pictures.fromarray(bytes_), return_tensors="pt")
        with torch.no_grad():
            made = module(pixel_values=inputs["pixel_values"])
        size = torch.tensor([[one.shape[0], one.shape[1]]])
        found.append(processor.post_process_object_detection(made, threshold=0.0, target_sizes=size)[0])
    return found


@pytest.mark.parametrize("name", ["folder/model.safetensors", "detector.safetensors"])
def test_boxes_are_those_of_the_librarys_processor_and_detector(there, name):
    base, module = there
    model = denoiser_loader(base.context, name)
    assert decode_handle(encode_handle(model)) == model
    (found,) = rtdetr_detect(base.context, model, picture(), threshold=0.0, max_detections=300)
    assert base.context.steps[-2:] == [(1, 2), (2, 2)]
    for mine, wanted in zip(found, expected(module, picture()), strict=True):
        assert len(mine) == len(wanted["scores"]) == 12
        sides = torch.tensor([[box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]] for box in mine])
        assert (sides - wanted["boxes"]).abs().max() < 120 * 1e-4
        assert torch.allclose(torch.tensor([box["score"] for box in mine]), wanted["scores"], atol=1e-4)
        assert [box["label"] for box in mine] == [coco.NAMES[int(label)] for label in wanted["labels"]]


def test_the_threshold_the_kind_and_the_number_narrow_what_is_found(there):
    base, _ = there
    model = denoiser_loader(base.context, "detector.safetensors")
    (every,) = rtdetr_detect(base.context, model, picture(), threshold=0.0)
    middle = every[0][5]["score"]
    (surer,) = rtdetr_detect(base.context, model, picture(), threshold=middle)
    assert surer[0] == [box for box in every[0] if box["score"] > middle]
    (two,) = rtdetr_detect(base.context, model, picture(), threshold=0.0, max_detections=2)
    assert [len(one) for one in two] == [2, 2]
    kind = every[1][3]["label"]
    (alone,) = rtdetr_detect(base.context, model, picture(), threshold=0.0, class_name=kind)
    assert alone[1] == [box for box in every[1] if box["label"] == kind]


def test_a_picture_in_gray_and_one_with_alpha_are_seen(there):
    base, _ = there
    model = denoiser_loader(base.context, "detector.safetensors")
    whole = picture()[:1]
    with_alpha = torch.cat([whole, torch.zeros_like(whole[..., :1])], dim=-1)
    assert rtdetr_detect(base.context, model, with_alpha, 0.0) == rtdetr_detect(base.context, model, whole, 0.0)
    gray = whole[..., :1]
    assert rtdetr_detect(base.context, model, gray, 0.0) == rtdetr_detect(
        base.context, model, gray.expand(-1, -1, -1, 3), 0.0
    )


def test_a_model_of_another_kind_is_named(there, bench):
    base, _ = there
    detector = denoiser_loader(base.context, "detector.safetensors")
    with pytest.raises(ModelError, match=r"detector\.safetensors: holds a detector .* which has no parameterization"):
        _ = detector.parameterization
    assert not hasattr(detector, "options")
    model = bench.models.checkpoint(bench.paths.find("checkpoints", "tiny.safetensors")).model
    with pytest.raises(ModelError, match=r"RTDETR_detect: model is of another kind .sd1., expected a detector"):
        rtdetr_detect(bench, model, picture())


def test_a_file_of_the_librarys_naming_needs_its_config_and_a_broken_one_is_told(there):
    base, module = there
    base.file("diffusion_models", "alone.safetensors", module.state_dict())
    with pytest.raises(
        CheckpointError, match=r"alone\.safetensors: looks like a detector .*config\.json beside the file"
    ):
        denoiser_loader(base.context, "alone.safetensors")
    broken = in_names_of_dfine(module.state_dict())
    del broken["backbone.stem.stem4.conv.weight"]
    base.file("diffusion_models", "broken.safetensors", broken)
    with pytest.raises(CheckpointError, match=r"lacks tensor 'backbone\.stem\.stem4"):
        denoiser_loader(base.context, "broken.safetensors")


def test_boxes_come_as_one_as_a_list_for_all_and_as_a_list_for_each():
    box, other = {"x": 1, "y": 2, "width": 3, "height": 4}, {"x": 0, "y": 0, "width": 1.5, "height": 1}
    first, second = (1.0, 2.0, 4.0, 6.0), (0.0, 0.0, 1.5, 1.0)
    assert boxes_of(box, 2, "here") == [[first]] * 2
    assert boxes_of([box, other], 2, "here") == [[first, second]] * 2
    assert boxes_of([[box], [other]], 3, "here") == [[first], [second], [second]]
    assert boxes_of([], 2, "here") == [[], []]
    for wrong in (3, [3], {"x": 1}, [[box], 3], {**box, "x": "a"}, {**box, "y": float("nan")}):
        with pytest.raises(ValueError, match="here: bboxes has"):
            boxes_of(wrong, 1, "here")


def test_labels_are_those_of_the_config_else_numbers_where_coco_has_none():
    from engine.models.networks.detecting import Detector

    def named(config: dict[str, Any], number: int) -> str:
        handle: Any = SimpleNamespace(config=config)
        return Detector(torch.nn.Identity(), handle, torch.device("cpu"), torch.float32).name_of(number)

    assert named({"id2label": {"0": "sheep dog"}}, 0) == "sheep dog"
    assert named({"id2label": {"0": "LABEL_0"}, "num_labels": 80}, 0) == "person"
    assert named({"num_labels": 366}, 4) == "4"
