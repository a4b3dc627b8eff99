"""Captions as JSON objects, in the form in which Fibo 2 was trained on them."""

from __future__ import annotations

import json
import math
from typing import Any

NOTHING = (
    '{"short_description":"","objects":[],"background_setting":"","lighting":{},"aesthetics":{},'
    '"photographic_characteristics":{},"style_medium":"","context":"","artistic_style":""}'
)
"""The caption that says nothing, which guidance goes away from."""

PICTURE = "<|vision_start|><|image_pad|><|vision_end|>"
"""What stands for a picture in a prompt to Qwen3-VL."""

_INSTRUCTION, _CAPTION = "edit_instruction", "structured_caption"
_SCORES = ("aesthetic_score", "preference_score")
_TEXTS = {"short_description", "text_render"}


def to_generate(prompt: str) -> str:
    """Return a caption without what is empty and without scores, as compact JSON; any other text as it is."""
    caption, _ = _parts(prompt)
    return caption if isinstance(caption, str) else _compact(caption)


def to_edit(prompt: str, pictures: int) -> str:
    """Return what is read to edit pictures: JSON of their places, the caption of the result where it is told, the instruction.

    A prompt without an instruction is one.
    """
    caption, instruction = _parts(prompt)
    names = ["image"] if pictures == 1 else [f"image_{number}" for number in range(1, pictures + 1)]
    told: dict[str, Any] = dict.fromkeys(names, PICTURE)
    if instruction is not None and caption:
        told[_CAPTION] = caption
    return _compact({**told, _INSTRUCTION: prompt if instruction is None else instruction})


def _parts(prompt: str) -> tuple[dict[str, Any] | str, Any]:
    """A prompt's caption, cleaned, and its instruction; a text that is no JSON object is the caption."""
    try:
        found = json.loads(prompt)
    except ValueError:
        return prompt, None
    if not isinstance(found, dict):
        return prompt, None
    instruction = found.pop(_INSTRUCTION, None)
    caption = found.get(_CAPTION, found)
    return (_cleaned(caption) if isinstance(caption, dict) else caption), instruction


def _cleaned(caption: dict[str, Any]) -> dict[str, Any]:
    kept = {name: _without_scores(value) for name, value in _filled(caption).items() if name not in _SCORES}
    if caption.keys() == _TEXTS:  # an empty list of texts says that there are none
        return {"short_description": kept.get("short_description", ""), "text_render": kept.get("text_render", [])}
    return {name: value for name, value in kept.items() if value != {}}


def _without_scores(value: Any) -> Any:
    return {name: one for name, one in value.items() if name not in _SCORES} if isinstance(value, dict) else value


def _filled(value: Any) -> Any:
    """Objects and lists without what is empty in them, however deep."""
    if isinstance(value, dict):
        return {name: kept for name, one in value.items() if not _is_empty(kept := _filled(one))}
    if isinstance(value, list):
        return [kept for one in value if not _is_empty(kept := _filled(one))]
    return value


def _is_empty(value: Any) -> bool:
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or (isinstance(value, str | dict | list) and not value)


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
