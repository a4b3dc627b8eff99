"""What runs again, and after a restart, in a graph with hooks, LoRAs in rows and LoRAs beside layers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import new_base
from tests.workflows.sessions import Session

KOHYA, DIFFUSERS = "kohya.safetensors", "diffusers.safetensors"


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


PROMPT: dict[str, Any] = {
    "checkpoint": node("CheckpointLoaderSimple", ckpt_name="tiny.safetensors"),
    "rows": node(
        "LoadLoraModel",
        model=["checkpoint", 0],
        **{"loras.0.lora_name": DIFFUSERS, "loras.0.strength": 0.2, "loras.0.enabled": True},
        **{"loras.1.lora_name": KOHYA, "loras.1.strength": 0.1, "loras.1.enabled": False},
    ),
    "beside": node("LoraLoaderBypassModelOnly", model=["rows", 0], lora_name=KOHYA, strength_model=0.1),
    "hook": node("CreateHookLora", lora_name=KOHYA, strength_model=0.5, strength_clip=0.5),
    "frame": node("CreateHookKeyframe", strength_mult=1.0, start_percent=0.0),
    "later": node("CreateHookKeyframe", strength_mult=0.5, start_percent=0.5, prev_hook_kf=["frame", 0]),
    "framed": node("SetHookKeyframes", hooks=["hook", 0], hook_kf=["later", 0]),
    "clip": node("SetClipHooks", clip=["checkpoint", 1], hooks=["framed", 0], apply_to_conds=True, schedule_clip=True),
    "positive": node("CLIPTextEncode", text="red apple", clip=["clip", 0]),
    "negative": node("CLIPTextEncode", text="", clip=["checkpoint", 1]),
    "empty": node("EmptyLatentImage", width=64, height=64, batch_size=1),
    "sampler": node(
        "KSampler",
        model=["beside", 0],
        positive=["positive", 0],
        negative=["negative", 0],
        latent_image=["empty", 0],
        seed=1,
        steps=4,
        cfg=3.0,
        sampler_name="euler",
        scheduler="normal",
        denoise=1.0,
    ),
    "shown": node("PreviewAny", source=["sampler", 0]),
}


@pytest.fixture
def base(tiny_sd, tmp_path, core_catalogue) -> Path:
    found = new_base(tmp_path / "base", core_catalogue)
    (found / "models").symlink_to(tiny_sd.base / "models")
    return found


@pytest.fixture
def session(base) -> Iterator[Session]:
    made = Session(base, PROMPT)
    yield made
    made.close()


def test_nothing_runs_again_and_a_keyframe_runs_what_it_changes(session):
    assert session.ran() == list(PROMPT)
    assert session.ran() == []
    assert session.ran(sampler__seed=2) == ["sampler", "shown"]
    moved = session.ran(later__start_percent=0.99)
    assert moved == ["later", "framed", "clip", "positive", "sampler", "shown"]
    weaker = session.ran(hook__strength_model=0.4)
    assert weaker == ["hook", "framed", "clip", "positive", "sampler", "shown"]


def test_after_a_restart_hooks_come_from_the_disk(base):
    first = Session(base, PROMPT)
    first.ran()
    first.close()
    second = Session(base, PROMPT)
    try:
        assert second.ran() == []
        assert second.ran(sampler__seed=3) == ["sampler", "shown"]
    finally:
        second.close()
