"""Language models as text encoders: what they give is what the families' pipelines take of the library's models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.models.encoded import ENCODERS
from nodes.conditioning import text_encode
from nodes.loaders import text_encoder_loader
from tests.tiny_towers import PROMPT, encoded, family, library_tokenizer, tiny, write_tokenizer, written

__all__ = ["family"]
QWEN_TEMPLATE = (
    "<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, quantity, text, spatial "
    "relationships of the objects and background:<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
)
CHAT = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"


def qwen3(vocabulary: int) -> Any:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    rope = {"rope_type": "default", "rope_theta": 1e6}
    return tiny(Qwen3Config, Qwen3ForCausalLM, vocabulary, head_dim=16, rope_parameters=rope, tie_word_embeddings=True)


def test_one_layer_of_a_chat_is_what_z_image_takes(family: Any, tmp_path: Path) -> None:
    bench = family("zeta", f"kind='qwen3', prompting=Prompting(template={CHAT!r}, layers=(-2,), most=512)")
    words = library_tokenizer(write_tokenizer(tmp_path, "qwen3", "qwen"), "<|endoftext|>")
    module = qwen3(len(words))
    written(bench, "zeta", module)
    given = words(
        CHAT.replace("{}", PROMPT), padding="max_length", max_length=512, truncation=True, return_tensors="pt"
    )
    states = module(**given, output_hidden_states=True).hidden_states[-2]
    expected = states[0][given.attention_mask[0].bool()][None]
    context, options = encoded(bench, "zeta")
    assert set(options) == {ENCODERS}
    assert torch.allclose(context, expected, atol=1e-5)
    clip = text_encoder_loader(bench, "zeta.safetensors", "zeta")
    with bench.models.use(clip) as encoder:
        assert len(encoder.module.layers) == 3  # the last one is not needed


def test_several_layers_with_padding_are_what_flux_2_klein_takes(family: Any, tmp_path: Path) -> None:
    bench = family(
        "klein", f"kind='qwen3', prompting=Prompting(template={CHAT!r}, layers=(1, 2, 3), least=120, most=120)"
    )
    words = library_tokenizer(write_tokenizer(tmp_path, "qwen3", "qwen"), "<|endoftext|>")
    module = qwen3(len(words))
    written(bench, "klein", module)
    given = words(
        CHAT.replace("{}", PROMPT), padding="max_length", max_length=120, truncation=True, return_tensors="pt"
    )
    states = module(**given, output_hidden_states=True).hidden_states
    expected = torch.stack([states[k] for k in (1, 2, 3)], dim=1).permute(0, 2, 1, 3).reshape(1, 120, 96)
    context, options = encoded(bench, "klein")
    assert torch.allclose(context, expected, atol=1e-5)
    assert torch.equal(options["attention_mask"], given.attention_mask)
    assert 0 < int(options["attention_mask"].sum()) < 120


def test_a_template_whose_beginning_is_dropped_is_what_qwen_image_takes(family: Any, tmp_path: Path) -> None:
    from transformers import Qwen2_5_VLTextConfig, Qwen2_5_VLTextModel

    bench = family("queen", f"kind='qwen2_5_vl', prompting=Prompting(template={QWEN_TEMPLATE!r}, drop=34)")
    words = library_tokenizer(write_tokenizer(tmp_path, "qwen2_5_vl", "qwen"), "<|endoftext|>")
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [1, 1, 2]}
    module = tiny(Qwen2_5_VLTextConfig, Qwen2_5_VLTextModel, len(words), rope_parameters=rope, rms_norm_eps=1e-6)
    written(bench, "queen", module, {"heads": 4, "rope": rope})
    given = words(QWEN_TEMPLATE.replace("{}", PROMPT), return_tensors="pt")
    expected = module(**given, output_hidden_states=True).hidden_states[-1][:, 34:]
    context, options = encoded(bench, "queen")
    assert set(options) == {ENCODERS}
    assert torch.allclose(context, expected, atol=1e-5)


def test_padding_within_the_template_is_what_krea_2_takes(family: Any, tmp_path: Path) -> None:
    told = f"template={QWEN_TEMPLATE!r}, drop=34, layers=(0, 2, 4), least=300, most=300, side='middle'"
    bench = family("krea", f"kind='qwen3', prompting=Prompting({told})")
    words = library_tokenizer(write_tokenizer(tmp_path, "qwen3", "qwen"), "<|endoftext|>")
    module = qwen3(len(words))
    written(bench, "krea", module)
    before, _, after = QWEN_TEMPLATE.partition("{}")
    end = words(after, return_tensors="pt")
    start = words(before + PROMPT, padding="max_length", max_length=300 - end.input_ids.shape[1], return_tensors="pt")
    ids, mask = (torch.cat([start[name], end[name]], dim=1) for name in ("input_ids", "attention_mask"))
    places = (mask.cumsum(dim=-1) - 1).clamp(min=0)
    states = module(
        input_ids=ids, attention_mask=mask.bool(), position_ids=places, output_hidden_states=True
    ).hidden_states
    expected = torch.stack([states[i] for i in (0, 2, 4)], dim=2)[:, 34:]
    context, options = encoded(bench, "krea")
    assert torch.allclose(context.unflatten(2, (3, 32)), expected, atol=1e-5)
    assert torch.equal(options["attention_mask"], mask[:, 34:])


def test_a_long_prompt_is_cut_as_tokenizers_do_and_the_author_is_told(family: Any, tmp_path: Path) -> None:
    bench = family("zeta", f"kind='qwen3', prompting=Prompting(template={CHAT!r}, layers=(-2,), most=40)")
    words = library_tokenizer(write_tokenizer(tmp_path, "qwen3", "qwen"), "<|endoftext|>")
    written(bench, "zeta", qwen3(len(words)))
    with bench.models.use(text_encoder_loader(bench, "zeta.safetensors", "zeta")) as encoder:
        [row] = encoder.tokenize(PROMPT * 5, bench.warn)
    assert [token.value for token in row] == words(CHAT.replace("{}", PROMPT * 5)).input_ids[:40]
    assert "cut to 40" in bench.warned[0]


def test_of_two_families_of_one_type_the_file_tells_which(family: Any, tmp_path: Path) -> None:
    family("large", "kind='qwen3', width=4096", "shared")
    family("other", "kind='qwen2_5_vl', width=32", "shared")
    bench = family("small", "kind='qwen3', width=32", "shared")
    words = library_tokenizer(write_tokenizer(tmp_path, "qwen3", "qwen"), "<|endoftext|>")
    written(bench, "zeta", qwen3(len(words)))
    assert text_encoder_loader(bench, "zeta.safetensors", "shared").family == "small"


def test_a_language_model_of_another_type_writes_and_is_no_text_encoder(family: Any, tmp_path: Path) -> None:
    from engine.models.errors import ModelError
    from nodes.text_generate import text_generate

    family("right", "kind='qwen3', width=32", "rightly")
    bench = family("wrong", "kind='qwen2_5_vl', width=3584", "wrongly")
    words = library_tokenizer(write_tokenizer(tmp_path, "qwen3", "qwen"), "<|endoftext|>")
    written(bench, "zeta", qwen3(len(words)))
    asked = {"prompt": PROMPT, "max_length": 6, "sampling_mode": {"sampling_mode": "off"}}
    expected = text_generate(bench, text_encoder_loader(bench, "zeta.safetensors", "rightly"), **asked)
    assert expected.generated_text
    for kind in ("wrongly", "yue2"):  # workflows give it the type of any family, of one that is not known too
        clip = text_encoder_loader(bench, "zeta.safetensors", kind)
        assert text_generate(bench, clip, **asked) == expected
        message = r"zeta.safetensors: holds Qwen3, .*loaded to write texts alone\. Types that take it: .*rightly"
        with pytest.raises(ModelError, match=message):
            encoded_by(bench, clip)


def encoded_by(bench: Any, clip: Any) -> Any:
    from nodes.conditioning import text_encode

    return text_encode(bench, PROMPT, clip)


def test_a_wrong_file_for_a_type_is_told_what_it_is_and_which_types_it_fits(
    family: Any, tmp_path: Path, tiny_sd: Any
) -> None:
    import shutil

    from engine.models.errors import CheckpointError

    bench = family("wrong", "kind='qwen2_5_vl', width=3584", "wrongly")
    folder = tmp_path / "models" / "text_encoders"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(tiny_sd.file("checkpoints", "tiny.safetensors"), folder / "clip.safetensors")
    message = r"wrongly takes wrong \(width 3584\) for Made-up wrong; but clip.safetensors holds no text encoder"
    with pytest.raises(CheckpointError, match=message):
        text_encoder_loader(bench, "clip.safetensors", "wrongly")
    with pytest.raises(CheckpointError, match="no family with 1 text encoders is called 'yue2'"):
        text_encoder_loader(bench, "clip.safetensors", "yue2")


def test_pictures_for_a_model_that_sees_none_are_refused(family: Any, tmp_path: Path) -> None:
    from engine.models.errors import ModelError

    bench = family("zeta", "kind='qwen3'")
    words = library_tokenizer(write_tokenizer(tmp_path, "qwen3", "qwen"), "<|endoftext|>")
    written(bench, "zeta", qwen3(len(words)))
    with (
        bench.models.use(text_encoder_loader(bench, "zeta.safetensors", "zeta")) as encoder,
        pytest.raises(ModelError, match="expected a text encoder that sees pictures"),
    ):
        encoder.encode("red", pictures=[torch.zeros(1, 28, 28, 3)])


def test_where_16_bits_are_wanted_a_language_model_has_the_range_of_32(
    family: Any, tmp_path: Path, tiny_sd: Any, bench: Any
) -> None:
    from engine.models.manager import ModelManager

    words_bench = family("zeta", "kind='qwen3'")
    words = library_tokenizer(write_tokenizer(tmp_path, "qwen3", "qwen"), "<|endoftext|>")
    written(words_bench, "zeta", qwen3(len(words)))
    clip = text_encoder_loader(words_bench, "zeta.safetensors", "zeta")
    manager = ModelManager("cpu", dtype="float16", tokenizer_dirs=[tmp_path / "models" / "text_encoders"])
    with manager.use(clip) as encoder:
        assert (encoder.dtype, encoder.module.norm.weight.dtype) == (torch.bfloat16, torch.bfloat16)
        assert encoder.module.rotary_emb.inv_freq.dtype == torch.float32
        assert encoder.encode("red").context.dtype == torch.float32
    with manager.use(bench.models.checkpoint(tiny_sd.file("checkpoints", "tiny.safetensors")).clip) as encoder:
        assert encoder.dtype == torch.float16


def test_a_folder_of_the_library_is_read_with_its_config_and_tokenizer(family: Any, tmp_path: Path) -> None:
    """Ours has another base of the rotation than published models: the config tells it."""
    from transformers import Qwen3Config, Qwen3Model

    bench = family("zeta", "kind='qwen3', width=32")
    words = library_tokenizer(write_tokenizer(tmp_path, "elsewhere", "qwen"), "<|endoftext|>")
    rope = {"rope_type": "default", "rope_theta": 50.0}
    module = tiny(Qwen3Config, Qwen3Model, len(words), head_dim=16, rope_parameters=rope)
    module.save_pretrained(tmp_path / "folder")
    words.save_pretrained(tmp_path / "folder")
    clip = bench.models.text_encoder(tmp_path / "folder")
    assert (clip.family, clip.config["rope_parameters"]) == ("zeta", rope)
    [[context, _]] = text_encode(bench, PROMPT, clip)
    expected = module(**words(PROMPT, return_tensors="pt")).last_hidden_state
    assert torch.allclose(context, expected, atol=1e-5)


def test_a_file_alone_is_of_the_family_that_needs_no_type(family: Any, tmp_path: Path) -> None:
    family("aaa", "kind='qwen3', width=32", "some")
    family("bbb", "kind='qwen3', width=32", "stable_diffusion")
    bench = family("ccc", "kind='qwen3', width=4096", "stable_diffusion")
    words = library_tokenizer(write_tokenizer(tmp_path, "qwen3", "qwen"), "<|endoftext|>")
    written(bench, "zeta", qwen3(len(words)))
    clip = text_encoder_loader(bench, "zeta.safetensors")
    assert clip.family == "bbb"
    text_encode(bench, PROMPT, clip.with_last_layer(-2))
    assert "CLIPSetLastLayer changes nothing" in bench.warned[0]


@pytest.mark.parametrize("scale", ["scale_weight", "weight_scale"])
def test_eight_bit_weights_with_factors_are_read(family: Any, tmp_path: Path, scale: str) -> None:
    """As most files of the field have language models: every projection in fp8, the table of tokens and norms as they were."""
    from safetensors.torch import save_file

    bench = family("zeta", f"kind='qwen3', prompting=Prompting(template={CHAT!r}, layers=(2,))")
    words = library_tokenizer(write_tokenizer(tmp_path, "qwen3", "qwen"), "<|endoftext|>")
    module = qwen3(len(words))
    tensors = {}
    for name, value in module.state_dict().items():
        if name.endswith("proj.weight"):
            factor = value.abs().max() / 448
            tensors[name] = (value / factor).to(torch.float8_e4m3fn)
            tensors[f"{name.removesuffix('.weight')}.{scale}"] = factor.reshape(1)
            value.copy_(tensors[name].float() * factor)
        elif "lm_head" not in name:
            tensors[name] = value.to(torch.bfloat16)
            value.copy_(tensors[name].float())
    if scale == "scale_weight":
        tensors["scaled_fp8"] = torch.zeros(2, dtype=torch.float8_e4m3fn)
    path = tmp_path / "models" / "text_encoders" / "zeta.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)
    given = words(CHAT.replace("{}", PROMPT), return_tensors="pt")
    expected = module(**given, output_hidden_states=True).hidden_states[2]
    context, _ = encoded(bench, "zeta")
    assert torch.allclose(context, expected, atol=1e-5)
