#!/usr/bin/env bash
# diffusers 0.42.1: StableDiffusionAdapterPipeline with output_type="pt" gives a numpy array with its channels last, where
# StableDiffusionPipeline gives a tensor with its channels first.
# Prints what both give for the same tiny modules. Ends with 1 when that has changed.
# PYTHON: an interpreter; torch is taken from it where it has one.
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m pip install --quiet --disable-pip-version-check --target "$folder" \
  diffusers==0.42.1 transformers==5.23.0 huggingface-hub==2.4.0 safetensors==0.8.0 tokenizers==0.23.3 numpy==2.4.6
"$python" -c 'import torch' 2>/dev/null || "$python" -m pip install --quiet --target "$folder" torch==2.13.0
PYTHONPATH=$folder HF_HUB_OFFLINE=1 "$python" -W ignore - <<'PYTHON'
import sys

import diffusers
import numpy
import torch
from diffusers import StableDiffusionAdapterPipeline, StableDiffusionPipeline

print("diffusers", diffusers.__version__, "torch", torch.__version__)
torch.manual_seed(0)
unet = diffusers.UNet2DConditionModel(
    sample_size=8,
    in_channels=4,
    out_channels=4,
    block_out_channels=(32, 32),
    layers_per_block=1,
    down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    cross_attention_dim=16,
    attention_head_dim=8,
    norm_num_groups=8,
)
vae = diffusers.AutoencoderKL(
    block_out_channels=(8, 8, 8, 8),
    down_block_types=("DownEncoderBlock2D",) * 4,
    up_block_types=("UpDecoderBlock2D",) * 4,
    latent_channels=4,
    norm_num_groups=4,
)
adapter = diffusers.T2IAdapter(in_channels=3, channels=(32, 32), num_res_blocks=1, downscale_factor=8)
parts = {"unet": unet, "vae": vae, "scheduler": diffusers.DDIMScheduler(), "text_encoder": None, "tokenizer": None}
parts |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
text = torch.zeros(1, 4, 16)
asked = {"prompt_embeds": text, "negative_prompt_embeds": text, "num_inference_steps": 1, "output_type": "pt"}
asked |= {"height": 64, "width": 64}
plain = StableDiffusionPipeline(**parts)
adapted = StableDiffusionAdapterPipeline(adapter=adapter, **parts)
for pipeline in (plain, adapted):
    pipeline.set_progress_bar_config(disable=True)
one = plain(**asked).images
other = adapted(image=torch.zeros(1, 3, 64, 64), **asked).images
for name, images in (("StableDiffusionPipeline", one), ("StableDiffusionAdapterPipeline", other)):
    print(name, type(images).__name__, tuple(images.shape))
as_seen = isinstance(one, torch.Tensor) and one.shape == (1, 3, 64, 64)
as_seen &= isinstance(other, numpy.ndarray) and other.shape == (1, 64, 64, 3)
sys.exit(0 if as_seen else 1)
PYTHON
