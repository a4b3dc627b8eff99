"""Names and shapes of SAM 3's tensors at full size, as its authors write them: an account of its own, in no wise read off ours."""

from __future__ import annotations

from itertools import pairwise

Shapes = dict[str, tuple[int, ...]]
TRUNK = "detector.backbone.vision_backbone."
READER = "detector.backbone.language_backbone."


def linear(name: str, gives: int, takes: int) -> Shapes:
    return {f"{name}.weight": (gives, takes), f"{name}.bias": (gives,)}


def norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def conv(name: str, *shape: int, gives: int = 0) -> Shapes:
    return {f"{name}.weight": shape, f"{name}.bias": (gives or shape[0],)}


def attention(name: str, width: int) -> Shapes:
    stacked = {f"{name}.in_proj_weight": (3 * width, width), f"{name}.in_proj_bias": (3 * width,)}
    return stacked | linear(f"{name}.out_proj", width, width)


def apart(name: str, width: int, inner: int, other: int = 0) -> Shapes:
    keys = linear(f"{name}.k_proj", inner, other or width) | linear(f"{name}.v_proj", inner, other or width)
    return linear(f"{name}.q_proj", inner, width) | keys | linear(f"{name}.out_proj", width, inner)


def steps(name: str, *widths: int) -> Shapes:
    found: Shapes = {}
    for number, (takes, gives) in enumerate(pairwise(widths)):
        found |= linear(f"{name}.layers.{number}", gives, takes)
    return found


def neck(name: str, levels: int) -> Shapes:
    found = conv(f"{name}.0.dconv_2x2_0", 1024, 512, 2, 2, gives=512) | conv(
        f"{name}.0.dconv_2x2_1", 512, 256, 2, 2, gives=256
    )
    found |= conv(f"{name}.1.dconv_2x2", 1024, 512, 2, 2, gives=512)
    for level, width in zip(range(levels), (256, 512, 1024, 1024), strict=False):
        found |= conv(f"{name}.{level}.conv_1x1", 256, width, 1, 1) | conv(f"{name}.{level}.conv_3x3", 256, 256, 3, 3)
    return found


def layer(name: str, *attentions: str, norms: str = "123") -> Shapes:
    found = linear(f"{name}.linear1", 2048, 256) | linear(f"{name}.linear2", 256, 2048)
    for one in attentions:
        found |= attention(f"{name}.{one}", 256)
    for number in norms:
        found |= norm(f"{name}.norm{number}", 256)
    return found


def seen(*, multiplex: bool) -> Shapes:
    found = {f"{TRUNK}trunk.pos_embed": (1, 577, 1024), f"{TRUNK}trunk.patch_embed.proj.weight": (1024, 3, 14, 14)}
    found |= norm(f"{TRUNK}trunk.ln_pre", 1024)
    for number in range(32):
        block = f"{TRUNK}trunk.blocks.{number}"
        found |= norm(f"{block}.norm1", 1024) | norm(f"{block}.norm2", 1024) | linear(f"{block}.attn.qkv", 3072, 1024)
        found |= linear(f"{block}.attn.proj", 1024, 1024) | linear(f"{block}.mlp.fc1", 4736, 1024)
        found |= linear(f"{block}.mlp.fc2", 1024, 4736) | {f"{block}.attn.freqs_cis": (576, 32)}
    levels = 3 if multiplex else 4
    found |= neck(f"{TRUNK}convs", levels) | neck(f"{TRUNK}{'interactive' if multiplex else 'sam2'}_convs", levels)
    found |= norm("detector.transformer.decoder.norm", 256) | norm(
        "detector.transformer.decoder.presence_token_out_norm", 256
    )
    for number in range(6):
        found |= layer(f"detector.transformer.encoder.layers.{number}", "self_attn", "cross_attn_image")
        found |= layer(f"detector.transformer.decoder.layers.{number}", "self_attn", "cross_attn", "ca_text")
        found |= norm(f"detector.transformer.decoder.layers.{number}.catext_norm", 256)
    decoder = "detector.transformer.decoder."
    for name, shape in {"query_embed": (200, 256), "reference_points": (200, 4), "presence_token": (1, 256)}.items():
        found[f"{decoder}{name}.weight"] = shape
    found |= steps(f"{decoder}bbox_embed", 256, 256, 256, 4) | steps(f"{decoder}presence_token_head", 256, 256, 256, 1)
    found |= steps(f"{decoder}ref_point_head", 512, 256, 256)
    found |= steps(f"{decoder}boxRPB_embed_x", 2, 256, 8) | steps(f"{decoder}boxRPB_embed_y", 2, 256, 8)
    scoring, head = "detector.dot_prod_scoring.", "detector.segmentation_head."
    found |= steps(f"{scoring}prompt_mlp", 256, 2048, 256) | norm(f"{scoring}prompt_mlp.out_norm", 256)
    found |= linear(f"{scoring}prompt_proj", 256, 256) | linear(f"{scoring}hs_proj", 256, 256)
    for number in range(3):
        found |= conv(f"{head}pixel_decoder.conv_layers.{number}", 256, 256, 3, 3) | norm(
            f"{head}pixel_decoder.norms.{number}", 256
        )
    found |= steps(f"{head}mask_predictor.mask_embed", 256, 256, 256, 256) | attention(
        f"{head}cross_attend_prompt", 256
    )
    found |= norm(f"{head}cross_attn_norm", 256) | conv(f"{head}instance_seg_head", 256, 256, 1, 1)
    return found | conv(f"{head}semantic_seg_head", 1, 256, 1, 1)


def text() -> Shapes:
    found: Shapes = {
        f"{READER}encoder.positional_embedding": (32, 1024),
        f"{READER}encoder.text_projection": (1024, 512),
    }
    found |= {f"{READER}encoder.token_embedding.weight": (49408, 1024)} | norm(f"{READER}encoder.ln_final", 1024)
    for number in range(24):
        block = f"{READER}encoder.transformer.resblocks.{number}"
        found |= attention(f"{block}.attn", 1024) | norm(f"{block}.ln_1", 1024) | norm(f"{block}.ln_2", 1024)
        found |= linear(f"{block}.mlp.c_fc", 4096, 1024) | linear(f"{block}.mlp.c_proj", 1024, 4096)
    return found | linear(f"{READER}resizer", 256, 1024)


def clicks(prefix: str) -> Shapes:
    decoder, encoder = f"{prefix}sam_mask_decoder.", f"{prefix}sam_prompt_encoder."
    found: Shapes = {f"{encoder}pe_layer.positional_encoding_gaussian_matrix": (2, 128)}
    points = [f"point_embeddings.{number}" for number in range(4)]
    found |= {f"{encoder}{name}.weight": (1, 256) for name in ("not_a_point_embed", "no_mask_embed", *points)}
    found |= conv(f"{encoder}mask_downscaling.0", 4, 1, 2, 2) | conv(f"{encoder}mask_downscaling.3", 16, 4, 2, 2)
    found |= conv(f"{encoder}mask_downscaling.6", 256, 16, 1, 1)
    found |= norm(f"{encoder}mask_downscaling.1", 4) | norm(f"{encoder}mask_downscaling.4", 16)
    for name, rows in {"iou_token": 1, "mask_tokens": 4, "obj_score_token": 1}.items():
        found[f"{decoder}{name}.weight"] = (rows, 256)
    for number in range(2):
        block = f"{decoder}transformer.layers.{number}"
        found |= apart(f"{block}.self_attn", 256, 256) | steps(f"{block}.mlp", 256, 2048, 256)
        found |= apart(f"{block}.cross_attn_token_to_image", 256, 128) | apart(
            f"{block}.cross_attn_image_to_token", 256, 128
        )
        for one in "1234":
            found |= norm(f"{block}.norm{one}", 256)
    found |= apart(f"{decoder}transformer.final_attn_token_to_image", 256, 128) | norm(
        f"{decoder}transformer.norm_final_attn", 256
    )
    found |= conv(f"{decoder}output_upscaling.0", 256, 64, 2, 2, gives=64) | norm(f"{decoder}output_upscaling.1", 64)
    found |= conv(f"{decoder}output_upscaling.3", 64, 32, 2, 2, gives=32)
    for number in range(4):
        found |= steps(f"{decoder}output_hypernetworks_mlps.{number}", 256, 256, 256, 32)
    found |= steps(f"{decoder}iou_prediction_head", 256, 256, 256, 4) | steps(
        f"{decoder}pred_obj_score_head", 256, 256, 256, 1
    )
    return found | conv(f"{decoder}conv_s0", 32, 256, 1, 1) | conv(f"{decoder}conv_s1", 64, 256, 1, 1)


def memory() -> Shapes:
    found: Shapes = {
        "tracker.no_mem_embed": (1, 1, 256), "tracker.no_mem_pos_enc": (1, 1, 256), "tracker.maskmem_tpos_enc": (7, 1, 1, 64),
        "tracker.no_obj_ptr": (1, 256), "tracker.no_obj_embed_spatial": (1, 64),
    }  # fmt: skip
    found |= conv("tracker.mask_downsample", 1, 1, 4, 4) | steps("tracker.obj_ptr_proj", 256, 256, 256, 256)
    found |= linear("tracker.obj_ptr_tpos_proj", 64, 256) | norm("tracker.transformer.encoder.norm", 256)
    for number in range(4):
        block = f"tracker.transformer.encoder.layers.{number}"
        found |= layer(block) | apart(f"{block}.self_attn", 256, 256) | apart(f"{block}.cross_attn_image", 256, 256, 64)
    encoder, widths = "tracker.maskmem_backbone.", (1, 4, 16, 64, 256)
    for number, (takes, gives) in enumerate(pairwise(widths)):
        found |= conv(f"{encoder}mask_downsampler.encoder.{3 * number}", gives, takes, 3, 3)
        found |= norm(f"{encoder}mask_downsampler.encoder.{3 * number + 1}", gives)
    found |= conv(f"{encoder}mask_downsampler.encoder.12", 256, 256, 1, 1) | conv(
        f"{encoder}pix_feat_proj", 256, 256, 1, 1
    )
    for number in range(2):
        block = f"{encoder}fuser.layers.{number}"
        found |= {f"{block}.gamma": (256,)} | conv(f"{block}.dwconv", 256, 1, 7, 7) | norm(f"{block}.norm", 256)
        found |= linear(f"{block}.pwconv1", 1024, 256) | linear(f"{block}.pwconv2", 256, 1024)
    return found | conv(f"{encoder}out_proj", 64, 256, 1, 1)


def sam3() -> Shapes:
    """SAM 3, `sam3.pt`."""
    return seen(multiplex=False) | text() | clicks("tracker.") | memory()


def sam31() -> Shapes:
    """SAM 3.1, `sam3.1_multiplex.pt`, without the tracker of several things at once."""
    found = seen(multiplex=True) | text() | clicks("tracker.model.interactive_")
    return found | {"tracker.model.interactivity_no_mem_embed": (1, 1, 256)}
