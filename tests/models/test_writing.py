"""Text that language models write: greedily what the library's `generate` writes, drawn by a seed, and thinking apart."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from engine.models.towers import kind_named
from engine.models.towers.chat import GEMMA3, QWEN3
from engine.models.writing import Sampling, _Draw, thought_apart
from nodes.loaders import text_encoder_loader
from nodes.text_generate import text_generate
from tests.families import save
from tests.models.test_towers_pictures import MODELS, pictures, processor_of
from tests.tiny_towers import PROMPT, family, library_tokenizer, tiny, write_tokenizer, written

__all__ = ["family"]
LENGTH = 12


def qwen3(words: Any, *, tied: bool) -> Any:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    rope = {"rope_type": "default", "rope_theta": 1e6}
    return tiny(Qwen3Config, Qwen3ForCausalLM, len(words), head_dim=16, rope_parameters=rope, tie_word_embeddings=tied)


def theirs(module: Any, words: Any, text: str, **seen: Any) -> str:
    given = words(text, return_tensors="pt", add_special_tokens=False)
    ends = [words.convert_tokens_to_ids(end) for end in QWEN3.ends]
    config = {"do_sample": False, "max_new_tokens": LENGTH, "eos_token_id": ends, "pad_token_id": ends[1]}
    found = module.generate(input_ids=given.input_ids, attention_mask=given.attention_mask, **seen, **config)
    return str(words.decode(found[0, given.input_ids.shape[1] :], skip_special_tokens=True))


def ours(bench: Any, kind: str, **told: Any) -> Any:
    clip = text_encoder_loader(bench, f"{kind}.safetensors", kind)
    given = {"max_length": LENGTH, "sampling_mode": {"sampling_mode": "off"}, **told}
    return text_generate(bench, clip, PROMPT, **given)


@pytest.fixture(params=[True, False], ids=["tied", "own head"])
def writer(request: pytest.FixtureRequest, family: Any, tmp_path: Path) -> tuple[Any, Any, Any]:
    """A family that takes the first of four layers, so that the others are only there for writing."""
    bench = family("qwen3", "kind='qwen3', prompting=Prompting(layers=(1,))")
    words = library_tokenizer(write_tokenizer(tmp_path, "qwen3", "qwen"), "<|endoftext|>")
    module = qwen3(words, tied=request.param)
    written(bench, "qwen3", module)
    if not request.param:
        path = bench.paths.base / "models" / "text_encoders" / "qwen3.safetensors"
        save(path, module.state_dict(), {})
    return bench, module, words


def test_without_sampling_the_likeliest_tokens_are_written(writer: Any) -> None:
    bench, module, words = writer
    expected = theirs(module, words, QWEN3.text(PROMPT, "Be brief."))
    assert len(words(expected).input_ids) > 3
    told: list[tuple[float, float]] = bench.told
    assert ours(bench, "qwen3", system_prompt="Be brief.") == (expected, "")
    assert told[-1][1] == LENGTH
    assert ours(bench, "qwen3", use_default_template=False)[0] == theirs(module, words, PROMPT)


def test_a_seed_gives_its_own_text_again(writer: Any) -> None:
    bench, _, _ = writer
    mode = {
        "sampling_mode": "on",
        "temperature": 1.5,
        "top_k": 0,
        "top_p": 1.0,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
    }

    def drawn(seed: int) -> str:
        return str(ours(bench, "qwen3", sampling_mode={**mode, "seed": seed})[0])

    assert drawn(1) == drawn(1) != drawn(2)


@pytest.mark.parametrize("kind", MODELS)
def test_pictures_are_seen_as_by_the_library(kind: str, family: Any, tmp_path: Path) -> None:
    chat: Any = kind_named(kind)
    picture = "<|vision_start|><|image_pad|><|vision_end|>"
    bench = family(kind, f"kind='{kind}', prompting=Prompting(layers=(1,), picture={picture!r})")
    words = library_tokenizer(write_tokenizer(tmp_path, kind, "qwen"), "<|endoftext|>")
    module, told = MODELS[kind](words)
    path = bench.paths.base / "models" / "text_encoders" / f"{kind}.safetensors"
    written(bench, kind, module, told)
    from engine.models.checkpoints import read_header

    save(path, module.state_dict(), read_header(path).metadata)
    plain = theirs(module, words, chat.chat.text(PROMPT))
    assert ours(bench, kind)[0] == plain
    if not chat.chat.picture:
        return
    image = pictures()[0]
    seen = processor_of(kind, 4)([(image[0] * 255).round().byte().numpy()], return_tensors="pt")
    tokens = int(seen["image_grid_thw"].prod()) // 4
    text = chat.chat.text(PROMPT, pictures=1).replace("<|image_pad|>", "<|image_pad|>" * tokens)
    ids = words(text, return_tensors="pt", add_special_tokens=False).input_ids
    kinds = (ids == words.convert_tokens_to_ids("<|image_pad|>")).int()
    expected = theirs(module, words, text, **seen, mm_token_type_ids=kinds)
    assert ours(bench, kind, image=image)[0] == expected
    film = image.expand(30, -1, -1, -1).clone()
    film[1:24] = film[25:] = 0.0
    assert ours(bench, kind, video=film)[0] == ours(bench, kind, image=torch.cat([image, image]))[0]


def test_a_model_that_is_no_familys_text_encoder_is_loaded_by_the_type_that_says_nothing(tmp_path: Path) -> None:
    from engine.models.manager import ModelManager
    from engine.paths import Paths
    from nodes.conditioning import text_encode
    from tests.conftest import Bench

    words = library_tokenizer(write_tokenizer(tmp_path, "qwen3_5", "qwen"), "<|endoftext|>")
    module, told = MODELS["qwen3_5"](words)
    here = Bench(ModelManager("cpu", tokenizer_dirs=[tmp_path / "models" / "text_encoders"]), Paths(tmp_path))
    written(here, "qwen3_5", module, told)
    clip = text_encoder_loader(here, "qwen3_5.safetensors")
    mode = {"sampling_mode": "off"}
    found = text_generate(here, clip, PROMPT, max_length=LENGTH, sampling_mode=mode, image=pictures()[0])
    assert found == ours(here, "qwen3_5", image=pictures()[0])
    assert found.generated_text
    with pytest.raises(ModelError, match=r"holds Qwen3\.5, .*loaded to write texts alone"):
        text_encode(here, PROMPT, clip)


def test_whatever_can_be_talked_to_can_be_loaded_to_write() -> None:
    from engine.models.families import language_models
    from engine.models.towers import kinds

    assert set(language_models.KINDS) == {one.name for one in kinds() if getattr(one, "chat", None) is not None}


def test_what_a_model_cannot_do_is_said(writer: Any) -> None:
    bench, _, _ = writer
    with pytest.raises(ModelError, match="expected a text encoder that sees pictures"):
        ours(bench, "qwen3", image=torch.rand(1, 16, 16, 3))
    with pytest.raises(ModelError, match="expected a text encoder that sees pictures"):
        ours(bench, "qwen3", video=torch.rand(2, 16, 16, 3))
    with pytest.raises(ModelError, match="audio: no language model here hears"):
        ours(bench, "qwen3", audio={"waveform": torch.zeros(1, 1, 8), "sample_rate": 8})


def test_what_is_written_is_shown_as_it_grows(writer: Any) -> None:
    bench, _, _ = writer
    bench.texts.clear()
    whole = ours(bench, "qwen3").generated_text
    assert len(bench.texts) > 3
    assert all(later.startswith(sooner) for sooner, later in pairwise(bench.texts))
    assert bench.texts[-1].strip() == whole.strip()


def test_an_encoder_that_does_not_write_is_refused(bench: Any) -> None:
    from nodes.loaders import checkpoint_loader

    clip = checkpoint_loader(bench, "tiny.safetensors").CLIP
    with pytest.raises(ModelError, match=r"\(clip_l\) writes text.*CLIPLoader"):
        text_generate(bench, clip, PROMPT, sampling_mode={"sampling_mode": "off"})


@pytest.mark.parametrize(
    ("told", "likely"),
    [
        ({"top_k": 1}, {3}),
        ({"top_k": 2}, {3, 2}),
        ({"top_p": 0.6}, {3}),
        ({"min_p": 0.2}, {3, 2}),
        ({"temperature": 0.01}, {3}),
        ({"presence": 50.0}, {0, 1, 2}),
        ({"repetition": 5.0}, {0, 1, 2}),
        ({}, {0, 1, 2, 3}),
    ],
)
def test_each_setting_leaves_the_tokens_that_it_says(told: dict[str, float], likely: set[int]) -> None:
    neutral = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repetition": 1.0}
    scores = torch.tensor([[0.05, 0.1, 0.25, 0.6]]).log() + 5.0  # 4 in front: positive scores are divided
    draw = _Draw(Sampling(**{**neutral, **told, "seed": 1}))
    found = {draw(scores.clone(), [3]) for _ in range(300)}
    if "repetition" in told:
        assert draw(torch.tensor([[1.0, 1.0, 1.0, 2.0]]) * 10, [3]) != 3
    else:
        assert found == likely


@pytest.mark.parametrize(
    ("prompt", "text", "expected"),
    [
        ("Hi", "Hello.", ("Hello.", "")),
        ("Hi", "<think>\nShort.\n</think>\n\nHello.", ("Hello.", "Short.")),
        ("Hi<think>\n", "Short.</think>Hello.", ("Hello.", "Short.")),
        ("Hi", "<think>\nNever ends", ("", "Never ends")),
    ],
)
def test_thinking_is_given_apart(prompt: str, text: str, expected: tuple[str, str]) -> None:
    assert thought_apart(prompt, text) == expected


def test_a_chat_without_system_prompts_reads_them_before_the_text() -> None:
    assert GEMMA3.text("Hi", "Be brief.") == (
        "<bos><start_of_turn>user\nBe brief.\n\nHi<end_of_turn>\n<start_of_turn>model\n"
    )
    assert QWEN3.text("Hi").endswith("assistant\n<think>\n\n</think>\n\n")
    assert QWEN3.text("Hi", thinking=True).endswith("assistant\n")
