"""Tiny control networks with random weights for the tiny models of other modules."""

from __future__ import annotations

from typing import Any

import torch


def filled(module: Any) -> Any:
    """A module whose output layers are not zero, as those of untrained control networks are."""
    for parameter in module.parameters():
        if not torch.count_nonzero(parameter):
            torch.nn.init.normal_(parameter, std=0.2)
    return module.eval().requires_grad_(False)


def flux_control(**told: Any) -> Any:
    """For `tests.families.flux_transformer`; one layer of each kind."""
    from engine.models.networks.flux_control import flux_control_net

    torch.manual_seed(21)
    return filled(
        flux_control_net(
            **{"extra_channels": 0, "num_layers": 1, "num_single_layers": 1, "guidance_embeds": True}
            | {"attention_head_dim": 16, "num_attention_heads": 2, "joint_attention_dim": 24}
            | {"pooled_projection_dim": 32, "axes_dims_rope": (2, 6, 8)}
            | told
        )
    )


def xlabs(state: dict[str, Any]) -> dict[str, Any]:
    """XLabs' names: FLUX.1's own for the layers, the hint's convolutions counted with what stands between them."""
    names = {f"input_hint_block.{part}": f"input_hint_block.{2 * i}" for i, part in enumerate(_HINT)}
    names |= {"controlnet_x_embedder": "pos_embed_input", "x_embedder": "img_in", "context_embedder": "txt_in"}
    for ours, theirs in (("timestep", "time"), ("text", "vector"), ("guidance", "guidance")):
        for i, layer in enumerate(("in_layer", "out_layer"), start=1):
            names[f"time_text_embed.{ours}_embedder.linear_{i}"] = f"{theirs}_in.{layer}"
    for ours, theirs in _BLOCK.items():
        names[f"transformer_blocks.0.{ours}"] = f"double_blocks.0.{theirs}"
    found: dict[str, Any] = {}
    for name, value in state.items():
        module, _, kind = name.rpartition(".")
        scale = "norm.query" in names.get(module, "") or "norm.key" in names.get(module, "")
        found[f"{names.get(module, module)}.{'scale' if scale else kind}"] = value
    for stream, parts in (("img", ("to_q", "to_k", "to_v")), ("txt", ("add_q_proj", "add_k_proj", "add_v_proj"))):
        for kind in ("weight", "bias"):
            rows = [found.pop(f"transformer_blocks.0.attn.{part}.{kind}") for part in parts]
            found[f"double_blocks.0.{stream}_attn.qkv.{kind}"] = torch.cat(rows)
    return found


_HINT = ("conv_in", *(f"blocks.{i}" for i in range(6)), "conv_out")
_BLOCK = {
    "norm1.linear": "img_mod.lin",
    "norm1_context.linear": "txt_mod.lin",
    "attn.norm_q": "img_attn.norm.query_norm",
    "attn.norm_k": "img_attn.norm.key_norm",
    "attn.norm_added_q": "txt_attn.norm.query_norm",
    "attn.norm_added_k": "txt_attn.norm.key_norm",
    "ff.net.0.proj": "img_mlp.0",
    "ff.net.2": "img_mlp.2",
    "ff_context.net.0.proj": "txt_mlp.0",
    "ff_context.net.2": "txt_mlp.2",
    "attn.to_out.0": "img_attn.proj",
    "attn.to_add_out": "txt_attn.proj",
}


def sd3_control(**told: Any) -> Any:
    """For `tests.families.sd3_transformer`."""
    from engine.models.networks.sd3_control import sd3_control_net

    torch.manual_seed(23)
    return filled(
        sd3_control_net(
            **{"sample_size": 16, "num_layers": 2, "attention_head_dim": 16, "num_attention_heads": 2}
            | {"joint_attention_dim": 96, "caption_projection_dim": 32, "pooled_projection_dim": 72}
            | {"pos_embed_max_size": 12}
            | told
        )
    )


def stability(state: dict[str, Any], kind: int, layers: int = 2) -> dict[str, Any]:
    """The names of Stability AI's network: stacked rows; and the number of its task."""
    found = {"control_type": torch.tensor([kind], dtype=torch.int32)}
    names = {
        "attn.to_out.0": "attn.proj",
        "norm1.linear": "adaLN_modulation.1",
        "ff.net.0.proj": "mlp.fc1",
        "ff.net.2": "mlp.fc2",
    }
    for name, value in state.items():
        new = name
        for ours, theirs in names.items():
            new = new.replace(f".{ours}.", f".{theirs}.")
        found[new] = value
    for i in range(layers):
        for part in ("weight", "bias"):
            rows = [found.pop(f"transformer_blocks.{i}.attn.to_{one}.{part}") for one in "qkv"]
            found[f"transformer_blocks.{i}.attn.qkv.{part}"] = torch.cat(rows)
    return found


def qwen_image_control(**told: Any) -> Any:
    """For `tests.tiny_qwen_image.transformer`."""
    from diffusers.models.controlnets.controlnet_qwenimage import QwenImageControlNetModel

    torch.manual_seed(22)
    return filled(
        QwenImageControlNetModel(
            num_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=48,
            axes_dims_rope=(4, 6, 6),
            **told,
        )
    )


def blockwise(*, masked: bool = False) -> Any:
    """DiffSynth's for `tests.tiny_qwen_image.transformer`."""
    from engine.models.networks.qwen_image_blocks import BlockwiseControl

    torch.manual_seed(24)
    return filled(BlockwiseControl(layers=2, width=32, channels=68 if masked else 64, masked=masked))


def z_image_control(*, version: str = "1.0") -> Any:
    """For `tests.tiny_z_image.z_transformer`, in its first layer, or in both."""
    from engine.models.networks.z_image_control import z_image_control_net

    torch.manual_seed(25)
    refined = {"1.0": None, "2.0": "control_layers", "2.1": "control_noise_refiner"}[version]
    return filled(
        z_image_control_net(
            **{"control_layers_places": [0, 1], "control_refiner_layers_places": [0], "dim": 64, "n_heads": 2}
            | {"n_kv_heads": 2, "n_refiner_layers": 1, "control_in_dim": 33 if refined else 16}
            | {"add_control_noise_refiner": refined}
        )
    )


def qwen_image_fun() -> Any:
    """For both layers of `tests.tiny_qwen_image.transformer`."""
    from engine.models.networks.qwen_image_fun import FunControl

    torch.manual_seed(26)
    return filled(FunControl(places=[0, 1], width=32, head=16, channels=132))


def xl_union(context: int, pooled: int) -> Any:
    """A union for `tests.families.xl_unet` of seven tasks."""
    from diffusers.models.controlnets.controlnet_union import ControlNetUnionModel

    from tests.families import TIMES

    return filled(
        ControlNetUnionModel(
            block_out_channels=(32, 64, 64),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            transformer_layers_per_block=(1, 1, 2),
            cross_attention_dim=context,
            attention_head_dim=(2, 4, 4),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=TIMES,
            projection_class_embeddings_input_dim=6 * TIMES + pooled,
            conditioning_embedding_out_channels=(16, 32, 32, 32),
            num_control_type=7,
            num_trans_channel=32,
            num_trans_head=4,
            num_proj_channel=32,
        )
    )


def lllite_anima(*, masked: bool = False, width: int = 32) -> Any:
    """For both layers of `tests.tiny_anima.transformer`."""
    from engine.models.networks.lllite_anima import AnimaLllite

    torch.manual_seed(27)
    names = ("self_attn_q_proj", "self_attn_k_proj", "self_attn_v_proj", "cross_attn_q_proj", "mlp_layer1")
    layers = {f"lllite_dit_blocks_{number}_{name}": width for number in range(2) for name in names[number:]}
    made = AnimaLllite(layers, 6, 10, 12, 4 if masked else 3, 1, [1, 2] if masked else [])
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return made.eval().requires_grad_(False)


def lllite_xl(*, convolution: bool = False) -> Any:
    """For some layers of `tests.families.xl_unet`, one at each size of the picture."""
    from engine.models.networks.lllite import Lllite

    torch.manual_seed(28)
    depths = [[4, 3, 4], [8, 4, 2]], [[4, 3, 4], [8, 4, 4]], [[4, 3, 4], [4, 4, 4], [8, 4, 2]]
    layers = {
        "input_blocks_3_1_transformer_blocks_0_attn1_to_q": (depths[1], 64),
        "input_blocks_3_1_transformer_blocks_0_attn2_to_q": (depths[1], 64),
        "input_blocks_5_1_transformer_blocks_1_attn1_to_v": (depths[2], 64),
        "middle_block_1_transformer_blocks_0_attn1_to_k": (depths[2], 64),
    }
    told = {f"lllite_unet_{name}": [shapes, width, 6, False] for name, (shapes, width) in layers.items()}
    if convolution:
        told["lllite_unet_input_blocks_1_0_in_layers_2"] = [depths[0], 32, 6, True]
    made = Lllite(told)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return made.eval().requires_grad_(False)
