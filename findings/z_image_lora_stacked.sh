#!/usr/bin/env bash
# diffusers 0.42.1, Z-Image: a LoRA of the original network's stacked attention.qkv is split into to_q, to_k and to_v where it
# has kohya's names (lora_unet_...). With the prefix diffusion_model. and lora_A / lora_B or lora_down / lora_up it stays
# stacked, no module has its name, and it is left out with a warning while the file's other layers are applied.
# Prints the layers that the same LoRA reaches in three namings. Ends with 1 when that has changed.
# PYTHON: an interpreter; torch is taken from it where it has one.
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m pip install --quiet --disable-pip-version-check --target "$folder" \
  diffusers==0.42.1 transformers==5.23.0 huggingface-hub==2.4.0 safetensors==0.8.0 tokenizers==0.23.3 numpy==2.4.6 psutil==7.2.2
"$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder" peft==0.21.2 accelerate==1.15.0
"$python" -c 'import torch' 2>/dev/null || "$python" -m pip install --quiet --target "$folder" torch==2.13.0
PYTHONPATH=$folder HF_HUB_OFFLINE=1 "$python" -W ignore - <<'PYTHON'
import sys

import diffusers
import peft
import torch

print("diffusers", diffusers.__version__, "peft", peft.__version__, "torch", torch.__version__)
torch.manual_seed(0)
network = diffusers.ZImageTransformer2DModel(
    dim=64,
    n_layers=1,
    n_refiner_layers=1,
    n_heads=2,
    n_kv_heads=2,
    cap_feat_dim=16,
    axes_dims=[8, 12, 12],
    axes_lens=[64, 64, 64],
).eval()
parts = {name: None for name in ("scheduler", "vae", "text_encoder", "tokenizer")}
pipeline = diffusers.ZImagePipeline(transformer=network, **parts)
picture, text = [torch.randn(16, 1, 4, 4)], [torch.randn(5, 16)]
wide = network.layers[0].feed_forward.w1.out_features
layers = {
    "layers.0.attention.qkv": (torch.randn(4, 64) / 8, torch.randn(192, 4) / 8),
    "layers.0.feed_forward.w1": (torch.randn(4, 64) / 8, torch.randn(wide, 4) / 8),
}


def run():
    with torch.no_grad():
        return network(picture, torch.tensor([0.5]), text, return_dict=False)[0][0]


def file(name, left_out=""):
    ends = ("lora_A.weight", "lora_B.weight") if name.endswith("lora_A") else ("lora_down.weight", "lora_up.weight")
    tensors = {}
    for layer, pair in layers.items():
        if layer != left_out:
            module = f"lora_unet_{layer.replace('.', '_')}" if name.startswith("lora_unet") else f"diffusion_model.{layer}"
            tensors |= {f"{module}.{end}": tensor.clone() for end, tensor in zip(ends, pair)}
    return tensors


def loaded(tensors):
    pipeline.load_lora_weights(tensors)
    reached = sorted(name.split(".lora_A")[0] for name, _ in network.named_modules() if name.endswith("lora_A.default_0"))
    predicted = run()
    pipeline.unload_lora_weights()
    return reached, predicted


found = []
for name in ("lora_unet_*.lora_down", "diffusion_model.*.lora_A", "diffusion_model.*.lora_down"):
    reached, predicted = loaded(file(name))
    without = loaded(file(name, left_out="layers.0.attention.qkv"))[1]
    found.append((len(reached), torch.equal(predicted, without)))
    print(f"{name} reaches", [layer.removeprefix("layers.0.") for layer in reached])
    print(f"  differs from the same without attention by {float((predicted - without).abs().max()):.2g}")
sys.exit(found != [(4, False), (1, True), (1, True)])
PYTHON
