"""ViTPose through the nodes gives the joints of the library's processor and network, in OpenPose's form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from engine.models.errors import CheckpointError
from nodes.pose import sdpose_draw_keypoints
from nodes.pose_detect import _person, load_pose_model, pose_detect
from tests.tiny_seeing import Seeing, random, seeing

NAME = "vitpose/model.safetensors"


def tiny(joints: int, *, simple: bool) -> nn.Module:
    from transformers import VitPoseConfig, VitPoseForPoseEstimation
    from transformers.models.vitpose_backbone.configuration_vitpose_backbone import VitPoseBackboneConfig

    eye = VitPoseBackboneConfig(
        image_size=[64, 48], patch_size=[16, 16], hidden_size=16, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2,
        out_indices=[2],
    )  # fmt: skip
    config = VitPoseConfig(backbone_config=eye, use_simple_decoder=simple, num_labels=joints)
    return random(VitPoseForPoseEstimation(config), seed=6, scale=2.0)


@pytest.fixture(scope="module", params=[(17, False), (133, True)], ids=["17", "133"])
def there(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Seeing, Any]:
    joints, simple = request.param
    base, module = seeing(tmp_path_factory.mktemp("poses")), tiny(joints, simple=simple)
    base.file("detection", NAME, module.state_dict(), module.config.to_dict())
    return base, module


def by_the_library(module: Any, picture: torch.Tensor, box: list[float]) -> torch.Tensor:
    from transformers.models.vitpose.image_processing_pil_vitpose import VitPoseImageProcessorPil

    processor = VitPoseImageProcessorPil(size={"height": 64, "width": 48})
    whole = (picture * 255).round().to(torch.uint8).numpy()
    inputs = processor(images=[whole], boxes=[np.array([box], np.float32)], return_tensors="pt")
    with torch.no_grad():
        seen = module(**inputs)
    (((found,),),) = (
        processor.post_process_pose_estimation(seen, boxes=[np.array([box], np.float32)], threshold=-1.0),
    )
    return torch.cat([found["keypoints"], found["scores"][:, None]], dim=1)


def test_joints_are_the_librarys_in_openposes_order(there):
    base, module = there
    model = load_pose_model(base.context, NAME)
    pictures = torch.rand(2, 90, 120, 3, generator=torch.Generator().manual_seed(8))
    box, other = {"x": 10, "y": 5, "width": 40, "height": 70}, {"x": 60, "y": 20, "width": 30, "height": 30}
    empty = {"x": 1, "y": 1, "width": 0, "height": 5}
    first, second = pose_detect(base.context, model, pictures, [[box, empty, other], []], batch_size=1)
    assert base.context.steps[-1] == (2, 2)
    assert (first["canvas_width"], first["canvas_height"], len(first["people"]), second["people"]) == (120, 90, 2, [])
    wanted = by_the_library(module, pictures[0], [10, 5, 40, 70])
    body = torch.tensor(first["people"][0]["pose_keypoints_2d"]).reshape(18, 3)
    assert torch.allclose(body[0], wanted[0], atol=1e-3)
    assert torch.allclose(body[1, :2], (wanted[5, :2] + wanted[6, :2]) / 2, atol=1e-3)
    assert torch.allclose(body[2:5], wanted[[6, 8, 10]], atol=1e-3)
    assert torch.allclose(body[11:14], wanted[[11, 13, 15]], atol=1e-3)
    assert torch.allclose(body[14:], wanted[[2, 1, 4, 3]], atol=1e-3)
    if len(wanted) == 133:
        hand = torch.tensor(first["people"][0]["hand_left_keypoints_2d"]).reshape(21, 3)
        assert torch.allclose(hand, wanted[91:112], atol=1e-3)
        assert len(first["people"][0]["face_keypoints_2d"]) == 70 * 3
    whole = pose_detect(base.context, model, pictures[:1])
    one = by_the_library(module, pictures[0], [0, 0, 120, 90])
    assert torch.allclose(torch.tensor(whole[0]["people"][0]["pose_keypoints_2d"][:3]), one[0], atol=1e-3)
    assert sdpose_draw_keypoints(whole, score_threshold=0.0).shape == (1, 90, 120, 3)


def test_the_neck_is_as_sure_as_the_less_sure_shoulder():
    joints = torch.zeros(17, 3)
    joints[5], joints[6] = torch.tensor([10.0, 20.0, 0.9]), torch.tensor([30.0, 40.0, 0.4])
    assert _person(joints)["pose_keypoints_2d"][3:6] == pytest.approx([20.0, 30.0, 0.4])


def test_a_file_without_its_config_or_with_other_joints_is_told(there):
    base, module = there
    base.file("detection", "alone.safetensors", module.state_dict())
    with pytest.raises(CheckpointError, match=r"alone\.safetensors: looks like ViTPose.*config\.json beside"):
        load_pose_model(base.context, "alone.safetensors")
    hand = tiny(21, simple=True)
    base.file("detection", "hands/model.safetensors", hand.state_dict(), hand.config.to_dict())
    with pytest.raises(CheckpointError, match="17 or 133 joints, as COCO has them, not 21"):
        load_pose_model(base.context, "hands/model.safetensors")
