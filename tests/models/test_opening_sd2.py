"""Stable Diffusion 2: v or eps by what the files hold, in every layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from engine.models import sd_keys
from engine.models.manager import ModelManager

LAST_NORM = "up_blocks.3.attentions.2.transformer_blocks.0.norm1.bias"
SPREADS = {"v": (-0.1, 0.1), "eps": (-0.08, 0.08)}
"""Halves of the biases: their standard deviation is 0.1 and 0.08."""


@pytest.fixture(scope="module")
def unet() -> Any:
    """As many blocks as the full-size one, each tiny."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    return UNet2DConditionModel(
        block_out_channels=(32,) * 4, cross_attention_dim=1024, attention_head_dim=1, use_linear_projection=True
    )


@pytest.fixture(params=SPREADS)
def prediction(request: pytest.FixtureRequest, unet: Any) -> str:
    low, high = SPREADS[request.param]
    unet.get_parameter(LAST_NORM).data = torch.tensor([low, high]).repeat(16)
    return str(request.param)


@pytest.mark.parametrize("naming", ["checkpoint", "original", "diffusers"])
def test_a_single_file_tells_it_by_its_tensor(tmp_path: Path, unet: Any, prediction: str, naming: str) -> None:
    state = unet.state_dict()
    if naming != "diffusers":
        prefix = sd_keys.UNET_PREFIX if naming == "checkpoint" else ""
        state = sd_keys.unet_to_original(state, unet.config, prefix)
    path = tmp_path / "model.safetensors"
    save_file({name: value.half().contiguous() for name, value in state.items()}, path)
    handle = ModelManager().denoiser(path)
    assert (handle.family, handle.parameterization.prediction) == ("sd2", prediction)


@pytest.mark.parametrize("told", [None, "v_prediction", "epsilon"])
def test_a_folders_scheduler_tells_it_before_the_tensor_does(
    tmp_path: Path, unet: Any, prediction: str, told: str | None
) -> None:
    unet.save_pretrained(tmp_path / "unet")
    (tmp_path / "model_index.json").write_text("{}")
    if told:
        (tmp_path / "scheduler").mkdir()
        (tmp_path / "scheduler" / "scheduler_config.json").write_text(json.dumps({"prediction_type": told}))
    expected = {"v_prediction": "v", "epsilon": "eps"}.get(told or "", prediction)
    assert ModelManager().checkpoint(tmp_path).model.parameterization.prediction == expected
