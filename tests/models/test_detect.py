"""Widths and depths are read off names and shapes; what they do not say comes from metadata and the family."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.datatypes.parameterization import Parameterization
from engine.models import sd_keys
from engine.models.detect import detect, family_of_denoiser, family_of_text_width
from engine.models.errors import CheckpointError
from engine.models.families import families, family_named
from engine.models.networks.unet_sizes import controlnet_config, unet_config

Shapes = dict[str, tuple[int, ...]]

SD_LEVELS = {
    "block_out_channels": (320, 640, 1280, 1280),
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "layers_per_block": 2,
}


def shapes(state: dict[str, Any]) -> Shapes:
    return {name: tuple(value.shape) for name, value in state.items()}


def full_size_unet(**options: Any) -> Any:
    import torch
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    ups = ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3
    with torch.device("meta"):
        return UNet2DConditionModel(up_block_types=ups, **(SD_LEVELS | options))


def full_size_text(open_clip: bool) -> dict[str, Any]:
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel

    width, layers = (1024, 24) if open_clip else (768, 12)
    config = CLIPTextConfig(
        hidden_size=width, num_hidden_layers=layers, num_attention_heads=width // 64, intermediate_size=4 * width
    )
    with torch.device("meta"):
        state = CLIPTextModel(config).state_dict()
        if not open_clip:
            return sd_keys.text_to_original(state)
        return sd_keys.text_to_open_clip(state | {"text_projection.weight": torch.empty(1024, 1024)})


def full_size_vae() -> Any:
    import torch
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    with torch.device("meta"):
        return AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
        )


def full_size(version: int, **unet_options: Any) -> Shapes:
    if version == 2:
        unet_options = {"cross_attention_dim": 1024, "use_linear_projection": True} | unet_options
    else:
        unet_options = {"cross_attention_dim": 768} | unet_options
    unet, vae = full_size_unet(**unet_options), full_size_vae()
    return (
        shapes(sd_keys.unet_to_original(unet.state_dict(), unet.config))
        | shapes(sd_keys.vae_to_original(vae.state_dict(), vae.config))
        | shapes(full_size_text(open_clip=version == 2))
    )


@pytest.fixture(scope="module")
def sd15() -> Shapes:
    return full_size(1)


@pytest.fixture(scope="module")
def sd21() -> Shapes:
    return full_size(2)


def test_the_names_and_shapes_of_stable_diffusion_1_give_its_full_size_config(sd15: Shapes) -> None:
    assert len([name for name in sd15 if name.startswith(sd_keys.UNET_PREFIX)]) == 686
    assert len([name for name in sd15 if name.startswith(sd_keys.VAE_PREFIX)]) == 248
    found = detect(sd15)
    assert found.family == "sd1"
    assert found.parameterization == Parameterization(prediction="eps")
    unet = found.network
    assert unet["block_out_channels"] == [320, 640, 1280, 1280]
    assert unet["down_block_types"] == ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"]
    assert unet["up_block_types"] == ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3
    assert (unet["in_channels"], unet["layers_per_block"], unet["cross_attention_dim"]) == (4, 2, 768)
    assert (unet["attention_head_dim"], unet["use_linear_projection"]) == ([8, 8, 8, 8], False)
    assert (found.latent.channels, found.latent.downscale, found.latent.scale) == (4, 8, 0.18215)
    assert len(found.latent.rgb_factors) == 4
    text = found.text.config
    assert (text["hidden_size"], text["num_hidden_layers"], text["num_attention_heads"]) == (768, 12, 12)
    assert (text["vocab_size"], text["max_position_embeddings"], text["hidden_act"]) == (49408, 77, "quick_gelu")
    assert (found.text.stop_at, found.text.tokens.pad) == (-1, None)
    assert found.vae["block_out_channels"] == [128, 256, 512, 512]
    assert found.vae["latent_channels"] == 4


def test_the_names_and_shapes_of_stable_diffusion_2_give_its_full_size_config(sd21: Shapes) -> None:
    found = detect(sd21)
    assert found.family == "sd2"
    assert found.parameterization.prediction == "eps"
    assert found.network["cross_attention_dim"] == 1024
    assert (found.network["attention_head_dim"], found.network["use_linear_projection"]) == ([5, 10, 20, 20], True)
    text = found.text.config
    assert (text["hidden_size"], text["num_hidden_layers"], text["num_attention_heads"]) == (1024, 24, 16)
    assert (text["hidden_act"], text["projection_dim"]) == ("gelu", 1024)
    assert (found.text.stop_at, found.text.cut_layers, found.text.tokens.pad) == (-2, 0, 0)


def test_diffusers_names_give_the_same_config_as_original_ones(sd15: Shapes) -> None:
    module = full_size_unet(cross_attention_dim=768)
    assert unet_config(shapes(module.state_dict()), {}, family_named("sd1")) == detect(sd15).network


def test_a_full_size_controlnet_is_read_off_its_shapes_in_both_namings() -> None:
    import torch
    from diffusers.models.controlnets.controlnet import ControlNetModel

    with torch.device("meta"):
        module = ControlNetModel(cross_attention_dim=768, **SD_LEVELS)
    original = sd_keys.controlnet_to_original(module.state_dict(), module.config, prefix="")
    assert family_of_denoiser(shapes(original)).name == "sd1"
    assert (family_of_text_width(768).name, family_of_text_width(0).name) == ("sd1", "sd1")
    config = controlnet_config(shapes(original), {}, family_named("sd1"))
    assert config["conditioning_embedding_out_channels"] == [16, 32, 96, 256]
    assert config["block_out_channels"] == [320, 640, 1280, 1280]
    assert controlnet_config(shapes(module.state_dict()), {}, family_named("sd1")) == config


def test_a_nine_channel_unet_is_an_inpainting_checkpoint_and_of_version_2_predicts_eps() -> None:
    assert detect(full_size(1, in_channels=9)).network["in_channels"] == 9
    assert detect(full_size(2, in_channels=9)).parameterization.prediction == "eps"


def test_the_prediction_type_may_be_told_by_a_tensor_or_by_metadata(sd15: Shapes, sd21: Shapes) -> None:
    assert detect(sd15 | {"v_pred": (0,)}).parameterization.prediction == "v"
    told = detect(sd15 | {"v_pred": (0,), "ztsnr": (0,)}).parameterization
    assert (told.prediction, told.zero_terminal_snr) == ("v", True)
    assert detect(sd15, {"modelspec.prediction_type": "v"}).parameterization.prediction == "v"
    assert detect(sd21, {"modelspec.prediction_type": "epsilon"}).parameterization.prediction == "eps"


LAST_NORM = "output_blocks.11.1.transformer_blocks.0.norm1.bias"


@pytest.mark.parametrize(("spread", "prediction"), [(0.05, "eps"), (0.09, "eps"), (0.0901, "v"), (0.3, "v")])
def test_v_and_eps_of_stable_diffusion_2_are_told_by_the_spread_of_one_norms_biases(
    sd21: Shapes, spread: float, prediction: str
) -> None:
    asked: list[str] = []
    found = detect(sd21, spread=lambda name: asked.append(name) or spread)
    assert found.parameterization == Parameterization(prediction=prediction)
    assert asked == [f"model.diffusion_model.{LAST_NORM}"]


def test_the_spread_is_asked_only_where_nothing_else_tells(sd15: Shapes, sd21: Shapes) -> None:
    def never(name: str) -> float:
        raise AssertionError(name)

    assert detect(sd15, spread=never).parameterization.prediction == "eps"
    assert detect(full_size(2, in_channels=9), spread=never).parameterization.prediction == "eps"
    assert detect(full_size(2, in_channels=5), spread=never).parameterization.prediction == "eps"
    assert detect(sd21, {"modelspec.prediction_type": "epsilon"}, spread=never).parameterization.prediction == "eps"
    assert detect(sd21, {"modelspec.prediction_type": "v"}, spread=never).parameterization.prediction == "v"
    assert detect(sd21 | {"v_pred": (0,)}, spread=never).parameterization.prediction == "v"
    config = json.dumps({"parameterization": {"prediction": "v"}})
    assert detect(sd21, {"safelight.config": config}, spread=never).parameterization.prediction == "v"


def test_a_text_encoder_of_1024_is_stable_diffusion_2s_in_either_naming(sd21: Shapes) -> None:
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(hidden_size=1024, num_hidden_layers=23, num_attention_heads=16, intermediate_size=4096)
    with torch.device("meta"):
        state = shapes(CLIPTextModel(config).state_dict())
    found = detect({f"text_model.{name.removeprefix('text_model.')}": shape for name, shape in state.items()})
    assert found.family == "sd2"
    assert (found.text.config["hidden_act"], found.text.stop_at, found.text.cut_layers) == ("gelu", -2, 1)
    assert (found.text.tokens.pad, detect(sd21).text.tokens.pad) == (0, 0)


def test_metadata_says_what_tensors_do_not(sd15: Shapes) -> None:
    facts = {
        "unet": {"head_dim": 40, "norm_groups": 16},
        "vae": {"scale_factor": 1.0, "shift_factor": 0.5, "norm_groups": 8},
        "text": {"heads": 6, "act": "gelu", "max_length": 40, "bos": 1, "eos": 2, "pad": 3},
        "parameterization": {"prediction": "flow", "schedule": "flow", "shift": 3.0},
        "rgb_factors": [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]],
        "rgb_bias": [0.5, 0.25, 0.125],
    }
    found = detect(sd15, {"safelight.config": json.dumps(facts)})
    assert (found.network["attention_head_dim"], found.network["norm_num_groups"]) == ([8, 16, 32, 32], 16)
    assert (found.latent.scale, found.latent.shift, found.latent.rgb_bias) == (1.0, 0.5, (0.5, 0.25, 0.125))
    assert (found.text.config["num_attention_heads"], found.text.config["hidden_act"]) == (6, "gelu")
    tokens = found.text.tokens
    assert (tokens.max_length, tokens.start, tokens.end, tokens.pad) == (40, 1, 2, 3)
    assert found.parameterization == Parameterization(prediction="flow", schedule="flow", shift=3.0)


def test_another_familys_unet_is_refused_by_name(sd21: Shapes) -> None:
    prefix = "model.diffusion_model."
    other = sd21 | {f"{prefix}label_emb.0.0.weight": (1280, 2048), f"{prefix}label_emb.weight": (10, 1280)}
    with pytest.raises(CheckpointError, match=r"thing\.safetensors: .*does not know.*Stable Diffusion 2"):
        detect(other, where="thing.safetensors")


def test_a_file_of_something_else_is_refused_with_what_it_holds() -> None:
    with pytest.raises(CheckpointError, match=r"odd\.safetensors: not a checkpoint of a known family .*layer\.weight"):
        detect({"layer.weight": (3, 3)}, where="odd.safetensors")


def test_a_unet_without_its_first_tensors_is_refused_naming_one(sd15: Shapes) -> None:
    broken = {name: shape for name, shape in sd15.items() if not name.endswith("input_blocks.0.0.weight")}
    with pytest.raises(
        CheckpointError, match=r"Nearest is Stable Diffusion 1.*lacks tensor input_blocks\.0\.0\.weight"
    ):
        detect(broken)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"unet": 3}',
        '{"parameterization": {"prediction": "magic"}}',
        '{"unet": {"heads": "x"}}',
        '{"rgb_bias": 1}',
    ],
)
def test_unusable_metadata_is_refused(sd15: Shapes, text: str) -> None:
    with pytest.raises(CheckpointError, match=r"safelight\.config"):
        detect(sd15, {"safelight.config": text})


def test_no_two_families_share_a_network() -> None:
    import torch
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    sized = {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 80,
    }
    for width in (32, 768, 1024, 1280, 2048):
        for extra in ({}, sized):
            with torch.device("meta"):
                unet = UNet2DConditionModel(
                    block_out_channels=(32, 64),
                    down_block_types=("CrossAttnDownBlock2D",) * 2,
                    up_block_types=("CrossAttnUpBlock2D",) * 2,
                    cross_attention_dim=width,
                    **extra,
                )
            for state in (unet.state_dict(), sd_keys.unet_to_original(unet.state_dict(), unet.config, "")):
                fitting = [family.name for family in families() if family.fits(shapes(state))]
                told = {768: "sd1", 1024: "sd2"} if not extra else {1280: "sdxl_refiner", 2048: "sdxl"}
                if extra and width == 1024:  # in the original's names this is unCLIP's vector
                    assert fitting == (["sd2_unclip"] if "label_emb.0.0.weight" in state else [])
                    continue
                assert len(fitting) == 1, (width, fitting)
                assert fitting[:1] == [told[width]] if width in told else True
