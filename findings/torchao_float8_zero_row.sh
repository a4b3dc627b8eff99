#!/usr/bin/env bash
# torchao 0.18.0: Float8WeightOnlyConfig gives a row of weights that are all zero the scale 0, divides by it and stores NaN: the
# layer's output is NaN there for every input, in float32 and bfloat16 alike. With one scale for the whole tensor it keeps a
# zero row, and makes a layer that is all zero NaN. Int8WeightOnlyConfig keeps both as zeros.
# Prints what each makes of a zero row and a zero layer. Ends with 1 when that has changed.
# PYTHON: an interpreter; torch is taken from it where it has one.
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder" torchao==0.18.0
"$python" -c 'import torch' 2>/dev/null || "$python" -m pip install --quiet --target "$folder" torch==2.13.0 numpy
PYTHONPATH=$folder "$python" -W ignore - <<'PYTHON'
import importlib.metadata
import logging
import sys

logging.disable(logging.WARNING)  # of kernels for graphics cards, which this does not use

import torch
from torchao.quantization import Float8WeightOnlyConfig, Int8WeightOnlyConfig, PerTensor, quantize_

print("torchao", importlib.metadata.version("torchao"), "torch", torch.__version__)
kinds = {
    "Float8WeightOnlyConfig()": Float8WeightOnlyConfig(),
    "Float8WeightOnlyConfig(granularity=PerTensor())": Float8WeightOnlyConfig(granularity=PerTensor()),
    "Int8WeightOnlyConfig()": Int8WeightOnlyConfig(),
}
found = {}
for dtype in (torch.float32, torch.bfloat16):
    for name, kind in kinds.items():
        counts = []
        for zeros in (1, 4):
            torch.manual_seed(0)
            layer = torch.nn.Linear(32, 4, bias=False, dtype=dtype).requires_grad_(False)
            layer.weight[:zeros] = 0
            quantize_(layer, kind)
            output = layer(torch.ones(1, 32, dtype=dtype))[0]
            counts.append(int(output.isnan().sum()))
            told = [round(float(number), 3) for number in output]
            print(f"{str(dtype):<14} {name}, {zeros} of 4 rows zero: output {told}")
        found[dtype, name] = counts
expected = dict(zip(kinds, ([1, 4], [0, 4], [0, 0])))
sys.exit(any(counts != expected[name] for (_, name), counts in found.items()))
PYTHON
