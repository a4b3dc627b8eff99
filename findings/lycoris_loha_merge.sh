#!/usr/bin/env bash
# LyCORIS 4.1.3: merging a LoHa counts its alpha / rank twice, the attached module once, as it does a LoKr's.
# Prints what share of the product both add, for three alphas of rank 4. Ends with 1 when that has changed.
# PYTHON: an interpreter; torch is taken from it where it has one.
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder" \
  lycoris-lora==4.1.3 einops==0.8.2 toml==0.10.2
"$python" -c 'import torch' 2>/dev/null || "$python" -m pip install --quiet --target "$folder" torch==2.13.0 numpy
PYTHONPATH=$folder "$python" - <<'PYTHON'
import importlib.metadata
import sys

import torch
from lycoris.modules.loha import LohaModule

print("lycoris-lora", importlib.metadata.version("lycoris-lora"), "torch", torch.__version__)
torch.manual_seed(0)
found = []
for alpha in (4, 2, 1):
    layer = torch.nn.Linear(8, 6, bias=False).requires_grad_(False)
    before = layer.weight.clone()
    loha = LohaModule("loha", layer, 1.0, lora_dim=4, alpha=alpha).requires_grad_(False)
    for name in ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"):
        getattr(loha, name).normal_()
    product = (loha.hada_w1_a @ loha.hada_w1_b) * (loha.hada_w2_a @ loha.hada_w2_b)
    loha.apply_to()
    attached = layer(torch.eye(8)).T - before
    loha.restore()
    loha.merge_to(1.0)
    merged = layer.weight - before
    shares = [round(float((added / product).median()), 4) for added in (attached, merged)]
    print(f"alpha {alpha}, rank 4: attached adds {shares[0]} of the product, merged {shares[1]}")
    found.append(tuple(shares))
sys.exit(found != [(1.0, 1.0), (0.5, 0.25), (0.25, 0.0625)])
PYTHON
