"""Which names of files belong to which family, and what is written under them; read off the field's saved workflows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stand_in_files import StandIn, listed, plain, sd1, sdxl, with_clip, with_clip_json

_T5: Final = listed("t5xxl_fp16 t5xxl_fp8_e4m3fn t5xxl_fp8_e4m3fn_scaled")
_AE: Final = listed("ae ae.sft")
_FLUX2_VAES: Final = listed("flux2-vae full_encoder_small_decoder")
_QWEN_VL: Final = listed("qwen_2.5_vl_7b qwen_2.5_vl_7b_fp8_scaled")

FAMILIES: Final = (
    StandIn(
        family="sd1",
        write=sd1,
        networks={
            "checkpoints/tiny.safetensors": listed(
                """v1-5-pruned-emaonly.ckpt v1-5-pruned-emaonly v1-5-pruned-emaonly-fp16 dreamshaper_8
Anything-V3.0.ckpt cardosAnimated_v20 AbyssOrangeMix2_hard cardosAnime_v10"""
            )
        },
        parts={
            "vae/tiny_vae.safetensors": listed("vae-ft-mse-840000-ema-pruned kl-f8-anime2.ckpt"),
            "controlnet/edges.safetensors": listed(
                """control_v11p_sd15_scribble_fp16 control_v11p_sd15_openpose_fp16
control_v11f1p_sd15_depth_fp16 diff_control_sd15_depth_fp16"""
            ),
        },
        lora_of="checkpoints/tiny.safetensors",
        loras=listed("epiNoiseoffset_v2 theovercomer8sContrastFix_sd15"),
    ),
    StandIn(
        family="sdxl",
        write=sdxl,
        networks={
            "checkpoints/xl.safetensors": listed("sd_xl_base_1.0 sd_xl_1.0 sd_xl_turbo_1.0_fp16 sd_xl_turbo_1.0"),
            "checkpoints/refiner.safetensors": listed("sd_xl_refiner_1.0 sd_xl_refiner_1.0_0.9vae"),
        },
        parts={},
        lora_of="checkpoints/xl.safetensors",
        loras=listed("lcm_lora_sdxl"),
    ),
    StandIn(
        family="sd3",
        write=with_clip("tests.families:write_sd3", newer=True),
        networks={
            "checkpoints/sd3.safetensors": listed(
                """sd3.5_large_fp8_scaled sd3.5_large sd3_medium_incl_clips_t5xxlfp8 sd3_medium"""
            )
        },
        parts={
            "text_encoders/clip_l.safetensors": listed("clip_l"),
            "text_encoders/clip_g.safetensors": listed("clip_g"),
            "text_encoders/t5xxl.safetensors": _T5,
        },
    ),
    StandIn(
        family="flux",
        write=with_clip("tests.families:write_flux"),
        networks={
            "checkpoints/flux.safetensors": listed("flux1-dev-fp8"),
            "diffusion_models/flux.safetensors": listed(
                """flux1-dev flux1-dev-fp8 flux1-krea-dev_fp8_scaled flux1-dev-kontext_fp8_scaled
flux1-kontext-dev"""
            ),
        },
        parts={
            "vae/ae.safetensors": _AE,
            "text_encoders/clip_l.safetensors": listed("clip_l"),
            "text_encoders/t5xxl.safetensors": _T5,
        },
        lora_of="diffusion_models/flux.safetensors",
        loras=listed("flux1-depth-dev-lora uso-flux1-dit-lora-v1"),
    ),
    StandIn(
        family="schnell",
        write=with_clip("tests.families:write_flux", guidance=False),
        networks={
            "checkpoints/flux.safetensors": listed("flux1-schnell-fp8"),
            "diffusion_models/flux.safetensors": listed("flux1-schnell"),
        },
        parts={
            "vae/ae.safetensors": _AE,
            "text_encoders/clip_l.safetensors": listed("clip_l"),
            "text_encoders/t5xxl.safetensors": _T5,
        },
    ),
    *(
        StandIn(
            family=family,
            write=with_clip("tests.families:write_flux", in_channels=channels),
            networks={"diffusion_models/flux.safetensors": names},
            parts={
                "vae/ae.safetensors": _AE,
                "text_encoders/clip_l.safetensors": listed("clip_l"),
                "text_encoders/t5xxl.safetensors": _T5,
            },
            lora_of="diffusion_models/flux.safetensors",
            loras=listed("removal_timestep_alpha-2-1740"),
        )
        for family, channels, names in (
            (
                "flux_fill",
                384,
                listed("flux1-fill-dev flux.1-fill-dev-OneReward-transformer_fp8"),
            ),
            ("flux_canny", 128, listed("flux1-canny-dev flux1-depth-dev")),
        )
    ),
    StandIn(
        family="chroma",
        write=with_clip_json("tests.tiny_chroma:write"),
        networks={
            "diffusion_models/chroma.safetensors": listed(
                """Chroma1-HD-fp8mixed chroma-unlocked-v29.5 chroma-unlocked-v47-detail-calibrated"""
            )
        },
        parts={"vae/ae.safetensors": _AE, "text_encoders/t5xxl.safetensors": _T5},
    ),
    StandIn(
        family="chroma_radiance",
        write=with_clip_json("tests.tiny_radiance:write"),
        networks={"diffusion_models/radiance.safetensors": listed("chroma-radiance-x0")},
        parts={"text_encoders/t5xxl.safetensors": _T5},
    ),
    StandIn(
        family="auraflow",
        write=plain("tests.tiny_auraflow:write_auraflow"),
        networks={
            "checkpoints/auraflow.safetensors": listed("aura_flow_0.1 aura_flow_0.2"),
        },
        parts={},
    ),
    StandIn(
        family="flux2",
        write=plain("tests.tiny_flux2:write", guidance=True),
        networks={"diffusion_models/flux2.safetensors": listed("flux2_dev_fp8mixed")},
        parts={
            "vae/flux2-vae.safetensors": _FLUX2_VAES,
            "text_encoders/words.safetensors": listed("mistral_3_small_flux2_bf16 mistral_3_small_flux2_fp8"),
        },
        lora_of="diffusion_models/flux2.safetensors",
        loras=listed("Flux_2-Turbo-LoRA_comfyui Flux2TurboComfyv2"),
    ),
    StandIn(
        family="flux2_klein",
        write=plain("tests.tiny_flux2:write", guidance=False),
        networks={
            "diffusion_models/flux2.safetensors": listed(
                """flux-2-klein-base-9b-fp8 flux-2-klein-9b-kv-fp8 flux-2-klein-base-4b-fp8
flux-2-klein-4b-fp8 flux-2-klein-9b-fp8 flux-2-klein-4b flux-2-klein-base-4b"""
            )
        },
        parts={
            "vae/flux2-vae.safetensors": _FLUX2_VAES,
            "text_encoders/words.safetensors": listed("qwen_3_8b_fp8mixed qwen_3_4b"),
        },
    ),
    StandIn(
        family="z_image",
        write=plain("tests.tiny_z_image:write_z_image"),
        networks={
            "diffusion_models/z_image.safetensors": listed(
                """z_image_turbo_bf16 z_image_bf16 z_image_int8_convrot z_image_turbo_int8_convrot"""
            )
        },
        parts={
            "vae/ae.safetensors": _AE,
            "text_encoders/qwen_3_4b.safetensors": listed("qwen_3_4b qwen_3_4b_fp8_mixed"),
        },
        lora_of="diffusion_models/z_image.safetensors",
        loras=listed("pixel_art_style_z_image_turbo"),
    ),
    StandIn(
        family="qwen_image",
        write=plain("tests.tiny_qwen_image:write_qwen_image"),
        networks={
            "diffusion_models/qwen_image.safetensors": listed(
                """qwen_image_fp8_e4m3fn qwen_image_2512_fp8_e4m3fn qwen_image_edit_2509_fp8_e4m3fn
qwen_image_edit_2511_bf16 qwen_image_edit_2511_int8_convrot qwen_image_edit_2511_fp8mixed
qwen_image_edit_fp8_e4m3fn FireRed-Image-Edit-1.1-transformer"""
            )
        },
        parts={
            "vae/qwen_image_vae.safetensors": listed("qwen_image_vae"),
            "text_encoders/qwen_2.5_vl_7b.safetensors": _QWEN_VL,
        },
        lora_of="diffusion_models/qwen_image.safetensors",
        loras=listed(
            """Qwen-Image-Lightning-4steps-V1.0 Qwen-Image-2512-Lightning-4steps-V1.0-fp32
Qwen-Image-Lightning-8steps-V1.0 Wuli-Qwen-Image-2512-Turbo-LoRA-2steps-V1.0-bf16
qwen_image_union_diffsynth_lora qwen-360-diffusion-2512-int8-bf16-v2
illustration-1.0-qwen-image gummycandy_qwen
Qwen-Image-Edit-2509-Lightning-4steps-V1.0-bf16
Qwen-Image-Edit-2511-Lightning-4steps-V1.0-bf16 qwen-image-edit-2511-multiple-angles-lora
Qwen-Image-Edit-2509-Light-Migration Qwen_Image_Edit_2511-SYSTMS_INFL8
FireRed-Image-Edit-1.0-Lightning-8steps-v1.0 Qwen-Image-Edit-Lightning-4steps-V1.0-bf16
Qwen-Image-Edit-2509-Relight QWEN_EDIT_ACTION_V1 Qwen-Edit-2509-Multiple-angles
Qwen-Image-Edit-2509-Anything2RealAlpha Qwen-Image-Edit-2509-Lightning-8steps-V1.0-bf16"""
        ),
    ),
    StandIn(
        family="qwen_image_layered",
        write=plain("tests.tiny_qwen_image:write_qwen_image", layered=True),
        networks={
            "diffusion_models/qwen_image.safetensors": listed("qwen_image_layered_bf16 qwen_image_layered_control_bf16")
        },
        parts={
            "vae/qwen_image_vae.safetensors": listed("qwen_image_layered_vae"),
            "text_encoders/qwen_2.5_vl_7b.safetensors": _QWEN_VL,
        },
    ),
    StandIn(
        family="qwen_image21",
        write=plain("tests.tiny_qwen_image21:write_qwen_image21"),
        networks={
            "diffusion_models/qwen_image_2.1.safetensors": listed(
                "qwen_image_2.1_int8_convrot qwen_image_2.1_turbo_int8_convrot"
            )
        },
        parts={
            "vae/qwen_image_2.1_vae.safetensors": listed("qwen_image_2.1_vae_bf16"),
            "text_encoders/qwen3vl_8b.safetensors": listed("qwen3vl_8b_int8_convrot"),
        },
    ),
    StandIn(
        family="krea2",
        write=plain("tests.tiny_krea2:write"),
        networks={"diffusion_models/krea2.safetensors": listed("krea2_turbo_int8_convrot krea2_turbo_fp8_scaled")},
        parts={
            "vae/qwen_image_vae.safetensors": listed("qwen_image_vae"),
            "text_encoders/qwen3vl.safetensors": listed("qwen3vl_4b_fp8_scaled"),
        },
        lora_of="diffusion_models/krea2.safetensors",
        loras=listed("krea2_darkbrush krea2_style_reference"),
    ),
    StandIn(
        family="ideogram4",
        write=plain("tests.tiny_ideogram4:write"),
        networks={
            "diffusion_models/ideogram4.safetensors": listed("ideogram4_fp8_scaled ideogram4_int8_convrot"),
            "diffusion_models/unconditional.safetensors": listed(
                """ideogram4_unconditional_fp8_scaled ideogram4_unconditional_int8_convrot"""
            ),
        },
        parts={
            "vae/flux2-vae.safetensors": _FLUX2_VAES,
            "text_encoders/qwen3vl.safetensors": listed("qwen3vl_8b_fp8_scaled"),
        },
    ),
    StandIn(
        family="ernie_image",
        write=plain("tests.tiny_ernie_image:write"),
        networks={
            "diffusion_models/ernie.safetensors": listed("ernie-image ernie-image-turbo"),
        },
        parts={
            "vae/flux2-vae.safetensors": _FLUX2_VAES,
            "text_encoders/ministral-3-3b.safetensors": listed("ministral-3-3b"),
        },
    ),
    StandIn(
        family="hidream",
        write=with_clip("tests.tiny_hidream:write_hidream"),
        networks={
            "diffusion_models/hidream.safetensors": listed(
                """hidream_e1_1_bf16 hidream_e1_full_bf16 hidream_i1_dev_bf16 hidream_i1_dev_fp8
hidream_i1_fast_fp8 hidream_i1_full_fp8 hidream_i1_full_fp16"""
            )
        },
        parts={
            "vae/ae.safetensors": _AE,
            "text_encoders/clip_l_hidream.safetensors": listed("clip_l_hidream"),
            "text_encoders/clip_g_hidream.safetensors": listed("clip_g_hidream"),
            "text_encoders/t5xxl.safetensors": _T5,
            "text_encoders/llama_3.1.safetensors": listed("llama_3.1_8b_instruct_fp8_scaled"),
        },
    ),
    StandIn(
        family="lumina2",
        write=plain("tests.tiny_lumina2:write_lumina2"),
        networks={"checkpoints/lumina2.safetensors": listed("NetaYumev35_pretrained_all_in_one lumina_2")},
        parts={},
    ),
    StandIn(
        family="ovis_image",
        write=plain("tests.tiny_ovis:write_ovis"),
        networks={"diffusion_models/ovis.safetensors": listed("ovis_image_bf16")},
        parts={
            "vae/ae.safetensors": _AE,
            "text_encoders/ovis_2.5.safetensors": listed("ovis_2.5"),
        },
    ),
    StandIn(
        family="longcat_image",
        write=plain("tests.tiny_longcat:write_longcat"),
        networks={"diffusion_models/longcat.safetensors": listed("longcat_image_bf16 longcat_image_edit_bf16")},
        parts={"vae/ae.safetensors": _AE, "text_encoders/qwen_2.5_vl.safetensors": _QWEN_VL},
    ),
    StandIn(
        family="fibo2",
        write=plain("tests.tiny_fibo2:write"),
        networks={"diffusion_models/fibo2.safetensors": listed("fibo2_dev_int8_convrot fibo2_edit_turbo_int8_convrot")},
        parts={
            "vae/flux2-vae.safetensors": _FLUX2_VAES,
            "text_encoders/qwen3vl.safetensors": listed("qwen3vl_4b_bf16 qwen3vl_8b_int8_convrot"),
        },
    ),
    StandIn(
        family="flux3",
        write=plain("tests.tiny_flux3:write", flow_map=False),
        networks={"diffusion_models/flux3.safetensors": listed("flux3-image-klein-base-int8-convrot")},
        parts={
            "vae/flux2-vae.safetensors": _FLUX2_VAES,
            "text_encoders/words.safetensors": listed("qwen3vl_4b_int8_convrot"),
        },
    ),
    StandIn(
        family="flux3_distilled",
        write=plain("tests.tiny_flux3:write", flow_map=True),
        networks={"diffusion_models/flux3.safetensors": listed("flux3-image-klein-int8-convrot")},
        parts={
            "vae/flux2-vae.safetensors": _FLUX2_VAES,
            "text_encoders/words.safetensors": listed("qwen3vl_4b_int8_convrot"),
        },
    ),
    StandIn(
        family="joyimage",
        write=plain("tests.tiny_joyimage:write"),
        networks={"diffusion_models/joyimage.safetensors": listed("joyai_image_edit_int8_convrot")},
        parts={
            "vae/wan_2.1_vae.safetensors": listed("wan_2.1_vae"),
            "text_encoders/qwen3vl.safetensors": listed("qwen3vl_8b_joyimage_edit_int8_convrot"),
        },
    ),
    StandIn(
        family="anima",
        write=plain("tests.tiny_anima:write"),
        networks={"diffusion_models/anima.safetensors": listed("anima-base-v1.0 anima-preview3-base")},
        parts={
            "vae/qwen_image_vae.safetensors": listed("qwen_image_vae"),
            "text_encoders/qwen_3_06b_base.safetensors": listed("qwen_3_06b_base"),
        },
        lora_of="diffusion_models/anima.safetensors",
        loras=listed("anima-turbo-lora-v0.2"),
    ),
    StandIn(
        family="kandinsky5_image",
        write=with_clip("tests.tiny_kandinsky5:write"),
        networks={"diffusion_models/kandinsky5.safetensors": listed("kandinsky5lite_t2i")},
        parts={
            "vae/ae.safetensors": _AE,
            "text_encoders/qwen.safetensors": _QWEN_VL,
            "text_encoders/clip_l.safetensors": listed("clip_l"),
        },
    ),
)


def families_for(names: set[str]) -> Iterator[StandIn]:
    """Yield the families whose networks are among the files that a workflow names."""
    return (one for one in FAMILIES if one.is_asked_for(names))
