"""FLUX.2 in tiny, with random weights, in the layouts in which people have it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from tests.families import Tiny, save

AXES = (4, 4, 4, 4)


def transformer(*, guidance: bool) -> Any:
    from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel

    module = Flux2Transformer2DModel(
        in_channels=128,
        num_layers=2,
        num_single_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=48,
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


def write(base: Path, *, guidance: bool) -> Tiny:
    """Every part in a file of its own."""
    torch.manual_seed(8)
    modules = {"transformer": transformer(guidance=guidance), "vae": autoencoder()}
    tiny = Tiny(base, modules, {})
    told = {"safelight.config": json.dumps({"unet": {"axes": AXES}})}
    network = modules["transformer"]
    save(tiny.file("diffusion_models", "flux2.safetensors"), to_original(network.state_dict(), network.config), told)
    vae = modules["vae"]
    save(tiny.file("vae", "flux2-vae.safetensors"), autoencoder_to_original(vae.state_dict(), vae.config))
    return tiny
