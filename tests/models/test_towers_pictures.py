"""Language models that see pictures: what they give is what the library's models and processors do, as edit pipelines call them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.models.encoded import ENCODERS
from engine.models.errors import ModelError
from engine.models.towers import kind_named
from engine.models.towers.pictures import fitted, patches
from nodes.loaders import text_encoder_loader
from tests.tiny_towers import PROMPT, family, library_tokenizer, write_tokenizer, written

__all__ = ["family"]

TEMPLATE = "<|im_start|>system\nSay how.<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
PICTURE = "Picture {}: <|vision_start|><|image_pad|><|vision_end|>"
SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}


def processor_of(kind: str, patch: int) -> Any:
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    known: Any = kind_named(kind)
    return Qwen2VLImageProcessorPil(
        patch_size=patch,
        image_mean=list(known.mean),
        image_std=list(known.deviation),
        min_pixels=3136,
        max_pixels=10**6,
    )


def qwen2_5_vl(words: Any) -> tuple[Any, dict[str, Any]]:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [1, 1, 2]}
    vision = {"window_size": 16, "fullatt_block_indexes": [1], "num_heads": 2}
    torch.manual_seed(3)
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(words),
            "num_hidden_layers": 4,
            "rope_parameters": rope,
            "rms_norm_eps": 1e-6,
            **SIZES,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 16,
            "intermediate_size": 24,
            "out_hidden_size": 32,
            "patch_size": 4,
            **vision,
        },
        image_token_id=words.convert_tokens_to_ids("<|image_pad|>"),
    )
    module = Qwen2_5_VLForConditionalGeneration(config).eval().requires_grad_(False)
    return module, {"heads": 4, "rope": rope, "vision": vision}


def qwen3_vl(words: Any) -> tuple[Any, dict[str, Any]]:
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    rope = {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [4, 2, 2], "mrope_interleaved": True}
    vision = {"deepstack_visual_indexes": [0], "num_heads": 2}
    torch.manual_seed(3)
    config = Qwen3VLConfig(
        text_config={
            "vocab_size": len(words),
            "num_hidden_layers": 4,
            "head_dim": 16,
            "rope_parameters": rope,
            **SIZES,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 16,
            "intermediate_size": 24,
            "out_hidden_size": 32,
            "num_position_embeddings": 16,
            "patch_size": 4,
            **vision,
        },
        image_token_id=words.convert_tokens_to_ids("<|image_pad|>"),
    )
    return Qwen3VLForConditionalGeneration(config).eval().requires_grad_(False), {"rope": rope, "vision": vision}


def qwen3_5(words: Any) -> tuple[Any, dict[str, Any]]:
    from transformers import Qwen3_5Config, Qwen3_5ForConditionalGeneration

    rope = {"rope_type": "default", "rope_theta": 1e7, "partial_rotary_factor": 0.5, "mrope_section": [2, 1, 1]}
    recurrent = {
        "linear_key_head_dim": 8,
        "linear_num_key_heads": 2,
        "linear_value_head_dim": 4,
        "linear_num_value_heads": 4,
    }
    torch.manual_seed(3)
    config = Qwen3_5Config(
        text_config={
            "vocab_size": len(words),
            "num_hidden_layers": 5,
            "head_dim": 16,
            "rope_parameters": rope,
            **recurrent,
            **SIZES,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 16,
            "intermediate_size": 24,
            "out_hidden_size": 32,
            "num_position_embeddings": 16,
            "patch_size": 4,
            "num_heads": 2,
        },
        image_token_id=words.convert_tokens_to_ids("<|image_pad|>"),
    )
    module = Qwen3_5ForConditionalGeneration(config).eval().requires_grad_(False)
    return module, {"rope": rope, "vision": {"num_heads": 2}, "key_width": 8}


MODELS = {"qwen2_5_vl": qwen2_5_vl, "qwen3_vl": qwen3_vl, "qwen3_5": qwen3_5}


@pytest.fixture(params=["qwen2_5_vl", "qwen3_vl", "qwen3_5"])
def made(request: pytest.FixtureRequest, family: Any, tmp_path: Path) -> tuple[str, Any, Any, Any]:
    """The kind, a bench with a family that has it, the library's model and tokenizer."""
    kind = request.param
    usual = f"Prompting(template={TEMPLATE!r}, drop=5, layers=(2, -1))"
    edit = f"Prompting(template={TEMPLATE!r}, drop=9, layers=(2, -1), picture={PICTURE!r})"
    bench = family(kind, f"kind='{kind}', prompting={usual}, styles={{'edit': {edit}}}")
    words = library_tokenizer(write_tokenizer(tmp_path, kind, "qwen"), "<|endoftext|>")
    module, told = MODELS[kind](words)
    written(bench, kind, module, told)
    return kind, bench, module, words


def pictures() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    made = [torch.randint(0, 256, (1, rows, columns, 3), generator=generator) for rows, columns in ((56, 64), (72, 48))]
    return [picture / 255 for picture in made]


def test_pictures_stand_before_the_prompt_as_in_qwen_image_edit_plus(made: Any) -> None:
    kind, bench, module, words = made
    seen = processor_of(kind, 4)([(one[0] * 255).round().byte().numpy() for one in pictures()], return_tensors="pt")
    counts = iter((seen.image_grid_thw.prod(-1) // 4).tolist())
    before = "".join(PICTURE.replace("{}", str(number)) for number in (1, 2))
    pieces = TEMPLATE.replace("{}", before + PROMPT).split("<|image_pad|>")
    text = pieces[0] + "".join("<|image_pad|>" * next(counts) + piece for piece in pieces[1:])
    given = words(text, return_tensors="pt")
    kinds_of_tokens = (given.input_ids == module.config.image_token_id).int()
    # The pipeline leaves mm_token_type_ids out, with which the model knows the places of pictures.
    states = module(
        **given,
        pixel_values=seen.pixel_values,
        image_grid_thw=seen.image_grid_thw,
        mm_token_type_ids=kinds_of_tokens,
        output_hidden_states=True,
    ).hidden_states
    expected = torch.cat([states[2], states[-1]], dim=-1)[:, 9:]
    with bench.models.use(text_encoder_loader(bench, f"{kind}.safetensors", kind)) as encoder:
        context, options = encoder.encode(PROMPT, pictures=pictures(), style="edit")
        without, _ = encoder.encode(PROMPT)
        styled, _ = encoder.encode(PROMPT, style="edit")
    assert torch.equal(options.pop("picture_slots"), kinds_of_tokens[:, 9:] == 1)
    assert set(options) == {ENCODERS}
    assert context.shape == expected.shape
    assert torch.allclose(context, expected, atol=1e-5)
    alone = module(
        **words(TEMPLATE.replace("{}", PROMPT), return_tensors="pt"), output_hidden_states=True
    ).hidden_states
    assert torch.allclose(without, torch.cat([alone[2], alone[-1]], dim=-1)[:, 5:], atol=1e-5)
    assert torch.equal(styled, without[:, 4:])


def test_a_family_without_a_place_for_pictures_says_so(made: Any) -> None:
    kind, bench, _, _ = made
    with bench.models.use(text_encoder_loader(bench, f"{kind}.safetensors", kind)) as encoder:
        with pytest.raises(ModelError, match="have no place for pictures"):
            encoder.encode(PROMPT, pictures=pictures())
        with pytest.raises(ModelError, match="a prompt with 3 places for 2 pictures"):
            encoder.encode(f"{PROMPT} <|image_pad|>", pictures=pictures(), style="edit")


@pytest.mark.parametrize("size", [(30, 50), (300, 20), (1400, 900), (3, 5)])
def test_sides_are_those_of_the_librarys_processor(size: tuple[int, int]) -> None:
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

    assert fitted(*size, 28, 3136, 10**6) == smart_resize(*size, 28, 3136, 10**6)
    with pytest.raises(ModelError, match="200 times as long as wide"):
        fitted(1000, 4, 28, 3136, 10**6)


def test_a_picture_is_brought_to_whole_patches() -> None:
    kind: Any = kind_named("qwen3_vl")
    found = patches(torch.full((1, 100, 61, 3), 0.75), kind, 16, 2, 2)
    assert found.grid == (1, 6, 4)
    assert found.tokens == 6
    assert found.values.shape == (24, 3 * 2 * 16 * 16)
    assert torch.allclose(found.values, torch.full_like(found.values, 0.5), atol=1e-6)


FULL = {
    "qwen2_5_vl": {
        "depth": 32,
        "hidden_size": 1280,
        "intermediate_size": 3420,
        "num_heads": 16,
        "out_hidden_size": 3584,
    },
    "qwen3_vl": {"depth": 24, "hidden_size": 1024, "intermediate_size": 4096, "num_heads": 16, "out_hidden_size": 2560},
}


@pytest.mark.parametrize("kind", FULL)
@pytest.mark.parametrize("old", [True, False])
def test_a_full_size_vision_tower_has_the_tensors_that_its_kind_makes(kind: str, old: bool) -> None:
    """As files had it (`model.`, `visual.`) and as the library writes it now (`model.language_model.`, `model.visual.`)."""
    from engine.models.families.base import Prompting, Tower

    known: Any = kind_named(kind)
    width = FULL[kind]["out_hidden_size"]
    sizes: dict[str, Any] = {
        "hidden_size": width,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "vocab_size": 151936,
    }
    config = sizes | {"num_hidden_layers": 2, "intermediate_size": 64} | dict(known.constants)
    if kind == "qwen3_vl":
        config |= {"num_attention_heads": 32, "head_dim": 128}
    vision = FULL[kind] | ({"deepstack_visual_indexes": [5, 11, 17]} if kind == "qwen3_vl" else {})
    with torch.device("meta"):
        whole = known.build(config | {"vision": vision})
    state = whole.state_dict()
    names = {
        name: f"model.{name.removeprefix('language_model.')}" if old and name.startswith("language") else name
        for name in state
    }
    if not old:
        names = {name: f"model.{name}" for name in state}
    shapes = {names[name]: tuple(value.shape) for name, value in state.items()} | {"lm_head.weight": (151936, width)}
    tower = Tower(name=kind, kind=kind, prompting=Prompting(picture=PICTURE))
    assert known.is_there(shapes)
    facts = known.text_facts(shapes, {}, tower)
    assert {name: facts.config["vision"][name] for name in ("depth", "hidden_size", "intermediate_size")} == {
        name: FULL[kind][name] for name in ("depth", "hidden_size", "intermediate_size")
    }
    with torch.device("meta"):
        again = known.build(facts.config).state_dict()
        tensors: Any = {name: torch.empty(shape) for name, shape in shapes.items()}
    got = known.renamed(tensors, facts.config)
    assert {name: value.shape for name, value in got.items()} == {name: value.shape for name, value in again.items()}
    plain = known.text_facts(shapes, {}, Tower(name=kind, kind=kind))
    assert "vision" not in plain.config  # nobody asks for pictures: it is not loaded
    assert not any(name.startswith("visual.") for name in known.renamed(tensors, plain.config))
