"""A camera around a subject, and its words."""

from __future__ import annotations

import math

import pytest

from nodes.camera_angle import camera_angle


@pytest.mark.parametrize(
    ("horizontal", "vertical", "zoom", "prompt"),
    [
        (0, 0, 5.0, "front view eye-level shot medium shot"),
        (333, 17, 5.0, "front-left quarter view elevated shot medium shot"),
        (22, -15, 1.9, "front view eye-level shot wide shot"),
        (23, -16, 2.0, "front-right quarter view low-angle shot medium shot"),
        (90, 14, 6.0, "right side view eye-level shot close-up"),
        (180, 44, 0.0, "back view elevated shot wide shot"),
        (270, 45, 10.0, "left side view high-angle shot close-up"),
        (360, 60, 5.9, "front view high-angle shot medium shot"),
    ],
)
def test_the_words_change_where_sectors_do(horizontal, vertical, zoom, prompt):
    assert camera_angle(horizontal, vertical, zoom).prompt == prompt


@pytest.mark.parametrize(
    ("horizontal", "vertical", "place"),
    [(0, 0, (0, 0, 6)), (90, 0, (6, 0, 0)), (180, 0, (0, 0, -6)), (0, 30, (0, 3, 6 * math.cos(math.radians(30))))],
)
def test_the_camera_is_six_away_and_looks_at_the_subject(horizontal, vertical, place):
    camera = camera_angle(horizontal, vertical, 10.0).camera_info
    assert [camera["position"][axis] for axis in "xyz"] == pytest.approx(place, abs=1e-9)
    assert camera["target"] == {"x": 0.0, "y": 0.0, "z": 0.0}
    assert (camera["zoom"], camera["fov"]) == (1.875, 35.0)
    assert camera_angle(0, 0, 0.0).camera_info["zoom"] == 1.0
