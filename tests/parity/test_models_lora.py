"""LoRA of every naming against what PEFT and diffusers make of the same numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from diffusers.loaders.lora_conversion_utils import _convert_non_diffusers_lora_to_diffusers
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

from engine.models import sd_keys
from engine.models.handles import ClipHandle, ModelHandle
from engine.models.manager import ModelManager

TOLERANCE = 1e-5
RANK, ALPHA = 4, 6.0


def unet() -> Any:
    torch.manual_seed(1)
    module = UNet2DConditionModel(
        block_out_channels=(32, 64), layers_per_block=1, norm_num_groups=8, cross_attention_dim=24, attention_head_dim=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )  # fmt: skip
    return module.eval().requires_grad_(False)


def text_encoder() -> Any:
    torch.manual_seed(2)
    config = CLIPTextConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, vocab_size=60,
        bos_token_id=58, eos_token_id=59, pad_token_id=0,
    )  # fmt: skip
    return CLIPTextModel(config).eval().requires_grad_(False)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    module = unet()
    state = sd_keys.unet_to_original(module.state_dict(), module.config)
    state |= sd_keys.text_to_original(text_encoder().state_dict())
    facts = {"unet": {"heads": 8, "norm_groups": 8}, "text": {"heads": 2}}
    metadata = {"safelight.config": json.dumps(facts), "safelight.tokenizer": tokenizer_json()}
    path = tmp_path / "model.safetensors"
    save_file({name: value.contiguous() for name, value in state.items()}, path, metadata)
    return path


def tokenizer_json() -> str:
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {f"w{i}": i for i in range(58)} | {"<|startoftext|>": 58, "<|endoftext|>": 59}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<|endoftext|>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return str(tokenizer.to_str())


def lora_file(folder: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str] | None = None) -> Path:
    path = folder / "lora.safetensors"
    save_file({name: value.contiguous() for name, value in tensors.items()}, path, metadata)
    return path


def modules_of(module: torch.nn.Module, parts: tuple[str, ...]) -> dict[str, torch.nn.Module]:
    kinds = (torch.nn.Linear, torch.nn.Conv2d)
    return {name: m for name, m in module.named_modules() if isinstance(m, kinds) and name.endswith(parts)}


def low_rank(module: torch.nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Random (down, up) for a linear layer or a convolution."""
    if isinstance(module, torch.nn.Linear):
        return torch.randn(RANK, module.in_features) * 0.1, torch.randn(module.out_features, RANK) * 0.1
    down = torch.randn(RANK, module.in_channels, *module.kernel_size) * 0.1
    return down, torch.randn(module.out_channels, RANK, 1, 1) * 0.1


def unet_output(manager: ModelManager, handle: ModelHandle) -> torch.Tensor:
    with manager.use(handle) as network:
        return network(*unet_input())


def unet_input() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    x, context = torch.randn(1, 4, 8, 8, generator=generator), torch.randn(1, 7, 24, generator=generator)
    return x, torch.tensor([333.0]), context


def adapted(module: Any, config: Any) -> Any:
    """Put a PEFT adapter with random weights on `module` (changed in place) and return the PEFT model."""
    model = peft.get_peft_model(module, config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if any(part in name for part in ("lora_", "hada_", "lokr_")):
                parameter.normal_(std=0.1)
    return model.eval().requires_grad_(False)


PARTS = ("to_q", "to_k", "to_v", "to_out.0", "proj_in", "conv1", "ff.net.2")
PEFT_CONFIGS = {
    "lora": lambda: peft.LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=list(PARTS)),
    "rank-stabilised lora": lambda: peft.LoraConfig(
        r=RANK, lora_alpha=ALPHA, target_modules=list(PARTS), use_rslora=True
    ),
    "dora": lambda: peft.LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=list(PARTS), use_dora=True),
    "loha": lambda: peft.LoHaConfig(r=RANK, alpha=ALPHA, target_modules=list(PARTS)),
    "loha with tucker cores": lambda: peft.LoHaConfig(
        r=RANK, alpha=ALPHA, target_modules=list(PARTS), use_effective_conv2d=True
    ),
    "lokr": lambda: peft.LoKrConfig(r=RANK, alpha=ALPHA, target_modules=list(PARTS)),
    "lokr of two whole factors": lambda: peft.LoKrConfig(r=64, alpha=ALPHA * 64 / RANK, target_modules=list(PARTS)),
    "lokr with tucker cores": lambda: peft.LoKrConfig(
        r=RANK, alpha=ALPHA, target_modules=list(PARTS), use_effective_conv2d=True
    ),
}


@pytest.mark.parametrize("kind", PEFT_CONFIGS)
def test_an_adapter_that_peft_saved_changes_the_unet_as_peft_does(tmp_path: Path, checkpoint: Path, kind: str) -> None:
    reference = adapted(unet(), PEFT_CONFIGS[kind]())
    reference.save_pretrained(tmp_path / "adapter")
    manager = ModelManager()
    model = manager.checkpoint(checkpoint).model
    result = manager.lora(tmp_path / "adapter" / "adapter_model.safetensors", model)
    assert result.unmatched == ()
    x, t, context = unet_input()
    expected = reference(x, t, context).sample
    ours = unet_output(manager, result.model)
    assert (ours - expected).abs().max() <= TOLERANCE
    assert (ours - unet_output(manager, model)).abs().max() > 100 * TOLERANCE


def test_an_adapter_that_peft_saved_changes_the_text_encoder_as_peft_does(tmp_path: Path, checkpoint: Path) -> None:
    parts = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]
    reference = adapted(text_encoder(), peft.LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=parts))
    reference.save_pretrained(tmp_path / "adapter")
    manager = ModelManager()
    clip = manager.checkpoint(checkpoint).clip
    result = manager.lora(tmp_path / "adapter" / "adapter_model.safetensors", clip=clip)
    assert result.unmatched == ()
    assert encoded(manager, result.clip, reference) <= TOLERANCE


def encoded(manager: ModelManager, clip: ClipHandle, reference: Any) -> float:
    with manager.use(clip) as encoder:
        context, _ = encoder.encode("w5 w6")
    ids = torch.tensor([[58, 5, 6, *[59] * 74]])
    return float((context - reference(input_ids=ids).last_hidden_state).abs().max())


def test_kohya_names_mean_what_diffusers_takes_them_for(tmp_path: Path, checkpoint: Path) -> None:
    tensors: dict[str, torch.Tensor] = {}
    module, text = unet(), text_encoder()
    layers = modules_of(module, ("to_q", "to_k", "to_v", "to_out.0", "proj_in", "ff.net.2", "ff.net.0.proj", "conv1"))
    for name, layer in layers.items():
        key = f"lora_unet_{name.replace('.', '_')}"
        tensors[f"{key}.lora_down.weight"], tensors[f"{key}.lora_up.weight"] = low_rank(layer)
        tensors[f"{key}.alpha"] = torch.tensor(ALPHA)
    for name, layer in modules_of(text, ("q_proj", "k_proj", "v_proj", "out_proj", "fc1")).items():
        key = f"lora_te_text_model_{name.removeprefix('text_model.').replace('.', '_')}"
        tensors[f"{key}.lora_down.weight"], tensors[f"{key}.lora_up.weight"] = low_rank(layer)
        tensors[f"{key}.alpha"] = torch.tensor(ALPHA)
    path = lora_file(tmp_path, tensors)
    converted, alphas = _convert_non_diffusers_lora_to_diffusers(dict(tensors))
    of_unet = {name: value for name, value in converted.items() if name.startswith("unet.")}
    assert len(of_unet) == 2 * len(layers)
    module.load_lora_adapter(
        of_unet, network_alphas={k: v for k, v in alphas.items() if k.startswith("unet.")}, prefix="unet"
    )
    manager = ModelManager()
    model, clip, _ = manager.checkpoint(checkpoint)
    result = manager.lora(path, model, clip)
    assert result.unmatched == ()
    assert (unet_output(manager, result.model) - module(*unet_input()).sample).abs().max() <= TOLERANCE
    assert encoded(manager, result.clip, merged_text(text, converted, ALPHA / RANK)) <= TOLERANCE


def merged_text(text: Any, converted: dict[str, torch.Tensor], scale: float) -> Any:
    """Merge the text part of diffusers' conversion by hand: these old names have no loader any more."""
    layers = {name.removeprefix("text_model."): layer for name, layer in text.named_modules()}
    old = {"to_q_lora": "q_proj", "to_k_lora": "k_proj", "to_v_lora": "v_proj", "to_out_lora": "out_proj"}
    downs = [n for n in converted if n.startswith("text_encoder.") and n.endswith(".down.weight")]
    for name in downs:
        path = (
            name.removeprefix("text_encoder.text_model.")
            .removesuffix(".down.weight")
            .removesuffix(".lora_linear_layer")
        )
        for theirs, ours in old.items():
            path = path.replace(theirs, ours)
        layers[path].weight.data += converted[name.replace(".down.", ".up.")] @ converted[name] * scale
    assert downs
    return text


def test_the_text_names_of_old_diffusers_are_the_same_layers(tmp_path: Path, checkpoint: Path) -> None:
    text, tensors = text_encoder(), {}
    names = {"q_proj": "to_q_lora", "out_proj": "to_out_lora", "fc2": "fc2.lora_linear_layer"}
    for name, layer in modules_of(text, tuple(names)).items():
        path, _, part = name.removeprefix("text_model.").rpartition(".")
        base = f"text_encoder.text_model.{path}.{names[part]}"
        tensors[f"{base}.down.weight"], tensors[f"{base}.up.weight"] = low_rank(layer)
    manager = ModelManager()
    result = manager.lora(lora_file(tmp_path, tensors), clip=manager.checkpoint(checkpoint).clip)
    assert result.unmatched == ()
    assert encoded(manager, result.clip, merged_text(text, tensors, 1.0)) <= TOLERANCE


NAMINGS = {
    "diffusers": ("unet.{}.lora_A.weight", "unet.{}.lora_B.weight"),
    "diffusers with alphas": ("unet.{}.lora.down.weight", "unet.{}.lora.up.weight"),
    "bare": ("{}.lora_A.weight", "{}.lora_B.weight"),
    "peft with adapter name": (
        "base_model.model.{}.lora_A.default.weight",
        "base_model.model.{}.lora_B.default.weight",
    ),
}


@pytest.mark.parametrize("naming", NAMINGS)
def test_diffusers_names_change_the_unet_as_diffusers_does(tmp_path: Path, checkpoint: Path, naming: str) -> None:
    module, tensors, plain = unet(), {}, {}
    for name, layer in modules_of(module, ("to_q", "to_out.0", "proj_out")).items():
        down, up = low_rank(layer)
        tensors[NAMINGS[naming][0].format(name)], tensors[NAMINGS[naming][1].format(name)] = down, up
        plain[f"unet.{name}.lora_A.weight"], plain[f"unet.{name}.lora_B.weight"] = down, up
    module.load_lora_adapter(plain, prefix="unet")
    manager = ModelManager()
    result = manager.lora(lora_file(tmp_path, tensors), manager.checkpoint(checkpoint).model)
    assert result.unmatched == ()
    assert (unet_output(manager, result.model) - module(*unet_input()).sample).abs().max() <= TOLERANCE


def test_the_adapter_metadata_that_diffusers_writes_gives_the_scale(tmp_path: Path, checkpoint: Path) -> None:
    module, tensors = unet(), {}
    for name, layer in modules_of(module, ("to_k",)).items():
        tensors[f"unet.{name}.lora_A.weight"], tensors[f"unet.{name}.lora_B.weight"] = low_rank(layer)
    described = {"r": RANK, "lora_alpha": ALPHA, "target_modules": ["to_k"]}
    metadata = {"lora_adapter_metadata": json.dumps({f"unet.{name}": value for name, value in described.items()})}
    module.load_lora_adapter(
        dict(tensors), prefix="unet", metadata={f"unet.{name}": value for name, value in described.items()}
    )
    manager = ModelManager()
    result = manager.lora(lora_file(tmp_path, tensors, metadata), manager.checkpoint(checkpoint).model)
    assert (unet_output(manager, result.model) - module(*unet_input()).sample).abs().max() <= TOLERANCE


@pytest.mark.parametrize("naming", ["attention processors", "original layout", "comfy"])
def test_other_spellings_of_a_module_are_the_same_module(tmp_path: Path, checkpoint: Path, naming: str) -> None:
    module, tensors = unet(), {}
    original = sd_keys.unet_names(module.config)
    for name, layer in modules_of(module, ("attn1.to_q", "attn2.to_out.0")).items():
        down, up = low_rank(layer)
        block = next(path for path in original if name.startswith(f"{path}."))
        old = original[block] + name.removeprefix(block)
        if naming == "attention processors":
            base = name.replace("attn1.", "attn1.processor.").replace("attn2.", "attn2.processor.").removesuffix(".0")
            tensors[f"{base}_lora.down.weight"], tensors[f"{base}_lora.up.weight"] = down, up
        elif naming == "original layout":
            base = f"lora_unet_{old.replace('.', '_')}"
            tensors[f"{base}.lora_down.weight"], tensors[f"{base}.lora_up.weight"] = down, up
        else:
            tensors[f"diffusion_model.{old}.lora_down.weight"] = down
            tensors[f"diffusion_model.{old}.lora_up.weight"] = up
        layer.weight.data += up @ down
    manager = ModelManager()
    result = manager.lora(lora_file(tmp_path, tensors), manager.checkpoint(checkpoint).model)
    assert result.unmatched == ()
    assert (unet_output(manager, result.model) - module(*unet_input()).sample).abs().max() <= TOLERANCE
