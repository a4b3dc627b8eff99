"""The workflow of all three stages of DeepFloyd IF runs as it is written down, here on tiny networks and small pictures."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from tests.conftest import _tokenizer_json
from tests.families import t5, t5_tokenizer
from tests.tiny_pixel import UPSCALER, classed_unet, if_unet, smaller_vae, write_folder, write_sd2

WORKFLOW = Path(__file__).parents[2] / "docs" / "workflows" / "deepfloyd_if.json"
SMALL = {"width": 16, "height": 16, "steps": 2}


def test_the_three_stages_make_a_picture_sixteen_times_as_large(tiny_sd, tmp_path, capsys):
    from PIL import Image

    from engine.__main__ import main

    graph = json.loads(WORKFLOW.read_text())
    for node in graph.values():
        node["inputs"] |= {name: value for name, value in SMALL.items() if name in node["inputs"]}
    folders = [node["inputs"]["model_path"] for node in graph.values() if "model_path" in node["inputs"]]
    [checkpoint] = [node["inputs"]["ckpt_name"] for node in graph.values() if "ckpt_name" in node["inputs"]]
    torch.manual_seed(26)
    text = t5(24).eval()
    for name, second in zip(folders, (False, True), strict=True):
        folder = tmp_path / "models" / "diffusers" / name
        write_folder(
            folder, {"unet": if_unet(second=second), "text_encoder": text}, {}, {"beta_schedule": "squaredcos_cap_v2"}
        )
        (folder / "tokenizer").mkdir()
        (folder / "tokenizer" / "tokenizer.json").write_text(t5_tokenizer().to_str())
    files = tiny_sd.tokenizer_files
    modules = {"unet": classed_unet(**UPSCALER), "vae": smaller_vae()}
    tiny = write_sd2(tmp_path, files, _tokenizer_json(files), "sd_x4", modules)
    tiny.file("checkpoints", "sd_x4.safetensors").rename(tiny.file("checkpoints", checkpoint))
    (tmp_path / "graph.json").write_text(json.dumps(graph))
    code = main(["run", str(tmp_path / "graph.json"), "--json", "--base-directory", str(tmp_path)])
    document = json.loads(capsys.readouterr().out)
    assert code == 0, document
    [output] = document["outputs"]
    assert Image.open(output["path"]).size == (256, 256)
