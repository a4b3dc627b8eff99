#!/usr/bin/env bash
# diffusers 0.42.1: HiDream's network fills a picture that is not square up to the most tokens that it knows, and its mask only
# sets the keys of these to 0. Their scores are then 0, not minus infinity, and their values are averaged in with the rest:
# what stands there and how many there are both move the prediction.
# Prints how far the same picture's prediction moves. Ends with 1 when that has changed.
# PYTHON: an interpreter; torch is taken from it where it has one.
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m pip install --quiet --disable-pip-version-check --target "$folder" \
  diffusers==0.42.1 huggingface-hub==2.4.0 safetensors==0.8.0 numpy==2.4.6
"$python" -c 'import torch' 2>/dev/null || "$python" -m pip install --quiet --target "$folder" torch==2.13.0
PYTHONPATH=$folder HF_HUB_OFFLINE=1 "$python" -W ignore - <<'PYTHON'
import sys

import diffusers
import torch

print("diffusers", diffusers.__version__, "torch", torch.__version__)


def made(most):
    torch.manual_seed(0)
    return diffusers.HiDreamImageTransformer2DModel(
        patch_size=2,
        in_channels=4,
        out_channels=4,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        caption_channels=[8, 8],
        text_emb_dim=8,
        axes_dims_rope=(8, 4, 4),
        max_resolution=most,
        llama_layers=[0, 1],
    ).eval()


networks = {network.max_seq: network for network in (made((8, 8)), made((16, 16)))}
for network in networks.values():  # the same weights: only the number of tokens is another
    network.load_state_dict(networks[16].state_dict())
torch.manual_seed(1)
picture = torch.randn(1, 4, 8, 4)  # 4 x 2 = 8 tokens
told = {
    "timesteps": torch.tensor([500]),
    "encoder_hidden_states_t5": torch.randn(1, 5, 8),
    "encoder_hidden_states_llama3": torch.randn(2, 1, 5, 8),
    "pooled_embeds": torch.randn(1, 8),
}
tokens, mask, sizes, places = networks[16].patchify(picture)
print("mask of 16 tokens:", [int(seen) for seen in mask[0]])


def run(given, seen, where):
    places = {"hidden_states_masks": seen, "img_sizes": sizes, "img_ids": where}
    return networks[16](given, **places, **told).sample


with torch.no_grad():
    least = run(tokens[:, :8], mask[:, :8], places[:, :8])
    runs = {f"filled up to {most} tokens": network(picture, **told).sample for most, network in networks.items()}
    other = torch.where(mask[..., None] == 0, torch.ones(()), tokens)
    runs["filled up to 16 tokens of ones"] = run(other, mask, places)
print(f"no padding: the largest number is {float(least.abs().max()):.3g}")
moved = []
for name, predicted in runs.items():
    moved.append(float((predicted - least).abs().max()))
    print(f"{name}: differs by {moved[-1]:.2g}")
sys.exit(not (min(moved) > 1e-3 and len({round(far, 4) for far in moved}) == 3))
PYTHON
