"""The processor of pipelines whose text encoder sees pictures, over a tiny tokenizer."""

from __future__ import annotations

from typing import Any

from tests.models.test_towers_pictures import processor_of


class Processor:
    """Texts and pictures as the library's `Qwen2VLProcessor` gives them; `dropped`: tokens of the system's part of a chat."""

    def __init__(self, tokenizer: Any, kind: str, patch: int, dropped: int = 0) -> None:
        self.tokenizer = tokenizer
        self._pictures = processor_of(kind, patch)
        self._dropped = dropped

    def apply_chat_template(self, messages: Any, **told: Any) -> list[list[int]]:
        return [[0] * self._dropped]

    def __call__(self, text: list[str], images: Any = None, **told: Any) -> Any:
        from transformers import BatchFeature

        if images is None:
            return self.tokenizer(text, **told)
        alone = images if isinstance(images, list) else [images]
        seen = self._pictures([image.convert("RGB") for image in alone], return_tensors="pt")
        counts = iter((seen.image_grid_thw.prod(-1) // 4).tolist())
        pieces = text[0].split("<|image_pad|>")
        whole = pieces[0] + "".join("<|image_pad|>" * next(counts) + piece for piece in pieces[1:])
        given = self.tokenizer([whole], **told)
        token = self.tokenizer.convert_tokens_to_ids("<|image_pad|>")
        return BatchFeature({**given, **seen, "mm_token_type_ids": (given.input_ids == token).int()})


def told_of_pictures(encoder: Any, token: int) -> Any:
    """The encoder, told which tokens are pictures where a pipeline does not say it; without, it numbers them like text."""
    forward = encoder.forward

    def telling(input_ids: Any, **told: Any) -> Any:
        told.setdefault("mm_token_type_ids", (input_ids == token).int())
        return forward(input_ids=input_ids, **told)

    return telling
