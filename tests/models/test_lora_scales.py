"""The scale that PEFT's config beside the tensors gives to each module: read off headers, no weights."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from engine.models.families import tower_of
from engine.models.header import Header
from engine.models.lora import match_text, match_unet

Q, K = "blocks.0.attn.to_q", "blocks.1.attn.to_k"
LOW_RANK = {
    f"{module}.lora_{side}.weight": shape for module in (Q, K) for side, shape in (("A", (4, 8)), ("B", (8, 4)))
}
LOKR = {f"{module}.lokr_w{i}": (2, 2) for module in (Q, K) for i in "12"}


def scales(
    config: dict[str, Any], shapes: dict[str, tuple[int, ...]], path: str = "/nowhere/lora.safetensors"
) -> dict[str, Any]:
    metadata = {"lora_adapter_metadata": json.dumps(config)} if config else {}
    header = Header(path=path, shapes=shapes, dtypes=dict.fromkeys(shapes, "F32"), metadata=metadata)
    changes = match_unet(header, [f"{Q}.weight", f"{K}.weight"], {}).changes
    return {name.removesuffix(".weight"): change.scale for name, change in changes.items()}


def test_alpha_is_divided_by_the_rank_of_the_tensors() -> None:
    assert scales({"r": 99, "lora_alpha": 6}, LOW_RANK) == {Q: 1.5, K: 1.5}
    assert scales({"r": 99}, LOW_RANK) == {Q: None, K: None}
    assert scales({}, LOW_RANK) == {Q: None, K: None}


def test_a_rank_stabilised_lora_is_divided_by_the_root() -> None:
    assert scales({"lora_alpha": 6, "use_rslora": True}, LOW_RANK) == {Q: 3.0, K: 3.0}


@pytest.mark.parametrize("pattern", ["to_q", "attn.to_q", Q])
def test_an_alpha_of_its_own_for_some_modules(pattern: str) -> None:
    assert scales({"lora_alpha": 6, "alpha_pattern": {pattern: 10}}, LOW_RANK) == {Q: 2.5, K: 1.5}


@pytest.mark.parametrize("pattern", ["q", "_q", "0.attn", "blocks.0"])
def test_a_pattern_names_the_end_of_a_path_in_whole_names(pattern: str) -> None:
    assert scales({"lora_alpha": 6, "alpha_pattern": {pattern: 10}}, LOW_RANK) == {Q: 1.5, K: 1.5}


def test_a_rank_of_its_own_for_some_modules_where_the_tensors_do_not_tell_it() -> None:
    config = {"r": 4, "alpha": 6, "rank_pattern": {"to_q": 2}}
    assert scales(config, LOKR) == {Q: 3.0, K: 1.5}
    assert scales({**config, "alpha_pattern": {"to_k": 10}}, LOKR) == {Q: 3.0, K: 2.5}
    assert scales(config, LOW_RANK) == {Q: 1.5, K: 1.5}


def test_what_is_told_for_the_unet_counts_before_what_is_told_for_all_and_not_for_the_text() -> None:
    config = {"lora_alpha": 6, "unet.lora_alpha": 8, "text_encoder.lora_alpha": 2}
    assert scales(config, LOW_RANK) == {Q: 2.0, K: 2.0}
    module = "text_model.encoder.layers.0.self_attn.q_proj"
    shapes = {f"text_encoder.{module}.lora_{side}.weight": (4, 4) for side in "AB"}
    header = Header(
        path="/nowhere/lora.safetensors",
        shapes=shapes,
        dtypes={},
        metadata={"lora_adapter_metadata": json.dumps(config)},
    )
    assert match_text(header, [f"{module}.weight"], tower_of("sd1", "clip_l")).changes[f"{module}.weight"].scale == 0.5


def test_the_config_may_lie_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"lora_alpha": 4, "use_rslora": True}))
    assert scales({}, LOW_RANK, str(tmp_path / "lora.safetensors")) == {Q: 4 / math.sqrt(4), K: 4 / math.sqrt(4)}
