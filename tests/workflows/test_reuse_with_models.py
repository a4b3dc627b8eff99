"""What runs again when a graph with models is edited, read off the executor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.sessions import Session

PROMPT: dict[str, Any] = {
    "checkpoint": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "tiny.safetensors"}},
    "lora": {
        "class_type": "LoRALoader",
        "inputs": {
            "model": ["checkpoint", 0],
            "clip": ["checkpoint", 1],
            "lora_name": "kohya.safetensors",
            "strength_model": 0.5,
            "strength_clip": 0.5,
        },
    },
    "positive": {"class_type": "TextEncode", "inputs": {"text": "red apple", "clip": ["lora", 1]}},
    "negative": {"class_type": "TextEncode", "inputs": {"text": "", "clip": ["lora", 1]}},
    "empty": {"class_type": "EmptyLatent", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
    "sampler": {
        "class_type": "KSampler",
        "inputs": {
            "model": ["lora", 0],
            "positive": ["positive", 0],
            "negative": ["negative", 0],
            "latent_image": ["empty", 0],
            "seed": 1,
            "steps": 2,
            "cfg": 3.0,
            "sampler_name": "euler",
            "scheduler": "normal",
            "denoise": 1.0,
        },
    },
    "decode": {"class_type": "VAEDecode", "inputs": {"samples": ["sampler", 0], "vae": ["checkpoint", 2]}},
    "shown": {"class_type": "PreviewImage", "inputs": {"images": ["decode", 0]}},
}


@pytest.fixture
def base(tiny_sd, tmp_path) -> Path:
    (tmp_path / "models").symlink_to(tiny_sd.base / "models")
    return tmp_path


@pytest.fixture
def session(base) -> Iterator[Session]:
    made = Session(base, PROMPT)
    yield made
    made.close()


def test_the_first_run_computes_everything_and_the_second_nothing(session):
    assert session.ran() == list(PROMPT)
    assert session.ran() == []


def test_a_lora_strength_for_the_model_alone_leaves_the_texts_as_they_are(session):
    session.ran()
    assert session.ran(lora__strength_model=0.25) == ["lora", "sampler", "decode", "shown"]
    assert session.ran(lora__strength_model=0.5) == []


def test_a_lora_strength_for_the_texts_alone_encodes_them_again(session):
    session.ran()
    again = session.ran(lora__strength_clip=0.25)
    assert again == ["lora", "positive", "negative", "sampler", "decode", "shown"]


def test_a_seed_runs_the_sampler_and_what_is_below_it(session):
    session.ran()
    assert session.ran(sampler__seed=2) == ["sampler", "decode", "shown"]


def test_another_name_of_a_sampler_gives_the_same_latent_and_stops_there(session):
    session.ran(sampler__sampler_name="dpmpp_2m_sde")
    assert session.ran(sampler__sampler_name="dpmpp_2m_sde_gpu") == ["sampler"]


def test_a_new_process_goes_on_where_the_last_one_stopped(session, base):
    session.ran()
    session.close()
    other = Session(base, PROMPT)
    try:
        assert other.ran() == []
        assert other.ran(sampler__seed=3) == ["sampler", "decode", "shown"]
    finally:
        other.close()
