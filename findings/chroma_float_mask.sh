#!/usr/bin/env bash
# diffusers 0.42.1: ChromaPipeline hands its network the mask of the text as floats, 1 for a token that is seen and 0 for padding.
# Attention adds floats to the scores: padding keeps exp(-1), 0.37, of its weight, and moves the prediction. As booleans the
# same mask hides it wholly: what stands in the padding then changes no bit.
# Prints the mask's type and how far other padding moves the prediction under both. Ends with 1 when that has changed.
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
import tokenizers
import torch
import transformers

print("diffusers", diffusers.__version__, "transformers", transformers.__version__, "torch", torch.__version__)
torch.manual_seed(0)
network = diffusers.ChromaTransformer2DModel(
    in_channels=64,
    num_layers=1,
    num_single_layers=1,
    attention_head_dim=16,
    num_attention_heads=2,
    joint_attention_dim=24,
    axes_dims_rope=(2, 6, 8),
    approximator_num_channels=16,
    approximator_hidden_dim=32,
    approximator_layers=1,
).eval()
sizes = {"vocab_size": 8, "d_model": 24, "d_kv": 12, "d_ff": 32, "num_layers": 1, "num_heads": 2}
encoder = transformers.T5EncoderModel(transformers.T5Config(**sizes)).eval()
words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"<pad>": 0, "<unk>": 1, "a": 2, "cat": 3}, unk_token="<unk>"))
words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", unk_token="<unk>")
pipeline = diffusers.ChromaPipeline(
    scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
    vae=None,
    text_encoder=encoder,
    tokenizer=tokenizer,
    transformer=network,
)
pipeline.set_progress_bar_config(disable=True)
calls = []
hook = network.register_forward_pre_hook(lambda module, args, given: calls.append(given), with_kwargs=True)
size = {"height": 32, "width": 32, "max_sequence_length": 16}
pipeline("a cat", num_inference_steps=1, guidance_scale=0, output_type="latent", **size)
hook.remove()
given = calls[0]
mask, text = given["attention_mask"], given["encoder_hidden_states"]
print("the pipeline's mask:", mask.dtype, [int(seen) for seen in mask[0]])

hidden = mask[:, : text.shape[1], None] == 0
other = torch.where(hidden, torch.randn(text.shape), text)
moved = {}
for kind in (mask.dtype, torch.bool):
    told = given | {"attention_mask": mask.to(kind)}
    with torch.no_grad():
        first, second = (network(**told | {"encoder_hidden_states": states})[0] for states in (text, other))
    moved[kind] = float((first - second).abs().max())
    print(f"mask of {kind}: other padding moves the prediction by {moved[kind]:.2g} of {float(first.abs().max()):.2g}")
sys.exit(not (mask.dtype == torch.float32 and moved[torch.float32] > 0.01 and moved[torch.bool] == 0))
PYTHON
