#!/usr/bin/env bash
# diffusers 0.42.1: Kandinsky 5's network rounds its rotated queries and keys to bfloat16 and back where it runs in float32 too:
# attention within the picture and within the text has 8 bits of them, and only the picture's attention to the text has all 24.
# Prints whether attention is handed bfloat16's numbers only, and how far the prediction is from that of the same network with
# the cast made to float32. Ends with 1 when that has changed.
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
from diffusers.models.transformers import transformer_kandinsky

print("diffusers", diffusers.__version__, "torch", torch.__version__)


class Exact:
    """torch for that module alone, whose bfloat16 is float32."""

    bfloat16 = torch.float32

    def __getattr__(self, name):
        return getattr(torch, name)


torch.manual_seed(0)
network = diffusers.Kandinsky5Transformer3DModel(
    in_visual_dim=4,
    in_text_dim=16,
    in_text_dim2=8,
    time_dim=32,
    out_visual_dim=4,
    model_dim=64,
    ff_dim=96,
    num_text_blocks=1,
    num_visual_blocks=2,
    axes_dims=(8, 12, 12),
).eval()
for name, weight in network.named_parameters():
    if "modulation" in name:  # made as zeros, which let no attention through
        torch.nn.init.normal_(weight, std=0.1)
given = {
    "hidden_states": torch.randn(1, 1, 8, 8, 4),
    "encoder_hidden_states": torch.randn(1, 5, 16),
    "pooled_projections": torch.randn(1, 8),
    "timestep": torch.tensor([500.0]),
    "visual_rope_pos": [torch.arange(side) for side in (1, 4, 4)],
    "text_rope_pos": torch.arange(5),
}
plain, handed = transformer_kandinsky.dispatch_attention_fn, []


def attention(query, key, value, **told):
    handed.append([torch.equal(part, part.bfloat16().float()) for part in (query, key, value)])
    return plain(query, key, value, **told)


def run():
    handed.clear()
    with torch.no_grad():
        return network(**given).sample, handed[:3]  # of the text's block and the first of the picture's two


transformer_kandinsky.dispatch_attention_fn = attention
rounded, kinds = run()
print("the prediction's dtype:", rounded.dtype)
for name, kind in zip(("text to itself", "picture to itself", "picture to text"), kinds):
    print(f"{name}: query, key, value hold only numbers of bfloat16: {kind}")
transformer_kandinsky.torch = Exact()
exact, others = run()
moved = float((rounded - exact).abs().max() / exact.abs().max())
print(f"cast to float32, of bfloat16 only: {others}")
print(f"the predictions differ by {moved:.1e} of the largest number")
rotated, whole = [True, True, False], [False] * 3
sys.exit(not (kinds == [rotated, rotated, whole] and others == [whole] * 3 and moved > 1e-5))
PYTHON
