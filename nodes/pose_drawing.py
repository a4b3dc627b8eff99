"""Skeletons as OpenPose draws them (Cao et al. 2019), which networks that are steered by poses have learned from."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from PIL import Image, ImageDraw

Point = tuple[float, float] | None
"""A place in pixels; None for what is not seen."""

_LIMBS: Final = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 0), (0, 14),
    (14, 16), (0, 15), (15, 17),
)  # fmt: skip
"""Pairs of the body's 18 points: nose, neck, right arm, left arm, right leg, left leg, eyes, ears."""
_COLOURS: Final = (
    (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0), (0, 255, 85),
    (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255), (170, 0, 255), (255, 0, 255),
    (255, 0, 170), (255, 0, 85),
)  # fmt: skip
_HEAD: Final = frozenset({0, 14, 15, 16, 17})
_NECK: Final = 1
_FINGERS: Final = tuple((0 if joint % 4 == 1 else joint - 1, joint) for joint in range(1, 21))
"""Pairs of a hand's 21 points: the wrist, and five fingers of four."""
_FEET: Final = ((13, 0), (13, 1), (13, 2), (10, 3), (10, 4), (10, 5))
"""The body's left and right ankle, and the foot's big toe, small toe and heel at each."""
_SHADE: Final = 0.6
"""Of a limb's colour, against which joints stand out."""
_JOINT: Final = 4
_BLUE, _WHITE = (0, 0, 255), (255, 255, 255)


class Style(NamedTuple):
    """What is drawn of a person, and how thick."""

    body: bool = True
    hands: bool = True
    face: bool = True
    feet: bool = False
    head: bool = True
    stick: int = 4
    dot: int = 3


class Person(NamedTuple):
    """The points of a person, as many as there are."""

    body: Sequence[Point] = ()
    face: Sequence[Point] = ()
    hands: Sequence[Sequence[Point]] = ()
    feet: Sequence[Point] = ()


def drawn(people: Sequence[Person], width: int, height: int, style: Style) -> Image.Image:
    """Return a picture of people on black."""
    picture = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(picture)
    for person in people:
        _body(draw, person.body, style)
        if style.feet:
            _feet(draw, person, style)
        if style.hands:
            for hand in person.hands:
                _hand(draw, hand)
        if style.face:
            for point in person.face:
                _dot(draw, point, style.dot, _WHITE)
    return picture


def _shown(style: Style) -> frozenset[int]:
    """Points of the body that are drawn."""
    head = _HEAD if style.head else frozenset()
    body = frozenset(range(18)) - _HEAD if style.body else frozenset({_NECK} if style.head else ())
    return head | body


def _body(draw: Any, body: Sequence[Point], style: Style) -> None:
    shown = _shown(style)
    there = [point if number in shown else None for number, point in enumerate(body[:18])]
    for (start, end), colour in zip(_LIMBS, _COLOURS, strict=False):
        if max(start, end) < len(there):
            _limb(draw, there[start], there[end], style.stick, tuple(int(_SHADE * part) for part in colour))
    for point, colour in zip(there, _COLOURS, strict=False):
        _dot(draw, point, _JOINT, colour)


def _feet(draw: Any, person: Person, style: Style) -> None:
    for number, (ankle, toe) in enumerate(_FEET):
        if toe < len(person.feet):
            colour = _COLOURS[ankle]
            joint = person.body[ankle] if ankle < len(person.body) else None
            _limb(draw, joint, person.feet[toe], style.stick, tuple(int(_SHADE * part) for part in colour))
            _dot(draw, person.feet[number], _JOINT, colour)


def _hand(draw: Any, hand: Sequence[Point]) -> None:
    for number, (start, end) in enumerate(_FINGERS):
        if end < len(hand) and (first := hand[start]) and (last := hand[end]):
            red, green, blue = colorsys.hsv_to_rgb(number / len(_FINGERS), 1.0, 1.0)
            draw.line([first, last], fill=(round(255 * red), round(255 * green), round(255 * blue)), width=2)
    for point in hand:
        _dot(draw, point, _JOINT, _BLUE)


def _limb(draw: Any, start: Point, end: Point, thick: int, colour: tuple[int, ...]) -> None:
    """An ellipse from one point to the other."""
    if start is None or end is None:
        return
    middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    length, angle = math.dist(start, end) / 2, math.atan2(end[1] - start[1], end[0] - start[0])
    outline = []
    for step in range(36):
        along, across = length * math.cos(step * math.pi / 18), thick * math.sin(step * math.pi / 18)
        x = middle[0] + along * math.cos(angle) - across * math.sin(angle)
        y = middle[1] + along * math.sin(angle) + across * math.cos(angle)
        outline.append((x, y))
    draw.polygon(outline, fill=colour)


def _dot(draw: Any, point: Point, radius: int, colour: tuple[int, ...]) -> None:
    if point is not None:
        x, y = point
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)
