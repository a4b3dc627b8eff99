"""What writes the stand-ins that no test of a family writes as a whole: parts beside networks, and some checkpoints."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from stand_in_controls import CONTROLS
from stand_in_files import PICKLES, SEEN, Part, Write

from engine.models.families.base import named

ALONE: Final = ("",)
"""For a workflow without a network."""


def plain(writer: str, **told: Any) -> Write:
    """What a writer of the tests, `module:name`, writes."""
    return lambda base: named(writer)(base, **told)


def seeing(writer: str) -> Callable[[Path, Path | None], object]:
    """What a writer of `tests/tiny_geometry.py` writes, a network that sees."""
    return lambda target, network: named(f"tests.tiny_geometry:{writer}")(target)


def with_clip(writer: str, *, files: bool = True, **told: Any) -> Write:
    """The same of one that is given CLIP's vocabulary, as a tokenizer.json and with `files` as its own two before that."""

    def made(base: Path) -> None:
        vocabulary, text = clip_words(base)
        shutil.rmtree(base / "models" / "text_encoders")
        named(writer)(base, *([vocabulary] if files else []), text, **told)
        clip_words(base)

    return made


def clip_words(base: Path) -> tuple[tuple[Path, Path], str]:
    """The files of a small vocabulary for CLIP's towers, and the same as a tokenizer.json."""
    from tests.conftest import _tokenizer_json, _write_tokenizer

    shutil.rmtree(base / "vocabulary", ignore_errors=True)
    files = _write_tokenizer(base / "vocabulary")
    text = _tokenizer_json(files)
    folder = base / "models" / "text_encoders" / "clip"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(text)
    return files, text


def sd1(base: Path) -> None:
    import torch

    clip_words(base)
    torch.manual_seed(7)
    named("tests.conftest:_write_tiny_sd")(base)
    shutil.rmtree(base / "models" / "loras")


def sdxl(base: Path) -> None:
    """The base model and its refiner, which workflows run after one another."""
    folder, write = base / "models" / "checkpoints", with_clip("tests.families:write_xl", refiner=True)
    write(base)
    (folder / "xl.safetensors").rename(folder / "refiner.safetensors")
    with_clip("tests.families:write_xl")(base)


def sd2(base: Path) -> None:
    """Stable Diffusion 2, for inpainting, of v, and unCLIP: as wide as its text is, since old files tell no family."""
    import torch

    from engine.models import sd_keys
    from tests.families import save, text_tower, vae
    from tests.tiny_pixel import UNCLIP, classed_unet, vision_to_open_clip, vision_tower

    torch.manual_seed(24)
    words = json.loads(clip_words(base)[1])["model"]["vocab"]
    width, decoder = 1024, vae()
    tower = text_tower(len(words), width, 2, "gelu").state_dict() | {"text_projection.weight": torch.eye(width)}
    shared = sd_keys.vae_to_original(decoder.state_dict(), decoder.config)
    shared |= sd_keys.text_to_open_clip(tower, "cond_stage_model.model.")
    seeing = vision_to_open_clip(vision_tower().state_dict(), "embedder.model.visual.")
    kinds: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "sd2": ({}, {}),
        "inpainting": ({"in_channels": 9}, {}),
        "unclip": (UNCLIP, seeing),
    }
    for name, (told, more) in kinds.items():
        sizes = {"cross_attention_dim": width, "block_out_channels": (64, 64, 64), "attention_head_dim": 1}
        unet = classed_unet(**sizes, **told)
        tensors = sd_keys.unet_to_original(unet.state_dict(), unet.config) | shared | more
        save(base / "models" / "checkpoints" / f"{name}.safetensors", {key: one.half() for key, one in tensors.items()})


def lotus(base: Path) -> None:
    """The network alone, and the text encoder of Stable Diffusion 2, which its node looks for, in a folder of its own."""
    import torch

    from engine.models import sd_keys
    from tests.families import save, text_tower
    from tests.tiny_pixel import classed_unet

    torch.manual_seed(31)
    width, words = 1024, json.loads(clip_words(base)[1])["model"]["vocab"]
    sizes = {"cross_attention_dim": width, "block_out_channels": (64, 64, 64), "attention_head_dim": 1}
    unet = classed_unet(**sizes, class_embed_type="projection", projection_class_embeddings_input_dim=4)
    original = sd_keys.unet_to_original(unet.state_dict(), unet.config, "")
    save(base / "models" / "diffusion_models" / "lotus.safetensors", original)
    tower = text_tower(len(words), width, 2, "gelu").state_dict() | {"text_projection.weight": torch.eye(width)}
    encoder = sd_keys.text_to_open_clip(tower, "cond_stage_model.model.")
    save(base / "models" / "text_encoders" / "open_clip_h" / "open_clip_h.safetensors", encoder)


def sd_vae(target: Path, network: Path | None) -> None:
    """That of Stable Diffusion 1 and 2."""
    import torch

    from engine.models import sd_keys
    from tests.families import save, vae

    torch.manual_seed(5)
    made = vae()
    save(target, sd_keys.vae_to_original(made.state_dict(), made.config, ""))


def cascade(base: Path) -> None:
    """Stage C with both encoders, and stage B with stage A."""
    import torch

    from tests.families import save, text_tower
    from tests.tiny_pixel import cascade_stage, cascade_to_original, paella, vision_to_open_clip, vision_tower

    torch.manual_seed(25)
    words = json.loads(clip_words(base)[1])["model"]["vocab"]
    text = text_tower(len(words), 48, 3, "gelu", projection=40).state_dict()
    shared = {f"text_encoder.{name}": one for name, one in text.items()}
    stage_a = {f"vae.{name.replace('embedding', 'codebook')}": one for name, one in paella().state_dict().items()}
    seeing = vision_to_open_clip(vision_tower().state_dict(), "clip_l_vision.")
    told = {"safelight.config": json.dumps({"unet": {"heads": [4, 4]}, "text": {"heads": 2}, "vision": {"heads": 2}})}
    for name, second, more in (("stage_c", False, seeing), ("stage_b", True, stage_a)):
        original = cascade_to_original(cascade_stage(second=second).state_dict(), second=second)
        tensors = {f"model.diffusion_model.{key}": one for key, one in original.items()} | shared | more
        save(base / "models" / "checkpoints" / f"{name}.safetensors", tensors, told)


def lora(target: Path, network: Path | None) -> None:
    """A LoRA that hardly changes anything, in the names of the original layout, on a few weights of a network."""
    import torch
    from safetensors.torch import save_file

    from engine.models.checkpoints import load_tensors

    if network is None:
        return
    generator, tensors, prefix = torch.Generator().manual_seed(3), {}, "model.diffusion_model."
    held = load_tensors(network)
    inner = [name for name in held if name.startswith(prefix)] or list(held)
    shapes = {name: held[name].shape for name in inner if held[name].ndim == 2 and name.endswith("weight")}
    for name, (rows, columns) in list(shapes.items())[-8:]:
        module = f"diffusion_model.{name.removeprefix(prefix).removesuffix('.weight')}"
        tensors[f"{module}.lora_A.weight"] = torch.randn(2, columns, generator=generator) * 0.01
        tensors[f"{module}.lora_B.weight"] = torch.randn(rows, 2, generator=generator) * 0.01
    save_file(tensors, target)


def control_lora(target: Path, network: Path | None) -> None:
    """A LoRA that widens FLUX.1's first layer, for a picture beside the latent."""
    import torch
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(4)
    columns, rows = 128, 32
    save_file(
        {
            "img_in.lora_A.weight": torch.randn(2, columns, generator=generator) * 0.01,
            "img_in.lora_B.weight": torch.randn(rows, 2, generator=generator) * 0.01,
            "img_in.lora_B.bias": torch.zeros(rows),
        },
        target,
    )


def clip_vision(target: Path, network: Path | None, *, projection: int = SEEN) -> None:
    """CLIP's vision tower, as transformers has it."""
    import torch
    from safetensors.torch import save_file
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(5)
    sizes = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 1}
    config = CLIPVisionConfig(**sizes, projection_dim=projection, image_size=28, patch_size=14)
    state = CLIPVisionModelWithProjection(config).state_dict()
    save_file({name: one for name, one in state.items() if not name.endswith("position_ids")}, target)


def siglip(target: Path, network: Path | None) -> None:
    """SigLIP's vision tower, of as many layers as USO looks at."""
    import torch
    from safetensors.torch import save_file
    from transformers import SiglipVisionConfig, SiglipVisionModel

    torch.manual_seed(5)
    sizes = {"hidden_size": SEEN, "intermediate_size": 48, "num_hidden_layers": 20, "num_attention_heads": 1}
    seeing = SiglipVisionModel(SiglipVisionConfig(**sizes, image_size=28, patch_size=14))
    save_file({f"vision_model.{name}": one for name, one in seeing.state_dict().items()}, target)


def redux(target: Path, network: Path | None) -> None:
    """FLUX.1 Redux, from what SigLIP sees to text."""
    import torch
    from diffusers.pipelines.flux.modeling_flux import ReduxImageEncoder
    from safetensors.torch import save_file

    torch.manual_seed(5)
    save_file(ReduxImageEncoder(redux_dim=SEEN, txt_in_features=24).state_dict(), target)


def language_model(kind: str) -> Callable[[Path, Path | None], None]:
    """One that writes, and sees where its kind does, with its tokenizer."""

    def write(target: Path, network: Path | None) -> None:
        import tempfile

        from tests.families import save
        from tests.models import test_towers_pictures, test_writing
        from tests.tiny_towers import library_tokenizer, write_tokenizer

        with tempfile.TemporaryDirectory() as folder:
            path = write_tokenizer(Path(folder), kind, "qwen")
            words = library_tokenizer(path, "<|endoftext|>")
            sees = test_towers_pictures.MODELS.get(kind)
            module, told = sees(words) if sees else (test_writing.qwen3(words, tied=True), {})
            facts = {"safelight.config": json.dumps({"text": told}), f"safelight.tokenizer.{kind}": path.read_text()}
        save(target, {name: one for name, one in module.state_dict().items() if "lm_head" not in name}, facts)

    return write


def qwen3_vl(target: Path, network: Path | None) -> None:
    """Qwen3-VL of as many layers as the published ones, of which families take deep ones, with its tokenizer."""
    import tempfile

    from tests import tiny_qwen3_vl
    from tests.families import Tiny

    with tempfile.TemporaryDirectory() as folder:
        tiny = Tiny(Path(folder), {}, {})
        tiny_qwen3_vl.add(tiny, 16)
        encoders = Path(folder) / "models" / "text_encoders"
        words = (encoders / "qwen3_vl" / "tokenizer.json").read_text()
        _with_words(encoders / "qwen3vl.safetensors", target, {"safelight.tokenizer.qwen3_vl": words})


def _with_words(source: Path, target: Path, told: dict[str, str]) -> None:
    from engine.models.checkpoints import load_tensors, read_header
    from tests.families import save

    save(target, dict(load_tensors(source)), read_header(source).metadata | told)


def upscaler(target: Path, network: Path | None) -> None:
    """Real-ESRGAN of one block, in its authors' names; what makes a picture twice as large reads four of its pixels at once."""
    import torch
    from safetensors.torch import save_file

    generator, tensors = torch.Generator().manual_seed(6), {}
    width, growth = 16, 32  # the library takes no other growth
    layers = {"conv_first": (12 if "x2" in target.name else 3, width), "conv_last": (width, 3)}
    layers |= dict.fromkeys(("conv_body", "conv_up1", "conv_up2", "conv_hr"), (width, width))
    for block in (1, 2, 3):
        for place in range(5):
            sides = width + place * growth, growth if place < 4 else width
            layers[f"body.0.rdb{block}.conv{place + 1}"] = sides
    for name, (inner, outer) in layers.items():
        tensors[f"{name}.weight"] = torch.randn(outer, inner, 3, 3, generator=generator) * 0.05
        tensors[f"{name}.bias"] = torch.zeros(outer)
    if target.suffix in PICKLES:
        torch.save({"params_ema": tensors}, target)
    else:
        save_file(tensors, target)


def hypernetwork(target: Path, network: Path | None) -> None:
    """Two layers each for the keys and the values of Stable Diffusion 1's tiny text, as the web UI writes it."""
    import torch

    torch.manual_seed(5)
    width = 32
    pair = tuple(
        {
            "linear.0.weight": torch.randn(2 * width, width) * 0.01,
            "linear.0.bias": torch.zeros(2 * width),
            "linear.2.weight": torch.randn(width, 2 * width) * 0.01,
            "linear.2.bias": torch.zeros(width),
        }
        for _ in range(2)
    )
    told = {"activation_func": "relu", "activate_output": False, "step": 10, "name": target.stem}
    torch.save({width: pair, **told}, target)


def embedding(target: Path, network: Path | None) -> None:
    """An embedding of two vectors of Stable Diffusion 2's text encoder, as the first programs for it wrote them."""
    import torch

    torch.manual_seed(5)
    torch.save({"string_to_param": {"*": torch.randn(2, 1024) * 0.01}}, target)


def conditioning(target: Path, network: Path | None) -> None:
    """Seven tokens of what Qwen-Image's stand-in takes, as SaveConditioning writes them."""
    import torch
    from safetensors.torch import save_file

    from engine.models.checkpoints import load_tensors

    if network is not None:
        width = load_tensors(network)["txt_in.weight"].shape[1]
        save_file({"conditioning": torch.randn(1, 7, width, generator=torch.Generator().manual_seed(8))}, target)


def wan_vision(target: Path, network: Path | None) -> None:
    """CLIP's vision tower of Wan 2.1, which sees as many patches as the published one."""
    from tests.families import save
    from tests.tiny_wan import vision

    save(target, vision().state_dict(), {"safelight.config": json.dumps({"vision": {"heads": 2, "act": "gelu"}})})


PARTS: Final = (
    *CONTROLS,
    Part("loras", "flux1-depth-dev-lora flux1-canny-dev-lora", control_lora, ("flux",)),
    Part("loras", "*", lora),
    Part(
        "clip_vision", "clip_vision_g", lambda target, network: clip_vision(target, network, projection=40), ("sdxl",)
    ),
    Part("clip_vision", "clip_vision_h", wan_vision, ("wan_sees", "wan_fun_control", "wan_camera")),
    Part("clip_vision", "clip_vision_*", clip_vision),
    Part("clip_vision", "sigclip_*", siglip),
    Part("style_models", "flux1-redux*", redux, ("flux",)),
    Part("text_encoders", "qwen3.5*", language_model("qwen3_5")),
    Part("text_encoders", "qwen3vl*", qwen3_vl, ALONE),
    Part("text_encoders", "qwen_3_*", language_model("qwen3"), ALONE),
    Part("embeddings", "marigold_v2_*_conditioning", conditioning, ("qwen_image",)),
    Part("embeddings", "SDA768", embedding, ("sd2",)),
    Part("vae", "vae-ft-mse-840000-*", sd_vae),
    Part("hypernetworks", "*", hypernetwork, ("sd1",)),
    Part("upscale_models", "RealESRGAN_*", upscaler),
    Part("background_removal", "birefnet*", seeing("write_birefnet")),
    Part("geometry_estimation", "depth_anything_3_mono*", seeing("write_depth")),
    Part("geometry_estimation", "moge_2_*", seeing("write_moge")),
)
