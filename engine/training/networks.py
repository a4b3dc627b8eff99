"""The three networks of a latent diffusion model, built from a recipe with the libraries that keep them."""

from __future__ import annotations

from typing import Any

from engine.training.recipe import Recipe


def build_vae(recipe: Recipe) -> Any:
    """An `AutoencoderKL`: pictures (B, 3, H, W) in -1..1 to latents (B, C, H / f, W / f), f = 2 ** (levels - 1)."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    vae = recipe.vae
    levels = len(vae.widths)
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=tuple(vae.widths),
        layers_per_block=vae.blocks,
        latent_channels=vae.latent_channels,
        norm_num_groups=vae.norm_groups,
        sample_size=recipe.data.size,
        scaling_factor=1.0,
    )


def build_unet(recipe: Recipe) -> Any:
    """A `UNet2DConditionModel` on the VAE's latents, cross-attention at every resolution, convolutional projections."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    unet = recipe.unet
    levels = len(unet.widths)
    return UNet2DConditionModel(
        sample_size=latent_size(recipe),
        in_channels=recipe.vae.latent_channels,
        out_channels=recipe.vae.latent_channels,
        down_block_types=("CrossAttnDownBlock2D",) * levels,
        up_block_types=("CrossAttnUpBlock2D",) * levels,
        block_out_channels=tuple(unet.widths),
        layers_per_block=unet.blocks,
        cross_attention_dim=recipe.text.width,
        # diffusers reads this argument as the number of heads, one entry a level.
        attention_head_dim=tuple(width // unet.head_dim for width in unet.widths),
        norm_num_groups=unet.norm_groups,
    )


def build_text_encoder(recipe: Recipe, vocabulary: int) -> Any:
    """A `CLIPTextModel`: ids (B, T) to (B, T, width). The two last ids of the vocabulary are start and end, as in CLIP."""
    from transformers.models.clip.configuration_clip import CLIPTextConfig
    from transformers.models.clip.modeling_clip import CLIPTextModel

    text = recipe.text
    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=text.width,
        intermediate_size=4 * text.width,
        projection_dim=text.width,
        num_hidden_layers=text.layers,
        num_attention_heads=text.width // text.head_dim,
        max_position_embeddings=recipe.tokenizer.max_length,
        hidden_act="quick_gelu",
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=vocabulary - 1,
    )
    return CLIPTextModel(config)


def latent_size(recipe: Recipe) -> int:
    """Width and height of the latent of one picture of the data set."""
    return recipe.data.size // int(2 ** (len(recipe.vae.widths) - 1))
