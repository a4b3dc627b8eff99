"""FLUX.2 in tiny, with random weights, in the layouts in which people have it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from tests.families import Tiny, save
from tests.tiny_towers import library_tokenizer, tiny, write_tokenizer

AXES = (4, 4, 4, 4)


def transformer(*, guidance: bool) -> Any:
    from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel

    module = Flux2Transformer2DModel(
        in_channels=128,
        num_layers=2,
        num_single_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=96,
        timestep_guidance_channels=32,
        axes_dims_rope=AXES,
        guidance_embeds=guidance,
    )
    return module.eval().requires_grad_(False)


def to_original(state: dict[str, Any], config: Any) -> dict[str, Any]:
    """Black Forest Labs' own names: stacked rows, and shift before scale where the last norm is."""
    from engine.models.networks.flux2_sizes import fused, paths

    original: dict[str, Any] = {}
    for ours, theirs in paths(config).items():
        if f"{ours}.weight" in state:
            kind = "scale" if "_norm" in theirs else "weight"
            original[f"{theirs}.{kind}"] = state[f"{ours}.weight"]
    for theirs, parts in fused(config).items():
        values = [state[f"{part}.weight"] for part in parts]
        if len(values) == 1:
            values = list(values[0].chunk(2))[::-1]
        original[f"{theirs}.weight"] = torch.cat(values)
    return original


def autoencoder() -> Any:
    """With statistics that are not those of a new one, and a decoder of other widths than the encoder's."""
    from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2

    module = AutoencoderKLFlux2(
        block_out_channels=(32, 32, 32, 64), decoder_block_out_channels=(32, 32, 32, 32), layers_per_block=1
    )
    module.bn.running_mean.normal_()
    module.bn.running_var.uniform_(0.5, 2.0)
    return module.eval().requires_grad_(False)


def autoencoder_to_original(state: dict[str, Any], config: Any) -> dict[str, Any]:
    """Black Forest Labs' own names, with the two convolutions next to the latent inside of encoder and decoder."""
    from engine.models import sd_keys

    within = {"quant_conv": "encoder.quant_conv", "post_quant_conv": "decoder.post_quant_conv"}
    counted = {name: value for name, value in state.items() if name.startswith("bn.")}
    named = sd_keys.vae_to_original({n: v for n, v in state.items() if n not in counted}, config, "") | counted
    parted = {name: name.rpartition(".") for name in named}
    return {f"{within.get(module, module)}.{kind}": named[name] for name, (module, _, kind) in parted.items()}


CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant\n{% if not enable_thinking %}<think>\n\n</think>\n\n{% endif %}"
)
"""As much of Qwen3's template as a prompt needs."""


class Processor:
    """As much of Mistral's as a prompt needs: its template, and padding before it."""

    def __init__(self, words: Any) -> None:
        self.words = words

    def apply_chat_template(self, messages: Any, **told: Any) -> Any:
        put = {"system": "[SYSTEM_PROMPT]{}[/SYSTEM_PROMPT]", "user": "[INST]{}[/INST]"}
        texts = ["".join(put[one["role"]].format(one["content"][0]["text"]) for one in talk) for talk in messages]
        kept = {name: told[name] for name in ("padding", "truncation", "max_length", "return_tensors")}
        return self.words([f"<s>{text}" for text in texts], **kept)


def text_encoder(base: Path, *, guidance: bool) -> tuple[Any, Any]:
    """The language model, with the layers that are taken, and what the pipeline reads prompts with."""
    if guidance:
        from transformers import MistralConfig, MistralModel

        words = library_tokenizer(write_tokenizer(base, "mistral", "mistral"), "<pad>", padding_side="left")
        rope = {"rope_type": "default", "rope_theta": 1e9}
        told = {"head_dim": 8, "rope_parameters": rope, "rms_norm_eps": 1e-5, "sliding_window": None}
        return tiny(MistralConfig, MistralModel, len(words), num_hidden_layers=31, **told), Processor(words)
    from transformers import Qwen3Config, Qwen3Model

    words = library_tokenizer(write_tokenizer(base, "qwen3", "qwen"), "<|endoftext|>")
    words.chat_template = CHAT
    rope = {"rope_type": "default", "rope_theta": 1e6}
    return tiny(Qwen3Config, Qwen3Model, len(words), num_hidden_layers=28, head_dim=16, rope_parameters=rope), words


def write(base: Path, *, guidance: bool) -> Tiny:
    """Every part in a file of its own."""
    torch.manual_seed(8)
    modules = {"transformer": transformer(guidance=guidance), "vae": autoencoder()}
    modules["text_encoder"], tokenizer = text_encoder(base, guidance=guidance)
    made = Tiny(base, modules, {"tokenizer": tokenizer})
    told = {"safelight.config": json.dumps({"unet": {"axes": AXES}})}
    network = modules["transformer"]
    save(made.file("diffusion_models", "flux2.safetensors"), to_original(network.state_dict(), network.config), told)
    vae = modules["vae"]
    save(made.file("vae", "flux2-vae.safetensors"), autoencoder_to_original(vae.state_dict(), vae.config))
    family = "flux2" if guidance else "flux2_klein"  # whose a tiny width is does not show
    words = {"safelight.config": json.dumps({"family": family, "text": {"heads": 4}})}
    save(made.file("text_encoders", "words.safetensors"), modules["text_encoder"].state_dict(), words)
    return made
