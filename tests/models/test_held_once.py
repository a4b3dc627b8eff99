"""What a file has once is in memory once, however many ways it is used in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from engine.models.writing import writer_among
from nodes.conditioning import text_encode
from nodes.loaders import text_encoder_loader
from nodes.text_generate import text_generate
from tests.families import save
from tests.models.test_towers_lora import STRENGTH, lora
from tests.models.test_writing import qwen3
from tests.tiny_towers import PROMPT, family, library_tokenizer, write_tokenizer, written

__all__ = ["family"]


@pytest.fixture(params=["float32", "bfloat16", "fp8"])
def bench(request: pytest.FixtureRequest, family: Any, tmp_path: Path) -> Any:
    """Two families with one file, of whose four layers they take one and three; in float32, converted, packed."""
    from engine.models.manager import ModelManager

    family("few", "kind='qwen3', prompting=Prompting(layers=(1,))")
    made = family("more", "kind='qwen3', prompting=Prompting(layers=(3,))")
    words = library_tokenizer(write_tokenizer(tmp_path, "qwen3", "qwen"), "<|endoftext|>")
    written(made, "qwen3", qwen3(words, tied=True))
    if request.param == "fp8":
        path = file_of(made)
        tensors = load_file(path)
        save(path, {n: v.to(torch.float8_e4m3fn) if n.endswith("proj.weight") else v for n, v in tensors.items()}, {})
    if request.param == "bfloat16":
        made.models = ModelManager("cpu", dtype="bfloat16", tokenizer_dirs=[tmp_path / "models" / "text_encoders"])
    return made


def file_of(bench: Any) -> Path:
    return Path(bench.paths.base / "models" / "text_encoders" / "qwen3.safetensors")


def bytes_of(bench: Any, layers: int) -> int:
    """Bytes of a file's first layers as they are kept."""
    kept = {
        name: value
        for name, value in load_file(file_of(bench)).items()
        if not name.startswith("model.layers.") or int(name.split(".")[2]) < layers
    }
    width = 2 if bench.models.dtype == "bfloat16" else 4
    return sum(one.numel() * (1 if one.element_size() == 1 else width) for one in kept.values())


def encoder(bench: Any, kind: str) -> Any:
    return text_encoder_loader(bench, "qwen3.safetensors", kind)


def told(bench: Any, clip: Any) -> torch.Tensor:
    return torch.as_tensor(text_encode(bench, PROMPT, clip)[0][0])


def says(bench: Any, clip: Any) -> str:
    return str(text_generate(bench, clip, PROMPT, max_length=6, sampling_mode={"sampling_mode": "off"})[0])


def held(bench: Any) -> int:
    [fact] = bench.models.loaded()
    return int(fact.bytes)


def places(bench: Any, clip: Any) -> dict[str, int]:
    with bench.models.use(clip) as live:
        tensors = live.module.state_dict(keep_vars=True)
        return {
            n: getattr(t, "kept", t).parts[0].data_ptr() if hasattr(t, "kept") else t.data_ptr()
            for n, t in tensors.items()
        }


def test_a_language_model_that_encodes_and_writes_is_held_once(bench: Any) -> None:
    clip = encoder(bench, "few")
    told(bench, clip)
    assert held(bench) == bytes_of(bench, 1)
    says(bench, clip)
    assert held(bench) == bytes_of(bench, 4)
    writer, _ = writer_among(clip)
    few, whole = places(bench, clip), places(bench, writer)
    assert few.items() < whole.items()


def test_two_loaders_of_one_file_are_held_once_whichever_comes_first(bench: Any) -> None:
    few, more = encoder(bench, "few"), encoder(bench, "more")
    by_itself = told(bench, few)
    assert held(bench) == bytes_of(bench, 1)
    both = told(bench, more)
    assert held(bench) == bytes_of(bench, 3)
    bench.models.free()
    assert torch.equal(told(bench, more), both)
    assert torch.equal(told(bench, few), by_itself)
    assert held(bench) == bytes_of(bench, 3)


def test_a_lora_on_one_use_of_a_file_changes_no_other(bench: Any, tmp_path: Path) -> None:
    few, more = encoder(bench, "few"), encoder(bench, "more")
    names = ("layers.0.self_attn.q_proj", "layers.0.mlp.down_proj")
    with bench.models.use(more) as live:
        tensors, _ = lora(live.module, {name: f"text_encoder.model.{name}" for name in names})
    save(tmp_path / "one.safetensors", tensors, {})
    before = told(bench, few), told(bench, more), says(bench, few)
    plain = held(bench)
    patched = bench.models.lora(tmp_path / "one.safetensors", None, few, 0.0, STRENGTH).clip
    on = told(bench, patched)
    assert not torch.equal(on, before[0])
    assert torch.equal(told(bench, more), before[1])
    assert says(bench, few) == before[2]
    assert torch.equal(told(bench, bench.models.lora(tmp_path / "one.safetensors", None, few, 0.0, STRENGTH).clip), on)
    assert torch.equal(told(bench, few), before[0])
    assert held(bench) == plain


def test_only_what_is_not_there_is_read_again(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.models import weights

    read: list[set[str]] = []
    monkeypatch.setattr(weights, "_check_finite", lambda _handle, _path, found: read.append(set(found)))
    for kind in ("few", "more", "few"):
        told(bench, encoder(bench, kind))
    says(bench, encoder(bench, "more"))
    layers = [{int(name.split(".")[1]) for name in found if name.startswith("layers.")} for found in read]
    assert layers == [{0}, {1, 2}, {3}]
    assert ["embed_tokens.weight" in found for found in read] == [True, False, False]
