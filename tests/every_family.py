"""Every family in tiny, with random weights, as a workflow has it: a network, its text encoders and its VAE."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.models.families.base import named
from tests.conftest import Bench, _tokenizer_json, _write_tiny_sd, _write_tokenizer

Clip = tuple[tuple[Path, Path], str]
"""The files of a small vocabulary for CLIP's towers, and the same as a tokenizer.json."""

Write = Callable[[Path, Clip], object]


def _plain(writer: str, **told: Any) -> Write:
    return lambda base, clip: named(writer)(base, **told)


def _with_json(writer: str, **told: Any) -> Write:
    return lambda base, clip: named(writer)(base, clip[1], **told)


def _with_clip(writer: str, **told: Any) -> Write:
    return lambda base, clip: named(writer)(base, *clip, **told)


def _sd1(base: Path, clip: Clip) -> None:
    import torch

    torch.manual_seed(7)
    _write_tiny_sd(base)


def _sd2(base: Path, clip: Clip, **told: Any) -> None:
    import torch

    from tests import families, tiny_pixel

    torch.manual_seed(8)
    modules = {"unet": tiny_pixel.classed_unet(**told), "vae": families.vae()}
    tiny_pixel.write_sd2(base, *clip, "sd2", modules)


@dataclass(frozen=True)
class Member:
    """A family's files: its network (in `checkpoints` with all else, or in `diffusion_models`), `texts` with their loader's
    `type`, and the VAE, "" where the checkpoint has them."""

    write: Write
    network: str
    texts: tuple[str, ...] = ()
    type: str = ""
    vae: str = ""


MEMBERS: Mapping[str, Member] = {
    "sd1": Member(_sd1, "checkpoints/tiny"),
    "sd2": Member(_sd2, "checkpoints/sd2"),
    "sdxl": Member(_with_clip("tests.families:write_xl"), "checkpoints/xl"),
    "sdxl_refiner": Member(_with_clip("tests.families:write_xl", refiner=True), "checkpoints/xl"),
    "sd3": Member(_with_clip("tests.families:write_sd3", newer=True), "checkpoints/sd3"),
    "flux": Member(_with_clip("tests.families:write_flux"), "checkpoints/flux"),
    "schnell": Member(_with_clip("tests.families:write_flux", guidance=False), "checkpoints/flux"),
    "chroma": Member(_with_json("tests.tiny_chroma:write"), "diffusion_models/chroma", ("t5xxl",), "chroma", "ae"),
    "chroma_radiance": Member(
        _with_json("tests.tiny_radiance:write"), "diffusion_models/radiance", ("t5xxl",), "chroma", "pixel_space"
    ),
    "auraflow": Member(_plain("tests.tiny_auraflow:write_auraflow"), "checkpoints/auraflow"),
    "flux2": Member(
        _plain("tests.tiny_flux2:write", guidance=True), "diffusion_models/flux2", ("words",), "flux2", "flux2-vae"
    ),
    "flux2_klein": Member(
        _plain("tests.tiny_flux2:write", guidance=False), "diffusion_models/flux2", ("words",), "flux2", "flux2-vae"
    ),
    "flux3": Member(
        _plain("tests.tiny_flux3:write", flow_map=False), "diffusion_models/flux3", ("words",), "flux3", "flux2-vae"
    ),
    "flux3_distilled": Member(
        _plain("tests.tiny_flux3:write", flow_map=True), "diffusion_models/flux3", ("words",), "flux3", "flux2-vae"
    ),
    "z_image": Member(
        _plain("tests.tiny_z_image:write_z_image"), "diffusion_models/z_image", ("qwen_3_4b",), "lumina2", "ae"
    ),
    "z_image_omni": Member(
        _plain("tests.tiny_z_image:write_z_image_omni"),
        "diffusion_models/z_image",
        ("qwen_3_4b",),
        "lumina2",
        "ae",
    ),
    "lumina2": Member(_plain("tests.tiny_lumina2:write_lumina2"), "checkpoints/lumina2"),
    "qwen_image": Member(
        _plain("tests.tiny_qwen_image:write_qwen_image"),
        "diffusion_models/qwen_image",
        ("qwen_2.5_vl_7b",),
        "qwen_image",
        "qwen_image_vae",
    ),
    "qwen_image_layered": Member(
        _plain("tests.tiny_qwen_image:write_qwen_image", layered=True),
        "diffusion_models/qwen_image",
        ("qwen_2.5_vl_7b",),
        "qwen_image",
        "qwen_image_vae",
    ),
    "qwen_image21": Member(
        _plain("tests.tiny_qwen_image21:write_qwen_image21"),
        "diffusion_models/qwen_image_2.1",
        ("qwen3vl_8b",),
        "qwen_image",
        "qwen_image_2.1_vae",
    ),
    "krea2": Member(
        _plain("tests.tiny_krea2:write"), "diffusion_models/krea2", ("qwen3vl",), "krea2", "qwen_image_vae"
    ),
    "ideogram4": Member(
        _plain("tests.tiny_ideogram4:write"), "diffusion_models/ideogram4", ("qwen3vl",), "ideogram4", "flux2-vae"
    ),
    "ernie_image": Member(
        _plain("tests.tiny_ernie_image:write"), "diffusion_models/ernie", ("ministral-3-3b",), "flux2", "flux2-vae"
    ),
    "hidream": Member(
        _with_clip("tests.tiny_hidream:write_hidream"),
        "diffusion_models/hidream",
        ("clip_l_hidream", "clip_g_hidream", "t5xxl", "llama_3.1"),
        "hidream",
        "ae",
    ),
    "ovis_image": Member(_plain("tests.tiny_ovis:write_ovis"), "diffusion_models/ovis", ("ovis_2.5",), "ovis", "ae"),
    "longcat_image": Member(
        _plain("tests.tiny_longcat:write_longcat"),
        "diffusion_models/longcat",
        ("qwen_2.5_vl",),
        "longcat_image",
        "ae",
    ),
    "fibo2": Member(_plain("tests.tiny_fibo2:write"), "diffusion_models/fibo2", ("qwen3vl",), "fibo2", "flux2-vae"),
    "joyimage": Member(
        _plain("tests.tiny_joyimage:write"), "diffusion_models/joyimage", ("qwen3vl",), "joyimage", "wan_2.1_vae"
    ),
    "kandinsky5_image": Member(
        _with_clip("tests.tiny_kandinsky5:write"),
        "diffusion_models/kandinsky5",
        ("qwen", "clip_l"),
        "kandinsky5_image",
        "ae",
    ),
    "anima": Member(
        _plain("tests.tiny_anima:write"),
        "diffusion_models/anima",
        ("qwen_3_06b_base",),
        "stable_diffusion",
        "qwen_image_vae",
    ),
    "pixart_alpha": Member(
        _plain("tests.tiny_pixart:write", alpha=True), "diffusion_models/pixart", ("t5xxl",), "pixart", "sd_vae"
    ),
    "pixart_sigma": Member(
        _plain("tests.tiny_pixart:write", alpha=False), "diffusion_models/pixart", ("t5xxl",), "pixart", "sd_vae"
    ),
    "hunyuan_image": Member(
        _plain("tests.tiny_hunyuan_image:write"),
        "diffusion_models/hunyuan_image",
        ("qwen_2.5_vl_7b", "byt5_small_glyphxl"),
        "hunyuan_image",
        "hunyuan_image_vae",
    ),
    "hunyuan_dit": Member(_plain("tests.tiny_hunyuan_dit:write"), "checkpoints/hunyuan_dit"),
    "sana": Member(_plain("tests.tiny_sana:write"), "diffusion_models/sana", ("gemma_2_2b",), "sana", "dc_ae"),
    "omnigen2": Member(
        _plain("tests.tiny_omnigen2:write"), "diffusion_models/omnigen2", ("qwen_2.5_vl",), "omnigen2", "ae"
    ),
    "wan": Member(_plain("tests.tiny_wan:write"), "diffusion_models/wan", ("umt5_xxl",), "wan", "wan_2.1_vae"),
    "wan22": Member(
        _plain("tests.tiny_wan:write", second=True), "diffusion_models/wan", ("umt5_xxl",), "wan", "wan2.2_vae"
    ),
    "hunyuan_image_refiner": Member(
        _plain("tests.tiny_hunyuan_image_refiner:write_alone"),
        "diffusion_models/refiner",
        ("qwen_2.5_vl_7b", "byt5_small_glyphxl"),
        "hunyuan_image",
        "refiner_vae",
    ),
    "cosmos_predict2": Member(
        _plain("tests.tiny_cosmos:write"), "diffusion_models/cosmos", ("oldt5_xxl",), "cosmos", "wan_2.1_vae"
    ),
}


@dataclass
class Parts:
    """What loaders give of one family."""

    bench: Bench
    model: Any
    clip: Any
    vae: Any


def written(root: Path, name: str) -> Path:
    """Write a family's files into a base folder of its own."""
    base = root / name
    files = _write_tokenizer(root / "vocabulary" / name)
    MEMBERS[name].write(base, (files, _tokenizer_json(files)))
    return base


def loaded(base: Path, name: str) -> Parts:
    """Load them by our nodes, with a manager of their own."""
    from engine.models.manager import ModelManager
    from engine.paths import Paths
    from nodes import loaders

    member = MEMBERS[name]
    bench = Bench(ModelManager("cpu", tokenizer_dirs=[base / "models" / "text_encoders"]), Paths(base))
    folder, file = member.network.split("/")
    texts = [f"{one}.safetensors" for one in member.texts]
    if folder == "checkpoints":
        return Parts(bench, *loaders.checkpoint_loader(bench, f"{file}.safetensors"))
    model = loaders.denoiser_loader(bench, f"{file}.safetensors")
    clip = {1: loaders.text_encoder_loader, 2: loaders.dual_text_encoder_loader}.get(len(texts))
    if clip is not None:
        text = clip(bench, *texts, member.type)
    else:
        text = loaders.quadruple_text_encoder_loader(bench, *texts)
    vae = member.vae if member.vae == "pixel_space" else f"{member.vae}.safetensors"
    return Parts(bench, model, text, loaders.vae_loader(bench, vae))
