#!/usr/bin/env bash
# torchsde 0.2.6: BrownianTree tells times apart to six decimals. It rounds its ends so, and the very ends that it was made
# with may then lie outside of it and warn; two times in one step of 1e-6 have one value, and those of neighbouring steps
# differ by 1e-3: a noise level that differs in its last bit may give other noise.
# Prints the warnings for the ends of two noise schedules, and those differences. Ends with 1 when that has changed.
# PYTHON: an interpreter; torch is taken from it where it has one.
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder" \
  torchsde==0.2.6 trampoline==0.1.2 boltons==25.0.0
"$python" -c 'import torch, scipy' 2>/dev/null || "$python" -m pip install --quiet --target "$folder" torch==2.13.0 numpy scipy
PYTHONPATH=$folder "$python" - <<'PYTHON'
import importlib.metadata
import sys
import warnings

import torch
import torchsde

print("torchsde", importlib.metadata.version("torchsde"), "torch", torch.__version__)
counts = []
for low, high in ((0.029167533, 14.614641), (0.03125, 16.0)):  # Stable Diffusion's ends, and ends of few digits
    t0, t1 = (torch.tensor(end, dtype=torch.float32) for end in (low, high))
    tree = torchsde.BrownianTree(t0, torch.zeros(64), t1, entropy=1)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        tree(t0, t1)
    counts.append(len(told))
    print(f"W from {float(t0)!r} to {float(t1)!r}: {len(told)} warnings")

tree = torchsde.BrownianTree(torch.tensor(0.03125), torch.zeros(4096), torch.tensor(16.0), entropy=1)
start = torch.tensor(0.03125)
moved = []
for near in (2.0000002, 2.000001):
    time, other = torch.tensor(2.0), torch.tensor(near)
    moved.append(float((tree(start, other) - tree(start, time)).std()))
    print(f"times {float(other - time):.1e} apart: W differs by {moved[-1]:.1e} (standard deviation)")
sys.exit(counts[1] != 0 or counts[0] == 0 or moved[0] != 0 or not 3e-4 < moved[1] < 3e-3)
PYTHON
