"""Every kind of language model against the library's, called as the pipelines of the families that have it call it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.models.families.base import Prompting, Tower
from engine.models.shapes import Shapes
from engine.models.towers import kind_named, kinds
from tests.tiny_towers import PROMPT, encoded, family, library_tokenizer, tiny, write_tokenizer, written

__all__ = ["family"]

CHAT = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"


def prepared(family: Any, tmp_path: Path, kind: str, specials: str, pad: str, told: str) -> tuple[Any, Any]:
    bench = family(kind, f"kind='{kind}', prompting=Prompting({told})")
    return bench, library_tokenizer(write_tokenizer(tmp_path, kind, specials), pad)


def test_gemma_2_is_what_lumina_2_takes(family: Any, tmp_path: Path) -> None:
    from transformers import Gemma2Config, Gemma2Model

    told = "template='<bos>Make it good. <Prompt Start> {}', layers=(-2,), most=256, least=256"
    bench, words = prepared(family, tmp_path, "gemma2", "gemma", "<pad>", told)
    module = tiny(Gemma2Config, Gemma2Model, len(words), head_dim=16)
    written(bench, "gemma2", module, {"head_dim": 16})
    given = words(
        "<bos>Make it good. <Prompt Start> " + PROMPT, padding="max_length", max_length=256, return_tensors="pt"
    )
    expected = module(given.input_ids, attention_mask=given.attention_mask, output_hidden_states=True).hidden_states[-2]
    context, options = encoded(bench, "gemma2")
    assert torch.allclose(context, expected, atol=1e-5)
    assert torch.equal(options["attention_mask"], given.attention_mask)


def test_gemma_3_is_the_librarys(family: Any, tmp_path: Path) -> None:
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    bench, words = prepared(family, tmp_path, "gemma3", "gemma", "<pad>", "template='<bos>{}', layers=(0, -1)")
    rope = dict(kind_named("gemma3").constants["rope_parameters"])  # type: ignore[attr-defined]
    module = tiny(
        Gemma3TextConfig,
        Gemma3ForCausalLM,
        len(words),
        head_dim=16,
        num_hidden_layers=7,
        sliding_window=1024,
        rope_parameters=rope,
    )
    written(bench, "gemma3", module)
    states = module(**words("<bos>" + PROMPT, return_tensors="pt"), output_hidden_states=True).hidden_states
    context, _ = encoded(bench, "gemma3")
    assert torch.allclose(context, torch.cat([states[0], states[-1]], dim=-1), atol=1e-5)


def test_llama_is_what_hidream_takes(family: Any, tmp_path: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    told = "template='<|begin_of_text|>{}', layers=(1, 2, 3, 4), least=128, most=128"
    bench, words = prepared(family, tmp_path, "llama", "llama", "<|eot_id|>", told)
    rope = dict(kind_named("llama").constants["rope_parameters"])  # type: ignore[attr-defined]
    settings = {"rms_norm_eps": 1e-5, "max_position_embeddings": 131072, "rope_parameters": rope}
    module = tiny(LlamaConfig, LlamaForCausalLM, len(words), **settings)
    written(bench, "llama", module, {"head_dim": 8})
    given = words("<|begin_of_text|>" + PROMPT, padding="max_length", max_length=128, return_tensors="pt")
    states = module(given.input_ids, attention_mask=given.attention_mask, output_hidden_states=True).hidden_states
    context, _ = encoded(bench, "llama")
    assert torch.allclose(context.unflatten(2, (4, 32)).movedim(2, 0), torch.stack(states[1:]), atol=1e-5)


def test_mistral_is_what_flux_2_takes(family: Any, tmp_path: Path) -> None:
    """Within the model that sees pictures, under the names of either version of the library; padding stands before it."""
    from transformers import Mistral3Config, Mistral3ForConditionalGeneration

    template = "<s>[SYSTEM_PROMPT]You reason.[/SYSTEM_PROMPT][INST]{}[/INST]"
    told = f"template={template!r}, layers=(1, 2, 3), least=128, most=128, side='left'"
    bench, words = prepared(family, tmp_path, "mistral", "mistral", "<pad>", told)
    words.padding_side = "left"
    vision = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "head_dim": 4}
    rope = {"rope_type": "default", "rope_theta": 1e9}
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}
    text = {"vocab_size": len(words), "num_hidden_layers": 4, "head_dim": 16, "rms_norm_eps": 1e-5, **sizes}
    torch.manual_seed(3)
    config = Mistral3Config(
        text_config={**text, "model_type": "mistral", "sliding_window": None, "rope_parameters": rope},
        vision_config={**vision, "model_type": "pixtral"},
    )
    module = Mistral3ForConditionalGeneration(config).eval().requires_grad_(False)
    given = words(template.replace("{}", PROMPT), padding="max_length", max_length=128, return_tensors="pt")
    states = module(**given, output_hidden_states=True, use_cache=False).hidden_states
    expected = torch.stack([states[k] for k in (1, 2, 3)], dim=1).permute(0, 2, 1, 3).reshape(1, 128, 96)
    written(bench, "mistral", module, {"head_dim": 16})
    context, options = encoded(bench, "mistral")
    real = given.attention_mask[0].bool()
    assert torch.allclose(context[:, real], expected[:, real], atol=1e-5)
    assert torch.allclose(context, expected, atol=1e-5)
    assert torch.equal(options["attention_mask"], given.attention_mask)


def test_ministral_is_what_ernie_image_takes(family: Any, tmp_path: Path) -> None:
    from transformers import Ministral3Config, Ministral3Model

    bench, words = prepared(family, tmp_path, "ministral3", "mistral", "<pad>", "template='<s>{}', layers=(-2,)")
    module = tiny(Ministral3Config, Ministral3Model, len(words), head_dim=16)
    written(bench, "ministral3", module, {"head_dim": 16})
    given = words("<s>" + PROMPT, return_tensors="pt")
    expected = module(given.input_ids, output_hidden_states=True).hidden_states[-2]
    context, _ = encoded(bench, "ministral3")
    assert torch.allclose(context, expected, atol=1e-5)


def qwen3_vl(words: Any) -> Any:
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    rope = {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [4, 2, 2], "mrope_interleaved": True}
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}
    vision = {"depth": 2, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 32}
    torch.manual_seed(3)
    config = Qwen3VLConfig(
        text_config={
            "vocab_size": len(words),
            "num_hidden_layers": 4,
            "head_dim": 16,
            "rope_parameters": rope,
            **sizes,
        },
        vision_config={**vision, "num_position_embeddings": 16, "deepstack_visual_indexes": [0], "patch_size": 4},
        image_token_id=words.convert_tokens_to_ids("<|image_pad|>"),
    )
    return Qwen3VLForConditionalGeneration(config).eval().requires_grad_(False)


ROPE = {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [4, 2, 2], "mrope_interleaved": True}


def test_qwen3_vl_is_what_ideogram_4_takes(family: Any, tmp_path: Path) -> None:
    from diffusers.pipelines.ideogram4 import pipeline_ideogram4
    from diffusers.pipelines.ideogram4.pipeline_ideogram4 import Ideogram4Pipeline

    told = f"template={CHAT!r}, layers=(1, 2, 4), last_normed=False"
    bench, words = prepared(family, tmp_path, "qwen3_vl", "qwen", "<|endoftext|>", told)
    module = qwen3_vl(words)
    written(bench, "qwen3_vl", module, {"rope": ROPE})
    given = words(CHAT.replace("{}", PROMPT), return_tensors="pt")
    places = torch.arange(given.input_ids.shape[1])[None]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline_ideogram4, "QWEN3_VL_ACTIVATION_LAYERS", (0, 1, 3))
        states = Ideogram4Pipeline._get_text_encoder_hidden_states(
            module.model, given.input_ids, given.attention_mask, places
        )
    context, _ = encoded(bench, "qwen3_vl")
    assert torch.allclose(context, torch.cat(states, dim=-1), atol=1e-5)


def test_qwen3_vl_is_what_flux_3_takes(family: Any, tmp_path: Path) -> None:
    from types import SimpleNamespace

    from diffusers.modular_pipelines.flux3.encoders import Flux3TextEncoderStep

    told = f"template={CHAT!r}, layers=(1, 2, 3), multiple=80, most=8192, pad_place=1"
    bench, words = prepared(family, tmp_path, "qwen3_vl", "qwen", "<|endoftext|>", told)
    module = qwen3_vl(words)
    written(bench, "qwen3_vl", module, {"rope": ROPE})
    processor = SimpleNamespace(
        tokenizer=words, apply_chat_template=lambda messages, **options: CHAT.replace("{}", messages[0]["content"])
    )
    expected = Flux3TextEncoderStep._get_qwen3_vl_prompt_embeds(
        module, processor, PROMPT, hidden_states_layers=(1, 2, 3)
    )
    context, options = encoded(bench, "qwen3_vl")
    assert context.shape[1] % 80 == 0
    assert torch.allclose(context, expected, atol=1e-5)
    assert 0 < int(options["attention_mask"].sum()) < context.shape[1]


PUBLISHED = {
    "qwen3_4b": ("qwen3", "Qwen3", 151936, 2560, 9728, 36, 32, 8, 128),
    "qwen3_8b": ("qwen3", "Qwen3", 151936, 4096, 12288, 36, 32, 8, 128),
    "qwen3_06b": ("qwen3", "Qwen3", 151936, 1024, 3072, 28, 16, 8, 128),
    "qwen2_5_vl_7b": ("qwen2_5_vl", "Qwen2_5_VLText", 152064, 3584, 18944, 28, 28, 4, None),
    "qwen2_5_vl_3b": ("qwen2_5_vl", "Qwen2_5_VLText", 151936, 2048, 11008, 36, 16, 2, None),
    "gemma2_2b": ("gemma2", "Gemma2", 256000, 2304, 9216, 26, 8, 4, 256),
    "gemma3_4b": ("gemma3", "Gemma3Text", 262208, 2560, 10240, 34, 8, 4, 256),
    "llama_8b": ("llama", "Llama", 128256, 4096, 14336, 32, 32, 8, 128),
    "mistral_small_3": ("mistral", "Mistral", 131072, 5120, 32768, 40, 32, 8, 128),
    "ministral_3b": ("ministral3", "Ministral3", 131072, 3072, 9216, 26, 32, 8, 128),
}


def published(name: str) -> tuple[str, Shapes]:
    """The tensors of a full-size model, on the meta device."""
    import transformers

    kind, classes, vocabulary, width, inner, layers, heads, key_heads, head_dim = PUBLISHED[name]
    told = {} if head_dim is None else {"head_dim": head_dim}
    config = getattr(transformers, f"{classes}Config")(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_heads,
        **told,
    )
    with torch.device("meta"):
        module = getattr(transformers, f"{classes}Model")(config)
    return kind, {f"model.{key}": tuple(value.shape) for key, value in module.state_dict().items()}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_full_size_model_has_the_tensors_that_its_kind_makes(name: str) -> None:
    kind, shapes = published(name)
    assert [one.TITLE for one in kinds() if one.is_there(shapes)] == [kind_named(kind).TITLE]
    tower = Tower(name=name, kind=kind, prompting=Prompting(layers=(3, -2)))
    facts = kind_named(kind).text_facts(shapes, {}, tower)
    depth = PUBLISHED[name][5]
    assert (facts.config["num_hidden_layers"], facts.cut_layers) == (depth - 1, 1)
    with torch.device("meta"):
        module = kind_named(kind).build(facts.config)
        zeros: Any = {key: torch.empty(shape) for key, shape in shapes.items()}
    got = {key: tuple(value.shape) for key, value in kind_named(kind).renamed(zeros, facts.config).items()}
    assert got == {key: tuple(value.shape) for key, value in module.state_dict().items()}
    settings = (facts.config["num_attention_heads"], facts.config["num_key_value_heads"])
    assert settings == PUBLISHED[name][6:8]


def t5_words() -> Any:
    from transformers import PreTrainedTokenizerFast

    from tests.families import t5_tokenizer

    told = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=t5_tokenizer(), model_max_length=64, **told)


@pytest.mark.parametrize(("kind", "padding"), [("t5", "masked"), ("umt5", "zero")])
def test_t5_that_does_not_see_padding_is_what_chroma_and_auraflow_take(
    family: Any, tmp_path: Path, kind: str, padding: str
) -> None:
    import transformers

    from tests.families import t5_tokenizer

    bench = family(kind, f"kind='{kind}', least=64, padding='{padding}'")
    words = t5_words()
    folder = tmp_path / "models" / "text_encoders" / kind
    folder.mkdir(parents=True)
    (folder / "tokenizer.json").write_text(t5_tokenizer().to_str())
    classes = {"t5": "T5", "umt5": "UMT5"}[kind]
    sizes = {"d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 3, "feed_forward_proj": "gated-gelu", "d_model": 24}
    torch.manual_seed(3)
    config = getattr(transformers, f"{classes}Config")(vocab_size=len(words), **sizes)
    module = getattr(transformers, f"{classes}EncoderModel")(config).eval().requires_grad_(False)
    written(bench, kind, module)
    given = words("the red apple", padding="max_length", max_length=64, return_tensors="pt")
    expected = module(given.input_ids, attention_mask=given.attention_mask)[0]
    if padding == "zero":
        expected = expected * given.attention_mask.unsqueeze(-1)
    context, options = encoded(bench, kind, "the red apple")
    assert torch.allclose(context, expected, atol=1e-5)
    assert torch.equal(options["attention_mask"], given.attention_mask)


def test_byt5_reads_bytes_and_needs_no_tokenizer_file(family: Any, tmp_path: Path) -> None:
    from transformers import ByT5Tokenizer, T5Config, T5EncoderModel

    bench = family("byt5", "kind='byt5', least=64, padding='masked'")
    words = ByT5Tokenizer()
    sizes = {"d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 3, "feed_forward_proj": "gated-gelu", "d_model": 24}
    torch.manual_seed(3)
    module = T5EncoderModel(T5Config(vocab_size=384, **sizes)).eval().requires_grad_(False)
    written(bench, "byt5", module)
    given = words("Text Größe. ", padding="max_length", max_length=64, return_tensors="pt")
    expected = module(given.input_ids, attention_mask=given.attention_mask)[0]
    context, options = encoded(bench, "byt5", "Text Größe. ")
    assert torch.allclose(context, expected, atol=1e-5)
    assert torch.equal(options["attention_mask"], given.attention_mask)
    shapes = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    assert [kind.TITLE for kind in kinds() if kind.is_there(shapes)] == ["ByT5's encoder"]


def test_qwen_3_5_of_the_librarys_own_size_has_the_tensors_that_its_kind_makes() -> None:
    from transformers import Qwen3_5TextConfig, Qwen3_5TextModel

    known: Any = kind_named("qwen3_5")
    with torch.device("meta"):
        module = Qwen3_5TextModel(Qwen3_5TextConfig())
        shapes = {f"model.language_model.{name}": tuple(value.shape) for name, value in module.state_dict().items()}
        facts = known.text_facts(shapes, {}, Tower(name="q", kind="qwen3_5", prompting=Prompting(layers=(-2,))))
        again = known.build(facts.config).state_dict()
    assert [kind.TITLE for kind in kinds() if kind.is_there(shapes)] == ["Qwen3.5"]
    wanted = {name: value.shape for name, value in module.state_dict().items() if not name.startswith("layers.31.")}
    assert {name: value.shape for name, value in again.items()} == wanted


def test_a_folder_of_the_library_tells_what_tensors_do_not(family: Any, tmp_path: Path) -> None:
    """Its config.json as the library writes it, and as it was written before version 5."""
    from engine.models.text_files import config_hints

    module = qwen3_vl(library_tokenizer(write_tokenizer(tmp_path, "qwen3_vl", "qwen"), "<|endoftext|>"))
    told = config_hints(module.config.to_dict())
    assert told["rope"] == ROPE
    assert (told["heads"], told["head_dim"], told["vision"]["num_heads"]) == (4, 16, 2)
    assert told["vision"]["deepstack_visual_indexes"] in ([0], (0,))
    before = {"rope_theta": 1000000.0, "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]}}
    assert config_hints(before)["rope"] == kind_named("qwen2_5_vl").constants["rope_parameters"]  # type: ignore[attr-defined]


def test_four_files_are_a_familys_whatever_their_order(family: Any, tmp_path: Path) -> None:
    from transformers import LlamaConfig, LlamaModel

    from tests import families as tiny_families

    others = (
        "Tower(name='clip_l'), Tower(name='clip_g', width=1280), Tower(name='t5xxl', kind='t5', width=4096, least=8"
    )
    bench = family("four", f"kind='llama', width=4096), {others}")
    words = library_tokenizer(write_tokenizer(tmp_path, "llama", "llama"), "<|eot_id|>")
    modules = {
        "llama": tiny(LlamaConfig, LlamaModel, len(words), head_dim=16),
        "clip_g": tiny_families.text_tower(400, 48, 2, "gelu", projection=40),
        "clip_l": tiny_families.text_tower(400, 32, 2, "quick_gelu"),
        "t5": tiny_families.t5(24),
    }
    for name, module in modules.items():
        written(bench, name, module, {"heads": 2 if "clip" in name else 4})
    paths = [bench.paths.find("text_encoders", f"{name}.safetensors") for name in ("t5", "clip_g", "llama", "clip_l")]
    handle = bench.models.text_encoders(paths, "four")
    assert [tower.tower for tower in handle.towers] == ["four", "clip_l", "clip_g", "t5xxl"]
    assert [tower.source.path for tower in handle.towers] == [str(paths[index]) for index in (2, 3, 1, 0)]
    assert handle.towers[0].config["head_dim"] == 16
