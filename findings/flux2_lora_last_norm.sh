#!/usr/bin/env bash
# diffusers 0.42.1, FLUX.2: the original network's final_layer.adaLN_modulation.1 gives shift, then scale; diffusers'
# norm_out.linear gives scale, then shift. The converter of weights swaps the halves, that of LoRAs only renames: a LoRA that
# moves the shift moves the scale of the loaded network. FLUX.1's converter of LoRAs swaps them.
# Prints the rows that a difference moves by both ways. Ends with 1 when that has changed.
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
import torch
from diffusers.loaders import Flux2LoraLoaderMixin, FluxLoraLoaderMixin
from diffusers.loaders.single_file_utils import convert_flux2_transformer_checkpoint_to_diffusers

print("diffusers", diffusers.__version__, "torch", torch.__version__)
layer = "final_layer.adaLN_modulation.1"
down, up = torch.ones(1, 3), torch.tensor([[1.0], [1.0], [0.0], [0.0]])  # moves the shift of two channels


def rows(weight):
    return weight[:, 0].tolist()


merged = rows(convert_flux2_transformer_checkpoint_to_diffusers({f"{layer}.weight": up @ down})["norm_out.linear.weight"])
print("difference to the original weight:", rows(up @ down))
print("FLUX.2, merged, then converted:", merged)
loaded = []
for prefix in ("diffusion_model.", "base_model.model."):
    lora = {f"{prefix}{layer}.lora_A.weight": down.clone(), f"{prefix}{layer}.lora_B.weight": up.clone()}
    found = Flux2LoraLoaderMixin.lora_state_dict(lora)
    name = "transformer.norm_out.linear"
    loaded.append(rows(found[f"{name}.lora_B.weight"] @ found[f"{name}.lora_A.weight"]))
    print(f"FLUX.2, LoRA of {prefix}* converted:", loaded[-1])
name = "lora_unet_final_layer_adaLN_modulation_1"
found = FluxLoraLoaderMixin.lora_state_dict({f"{name}.lora_down.weight": down.clone(), f"{name}.lora_up.weight": up.clone()})
first = rows(found["norm_out.linear.lora_B.weight"] @ found["norm_out.linear.lora_A.weight"])
print("FLUX.1, LoRA of lora_unet_* converted:", first)
sys.exit(not (merged == first == [0, 0, 1, 1] and loaded == [[1, 1, 0, 0]] * 2))
PYTHON
