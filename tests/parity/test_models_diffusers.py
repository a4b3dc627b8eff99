"""Our single-file loading against the modules of diffusers and transformers, and our names against diffusers' converters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.loaders import single_file_utils as reference
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from engine.models import sd_keys
from engine.models.manager import ModelManager

TOLERANCE = 1e-5


def filled(module: torch.nn.Module) -> torch.nn.Module:
    """Give every parameter random values: norms and the zero convolutions of ControlNets would hide mistakes."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.05)
    return module.eval().requires_grad_(False)


def unet(levels: int = 2, **options: Any) -> Any:
    downs = ["CrossAttnDownBlock2D"] * (levels - 1) + ["DownBlock2D"]
    ups = ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * (levels - 1)
    sizes = {"block_out_channels": [32 * (i + 1) for i in range(levels)], "layers_per_block": 1, "norm_num_groups": 8}
    defaults = {"cross_attention_dim": 24, "attention_head_dim": 8, "down_block_types": downs, "up_block_types": ups}
    return filled(UNet2DConditionModel(**(sizes | defaults | options)))


def vae(levels: int = 3, **options: Any) -> Any:
    sizes = {"block_out_channels": [16 * (i + 1) for i in range(levels)], "layers_per_block": 2, "norm_num_groups": 8}
    types = {"down_block_types": ["DownEncoderBlock2D"] * levels, "up_block_types": ["UpDecoderBlock2D"] * levels}
    return filled(AutoencoderKL(**(sizes | types | options)))


def controlnet(**options: Any) -> Any:
    sizes = {"block_out_channels": [32, 64], "layers_per_block": 1, "norm_num_groups": 8, "cross_attention_dim": 24}
    types = {"down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"], "attention_head_dim": 8}
    return filled(ControlNetModel(**(sizes | types | options)))


def text_encoder(act: str = "quick_gelu", layers: int = 3) -> Any:
    config = CLIPTextConfig(
        hidden_size=32, num_hidden_layers=layers, num_attention_heads=2, intermediate_size=64, vocab_size=60,
        hidden_act=act, bos_token_id=58, eos_token_id=59, pad_token_id=0,
    )  # fmt: skip
    return filled(CLIPTextModel(config))


def canonical(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A text encoder's tensors with the `text_model.` level of transformers 4, which original files have."""
    state = module.state_dict()
    return {name if name.startswith("text_model.") else f"text_model.{name}": value for name, value in state.items()}


def write(path: Path, state: dict[str, torch.Tensor], **facts: Any) -> Path:
    facts = {"unet": {"heads": 8, "norm_groups": 8}, "vae": {"norm_groups": 8}, "text": {"heads": 2}} | facts
    metadata = {"safelight.config": json.dumps(facts), "safelight.tokenizer": tokenizer_json()}
    save_file({name: value.contiguous().clone() for name, value in state.items()}, path, metadata)
    return path


def tokenizer_json() -> str:
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {f"w{i}": i for i in range(58)} | {"<|startoftext|>": 58, "<|endoftext|>": 59}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<|endoftext|>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return str(tokenizer.to_str())


def assert_same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert value.shape == right[name].shape, name
        assert torch.equal(value, right[name]), name


UNETS = [{}, {"levels": 3, "layers_per_block": 2}, {"levels": 3, "use_linear_projection": True}, {"levels": 4}]


@pytest.mark.parametrize("options", UNETS, ids=str)
def test_unet_names_are_those_of_diffusers_own_converter_both_ways(options: dict[str, Any]) -> None:
    module = unet(**options)
    original = sd_keys.unet_to_original(module.state_dict(), module.config)
    assert_same(reference.convert_ldm_unet_checkpoint(dict(original), module.config), module.state_dict())
    assert_same(sd_keys.unet_to_diffusers(original, module.config), module.state_dict())


@pytest.mark.parametrize("options", [{}, {"levels": 4, "layers_per_block": 1}], ids=str)
def test_vae_names_are_those_of_diffusers_own_converter_both_ways(options: dict[str, Any]) -> None:
    module = vae(**options)
    original = sd_keys.vae_to_original(module.state_dict(), module.config)
    assert original["first_stage_model.encoder.mid.attn_1.q.weight"].ndim == 4
    assert_same(reference.convert_ldm_vae_checkpoint(dict(original), module.config), module.state_dict())
    assert_same(sd_keys.vae_to_diffusers(original, module.config), module.state_dict())


@pytest.mark.parametrize("layers", [1, 2])
def test_controlnet_names_are_those_of_diffusers_own_converter_both_ways(layers: int) -> None:
    module = controlnet(layers_per_block=layers)
    original = sd_keys.controlnet_to_original(module.state_dict(), module.config)
    assert_same(reference.convert_controlnet_checkpoint(dict(original), module.config), module.state_dict())
    assert_same(sd_keys.controlnet_to_diffusers(original, module.config), module.state_dict())


def test_text_names_are_those_of_diffusers_own_converters() -> None:
    state = canonical(text_encoder())
    assert_same(reference.convert_ldm_clip_checkpoint(sd_keys.text_to_original(state)), state)
    projection = {"text_projection.weight": torch.randn(32, 32)}
    stacked = sd_keys.text_to_open_clip(state | projection)
    assert stacked["cond_stage_model.model.transformer.resblocks.0.attn.in_proj_weight"].shape == (96, 32)
    converted = reference.convert_open_clip_checkpoint(text_encoder(), dict(stacked))
    ours = sd_keys.text_to_diffusers(stacked)
    assert_same({name: converted[name] for name in state}, {name: ours[name] for name in state})
    assert_same(ours, state | projection)


@pytest.mark.parametrize("options", UNETS, ids=str)
def test_the_unet_of_a_single_file_predicts_what_the_diffusers_module_does(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    module = unet(**options)
    path = write(tmp_path / "unet.safetensors", sd_keys.unet_to_original(module.state_dict(), module.config))
    manager = ModelManager()
    handle = manager.checkpoint(path).model
    x, t, context = torch.randn(2, 4, 16, 16), torch.tensor([1.0, 500.5]), torch.randn(2, 9, 24)
    with manager.use(handle) as network:
        assert (network(x, t, context) - module(x, t, context).sample).abs().max() <= TOLERANCE


def test_the_vae_of_a_single_file_codes_what_the_diffusers_module_does(tmp_path: Path) -> None:
    module = vae()
    path = write(tmp_path / "vae.safetensors", sd_keys.vae_to_original(module.state_dict(), module.config))
    manager = ModelManager()
    pixels, latent = torch.rand(2, 16, 24, 3), torch.randn(2, 4, 4, 6)
    with manager.use(manager.vae(path)) as autoencoder:
        expected = module.encode(pixels.movedim(-1, 1) * 2 - 1).latent_dist.mode()
        assert (autoencoder.encode(pixels) - expected).abs().max() <= TOLERANCE
        picture = (module.decode(latent).sample / 2 + 0.5).clamp(0, 1).movedim(1, -1)
        assert (autoencoder.decode(latent) - picture).abs().max() <= TOLERANCE


@pytest.mark.parametrize("naming", ["original", "bare original", "diffusers", "old diffusers"])
def test_a_vae_file_of_every_naming_gives_the_same_picture(tmp_path: Path, naming: str) -> None:
    module = vae()
    state = module.state_dict()
    if "original" in naming:
        prefix = "" if "bare" in naming else sd_keys.VAE_PREFIX
        state = sd_keys.vae_to_original(state, module.config, prefix)
    if naming == "old diffusers":
        old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
        for new, name in old.items():
            state = {
                key.replace(f"attentions.0.{new}.", f"attentions.0.{name}."): value for key, value in state.items()
            }
    manager, latent = ModelManager(), torch.randn(1, 4, 4, 4)
    with manager.use(manager.vae(write(tmp_path / "vae.safetensors", state))) as autoencoder:
        picture = (module.decode(latent).sample / 2 + 0.5).clamp(0, 1).movedim(1, -1)
        assert (autoencoder.decode(latent) - picture).abs().max() <= TOLERANCE


@pytest.mark.parametrize("stop_at", [-1, -2])
def test_the_text_encoder_of_a_single_file_encodes_as_transformers_does(tmp_path: Path, stop_at: int) -> None:
    module = text_encoder()
    path = write(tmp_path / "clip.safetensors", sd_keys.text_to_original(module.state_dict()))
    manager = ModelManager()
    ids = torch.tensor([[58, 5, 6, 7, *[59] * 73]])
    with manager.use(manager.text_encoder(path).with_last_layer(stop_at)) as encoder:
        encoded = encoder.encode("w5 w6 w7")
        context, pooled = encoded.context, encoded.pooled
    expected, last = text_reference(module, ids, stop_at)
    assert (context - expected).abs().max() <= TOLERANCE
    assert (pooled - last[:, 4]).abs().max() <= TOLERANCE


@pytest.mark.parametrize("layout", ["folder", "file", "inside a checkpoint"])
@pytest.mark.parametrize("projected", [False, True])
def test_a_text_encoder_that_transformers_saved_is_read_with_and_without_its_text_model_level(
    tmp_path: Path, layout: str, projected: bool
) -> None:
    plain = text_encoder()
    module: Any = CLIPTextModelWithProjection(plain.config) if projected else plain
    filled(module).save_pretrained(tmp_path / "encoder")
    saved = load_file(tmp_path / "encoder" / "model.safetensors")
    assert any(name.startswith("text_model.") for name in saved) == projected  # as transformers 5 saves them
    path = tmp_path / "encoder"
    if layout == "folder":
        (path / "tokenizer.json").write_text(tokenizer_json())
    else:
        prefix = "" if layout == "file" else sd_keys.CLIP_PREFIX
        path = write(tmp_path / "clip.safetensors", {prefix + name: value for name, value in saved.items()})
    manager = ModelManager()
    with manager.use(manager.text_encoder(path)) as encoder:
        encoded = encoder.encode("w5 w6 w7")
        context, pooled = encoded.context, encoded.pooled
    out = module(input_ids=torch.tensor([[58, 5, 6, 7, *[59] * 73]]))
    assert (context - out.last_hidden_state).abs().max() <= TOLERANCE
    expected = out.text_embeds if projected else out.last_hidden_state[:, 4]
    assert (pooled - expected).abs().max() <= TOLERANCE


def text_reference(module: Any, ids: torch.Tensor, stop_at: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Hidden states at a layer through the final norm, as diffusers' clip skip computes them; and the last layer's."""
    out = module(input_ids=ids, output_hidden_states=True)
    tower = getattr(module, "text_model", module)
    if stop_at == -1:
        return out.last_hidden_state, out.last_hidden_state
    return tower.final_layer_norm(out.hidden_states[stop_at]), out.last_hidden_state


def test_a_stable_diffusion_2_text_tower_stops_before_its_last_layer_and_pads_with_zeros(tmp_path: Path) -> None:
    module = text_encoder(act="gelu")
    projection = torch.randn(20, 32)  # (out, in) of a Linear
    state = sd_keys.text_to_open_clip(module.state_dict() | {"text_projection.weight": projection})
    assert state["cond_stage_model.model.text_projection"].shape == (32, 20)
    manager = ModelManager()
    handle = manager.text_encoder(write(tmp_path / "sd2.safetensors", state))
    assert (handle.family, handle.stop_at, handle.tokens.pad) == ("sd2", -2, 0)
    with manager.use(handle) as encoder:
        encoded = encoder.encode("w5 w6")
        context, pooled = encoded.context, encoded.pooled
    ids = torch.tensor([[58, 5, 6, 59, *[0] * 73]])
    expected, last = text_reference(module, ids, -2)
    assert (context - expected).abs().max() <= TOLERANCE
    assert (pooled - last[:, 3] @ projection.T).abs().max() <= TOLERANCE


@pytest.mark.parametrize("naming", ["control_model", "bare", "diffusers"])
def test_a_controlnet_of_either_naming_gives_the_residuals_of_the_diffusers_module(tmp_path: Path, naming: str) -> None:
    module = controlnet()
    state = module.state_dict()
    if naming != "diffusers":
        state = sd_keys.controlnet_to_original(
            state, module.config, "control_model." if naming == "control_model" else ""
        )
    manager = ModelManager()
    handle = manager.controlnet(write(tmp_path / "control.safetensors", state))
    x, t, context = torch.randn(2, 4, 8, 8), torch.tensor([20.0, 700.0]), torch.randn(2, 7, 24)
    hint = torch.rand(2, 3, 64, 64)
    with manager.use(handle) as control:
        ours = control(x, t, context, hint, 0.7)
    down, mid = module(x, t, context, hint, conditioning_scale=0.7, return_dict=False)
    assert len(ours["down"]) == len(down)
    for got, expected in zip([*ours["down"], ours["mid"]], [*down, mid]):
        assert (got - expected).abs().max() <= TOLERANCE


def test_a_unet_takes_controlnet_residuals_as_diffusers_does(tmp_path: Path) -> None:
    module, control_module = unet(), controlnet()
    path = write(tmp_path / "unet.safetensors", sd_keys.unet_to_original(module.state_dict(), module.config))
    x, t, context = torch.randn(1, 4, 8, 8), torch.tensor([300.0]), torch.randn(1, 7, 24)
    down, mid = control_module(x, t, context, torch.rand(1, 3, 64, 64), return_dict=False)
    manager = ModelManager()
    with manager.use(manager.checkpoint(path).model) as network:
        ours = network(x, t, context, control={"down": list(down), "mid": mid})
        plain = network(x, t, context)
    expected = module(
        x, t, context, down_block_additional_residuals=down, mid_block_additional_residual=mid, return_dict=False
    )[0]
    assert (ours - expected).abs().max() <= TOLERANCE
    assert (ours - plain).abs().max() > 100 * TOLERANCE


def test_an_inpainting_unet_takes_mask_and_masked_latent_as_nine_channels(tmp_path: Path) -> None:
    module = unet(in_channels=9)
    path = write(tmp_path / "inpaint.safetensors", sd_keys.unet_to_original(module.state_dict(), module.config))
    manager = ModelManager()
    handle = manager.checkpoint(path).model
    assert (handle.in_channels, handle.extra_channels, handle.latent.channels) == (9, 5, 4)
    x, extra, t, context = torch.randn(1, 4, 8, 8), torch.randn(1, 5, 8, 8), torch.tensor([9.0]), torch.randn(1, 3, 24)
    with manager.use(handle) as network:
        expected = module(torch.cat([x, extra], 1), t, context).sample
        assert (network(x, t, context, concat=extra) - expected).abs().max() <= TOLERANCE


def test_a_diffusers_folder_gives_what_the_single_file_gives(tmp_path: Path) -> None:
    parts = {"unet": unet(levels=3), "vae": vae(), "text_encoder": text_encoder()}
    for name, module in parts.items():
        module.save_pretrained(tmp_path / name)
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "tokenizer.json").write_text(tokenizer_json())
    (tmp_path / "scheduler").mkdir()
    scheduler = {"prediction_type": "v_prediction", "beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02}
    (tmp_path / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    (tmp_path / "model_index.json").write_text("{}")
    manager = ModelManager()
    model, clip, autoencoder = manager.checkpoint(tmp_path)
    assert (model.parameterization.prediction, model.parameterization.schedule) == ("v", "linear")
    x, t, context = torch.randn(1, 4, 16, 16), torch.tensor([77.0]), torch.randn(1, 7, 24)
    with manager.use(model) as network:
        assert (network(x, t, context) - parts["unet"](x, t, context).sample).abs().max() <= TOLERANCE
    with manager.use(clip) as encoder:
        ids = torch.tensor([[58, 5, *[59] * 75]])
        assert (
            encoder.encode("w5")[0] - parts["text_encoder"](input_ids=ids).last_hidden_state
        ).abs().max() <= TOLERANCE
    with manager.use(autoencoder) as live:
        latent = torch.randn(1, 4, 4, 4)
        picture = (parts["vae"].decode(latent).sample / 2 + 0.5).clamp(0, 1).movedim(1, -1)
        assert (live.decode(latent) - picture).abs().max() <= TOLERANCE
