"""Captions for Fibo 2 against what the library's pipeline makes of the same prompts."""

from __future__ import annotations

import json

import pytest

from nodes.captions import NOTHING, to_edit, to_generate

PROMPTS = [
    "a red apple",
    "[1, 2]",
    '"quoted"',
    "{not json}",
    '{"short_description":"an apple","objects":[],"lighting":{"a":"","b":null,"c":["",{"d":{}}]},"aesthetic_score":7}',
    '{"short_description": "é", "aesthetics": {"aesthetic_score": 3, "preference_score": 2}, "n": NaN, "zero": 0, "no": false}',
    '{"short_description":"","text_render":[]}',
    '{"text_render":[{"text":"A","location":""}],"short_description":"sign"}',
    '{"edit_instruction":"make it blue"}',
    '{"edit_instruction":"make it blue","short_description":"a blue apple","objects":[{"description":""}]}',
    '{"edit_instruction":"make it blue","structured_caption":{"short_description":"a blue apple","context":""}}',
    '{"edit_instruction":"make it blue","structured_caption":"a blue apple"}',
    "{}",
]


def pipeline():
    from diffusers.pipelines.bria_fibo2.pipeline_bria_fibo2 import BriaFibo2Pipeline

    return BriaFibo2Pipeline


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("pictures", [1, 3])
def test_an_edit_is_read_as_the_pipeline_writes_it(prompt, pictures):
    assert to_edit(prompt, pictures) == pipeline()._get_edit_prompt(prompt, pictures)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_caption_is_read_as_the_pipeline_writes_it(prompt):
    caption, _ = pipeline()._parse_prompt(prompt)
    wanted = (
        caption if isinstance(caption, str) else json.dumps(caption or {}, separators=(",", ":"), ensure_ascii=False)
    )
    assert to_generate(prompt) == wanted


def test_the_caption_that_says_nothing_is_the_pipelines():
    from diffusers.pipelines.bria_fibo2.pipeline_bria_fibo2 import DEFAULT_NEGATIVE_PROMPT

    assert NOTHING == DEFAULT_NEGATIVE_PROMPT
