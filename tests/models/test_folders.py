"""Folders as the library writes them give what single files give: network, text encoders with their tokenizers, VAE."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.models.encoded import ENCODERS
from tests.conftest import Bench, _tokenizer_json
from tests.families import Tiny
from tests.runs import bench_of

PROMPT = "a photo of the red apple on the tree"


def written(family: str, base: Path, tiny_sd: Any) -> tuple[Tiny, str, Callable[[Bench], Any]]:
    """A tiny model, the file of its network, and what loads its text encoders."""
    from nodes.loaders import quadruple_text_encoder_loader, text_encoder_loader

    def one(name: str, kind: str) -> Callable[[Bench], Any]:
        return lambda bench: text_encoder_loader(bench, f"{name}.safetensors", kind)

    if family == "z_image":
        from tests.tiny_z_image import write_z_image

        return write_z_image(base), "z_image", one("qwen_3_4b", "lumina2")
    if family == "lumina2":
        from tests.tiny_lumina2 import write_lumina2

        return write_lumina2(base), "lumina2", one("gemma_2_2b", "lumina2")
    if family == "auraflow":
        from tests.tiny_auraflow import write_auraflow

        return write_auraflow(base), "auraflow", one("pile_t5xl", "stable_diffusion")
    if family == "ovis_image":
        from tests.tiny_ovis import write_ovis

        return write_ovis(base), "ovis", one("ovis_2.5", "ovis")
    if family == "longcat_image":
        from tests.tiny_longcat import write_longcat

        return write_longcat(base), "longcat", one("qwen_2.5_vl", "longcat_image")
    from tests.tiny_hidream import write_hidream

    files = tiny_sd.tokenizer_files
    names = [f"{name}.safetensors" for name in ("llama_3.1", "clip_l_hidream", "t5xxl", "clip_g_hidream")]
    return (
        write_hidream(base, files, _tokenizer_json(files)),
        "hidream",
        lambda bench: quadruple_text_encoder_loader(bench, *names),
    )


def write_folder(tiny: Tiny, folder: Path) -> None:
    folder.mkdir()
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "Made up"}))
    for name, module in tiny.modules.items():
        module.save_pretrained(folder / name)
    for name, tokenizer in tiny.tokenizers.items():
        (folder / name).mkdir()
        (folder / name / "tokenizer.json").write_text(tokenizer.backend_tokenizer.to_str())


@pytest.mark.parametrize("family", ["z_image", "lumina2", "auraflow", "hidream", "ovis_image", "longcat_image"])
def test_a_folder_gives_what_files_give(family: str, tiny_sd: Any, tmp_path: Path) -> None:
    from nodes.conditioning import text_encode
    from nodes.loaders import denoiser_loader

    tiny, file, text_encoders = written(family, tmp_path / "files", tiny_sd)
    write_folder(tiny, tmp_path / "folder")
    bench = bench_of(tiny)
    model, clip, vae = bench.models.checkpoint(tmp_path / "folder")
    assert model is not None
    assert clip is not None
    assert vae is not None
    of_file = denoiser_loader(bench, f"{file}.safetensors")
    assert (model.family, model.config, model.parameterization) == (family, of_file.config, of_file.parameterization)
    with bench.models.use(model) as network:
        state = network.module.state_dict()
    wanted = tiny.modules["transformer"].state_dict()
    assert state.keys() == wanted.keys()
    assert all(torch.equal(value, wanted[name]) for name, value in state.items())
    [[context, told]], [[expected, options]] = (text_encode(bench, PROMPT, one) for one in (clip, text_encoders(bench)))
    assert torch.equal(context, expected)
    assert told.keys() == options.keys()
    assert told.pop(ENCODERS) == options[ENCODERS]
    assert all(torch.equal(value, options[name]) for name, value in told.items())


def _sd3(base: Path, tiny_sd: Any) -> Tiny:
    from tests.families import write_sd3

    return write_sd3(base, tiny_sd.tokenizer_files, _tokenizer_json(tiny_sd.tokenizer_files), newer=True)


def _refiner(base: Path, tiny_sd: Any) -> Tiny:
    """As wide as the published one where that tells it from the base."""
    from tests.families import clip_tokenizers, text_tower, vae, xl_unet

    words = len(json.loads(_tokenizer_json(tiny_sd.tokenizer_files))["model"]["vocab"])
    text = text_tower(words, 1280, 2, "gelu", projection=1280)
    modules = {"unet": xl_unet(1280, 1280, sizes=5), "vae": vae(), "text_encoder_2": text}
    tokenizer = clip_tokenizers(tiny_sd.tokenizer_files)["tokenizer_2"]
    return Tiny(base, {name: part.eval() for name, part in modules.items()}, {"tokenizer_2": tokenizer})


def _upscaler(base: Path, tiny_sd: Any) -> Tiny:
    """As wide as the published one where that tells it from other networks with a class."""
    from tests.families import clip_tokenizers, text_tower
    from tests.tiny_pixel import UPSCALER, classed_unet, smaller_vae

    words = len(json.loads(_tokenizer_json(tiny_sd.tokenizer_files))["model"]["vocab"])
    unet = classed_unet(**(UPSCALER | {"cross_attention_dim": 1024}))
    modules = {"unet": unet, "vae": smaller_vae(), "text_encoder": text_tower(words, 1024, 2, "gelu")}
    tokenizer = clip_tokenizers(tiny_sd.tokenizer_files)["tokenizer_2"]
    return Tiny(base, {name: part.eval() for name, part in modules.items()}, {"tokenizer": tokenizer})


def _chroma(base: Path, tiny_sd: Any) -> Tiny:
    from tests.tiny_chroma import write

    return write(base, _tokenizer_json(tiny_sd.tokenizer_files))


def _flux2_klein(base: Path, _: Any) -> Tiny:
    from tests.tiny_flux2 import write

    return write(base, guidance=False)


def _flux3(base: Path, _: Any) -> Tiny:
    from tests.tiny_flux3 import write

    return write(base, flow_map=False)


def _joyimage(base: Path, _: Any) -> Tiny:
    from tests.tiny_joyimage import write

    return write(base)


WRITERS: dict[str, tuple[Callable[[Path, Any], Tiny], str]] = {
    "sd3": (_sd3, ""),
    "sdxl_refiner": (_refiner, ""),
    "sd_x4": (_upscaler, ""),
    "chroma": (_chroma, ""),
    "flux2_klein": (_flux2_klein, "tokenizer qwen3"),
    "flux3": (_flux3, "tokenizer qwen3_vl"),
    "joyimage": (_joyimage, "tokenizer qwen3_vl"),
}
"""Who writes a family, and the folder that has its tokenizer, where the library's is not at hand."""


@pytest.mark.parametrize("family", WRITERS)
def test_a_folder_gives_every_part(family: str, tiny_sd: Any, tmp_path: Path) -> None:
    from engine.models.manager import ModelManager

    write, place = WRITERS[family]
    tiny, folder = write(tmp_path / "files", tiny_sd), tmp_path / "folder"
    if place:
        name, kind = place.split()
        (folder / name).mkdir(parents=True)
        told = tiny.file("text_encoders", kind) / "tokenizer.json"
        (folder / name / "tokenizer.json").write_text(told.read_text())
    else:
        folder.mkdir()
        for name, tokenizer in tiny.tokenizers.items():
            (folder / name).mkdir()
            (folder / name / "tokenizer.json").write_text(tokenizer.backend_tokenizer.to_str())
    (folder / "model_index.json").write_text("{}")
    for name, module in tiny.modules.items():
        module.save_pretrained(folder / name)
    manager = ModelManager("cpu")
    model, clip, vae = manager.checkpoint(folder)
    assert model.family == clip.family == vae.family == family
    network = "transformer" if "transformer" in tiny.modules else "unet"
    for handle, part in ((model, network), (vae, "vae")):
        wanted = tiny.modules[part].state_dict()
        with manager.use(handle) as live:
            state = live.module.state_dict()
        assert state.keys() == wanted.keys()
        assert all(torch.equal(value, wanted[key]) for key, value in state.items())
    with manager.use(clip) as encoder:
        context, _ = encoder.encode(PROMPT)
    assert context.shape[0] == 1
    assert context.isfinite().all()
