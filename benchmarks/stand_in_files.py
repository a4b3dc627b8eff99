"""Tiny files with random weights, under the names that the field's workflows ask for: one small record for each family.

What they hold is made by the writers of the tests (`tests/tiny_*.py`, `tests/families.py`), in the layouts in which people have
it. Which name belongs to which family and part was read off the field's saved workflows.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from engine.models.families.base import named

Write = Callable[[Path], object]
"""Makes a family's files below `base/models`."""


@dataclass(frozen=True)
class StandIn:
    """One family: what writes its files, and for each of them (folder/file) the names that workflows have.

    Those of `networks` say that a workflow is this family's. `loras`: names of LoRAs for the file `lora_of`.
    """

    family: str
    write: Write
    networks: Mapping[str, Sequence[str]]
    parts: Mapping[str, Sequence[str]]
    lora_of: str = ""
    loras: Sequence[str] = field(default_factory=tuple)

    def is_asked_for(self, names: set[str]) -> bool:
        """Say whether one of the files that are named is a network of this family."""
        return any(name in names for listed in self.networks.values() for name in listed)

    def place(self, base: Path) -> None:
        """Write its files below `base/models` under all of their names. Raises FileNotFoundError for one that is not written."""
        self.write(base)
        models = base / "models"
        for source, names in (*self.networks.items(), *self.parts.items()):
            for name in names:
                target = models / source.split("/")[0] / name
                if target.suffix == ".safetensors" and target.name != Path(source).name:
                    shutil.copy(models / source, target)
                elif target.name != Path(source).name:
                    _pickled(models / source, target)
        for name in self.loras:
            write_lora(models / self.lora_of, models / "loras" / name)


def _pickled(source: Path, target: Path) -> None:
    """The tensors of a file as older files have them. What its metadata tells is lost."""
    import torch

    from engine.models.checkpoints import load_tensors

    torch.save({"state_dict": {name: one.clone() for name, one in load_tensors(source).items()}}, target)


def write_lora(network: Path, target: Path) -> None:
    """A LoRA that hardly changes anything, in the names of the original layout, on a few weights of a network."""
    import torch
    from safetensors.torch import save_file

    from engine.models.checkpoints import read_header

    generator, tensors = torch.Generator().manual_seed(3), {}
    shapes = {
        name: one for name, one in read_header(network).shapes.items() if len(one) == 2 and name.endswith("weight")
    }
    for name, (rows, columns) in list(shapes.items())[-8:]:
        module = f"diffusion_model.{name.removeprefix('model.diffusion_model.').removesuffix('.weight')}"
        tensors[f"{module}.lora_A.weight"] = torch.randn(2, columns, generator=generator) * 0.01
        tensors[f"{module}.lora_B.weight"] = torch.randn(rows, 2, generator=generator) * 0.01
    target.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, target)


def _clip(base: Path) -> tuple[tuple[Path, Path], str]:
    """The files of a small vocabulary for CLIP's towers, and the same as a tokenizer.json."""
    from tests.conftest import _tokenizer_json, _write_tokenizer

    shutil.rmtree(base / "vocabulary", ignore_errors=True)
    files = _write_tokenizer(base / "vocabulary")
    text = _tokenizer_json(files)
    folder = base / "models" / "text_encoders" / "clip"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(text)
    return files, text


def _language(base: Path, family: str, name: str, width: int) -> None:
    """The language model of a family as its text encoder, `width` wide for each layer that is taken, with its tokenizer."""
    import torch

    from engine.models.families import family_named
    from engine.models.towers import kind_named
    from tests.conftest import _save
    from tests.tiny_towers import SPECIALS, bytes_tokenizer, write_tokenizer

    tower = next(one for one in family_named(family).towers if hasattr(kind_named(one.kind), "constants"))
    kind: Any = kind_named(tower.kind)
    specials = next((key for key in SPECIALS if tower.kind.startswith(key)), "mistral")
    write_tokenizer(base, tower.kind, specials)
    told: dict[str, Any] = {"heads": 2}
    if "mrope_section" in kind.constants.get("rope_parameters", {}):
        told["rope"] = {**kind.constants["rope_parameters"], "mrope_section": [1, 1, 2]}
    layers = tower.prompting.layers
    sizes = {
        "vocab_size": bytes_tokenizer(SPECIALS[specials]).get_vocab_size(),
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": max(*layers, *(1 - layer for layer in layers), 2),
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
    }
    rope = {"rope_parameters": told["rope"]} if "rope" in told else {}
    torch.manual_seed(3)
    module = kind.build({**kind.constants, **sizes, **rope})
    state = {f"model.{key}": value for key, value in module.state_dict().items()}
    facts = json.dumps({"family": family, "text": told})
    _save(base / "models" / "text_encoders" / name, state, {"safelight.config": facts})


def _plain(writer: str, **told: Any) -> Write:
    """What a writer of the tests, `module:name`, writes."""
    return lambda base: named(writer)(base, **told)


def _with_clip(writer: str, **told: Any) -> Write:
    """The same of one that is given CLIP's vocabulary, and may put it into its folder itself."""

    def made(base: Path) -> None:
        files, text = _clip(base)
        shutil.rmtree(base / "models" / "text_encoders")
        named(writer)(base, files, text, **told)
        _clip(base)

    return made


def _and_language(write: Write, family: str, width: int) -> Write:
    """The same, and the family's language model as `language.safetensors`."""

    def made(base: Path) -> None:
        write(base)
        _language(base, family, "language.safetensors", width)

    return made


def _sd1(base: Path) -> None:
    import torch

    _clip(base)
    torch.manual_seed(7)
    named("tests.conftest:_write_tiny_sd")(base)


def _sdxl(base: Path) -> None:
    """The base model and its refiner, which workflows run after one another."""
    folder, write = base / "models" / "checkpoints", _with_clip("tests.families:write_xl", refiner=True)
    write(base)
    (folder / "xl.safetensors").rename(folder / "refiner.safetensors")
    _with_clip("tests.families:write_xl")(base)


def _chroma(base: Path) -> None:
    _, text = _clip(base)
    shutil.rmtree(base / "models" / "text_encoders")
    named("tests.tiny_chroma:write")(base, text)


_T5: Final = ("t5xxl_fp16.safetensors", "t5xxl_fp8_e4m3fn.safetensors", "t5xxl_fp8_e4m3fn_scaled.safetensors")
_AE: Final = ("ae.safetensors", "ae.sft")
_FLUX2_VAES: Final = ("flux2-vae.safetensors", "full_encoder_small_decoder.safetensors")
_QWEN_VL: Final = ("qwen_2.5_vl_7b.safetensors", "qwen_2.5_vl_7b_fp8_scaled.safetensors")

FAMILIES: Final = (
    StandIn(
        family="sd1",
        write=_sd1,
        networks={
            "checkpoints/tiny.safetensors": (
                "v1-5-pruned-emaonly.ckpt",
                "v1-5-pruned-emaonly.safetensors",
                "v1-5-pruned-emaonly-fp16.safetensors",
                "dreamshaper_8.safetensors",
                "Anything-V3.0.ckpt",
                "cardosAnimated_v20.safetensors",
                "AbyssOrangeMix2_hard.safetensors",
                "cardosAnime_v10.safetensors",
            )
        },
        parts={
            "vae/tiny_vae.safetensors": ("vae-ft-mse-840000-ema-pruned.safetensors", "kl-f8-anime2.ckpt"),
            "controlnet/edges.safetensors": (
                "control_v11p_sd15_scribble_fp16.safetensors",
                "control_v11p_sd15_openpose_fp16.safetensors",
                "control_v11f1p_sd15_depth_fp16.safetensors",
                "diff_control_sd15_depth_fp16.safetensors",
            ),
        },
        lora_of="checkpoints/tiny.safetensors",
        loras=("epiNoiseoffset_v2.safetensors", "theovercomer8sContrastFix_sd15.safetensors"),
    ),
    StandIn(
        family="sdxl",
        write=_sdxl,
        networks={
            "checkpoints/xl.safetensors": (
                "sd_xl_base_1.0.safetensors",
                "sd_xl_1.0.safetensors",
                "sd_xl_turbo_1.0_fp16.safetensors",
                "sd_xl_turbo_1.0.safetensors",
            ),
            "checkpoints/refiner.safetensors": (
                "sd_xl_refiner_1.0.safetensors",
                "sd_xl_refiner_1.0_0.9vae.safetensors",
            ),
        },
        parts={},
        lora_of="checkpoints/xl.safetensors",
        loras=("lcm_lora_sdxl.safetensors",),
    ),
    StandIn(
        family="sd3",
        write=_with_clip("tests.families:write_sd3", newer=True),
        networks={
            "checkpoints/sd3.safetensors": (
                "sd3.5_large_fp8_scaled.safetensors",
                "sd3.5_large.safetensors",
                "sd3_medium_incl_clips_t5xxlfp8.safetensors",
                "sd3_medium.safetensors",
            )
        },
        parts={
            "text_encoders/clip_l.safetensors": ("clip_l.safetensors",),
            "text_encoders/clip_g.safetensors": ("clip_g.safetensors",),
            "text_encoders/t5xxl.safetensors": _T5,
        },
    ),
    StandIn(
        family="flux",
        write=_with_clip("tests.families:write_flux"),
        networks={
            "checkpoints/flux.safetensors": ("flux1-dev-fp8.safetensors",),
            "diffusion_models/flux.safetensors": (
                "flux1-dev.safetensors",
                "flux1-dev-fp8.safetensors",
                "flux1-krea-dev_fp8_scaled.safetensors",
                "flux1-dev-kontext_fp8_scaled.safetensors",
                "flux1-kontext-dev.safetensors",
            ),
        },
        parts={
            "vae/ae.safetensors": _AE,
            "text_encoders/clip_l.safetensors": ("clip_l.safetensors",),
            "text_encoders/t5xxl.safetensors": _T5,
        },
        lora_of="diffusion_models/flux.safetensors",
        loras=("flux1-depth-dev-lora.safetensors", "uso-flux1-dit-lora-v1.safetensors"),
    ),
    StandIn(
        family="schnell",
        write=_with_clip("tests.families:write_flux", guidance=False),
        networks={
            "checkpoints/flux.safetensors": ("flux1-schnell-fp8.safetensors",),
            "diffusion_models/flux.safetensors": ("flux1-schnell.safetensors",),
        },
        parts={
            "vae/ae.safetensors": _AE,
            "text_encoders/clip_l.safetensors": ("clip_l.safetensors",),
            "text_encoders/t5xxl.safetensors": _T5,
        },
    ),
    *(
        StandIn(
            family=family,
            write=_with_clip("tests.families:write_flux", in_channels=channels),
            networks={"diffusion_models/flux.safetensors": names},
            parts={
                "vae/ae.safetensors": _AE,
                "text_encoders/clip_l.safetensors": ("clip_l.safetensors",),
                "text_encoders/t5xxl.safetensors": _T5,
            },
            lora_of="diffusion_models/flux.safetensors",
            loras=("removal_timestep_alpha-2-1740.safetensors",),
        )
        for family, channels, names in (
            (
                "flux_fill",
                384,
                ("flux1-fill-dev.safetensors", "flux.1-fill-dev-OneReward-transformer_fp8.safetensors"),
            ),
            ("flux_canny", 128, ("flux1-canny-dev.safetensors", "flux1-depth-dev.safetensors")),
        )
    ),
    StandIn(
        family="chroma",
        write=_chroma,
        networks={
            "diffusion_models/chroma.safetensors": (
                "Chroma1-HD-fp8mixed.safetensors",
                "chroma-unlocked-v29.5.safetensors",
                "chroma-unlocked-v47-detail-calibrated.safetensors",
            )
        },
        parts={"vae/ae.safetensors": _AE, "text_encoders/t5xxl.safetensors": _T5},
    ),
    StandIn(
        family="flux2",
        write=_and_language(_plain("tests.tiny_flux2:write", guidance=True), "flux2", 16),
        networks={"diffusion_models/flux2.safetensors": ("flux2_dev_fp8mixed.safetensors",)},
        parts={
            "vae/flux2-vae.safetensors": _FLUX2_VAES,
            "text_encoders/language.safetensors": (
                "mistral_3_small_flux2_bf16.safetensors",
                "mistral_3_small_flux2_fp8.safetensors",
            ),
        },
        lora_of="diffusion_models/flux2.safetensors",
        loras=("Flux_2-Turbo-LoRA_comfyui.safetensors", "Flux2TurboComfyv2.safetensors"),
    ),
    StandIn(
        family="flux2_klein",
        write=_and_language(_plain("tests.tiny_flux2:write", guidance=False), "flux2_klein", 16),
        networks={
            "diffusion_models/flux2.safetensors": (
                "flux-2-klein-base-9b-fp8.safetensors",
                "flux-2-klein-9b-kv-fp8.safetensors",
                "flux-2-klein-base-4b-fp8.safetensors",
                "flux-2-klein-4b-fp8.safetensors",
                "flux-2-klein-9b-fp8.safetensors",
                "flux-2-klein-4b.safetensors",
                "flux-2-klein-base-4b.safetensors",
            )
        },
        parts={
            "vae/flux2-vae.safetensors": _FLUX2_VAES,
            "text_encoders/language.safetensors": ("qwen_3_8b_fp8mixed.safetensors", "qwen_3_4b.safetensors"),
        },
    ),
    StandIn(
        family="z_image",
        write=_plain("tests.tiny_z_image:write_z_image"),
        networks={
            "diffusion_models/z_image.safetensors": (
                "z_image_turbo_bf16.safetensors",
                "z_image_bf16.safetensors",
                "z_image_int8_convrot.safetensors",
                "z_image_turbo_int8_convrot.safetensors",
            )
        },
        parts={
            "vae/ae.safetensors": _AE,
            "text_encoders/qwen_3_4b.safetensors": ("qwen_3_4b.safetensors", "qwen_3_4b_fp8_mixed.safetensors"),
        },
        lora_of="diffusion_models/z_image.safetensors",
        loras=("pixel_art_style_z_image_turbo.safetensors",),
    ),
    StandIn(
        family="qwen_image",
        write=_plain("tests.tiny_qwen_image:write_qwen_image"),
        networks={
            "diffusion_models/qwen_image.safetensors": (
                "qwen_image_fp8_e4m3fn.safetensors",
                "qwen_image_2512_fp8_e4m3fn.safetensors",
                "qwen_image_edit_2509_fp8_e4m3fn.safetensors",
                "qwen_image_edit_2511_bf16.safetensors",
                "qwen_image_edit_2511_int8_convrot.safetensors",
                "qwen_image_edit_2511_fp8mixed.safetensors",
                "qwen_image_edit_fp8_e4m3fn.safetensors",
                "FireRed-Image-Edit-1.1-transformer.safetensors",
            )
        },
        parts={
            "vae/qwen_image_vae.safetensors": ("qwen_image_vae.safetensors",),
            "text_encoders/qwen_2.5_vl_7b.safetensors": _QWEN_VL,
        },
        lora_of="diffusion_models/qwen_image.safetensors",
        loras=(
            "Qwen-Image-Lightning-4steps-V1.0.safetensors",
            "Qwen-Image-2512-Lightning-4steps-V1.0-fp32.safetensors",
            "Qwen-Image-Lightning-8steps-V1.0.safetensors",
            "Wuli-Qwen-Image-2512-Turbo-LoRA-2steps-V1.0-bf16.safetensors",
            "qwen_image_union_diffsynth_lora.safetensors",
            "qwen-360-diffusion-2512-int8-bf16-v2.safetensors",
            "illustration-1.0-qwen-image.safetensors",
            "gummycandy_qwen.safetensors",
            "Qwen-Image-Edit-2509-Lightning-4steps-V1.0-bf16.safetensors",
            "Qwen-Image-Edit-2511-Lightning-4steps-V1.0-bf16.safetensors",
            "qwen-image-edit-2511-multiple-angles-lora.safetensors",
            "Qwen-Image-Edit-2509-Light-Migration.safetensors",
            "Qwen_Image_Edit_2511-SYSTMS_INFL8.safetensors",
            "FireRed-Image-Edit-1.0-Lightning-8steps-v1.0.safetensors",
            "Qwen-Image-Edit-Lightning-4steps-V1.0-bf16.safetensors",
            "Qwen-Image-Edit-2509-Relight.safetensors",
            "QWEN_EDIT_ACTION_V1.safetensors",
            "Qwen-Edit-2509-Multiple-angles.safetensors",
            "Qwen-Image-Edit-2509-Anything2RealAlpha.safetensors",
            "Qwen-Image-Edit-2509-Lightning-8steps-V1.0-bf16.safetensors",
        ),
    ),
    StandIn(
        family="qwen_image_layered",
        write=_plain("tests.tiny_qwen_image:write_qwen_image", layered=True),
        networks={
            "diffusion_models/qwen_image.safetensors": (
                "qwen_image_layered_bf16.safetensors",
                "qwen_image_layered_control_bf16.safetensors",
            )
        },
        parts={
            "vae/qwen_image_vae.safetensors": ("qwen_image_layered_vae.safetensors",),
            "text_encoders/qwen_2.5_vl_7b.safetensors": _QWEN_VL,
        },
    ),
    StandIn(
        family="qwen_image21",
        write=_plain("tests.tiny_qwen_image21:write_qwen_image21"),
        networks={
            "diffusion_models/qwen_image_2.1.safetensors": (
                "qwen_image_2.1_int8_convrot.safetensors",
                "qwen_image_2.1_turbo_int8_convrot.safetensors",
            )
        },
        parts={
            "vae/qwen_image_2.1_vae.safetensors": ("qwen_image_2.1_vae_bf16.safetensors",),
            "text_encoders/qwen3vl_8b.safetensors": ("qwen3vl_8b_int8_convrot.safetensors",),
        },
    ),
    StandIn(
        family="krea2",
        write=_plain("tests.tiny_krea2:write"),
        networks={
            "diffusion_models/krea2.safetensors": (
                "krea2_turbo_int8_convrot.safetensors",
                "krea2_turbo_fp8_scaled.safetensors",
            )
        },
        parts={
            "vae/qwen_image_vae.safetensors": ("qwen_image_vae.safetensors",),
            "text_encoders/qwen3vl.safetensors": ("qwen3vl_4b_fp8_scaled.safetensors",),
        },
        lora_of="diffusion_models/krea2.safetensors",
        loras=("krea2_darkbrush.safetensors", "krea2_style_reference.safetensors"),
    ),
    StandIn(
        family="ideogram4",
        write=_plain("tests.tiny_ideogram4:write"),
        networks={
            "diffusion_models/ideogram4.safetensors": (
                "ideogram4_fp8_scaled.safetensors",
                "ideogram4_int8_convrot.safetensors",
            ),
            "diffusion_models/unconditional.safetensors": (
                "ideogram4_unconditional_fp8_scaled.safetensors",
                "ideogram4_unconditional_int8_convrot.safetensors",
            ),
        },
        parts={
            "vae/flux2-vae.safetensors": _FLUX2_VAES,
            "text_encoders/qwen3vl.safetensors": ("qwen3vl_8b_fp8_scaled.safetensors",),
        },
    ),
    StandIn(
        family="ernie_image",
        write=_and_language(_plain("tests.tiny_ernie_image:write"), "ernie_image", 24),
        networks={
            "diffusion_models/ernie.safetensors": ("ernie-image.safetensors", "ernie-image-turbo.safetensors"),
        },
        parts={
            "vae/flux2-vae.safetensors": _FLUX2_VAES,
            "text_encoders/language.safetensors": ("ministral-3-3b.safetensors",),
        },
    ),
    StandIn(
        family="hidream",
        write=_with_clip("tests.tiny_hidream:write_hidream"),
        networks={
            "diffusion_models/hidream.safetensors": (
                "hidream_e1_1_bf16.safetensors",
                "hidream_e1_full_bf16.safetensors",
                "hidream_i1_dev_bf16.safetensors",
                "hidream_i1_dev_fp8.safetensors",
                "hidream_i1_fast_fp8.safetensors",
                "hidream_i1_full_fp8.safetensors",
                "hidream_i1_full_fp16.safetensors",
            )
        },
        parts={
            "vae/ae.safetensors": _AE,
            "text_encoders/clip_l_hidream.safetensors": ("clip_l_hidream.safetensors",),
            "text_encoders/clip_g_hidream.safetensors": ("clip_g_hidream.safetensors",),
            "text_encoders/t5xxl.safetensors": _T5,
            "text_encoders/llama_3.1.safetensors": ("llama_3.1_8b_instruct_fp8_scaled.safetensors",),
        },
    ),
    StandIn(
        family="lumina2",
        write=_plain("tests.tiny_lumina2:write_lumina2"),
        networks={
            "checkpoints/lumina2.safetensors": (
                "NetaYumev35_pretrained_all_in_one.safetensors",
                "lumina_2.safetensors",
            )
        },
        parts={},
    ),
    StandIn(
        family="ovis_image",
        write=_plain("tests.tiny_ovis:write_ovis"),
        networks={"diffusion_models/ovis.safetensors": ("ovis_image_bf16.safetensors",)},
        parts={
            "vae/ae.safetensors": _AE,
            "text_encoders/ovis_2.5.safetensors": ("ovis_2.5.safetensors",),
        },
    ),
    StandIn(
        family="kandinsky5_image",
        write=_with_clip("tests.tiny_kandinsky5:write"),
        networks={"diffusion_models/kandinsky5.safetensors": ("kandinsky5lite_t2i.safetensors",)},
        parts={
            "vae/ae.safetensors": _AE,
            "text_encoders/qwen.safetensors": _QWEN_VL,
            "text_encoders/clip_l.safetensors": ("clip_l.safetensors",),
        },
    ),
)


def families_for(names: set[str]) -> Iterator[StandIn]:
    """Yield the families whose networks are among the files that a workflow names."""
    return (one for one in FAMILIES if one.is_asked_for(names))
