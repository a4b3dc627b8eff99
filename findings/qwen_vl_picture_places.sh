#!/usr/bin/env bash
# transformers 5.23.0: Qwen2.5-VL gives a picture's tokens their rows and columns only where it is passed mm_token_type_ids;
# without, it numbers them like text and says nothing. Qwen3-VL raises an error. diffusers 0.42.1's pipelines of Qwen-Image-Edit
# and Edit-Plus leave out what the processor gives, so their conditioning is that of the wrong places.
# Prints both places, and which of the two the pipelines' conditioning is. Ends with 1 when that has changed.
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
import transformers

print("transformers", transformers.__version__, "diffusers", diffusers.__version__, "torch", torch.__version__)
transformers.logging.set_verbosity_error()
PICTURE, START, END = 70, 72, 73
text = {
    "vocab_size": 80,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 1, 1]},
}
vision = {
    "depth": 1,
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_heads": 4,
    "out_hidden_size": 32,
    "patch_size": 4,
    "spatial_merge_size": 2,
    "temporal_patch_size": 1,
}
tokens = {
    "image_token_id": PICTURE,
    "video_token_id": 71,
    "vision_start_token_id": START,
    "vision_end_token_id": END,
}
torch.manual_seed(0)
older = transformers.Qwen2_5_VLForConditionalGeneration(
    transformers.Qwen2_5_VLConfig(
        text_config=text, vision_config=vision | {"window_size": 16, "fullatt_block_indexes": [0]}, **tokens
    )
).eval()
newer = transformers.Qwen3VLForConditionalGeneration(
    transformers.Qwen3VLConfig(
        text_config=text | {"head_dim": 8},
        vision_config=vision | {"deepstack_visual_indexes": [0], "num_position_embeddings": 16},
        **tokens,
    )
).eval()
row = torch.tensor([[1, 2, START, *[PICTURE] * 6, END, 3]])  # a picture of two rows and three columns
given = {
    "input_ids": row,
    "attention_mask": torch.ones_like(row),
    "pixel_values": torch.randn(24, 3 * 4 * 4),
    "image_grid_thw": torch.tensor([[1, 4, 6]]),
}
types = {"mm_token_type_ids": (row == PICTURE).int()}
places = []
rotary = older.model.language_model.rotary_emb
rotary.register_forward_pre_hook(
    lambda module, args, told: places.append((*args, *told.values())[1][:, 0].tolist()), with_kwargs=True
)


def run(model, inputs):
    with torch.no_grad():
        return model(**inputs, output_hidden_states=True).hidden_states[-1]


plain, told = run(older, given), run(older, given | types)
for name, found in (("without", places[0]), ("with", places[1])):
    print(f"Qwen2.5-VL {name} mm_token_type_ids:")
    for axis, numbers in zip(("time", "row", "column"), found):
        print(f"  {axis:<7}{numbers}")
print(f"  hidden states differ by {float((plain - told).abs().max()):.2g}")
try:
    raised = f"runs, {tuple(run(newer, given).shape)}"
except ValueError as error:
    raised = "ValueError"
    print("Qwen3-VL without: ValueError,", str(error)[:90], "...")

same = []
for kind in (diffusers.QwenImageEditPipeline, diffusers.QwenImageEditPlusPipeline):
    parts = {name: None for name in ("scheduler", "vae", "tokenizer", "transformer")}
    processor = lambda **asked: transformers.BatchFeature(given | types)  # what the real one gives, without its tokenizer
    pipeline = kind(text_encoder=older, processor=processor, **parts)
    pipeline.prompt_template_encode_start_idx = 0  # this row has no beginning to drop
    with torch.no_grad():
        conditioning = pipeline.encode_prompt("a prompt")[0]
    same.append((torch.equal(conditioning, plain), torch.equal(conditioning, told)))
    print(f"{kind.__name__}: equal to without {same[-1][0]}, to with {same[-1][1]}")
line = list(range(row.shape[1]))
grid = [[0, 1, 2, *at, 6, 7] for at in ([3] * 6, [3, 3, 3, 4, 4, 4], [3, 4, 5, 3, 4, 5])]
sys.exit(not (places[0] == [line] * 3 and places[1] == grid and raised == "ValueError" and same == [(True, False)] * 2))
PYTHON
