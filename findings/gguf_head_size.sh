#!/usr/bin/env bash
# transformers 5.23.0 reads attention.key_length, the size of a head, in GGUF files of Qwen3-MoE and Gemma 3, and not in those of
# Qwen3 and Llama: a head of Qwen3 is then taken to be of 128 whatever the file tells, one of Llama (without
# rope.dimension_count) of the width / heads. The configuration tells that without a word, and a right file's tensors do not fit.
# Prints the sizes read, and what comes of writing and reading Qwen3 with two sizes. Ends with 1 when that has changed.
# PYTHON: an interpreter; torch is taken from it where it has one.
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m pip install --quiet --disable-pip-version-check --target "$folder" \
  transformers==5.23.0 huggingface-hub==2.4.0 safetensors==0.8.0 tokenizers==0.23.3 numpy==2.4.6 gguf==0.19.0 psutil==7.2.2
"$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder" accelerate==1.15.0
"$python" -c 'import torch' 2>/dev/null || "$python" -m pip install --quiet --target "$folder" torch==2.13.0
PYTHONPATH=$folder HF_HUB_OFFLINE=1 TQDM_DISABLE=1 "$python" -W ignore - "$folder" <<'PYTHON'
import importlib.metadata
import pathlib
import sys
import tempfile

import gguf
import torch
import transformers

print(*(f"{name} {importlib.metadata.version(name)}" for name in ("transformers", "gguf", "torch")))
transformers.logging.set_verbosity(transformers.logging.CRITICAL)
transformers.logging.disable_progress_bar()
FILE, EPS = "model.gguf", 2.0**-20  # a float32 exactly, as the file has it
torch.manual_seed(0)


def config(head):
    sizes = {"num_attention_heads": 2, "num_key_value_heads": 2, "num_hidden_layers": 1, "intermediate_size": 96}
    rotary = {"rope_type": "default", "rope_theta": 1e6}
    return transformers.Qwen3Config(
        vocab_size=32, hidden_size=64, head_dim=head, rms_norm_eps=EPS, rope_parameters=rotary, **sizes
    )


def written(architecture, head, tensors=None):
    """Return a folder with a GGUF file of two heads of this size and a width of 64."""
    made = pathlib.Path(tempfile.mkdtemp(dir=sys.argv[1]))
    writer = gguf.GGUFWriter(made / FILE, architecture)
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(96)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_layer_norm_rms_eps(EPS)
    writer.add_rope_freq_base(1e6)
    writer.add_vocab_size(32)
    for name, tensor in (tensors or {}).items():
        writer.add_tensor(name, tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return made


def loaded(model, made, **told):
    """Return what comes of reading the file back: whether it predicts the same, or an error's name."""
    row = torch.arange(8)[None]
    try:
        again = transformers.AutoModelForCausalLM.from_pretrained(made, gguf_file=FILE, dtype=torch.float32, **told)
    except RuntimeError:
        return "RuntimeError"
    with torch.no_grad():
        return "the same numbers" if torch.equal(again(row).logits, model(row).logits) else "other numbers"


read = {}
for architecture in ("qwen3moe", "gemma3", "qwen3", "llama"):
    found = transformers.AutoConfig.from_pretrained(written(architecture, 16), gguf_file=FILE)
    read[architecture] = found.head_dim
    print(f"{architecture}, attention.key_length 16: {type(found).__name__}.head_dim {found.head_dim}")

names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN3, 1)
results = []
for head in (128, 16):
    model = transformers.Qwen3ForCausalLM(config(head)).eval()
    tensors = {names.get_name(name, (".weight",)): tensor for name, tensor in model.state_dict().items()}
    made = written("qwen3", head, tensors)
    results.append(loaded(model, made))
    print(f"Qwen3 of heads of {head} written and read back: {results[-1]}")
results.append(loaded(model, made, config=model.config))
print(f"Qwen3 of heads of 16, read with its own configuration: {results[-1]}")
expected = {"qwen3moe": 16, "gemma3": 16, "qwen3": 128, "llama": 32}
sys.exit(not (read == expected and results == ["the same numbers", "RuntimeError", "the same numbers"]))
PYTHON
