"""diffusers folders of families whose networks read text by cross-attention, and of HunyuanImage: what they hold is what is loaded."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.models.manager import ModelManager
from tests import tiny_cosmos, tiny_hunyuan_dit, tiny_hunyuan_image, tiny_pixart, tiny_sana

Told = tuple[Any, Mapping[str, Any], Mapping[str, str]]
FAMILIES: Mapping[str, Told] = {
    "cosmos_predict2": (tiny_cosmos, {}, {"tokenizer": "t5"}),
    "pixart_alpha": (tiny_pixart, {"alpha": True}, {"tokenizer": "t5"}),
    "pixart_sigma": (tiny_pixart, {"alpha": False}, {"tokenizer": "t5"}),
    "hunyuan_dit": (tiny_hunyuan_dit, {}, {"tokenizer": "bert", "tokenizer_2": "mt5"}),
    "hunyuan_image": (tiny_hunyuan_image, {}, {"tokenizer": "qwen2_5_vl"}),
    "sana": (tiny_sana, {}, {"tokenizer": "gemma2"}),
}
OWN = ("mlp_ratio", "in_channels", "concat_padding_mask", "interpolation_scale")
"""Which are told in another way, or made the same by another number."""


@pytest.mark.parametrize("name", FAMILIES)
def test_a_folder_of_diffusers_gives_every_part(name, tmp_path: Path) -> None:
    module, told, tokenizers = FAMILIES[name]
    tiny = module.write(tmp_path / "tiny", **told)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "model_index.json").write_text("{}")
    for part, made in tiny.modules.items():
        made.save_pretrained(folder / part)
    for part, kind in tokenizers.items():
        (folder / part).mkdir()
        shutil.copy(tiny.base / "models" / "text_encoders" / kind / "tokenizer.json", folder / part)
    manager = ModelManager()
    model, clip, vae = manager.checkpoint(folder)
    assert (model.family, clip.family, vae.family) == (name, name, name)
    for handle, part in ((model, "transformer"), (vae, "vae")):
        wanted = tiny.modules[part].state_dict()
        with manager.use(handle) as live:
            state = live.module.state_dict()
        assert state.keys() == wanted.keys()
        assert all(torch.equal(value, wanted[key]) for key, value in state.items())
    config = tiny.modules["transformer"].config
    known = {key: value for key, value in model.config.items() if key in config and key not in OWN}
    assert known == {key: list(config[key]) if isinstance(config[key], tuple) else config[key] for key in known}
    with manager.use(clip) as encoder:
        context, _ = encoder.encode("a red apple")
    assert context.shape[0] == 1
    assert context.isfinite().all()
