"""Which names of networks belong to which family, and what is written under them; read off the field's saved workflows.

What a workflow has beside its network is found by itself: the family's file in the same folder whose name begins most alike, or
one of `stand_in_parts.PARTS`.
"""

from __future__ import annotations

from typing import Final

from stand_in_files import StandIn
from stand_in_parts import cascade, lotus, plain, sd1, sd2, sdxl, with_clip

FAMILIES: Final = (
    StandIn("rt_detr", plain("tests.tiny_seeing:write_detector"), {"diffusion_models/detector": "rt_detr_v4-*"}),
    StandIn("sam3", plain("tests.tiny_seeing:write_sam3"), {"checkpoints/sam3": "sam3*"}),
    StandIn(
        "sd1",
        sd1,
        {"checkpoints/tiny": "v1-5-pruned-emaonly* dreamshaper_8 Anything-V3.0 cardosAni* AbyssOrangeMix2_hard"},
    ),
    StandIn(
        "sd2",
        sd2,
        {
            "checkpoints/sd2": "v2-1_768-ema-pruned wd-illusion-fp16",
            "checkpoints/inpainting": "512-inpainting-ema",
            "checkpoints/unclip": "sd21-unclip-h wd-1-5-beta2-aesthetic-unclip-h-fp32",
        },
    ),
    StandIn(
        "sdxl",
        sdxl,
        {"checkpoints/xl": "sd_xl_base_1.0 sd_xl_1.0 sd_xl_turbo_1.0*", "checkpoints/refiner": "sd_xl_refiner_1.0*"},
    ),
    StandIn(
        "stable_cascade",
        cascade,
        {"checkpoints/stage_c": "stable_cascade_stage_c", "checkpoints/stage_b": "stable_cascade_stage_b"},
    ),
    StandIn(
        "sd3", with_clip("tests.families:write_sd3", newer=True, places=96), {"checkpoints/sd3": "sd3.5_* sd3_medium*"}
    ),
    StandIn(
        "flux",
        with_clip("tests.families:write_flux"),
        {
            "checkpoints/flux": "flux1-dev-fp8",
            "diffusion_models/flux": "flux1-dev flux1-dev-fp8 flux1-krea-* flux1-*kontext*",
        },
    ),
    StandIn(
        "flux_schnell",
        with_clip("tests.families:write_flux", guidance=False),
        {"checkpoints/flux": "flux1-schnell-fp8", "diffusion_models/flux": "flux1-schnell"},
    ),
    StandIn(
        "flux_fill",
        with_clip("tests.families:write_flux", in_channels=384),
        {"diffusion_models/flux": "flux1-fill-dev flux.1-fill-dev*"},
    ),
    StandIn(
        "flux_control",
        with_clip("tests.families:write_flux", in_channels=128),
        {"diffusion_models/flux": "flux1-canny-dev flux1-depth-dev"},
    ),
    StandIn(
        "chroma",
        with_clip("tests.tiny_chroma:write", files=False),
        {"diffusion_models/chroma": "Chroma1-* chroma-unlocked-*"},
    ),
    StandIn(
        "chroma_radiance",
        with_clip("tests.tiny_radiance:write", files=False),
        {"diffusion_models/radiance": "chroma-radiance-*"},
    ),
    StandIn("auraflow", plain("tests.tiny_auraflow:write_auraflow"), {"checkpoints/auraflow": "aura_flow_*"}),
    StandIn("flux2", plain("tests.tiny_flux2:write", guidance=True), {"diffusion_models/flux2": "flux2_dev_*"}),
    StandIn(
        "flux2_klein", plain("tests.tiny_flux2:write", guidance=False), {"diffusion_models/flux2": "flux-2-klein-*"}
    ),
    StandIn("z_image", plain("tests.tiny_z_image:write_z_image"), {"diffusion_models/z_image": "z_image_*"}),
    StandIn(
        "qwen_image_layered",
        plain("tests.tiny_qwen_image:write_qwen_image", layered=True),
        {"diffusion_models/qwen_image": "qwen_image_layered_*"},
    ),
    StandIn(
        "qwen_image21",
        plain("tests.tiny_qwen_image21:write_qwen_image21"),
        {"diffusion_models/qwen_image_2.1": "qwen_image_2.1_*"},
    ),
    StandIn(
        "qwen_image",
        plain("tests.tiny_qwen_image:write_qwen_image"),
        {
            "diffusion_models/qwen_image": "qwen_image_fp8_* qwen_image_2512_* qwen_image_edit_* FireRed-Image-Edit-*",
        },
    ),
    StandIn("krea2", plain("tests.tiny_krea2:write"), {"diffusion_models/krea2": "krea2_*"}),
    StandIn(
        "ideogram4",
        plain("tests.tiny_ideogram4:write"),
        {
            "diffusion_models/unconditional": "ideogram4_unconditional_*",
            "diffusion_models/ideogram4": "ideogram4_*",
        },
    ),
    StandIn(
        "ernie_image",
        plain("tests.tiny_ernie_image:write"),
        {"diffusion_models/ernie": "ernie-image ernie-image-turbo"},
    ),
    StandIn(
        "hidream",
        with_clip("tests.tiny_hidream:write_hidream"),
        {"diffusion_models/hidream": "hidream_e1_* hidream_i1_*"},
    ),
    StandIn("lumina2", plain("tests.tiny_lumina2:write_lumina2"), {"checkpoints/lumina2": "NetaYume* lumina_2"}),
    StandIn("ovis_image", plain("tests.tiny_ovis:write_ovis"), {"diffusion_models/ovis": "ovis_image_*"}),
    StandIn(
        "longcat_image", plain("tests.tiny_longcat:write_longcat"), {"diffusion_models/longcat": "longcat_image_*"}
    ),
    StandIn("fibo2", plain("tests.tiny_fibo2:write"), {"diffusion_models/fibo2": "fibo2_*"}),
    StandIn(
        "flux3", plain("tests.tiny_flux3:write", flow_map=False), {"diffusion_models/flux3": "flux3-image-klein-base-*"}
    ),
    StandIn(
        "flux3_distilled",
        plain("tests.tiny_flux3:write", flow_map=True),
        {"diffusion_models/flux3": "flux3-image-klein-int8*"},
    ),
    StandIn("joyimage", plain("tests.tiny_joyimage:write"), {"diffusion_models/joyimage": "joyai_image_edit_*"}),
    StandIn("anima", plain("tests.tiny_anima:write"), {"diffusion_models/anima": "anima-base-* anima-preview*"}),
    StandIn("pixart_alpha", plain("tests.tiny_pixart:write", alpha=True), {"diffusion_models/pixart": "PixArt-XL-2-*"}),
    StandIn(
        "pixart_sigma", plain("tests.tiny_pixart:write", alpha=False), {"diffusion_models/pixart": "PixArt-Sigma-*"}
    ),
    StandIn(
        "hunyuan_image", plain("tests.tiny_hunyuan_image:write"), {"diffusion_models/hunyuan_image": "hunyuanimage2.1*"}
    ),
    StandIn("omnigen2", plain("tests.tiny_omnigen2:write"), {"diffusion_models/omnigen2": "omnigen2_*"}),
    StandIn("hunyuan_dit", plain("tests.tiny_hunyuan_dit:write"), {"checkpoints/hunyuan_dit": "hunyuan_dit_1.*"}),
    StandIn("sana", plain("tests.tiny_sana:write"), {"diffusion_models/sana": "Sana_*"}),
    StandIn("cosmos_predict2", plain("tests.tiny_cosmos:write"), {"diffusion_models/cosmos": "cosmos_predict2_*_t2i*"}),
    StandIn(
        "kandinsky5_image",
        with_clip("tests.tiny_kandinsky5:write"),
        {"diffusion_models/kandinsky5": "kandinsky5lite_t2i"},
    ),
    StandIn(
        "wan",
        plain("tests.tiny_wan:write"),
        {"diffusion_models/wan": "wan2.1_t2v_* wan2.2_t2v_*"},
    ),
    StandIn(
        "wan_sees",
        plain("tests.tiny_wan:write", in_channels=36, image_dim=32, sees=True, pos_embed_seq_len=514),
        {"diffusion_models/wan": "wan2.1_i2v_* wan2.1_flf2v_* Wan2_1-I2V-ATI-* wan2.1_fun_inp_* chrono_edit_*"},
    ),
    StandIn(
        "wan22_i2v",
        plain("tests.tiny_wan:write", in_channels=36),
        {"diffusion_models/wan": "wan2.2_i2v_* wan2.2_fun_inpaint_*_noise_14B*"},
    ),
    StandIn(
        "wan_vace",
        plain("tests.tiny_wan:write", vace_layers=[0, 1], vace_in_channels=96),
        {"diffusion_models/wan": "wan2.1_vace_*"},
    ),
    StandIn(
        "wan_fun_control",
        plain("tests.tiny_wan:write", in_channels=48, image_dim=32, sees=True),
        {"diffusion_models/wan": "wan2.1_fun_control_*"},
    ),
    StandIn(
        "wan22_fun_control",
        plain("tests.tiny_wan:write", in_channels=52, reference_channels=16),
        {"diffusion_models/wan": "wan2.2_fun_control_*_noise_14B*"},
    ),
    StandIn(
        "wan_camera",
        plain("tests.tiny_wan:write", in_channels=32, image_dim=32, sees=True, camera_channels=1536),
        {"diffusion_models/wan": "wan2.1_fun_camera_*"},
    ),
    StandIn(
        "wan22_camera",
        plain("tests.tiny_wan:write", in_channels=36, camera_channels=1536),
        {"diffusion_models/wan": "wan2.2_fun_camera_*"},
    ),
    StandIn("wan22", plain("tests.tiny_wan:write", second=True), {"diffusion_models/wan": "wan2.2_ti2v_5B*"}),
    StandIn(
        "wan22_fun_inpaint",
        plain("tests.tiny_wan:write", second=True, in_channels=100),
        {"diffusion_models/wan": "wan2.2_fun_inpaint_5B*"},
    ),
    StandIn(
        "wan22_fun_control_5b",
        plain("tests.tiny_wan:write", second=True, in_channels=148, reference_channels=48),
        {"diffusion_models/wan": "wan2.2_fun_control_5B*"},
    ),
    StandIn("lotus", lotus, {"diffusion_models/lotus": "lotus-depth-d-*"}),
)
