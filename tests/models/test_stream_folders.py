"""diffusers folders of families whose networks have one stream of tokens: what they give is what files of parts give."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.models.manager import ModelManager
from tests import tiny_ernie_image, tiny_fibo2, tiny_ideogram4, tiny_kandinsky5, tiny_krea2
from tests.conftest import _tokenizer_json
from tests.families import Tiny

FAMILIES = {
    "ernie_image": (tiny_ernie_image, {"tokenizer": "ministral3"}),
    "krea2": (tiny_krea2, {"tokenizer": "qwen3_vl"}),
    "ideogram4": (tiny_ideogram4, {"tokenizer": "qwen3_vl"}),
    "fibo2": (tiny_fibo2, {"processor": "qwen3_vl"}),
    "kandinsky5_image": (tiny_kandinsky5, {"tokenizer": "qwen2_5_vl", "tokenizer_2": "clip"}),
}


@pytest.fixture(params=FAMILIES)
def family(request, tiny_sd, tmp_path) -> tuple[str, Tiny, Path]:
    module, tokenizers = FAMILIES[request.param]
    told = (tiny_sd.tokenizer_files, _tokenizer_json(tiny_sd.tokenizer_files))
    tiny: Any = module.write(tmp_path / "tiny", *(told if request.param == "kandinsky5_image" else ()))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "model_index.json").write_text("{}")
    for name, part in tiny.modules.items():
        part.save_pretrained(folder / name)
    for name, kind in tokenizers.items():
        (folder / name).mkdir()
        shutil.copy(tiny.base / "models" / "text_encoders" / kind / "tokenizer.json", folder / name)
    return request.param, tiny, folder


def test_a_folder_of_diffusers_gives_every_part(family):
    name, tiny, folder = family
    manager = ModelManager()
    model, clip, vae = manager.checkpoint(folder)
    assert (model.family, clip.family, vae.family) == (name, name, name)
    for handle, part in ((model, "transformer"), (vae, "vae")):
        wanted = tiny.modules[part].state_dict()
        with manager.use(handle) as live:
            state = live.module.state_dict()
        assert state.keys() == wanted.keys()
        assert all(torch.equal(value, wanted[key]) for key, value in state.items() if value.is_floating_point())
    told = {key: value for key, value in tiny.modules["transformer"].config.items() if key in model.config}
    assert {key: json.loads(json.dumps(value)) for key, value in told.items()} == model.config
    with manager.use(clip) as encoder:
        context, _ = encoder.encode("a red apple")
    assert context.shape[0] == 1
    assert context.isfinite().all()
