"""Nodes that put more than one text to text encoders."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from nodes.conditioning_texts import text_encode_hidream, text_encode_lumina2


def context_of(encoder: Any) -> Any:
    """A node's context with one text encoder, whatever it is asked for."""
    return SimpleNamespace(models=SimpleNamespace(use=lambda clip: nullcontext(encoder)), warn=None)


@pytest.mark.parametrize(("system", "said"), [("superior", "superior images"), ("alignment", "high-quality images")])
def test_a_system_prompt_stands_before_the_prompt_of_lumina_2(system: str, said: str) -> None:
    encoder = SimpleNamespace(encode=lambda text, warn: (text, {"mask": 1}))
    [[text, told]] = text_encode_lumina2(context_of(encoder), system, "a (cat:1.2)", None)  # type: ignore[arg-type]
    assert text.startswith(f"You are an assistant designed to generate {said} with the ")
    assert text.endswith(" prompts. <Prompt Start> a (cat:1.2)")
    assert told == {"mask": 1}


def test_each_text_encoder_of_hidream_gets_its_text() -> None:
    encoder = SimpleNamespace(encode_each=lambda texts, warn: (texts, {}))
    [[texts, told]] = text_encode_hidream(context_of(encoder), None, "l", "g", "t", "m")  # type: ignore[arg-type]
    assert texts == {"clip_l": "l", "clip_g": "g", "t5xxl": "t", "llama": "m"}
    assert told == {}
