"""Skeletons in OpenPose's colours at their places, boxes of faces by their sides, and what are no poses."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nodes.pose import sdpose_draw_keypoints, sdpose_face_bboxes

WIDE, HIGH = 200, 160


def person(**points: list[tuple[float, float, float]]) -> dict[str, Any]:
    return {f"{name}_keypoints_2d": [value for point in some for value in point] for name, some in points.items()}


def frame(*people: dict[str, Any], width: int = WIDE, height: int = HIGH) -> dict[str, Any]:
    return {"canvas_width": width, "canvas_height": height, "people": list(people)}


def body(**seen: tuple[float, float]) -> list[tuple[float, float, float]]:
    names = [
        "nose",
        "neck",
        "rshoulder",
        "relbow",
        "rwrist",
        "lshoulder",
        "lelbow",
        "lwrist",
        "rhip",
        "rknee",
        "rankle",
        "lhip",
        "lknee",
        "lankle",
        "reye",
        "leye",
        "rear",
        "lear",
    ]
    return [(*seen[name], 0.9) if name in seen else (0.0, 0.0, 0.0) for name in names]


POSE = body(nose=(100, 20), neck=(100, 50), rshoulder=(60, 50), lankle=(140, 140), reye=(95, 15))


def colour(picture: torch.Tensor, x: int, y: int) -> list[int]:
    return (picture[y, x] * 255).round().int().tolist()


def test_joints_and_limbs_have_openposes_colours_at_their_places():
    (picture,) = sdpose_draw_keypoints([frame(person(pose=POSE))])
    assert picture.shape == (HIGH, WIDE, 3)
    assert colour(picture, 100, 20) == [255, 0, 0]  # nose
    assert colour(picture, 100, 50) == [255, 85, 0]  # neck
    assert colour(picture, 60, 50) == [255, 170, 0]  # right shoulder
    assert colour(picture, 140, 140) == [85, 0, 255]  # left ankle, the 14th point
    assert colour(picture, 80, 50) == [153, 0, 0]  # neck to right shoulder, the first limb, at 0.6
    assert colour(picture, 80, 53) == [153, 0, 0]
    assert colour(picture, 80, 56) == [0, 0, 0]
    assert colour(picture, 100, 35) == [0, 0, 153]  # neck to nose, the 13th
    assert colour(picture, 120, 100) == [0, 0, 0]  # no knee, so no leg


def test_parts_are_left_out_by_switch():
    told = [frame(person(pose=POSE))]
    (headless,) = sdpose_draw_keypoints(told, draw_head=False)
    assert colour(headless, 100, 20) == colour(headless, 100, 35) == [0, 0, 0]
    assert colour(headless, 60, 50) == [255, 170, 0]
    (head,) = sdpose_draw_keypoints(told, draw_body=False)
    assert colour(head, 60, 50) == colour(head, 140, 140) == [0, 0, 0]
    assert colour(head, 100, 50) == [255, 85, 0]
    assert colour(head, 100, 20) == [255, 0, 0]
    assert not sdpose_draw_keypoints(told, draw_body=False, draw_head=False).any()


def test_hands_faces_and_feet_are_drawn_and_thin_scores_left_out():
    hand = [(20.0 + 4 * number, 80.0, 0.9) for number in range(21)]
    face = [(50.0, 100.0, 0.9), (60.0, 100.0, 0.2)]
    foot = [(150.0, 150.0, 0.9), *[(0.0, 0.0, 0.0)] * 5]
    told = [frame(person(pose=POSE, hand_left=hand, face=face, foot=foot))]
    (picture,) = sdpose_draw_keypoints(told, draw_feet=True, face_point_size=2)
    assert colour(picture, 20, 80) == [0, 0, 255]
    assert colour(picture, 50, 100) == [255, 255, 255]
    assert colour(picture, 53, 100) == [0, 0, 0]
    assert colour(picture, 60, 100) == [0, 0, 0]
    assert colour(picture, 150, 150) == [85, 0, 255]
    (plain,) = sdpose_draw_keypoints(told, draw_hands=False, draw_face=False)
    assert colour(plain, 20, 80) == colour(plain, 50, 100) == colour(plain, 150, 150) == [0, 0, 0]
    (every,) = sdpose_draw_keypoints(told, score_threshold=0.0)
    assert colour(every, 60, 100) == [255, 255, 255]
    apart = [(20.0, 20.0, 0.9), *[(0.0, 0.0, 0.0)] * 3, (60.0, 20.0, 0.9), *[(0.0, 0.0, 0.0)] * 16]
    assert colour(sdpose_draw_keypoints([frame(person(hand_right=apart))])[0], 40, 20) == [0, 0, 0]


def test_places_of_one_are_shares_of_the_canvas_and_frames_are_a_batch():
    shares = [(x / WIDE, y / HIGH, score) for x, y, score in POSE]
    pixels = sdpose_draw_keypoints([frame(person(pose=POSE))])
    assert torch.equal(sdpose_draw_keypoints([frame(person(pose=shares))]), pixels)
    two = sdpose_draw_keypoints([frame(person(pose=POSE)), frame(width=50, height=300)])
    assert two.shape == (2, 300, WIDE, 3)
    assert torch.equal(two[0, :HIGH], pixels[0])
    assert not two[1].any()
    assert sdpose_draw_keypoints([]).shape == (1, 64, 64, 3)


def test_boxes_of_faces_are_scaled_about_the_middle_and_kept_on_the_canvas():
    face = [(50.0, 60.0, 0.9), (70.0, 100.0, 0.4), (0.0, 0.0, 0.0)]
    told = [frame(person(face=face), person(pose=POSE)), frame()]
    assert sdpose_face_bboxes(told, scale=1.0, force_square=False) == [
        [{"x": 50, "y": 60, "width": 20, "height": 40}],
        [],
    ]
    assert sdpose_face_bboxes(told, scale=1.5) == [[{"x": 30, "y": 50, "width": 60, "height": 60}], []]
    assert sdpose_face_bboxes(told, scale=10.0) == [[{"x": 0, "y": 0, "width": 200, "height": 160}], []]
    point = [frame(person(face=[(199.0, 159.0, 0.9)]))]
    assert sdpose_face_bboxes(point) == [[{"x": 198, "y": 158, "width": 2, "height": 2}]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"people": []},
        frame(width=0),
        {**frame(), "people": {}},
        {**frame(), "people": [3]},
        frame({"pose_keypoints_2d": [1, 2]}),
        frame({"face_keypoints_2d": [1, 2, float("nan")]}),
        frame({"face_keypoints_2d": "abc"}),
        7,
    ],
)
def test_what_are_no_poses_is_told(wrong):
    with pytest.raises(ValueError, match="SDPoseDrawKeypoints: keypoints hold"):
        sdpose_draw_keypoints([wrong])
    with pytest.raises(ValueError, match="SDPoseFaceBBoxes: keypoints hold"):
        sdpose_face_bboxes([wrong])
