#!/usr/bin/env bash
# diffusers 0.42.1: the autoencoder of HunyuanVideo 1.5 and that of HunyuanImage's refiner have, at their full size, the same
# tensors by name and by shape, and are other functions: with the same weights two latent frames become five frames in the one
# and two in the other. Whoever tells models by what a file holds cannot tell these; only a config or the file's name can.
# Prints how many tensors there are, how many differ, and what small ones with equal weights decode and encode.
# Ends with 1 when that has changed.
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
kinds = (diffusers.AutoencoderKLHunyuanVideo15, diffusers.AutoencoderKLHunyuanImageRefiner)
with torch.device("meta"):
    full = [{name: tuple(value.shape) for name, value in kind().state_dict().items()} for kind in kinds]
differing = sorted(set(full[0].items()) ^ set(full[1].items()))
print(len(full[0]), "tensors,", len(differing), "of another name or shape")
small = {"latent_channels": 4, "block_out_channels": (32, 32, 32, 32, 32), "layers_per_block": 1}
torch.manual_seed(0)
video, refiner = (kind(**small).eval() for kind in kinds)
refiner.load_state_dict(video.state_dict())
found = {}
with torch.no_grad():
    latent, frames = torch.randn(1, 4, 2, 2, 2), torch.randn(1, 3, 5, 32, 32)
    for name, one in (("video", video), ("refiner", refiner)):
        decoded = one.decode(latent).sample.shape[2]
        encoded = one.encode(frames).latent_dist.mean.shape[2]
        found[name] = decoded, encoded
        print(f"{name}: 2 latent frames become {decoded} frames, 5 frames become {encoded} latent frames")
changed = bool(differing) or found != {"video": (5, 2), "refiner": (2, 5)}
print("This has changed." if changed else "As told above.")
sys.exit(changed)
PYTHON
