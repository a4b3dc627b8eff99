"""A tiny JoyImage Edit with random weights, in the layout in which people have it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from tests import tiny_qwen3_vl, tiny_qwen_image
from tests.families import Tiny, save

TEXT = 16
"""Width of the text."""


def sizes(**told: Any) -> dict[str, Any]:
    few = {"hidden_size": 32, "num_attention_heads": 2, "text_dim": TEXT, "num_layers": 2, "rope_dim_list": [2, 6, 8]}
    return few | told


def transformer(**told: Any) -> Any:
    """Edit Plus's."""
    from diffusers.models.transformers.transformer_joyimage_edit_plus import JoyImageEditPlusTransformer3DModel

    return JoyImageEditPlusTransformer3DModel(**sizes(**told))


def plain_transformer() -> Any:
    """Edit's, which has the same tensors."""
    from diffusers.models.transformers.transformer_joyimage import JoyImageEditTransformer3DModel

    return JoyImageEditTransformer3DModel(**sizes()).eval().requires_grad_(False)


class Whole(torch.nn.Module):
    """A text encoder within the library's model that goes on writing."""

    dtype, device = torch.float32, torch.device("cpu")

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, **told: Any) -> Any:
        return self.model(**told)


def write(base: Path) -> Tiny:
    """Every part in a file of its own; the network under the prefix of checkpoints too."""
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan

    torch.manual_seed(26)
    module = transformer()
    for parameter in module.parameters():
        if not torch.count_nonzero(parameter):  # its tables of modulations
            torch.nn.init.normal_(parameter, std=0.3)
    with torch.no_grad():  # tiny encoders speak softly
        module.condition_embedder.text_embedder.linear_1.weight.mul_(30.0)
    vae = AutoencoderKLWan(base_dim=8).eval().requires_grad_(False)
    tiny = Tiny(base, {"transformer": module.eval().requires_grad_(False), "vae": vae}, {})
    tiny_qwen3_vl.add(tiny, TEXT)
    tiny.tokenizers["processor"] = tiny_qwen3_vl.Processor(tiny.tokenizers["tokenizer"])
    told = {"safelight.config": json.dumps({"unet": {"axes": [2, 6, 8]}})}
    save(tiny.file("diffusion_models", "joyimage.safetensors"), module.state_dict(), told)
    prefixed = {f"model.diffusion_model.{name}": value for name, value in module.state_dict().items()}
    save(tiny.file("diffusion_models", "prefixed.safetensors"), prefixed, told)
    save(tiny.file("vae", "wan_2.1_vae.safetensors"), tiny_qwen_image.to_original(vae.state_dict()))
    return tiny
