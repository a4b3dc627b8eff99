"""Stand-ins of control networks: ControlNets, and model patches, for the tiny networks of the tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from stand_in_files import SEEN, Part

from engine.models.families.base import named

Write = Callable[[Path, Path | None], object]


def control(maker: str, facts: dict[str, Any] | None = None, **told: Any) -> Write:
    """The control network that a maker of the tests, `module:name`, makes; `facts` is what its shapes do not tell."""

    def write(target: Path, network: Path | None) -> None:
        from tests.families import save

        metadata = {"safelight.config": json.dumps({"unet": facts})} if facts else {}
        save(target, named(f"tests.tiny_control:{maker}")(**told).state_dict(), metadata)

    return write


def stability(kind: int) -> Write:
    """Stability AI's of Stable Diffusion 3.5, of one task."""

    def write(target: Path, network: Path | None) -> None:
        from tests.families import save
        from tests.tiny_control import sd3_control
        from tests.tiny_control import stability as named_so

        told = {"joint_attention_dim": None, "use_pos_embed": False, "force_zeros_for_pooled_projection": False}
        facts = {"safelight.config": json.dumps({"unet": {"head_dim": 16}})}
        save(target, named_so(sd3_control(**told).state_dict(), kind), facts)

    return write


def t2i_adapter(target: Path, network: Path | None) -> None:
    """A T2I-Adapter in its authors' names, in which layers of all levels are counted through; old files have no other form."""
    import torch
    from diffusers.models.adapter import T2IAdapter

    torch.manual_seed(4)
    state = T2IAdapter(channels=[32, 64]).state_dict()
    names = {"body.0.resnets.": "body.", "body.1.resnets.0": "body.2", "body.1.resnets.1": "body.3"}
    names |= {"body.1.in_conv": "body.2.in_conv"}
    found = {}
    for name, value in state.items():
        bare = name.removeprefix("adapter.")
        begun = next((one for one in names if bare.startswith(one)), "")
        found[names.get(begun, "") + bare.removeprefix(begun)] = value
    torch.save(found, target)


def lllite(target: Path, network: Path | None) -> None:
    """Control-LLLite of Anima, for a picture, and a mask where it fills in."""
    from tests.families import save
    from tests.tiny_control import lllite_anima

    masked = "inpaint" in target.name
    told = {"lllite.inpaint_masked_input": "true", "lllite.aspp_dilations": "1,2"} if masked else {}
    save(target, lllite_anima(masked=masked).state_dict(), told)


def uso(target: Path, network: Path | None) -> None:
    """USO's projector, from what SigLIP's stand-in sees (four tokens) to the width of FLUX.1's."""
    import torch
    from safetensors.torch import save_file

    from engine.models.networks.uso import StyleProjector

    torch.manual_seed(4)
    save_file(StyleProjector(4, 3, SEEN, 32, False).state_dict(), target)


_QWEN: Final = {"axes": [4, 6, 6]}
CONTROLS: Final = (
    Part("controlnet", "t2iadapter_*", t2i_adapter, ("sd1",)),
    Part("controlnet", "instantx_flux_*", control("flux_control", {"axes": [2, 6, 8]}), ("flux",)),
    Part("controlnet", "sd3.5_large_controlnet_blur", stability(0), ("sd3",)),
    Part("controlnet", "sd3.5_large_controlnet_canny", stability(1), ("sd3",)),
    Part("controlnet", "sd3.5_large_controlnet_depth", stability(2), ("sd3",)),
    Part("controlnet", "Qwen-Image-InstantX-ControlNet-Union", control("qwen_image_control", _QWEN), ("qwen_image",)),
    Part(
        "controlnet",
        "Qwen-Image-InstantX-ControlNet-Inpainting",
        control("qwen_image_control", _QWEN, extra_condition_channels=4),
        ("qwen_image",),
    ),
    Part(
        "controlnet",
        "Qwen-Image-2512-Fun-Controlnet-Union-*",
        control("qwen_image_fun", {"control_layers": [0, 1]}),
        ("qwen_image",),
    ),
    Part("model_patches", "anima-lllite-*", lllite, ("anima",)),
    Part("model_patches", "uso-flux1-projector-*", uso, ("flux",)),
    Part("model_patches", "qwen_image_*_diffsynth_controlnet", control("blockwise"), ("qwen_image",)),
    Part(
        "model_patches",
        "Z-Image-Turbo-Fun-Controlnet-Union",
        control("z_image_control", {"control_layers_places": [0, 1]}),
        ("z_image",),
    ),
)
