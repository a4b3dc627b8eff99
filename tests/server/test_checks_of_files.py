"""Files of other kinds than pictures, as inputs of jobs."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

KINDS = {
    "film.webm": ("LoadVideo", "file"),
    "tone.wav": ("LoadAudio", "audio"),
    "noise.latent": ("LoadLatent", "latent"),
    "dots.png": ("LoadImage", "image"),
}


def posted(whole: Any, name: str) -> Any:
    kind, field = KINDS[name]
    prompt = {
        "1": {"class_type": kind, "inputs": {field: name}},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    }
    return whole.ask("POST", "/api/prompt", msgspec.json.encode({"prompt": prompt}))


@pytest.mark.parametrize("name", KINDS)
def test_a_file_can_be_run_once_it_is_there_and_not_after(whole: Any, name: str) -> None:
    file = whole.base / "input" / name
    file.parent.mkdir(exist_ok=True)
    assert posted(whole, name).status == 400
    file.write_bytes(b"0")
    try:
        assert posted(whole, name).status == 200
        # What was found is remembered while the folder stays as it is.
        assert posted(whole, name).status == 200
    finally:
        file.unlink()
    assert posted(whole, name).status == 400
