"""Names of model files as the dispatcher compares them."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.paths import Paths
from engine.worker.devices import own_device
from engine.worker.memory import model_name


def test_a_model_file_is_named_by_folder_and_name_as_inputs_name_it(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "base", models=[tmp_path / "more"])
    assert model_name(paths, tmp_path / "base/models/checkpoints/sd/a.safetensors") == "checkpoints/sd/a.safetensors"
    assert model_name(paths, tmp_path / "more/clip/b.safetensors") == "text_encoders/b.safetensors"
    assert model_name(paths, tmp_path / "elsewhere/c.safetensors") is None


def test_a_device_that_the_pool_or_the_settings_name_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SAFELIGHT_WORKER_DEVICE", raising=False)
    assert own_device("cuda:3") == "cuda:3"
    monkeypatch.setenv("SAFELIGHT_WORKER_DEVICE", "cpu")
    assert own_device("cuda:3") == "cpu"


@pytest.mark.parametrize(("index", "device"), [("0", "cuda:0"), ("1", "cuda:1"), ("2", "cuda:0"), ("", "cuda:0")])
def test_workers_take_turns_on_several_gpus(monkeypatch: pytest.MonkeyPatch, index: str, device: str) -> None:
    import torch

    monkeypatch.delenv("SAFELIGHT_WORKER_DEVICE", raising=False)
    monkeypatch.setenv("SAFELIGHT_WORKER_INDEX", index)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert own_device() == device
