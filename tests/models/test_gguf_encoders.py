"""Text encoders in GGUF files as llama.cpp writes them: they encode as the same model in safetensors, with their own tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.models.checkpoints import load_tensors, read_header
from engine.models.errors import CheckpointError
from engine.models.families.base import named as class_named
from engine.models.gguf_tensors import picture_file
from engine.models.packed.tensor import PackedTensor
from engine.models.towers import kind_named
from nodes.conditioning import text_encode
from nodes.loaders import dual_text_encoder_loader, text_encoder_loader
from tests.conftest import Bench
from tests.tiny_gguf import byte_pairs, language, sizes, table_of, unigrams, write
from tests.tiny_towers import PROMPT, SPECIALS, bytes_tokenizer, family, tiny, written

__all__ = ["family"]

HEADS = (4, 2)
CASES = {
    "llama": ("llama", "llama", "llama-bpe"),
    "mistral": ("llama", "mistral", "tekken"),
    "ministral3": ("mistral3", "mistral", "tekken"),
    "qwen3": ("qwen3", "qwen", "qwen2"),
    "qwen2_5_vl": ("qwen2vl", "qwen", "qwen2"),
    "gemma2": ("gemma2", "gemma", "qwen2"),
    "gemma3": ("gemma3", "gemma", "qwen2"),
}
"""Of each kind its architecture in llama.cpp, the special tokens of its vocabulary, and how text is split."""


def model_of(kind: str, vocabulary: int, theta: float = 700.0) -> Any:
    """A tiny model whose rotation has another base than published ones: the file tells it."""
    known: Any = kind_named(kind)
    told = dict(known.constants)
    rope = dict(told.pop("rope_parameters"))
    rope |= {"rope_theta": theta} if "rope_theta" in rope else {}
    if "mrope_section" in rope:
        rope["mrope_section"] = [1, 1, 2]
    made = tiny(
        class_named(known.settings), class_named(known.model), vocabulary, head_dim=16, rope_parameters=rope, **told
    )
    if kind == "qwen2_5_vl":
        assert made.config.hidden_size // made.config.num_attention_heads == 8  # which is its heads', whatever is told
    return made


def folder(base: Path) -> Path:
    return base / "models" / "text_encoders"


def given(bench: Bench, file: str, kind: str) -> torch.Tensor:
    [[context, _]] = text_encode(bench, PROMPT, text_encoder_loader(bench, file, kind))
    return context


def tokenizer_beside(base: Path, kind: str, fast: Any) -> None:
    """Where a safetensors file's tokenizer is looked for."""
    path = folder(base) / kind / "tokenizer.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(fast.to_str())


def as_in_file(fast: Any, path: Path) -> Any:
    """The tokenizer of a file, for the one in safetensors."""
    from engine.models.tokenizer_gguf import read

    made = read(path)
    assert made is not None
    assert made.get_vocab() == fast.get_vocab()
    return made


@pytest.mark.parametrize("kind", CASES)
def test_a_language_model_encodes_as_the_same_one_in_safetensors(family: Any, tmp_path: Path, kind: str) -> None:
    architecture, specials, pre = CASES[kind]
    bench = family(kind, f"kind='{kind}', prompting=Prompting(template='{{}}', layers=(2, -1))")
    fast = bytes_tokenizer(SPECIALS[specials])
    theta = 700.0
    module = model_of(kind, fast.get_vocab_size(), theta)
    head_dim = 8 if kind == "qwen2_5_vl" else 16
    path = write(
        folder(tmp_path) / f"{kind}.gguf",
        architecture,
        language(module.state_dict(), architecture, heads=HEADS),
        sizes(
            heads=HEADS,
            eps=float(module.config.rms_norm_eps),
            theta=theta,
            head_dim=head_dim,
            sections=module.config.rope_parameters.get("mrope_section"),
        ),
        byte_pairs(table_of(fast), pre),
    )
    context = given(bench, f"{kind}.gguf", kind)
    tokenizer_beside(tmp_path, kind, as_in_file(fast, path))
    rope = dict(module.config.rope_parameters)
    written(bench, kind, module, {"heads": 4, "head_dim": head_dim, "rope": rope})
    expected = given(bench, f"{kind}.safetensors", kind)
    assert torch.allclose(context, expected, atol=1e-5)
    assert context.shape == expected.shape
    assert context.std() > 0.1


def test_packed_rows_of_queries_stay_packed_in_the_order_of_the_library(family: Any, tmp_path: Path) -> None:
    import gguf

    bench = family("llama", "kind='llama'")
    fast = bytes_tokenizer(SPECIALS["llama"])
    module = model_of("llama", fast.get_vocab_size())
    state = module.state_dict()
    packed = [name for name, value in state.items() if value.ndim == 2 and value.shape[1] == 32]
    kind = gguf.GGMLQuantizationType.Q8_0
    for name in packed:
        worth = gguf.dequantize(gguf.quantize(state[name].numpy(), kind), kind)
        state[name].copy_(torch.from_numpy(worth))
    path = write(
        folder(tmp_path) / "llama.gguf",
        "llama",
        language(state, "llama", heads=HEADS),
        sizes(heads=HEADS, eps=1e-5, theta=700.0),
        byte_pairs(table_of(fast), "llama-bpe"),
        packed=lambda name: not name.endswith("norm.weight") and "ffn_down" not in name and "attn_output" not in name,
    )
    tokenizer_beside(tmp_path, "llama", as_in_file(fast, path))
    written(bench, "llama", module, {"head_dim": 16, "rope": dict(module.config.rope_parameters)})
    assert torch.equal(given(bench, "llama.gguf", "llama"), given(bench, "llama.safetensors", "llama"))
    with bench.models.use(text_encoder_loader(bench, "llama.gguf", "llama")) as encoder:
        kept = {name for name, one in encoder.module.named_parameters() if isinstance(one, PackedTensor)}
    assert {"layers.0.self_attn.q_proj.weight", "layers.3.self_attn.k_proj.weight", "embed_tokens.weight"} <= kept


def test_a_large_file_may_be_in_parts(family: Any, tmp_path: Path) -> None:
    bench = family("qwen3", "kind='qwen3'")
    fast = bytes_tokenizer(SPECIALS["qwen"])
    tensors = language(model_of("qwen3", fast.get_vocab_size()).state_dict(), "qwen3", heads=HEADS)
    facts = sizes(heads=HEADS, theta=700.0), byte_pairs(table_of(fast), "qwen2")
    write(folder(tmp_path) / "whole.gguf", "qwen3", tensors, *facts)
    write(folder(tmp_path) / "large.gguf", "qwen3", tensors, *facts, most=20)
    parts = sorted(folder(tmp_path).glob("large-*.gguf"))
    assert [part.name for part in parts] == [f"large-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    assert torch.equal(given(bench, parts[0].name, "qwen3"), given(bench, "whole.gguf", "qwen3"))
    before = text_encoder_loader(bench, parts[0].name, "qwen3").source.digest
    changed = bytearray(parts[2].read_bytes())
    changed[-1] ^= 1
    parts[2].unlink()
    parts[2].write_bytes(changed)
    assert text_encoder_loader(bench, parts[0].name, "qwen3").source.digest != before
    with pytest.raises(CheckpointError, match=r"00002-of-00003\.gguf: part 2 of 3 of a GGUF file\. Expected the first"):
        text_encoder_loader(bench, parts[1].name, "qwen3")
    parts[1].unlink()
    with pytest.raises(CheckpointError, match=r"1 of its 3 parts are missing \(large-00002-of-00003\.gguf\)"):
        text_encoder_loader(bench, parts[0].name, "qwen3")


def t5_like(kind: str, vocabulary: int) -> Any:
    import transformers

    classes = {"t5": "T5", "umt5": "UMT5"}[kind]
    numbers = {"d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 3, "feed_forward_proj": "gated-gelu", "d_model": 24}
    torch.manual_seed(3)
    config = getattr(transformers, f"{classes}Config")(vocab_size=vocabulary, **numbers)
    return getattr(transformers, f"{classes}EncoderModel")(config).eval().requires_grad_(False)


def write_t5(path: Path, module: Any, table: dict[str, Any]) -> Path:
    state = {name: one for name, one in module.state_dict().items() if name != "encoder.embed_tokens.weight"}
    tensors = language(state, "t5encoder", heads=(3, 3), prefix="")
    return write(path, "t5encoder", tensors, lambda writer: writer.add_layer_norm_rms_eps(1e-6), unigrams(table))


@pytest.mark.parametrize("kind", ["t5", "umt5"])
def test_t5_and_umt5_bring_their_unigrams(family: Any, tmp_path: Path, kind: str) -> None:
    from tests.families import t5_tokenizer

    bench = family(kind, f"kind='{kind}', least=64, padding='zero'")
    table = table_of(t5_tokenizer())
    module = t5_like(kind, len(table["model"]["vocab"]))
    write_t5(folder(tmp_path) / f"{kind}.gguf", module, table)
    [[context, options]] = text_encode(bench, "the red apple", text_encoder_loader(bench, f"{kind}.gguf", kind))
    tokenizer_beside(tmp_path, kind, t5_tokenizer())
    written(bench, kind, module)
    clip = text_encoder_loader(bench, f"{kind}.safetensors", kind)
    [[expected, same]] = text_encode(bench, "the red apple", clip)
    assert torch.allclose(context, expected, atol=1e-5)
    assert torch.equal(options["attention_mask"], same["attention_mask"])


def test_two_encoders_may_be_gguf_files(tiny_sd: Any, tmp_path: Path) -> None:
    from engine.models.manager import ModelManager
    from engine.paths import Paths
    from tests.conftest import _tokenizer_json
    from tests.families import t5_tokenizer, write_flux

    flux = write_flux(tmp_path, tiny_sd.tokenizer_files, _tokenizer_json(tiny_sd.tokenizer_files))
    state = load_tensors(flux.file("text_encoders", "t5xxl.safetensors"))
    tensors = language(state, "t5encoder", heads=(3, 3), prefix="")
    write(flux.file("text_encoders", "t5.gguf"), "t5encoder", tensors, unigrams(table_of(t5_tokenizer())))
    bench = Bench(ModelManager(tokenizer_dirs=[folder(flux.base)]), Paths(flux.base))
    found = [
        text_encode(bench, PROMPT, dual_text_encoder_loader(bench, name, "clip_l.safetensors", "flux"))[0]
        for name in ("t5.gguf", "t5xxl.safetensors")
    ]
    assert torch.equal(found[0][0], found[1][0])


@pytest.mark.parametrize("kind", ["llama", "gemma2"])
def test_the_library_reads_the_same_weights_out_of_a_file(tmp_path: Path, kind: str) -> None:
    from transformers import AutoModel, Gemma2Config, Gemma2Model, LlamaConfig, LlamaModel

    fast = bytes_tokenizer(SPECIALS["llama"])
    classes = {"llama": (LlamaConfig, LlamaModel), "gemma2": (Gemma2Config, Gemma2Model)}[kind]
    module = tiny(*classes, fast.get_vocab_size(), head_dim=8)

    def more(writer: Any) -> None:
        writer.add_block_count(4)
        writer.add_embedding_length(32)
        writer.add_feed_forward_length(48)
        writer.add_context_length(4096)

    path = write(
        tmp_path / "x.gguf",
        kind,
        language(module.state_dict(), kind, heads=HEADS),
        sizes(heads=HEADS, theta=700.0, head_dim=8),
        more,
        byte_pairs(table_of(fast), "llama-bpe"),
    )
    theirs = AutoModel.from_pretrained(tmp_path, gguf_file="x.gguf", dtype=torch.float32).state_dict()
    ours = load_tensors(path)
    assert {f"model.{name}" for name in theirs} == ours.keys()
    assert all(torch.equal(ours[f"model.{name}"], value) for name, value in theirs.items())


# --- vision towers --------------------------------------------------------------------------------------------------


def split_tower(state: dict[str, Any], kind: str, deep: list[int]) -> dict[str, Any]:
    """A vision tower's tensors as llama.cpp's converters of Qwen2.5-VL and Qwen3-VL write them."""
    blocks = {"attn.proj": "attn_out", "norm1": "ln1", "norm2": "ln2"}
    blocks |= {f"mlp.{part}_proj": f"ffn_{part}" for part in ("gate", "up", "down")}
    blocks |= {"attn.qkv": "attn_qkv", "mlp.linear_fc1": "ffn_up", "mlp.linear_fc2": "ffn_down"}
    ends = {"merger.ln_q": "v.post_ln", "merger.mlp.0": "mm.0", "merger.mlp.2": "mm.2", "pos_embed": "v.position_embd"}
    ends |= {"merger.norm": "v.post_ln", "merger.linear_fc1": "mm.0", "merger.linear_fc2": "mm.2"}
    found = {}
    for name, one in state.items():
        value = one.float().numpy()
        module, _, last = name.rpartition(".")
        if name == "patch_embed.proj.weight":
            found |= {"v.patch_embd.weight": value[:, :, 0].copy(), "v.patch_embd.weight.1": value[:, :, 1].copy()}
        elif module == "patch_embed.proj":
            found[f"v.patch_embd.{last}"] = value
        elif module in ends:
            found[f"{ends[module]}.{last}"] = value
        elif module.startswith("deepstack_merger_list."):
            _, number, part = module.split(".")
            found[f"v.deepstack.{deep[int(number)]}.{part.replace('linear_', '')}.{last}"] = value
        else:
            _, number, part = module.split(".", 2)
            if kind == "qwen2_5_vl" and part == "attn.qkv":
                third = len(value) // 3
                for place, letter in enumerate("qkv"):
                    found[f"v.blk.{number}.attn_{letter}.{last}"] = value[place * third : (place + 1) * third].copy()
            else:
                found[f"v.blk.{number}.{blocks[part]}.{last}"] = value
    return found


@pytest.mark.parametrize(
    ("kind", "architecture", "projector"),
    [("qwen2_5_vl", "qwen2vl", "qwen2.5vl_merger"), ("qwen3_vl", "qwen3vl", "qwen3vl_merger")],
)
def test_a_vision_tower_lies_beside_in_a_file_of_its_own(
    family: Any, tmp_path: Path, kind: str, architecture: str, projector: str
) -> None:
    from tests.models.test_towers_pictures import MODELS, PICTURE, TEMPLATE, pictures
    from tests.tiny_towers import library_tokenizer, write_tokenizer

    edit = f"Prompting(template={TEMPLATE!r}, drop=9, layers=(2, -1), picture={PICTURE!r})"
    bench = family(kind, f"kind='{kind}', prompting={edit}")
    words = library_tokenizer(write_tokenizer(tmp_path, kind, "qwen"), "<|endoftext|>")
    module, told = MODELS[kind](words)
    vision = told["vision"] | {"window_size": 112} if kind == "qwen2_5_vl" else told["vision"]
    written(bench, kind, module, told | {"vision": vision})
    state = module.model.state_dict()
    text = {name.removeprefix("language_model."): one for name, one in state.items() if name.startswith("language_")}
    seen = {name.removeprefix("visual."): one for name, one in state.items() if name.startswith("visual.")}
    head_dim = 8 if kind == "qwen2_5_vl" else 16
    theta = float(told["rope"]["rope_theta"])
    path = write(
        folder(tmp_path) / "tiny-Q8_0.gguf",
        architecture,
        language(text, architecture, heads=HEADS),
        sizes(heads=HEADS, theta=theta, head_dim=head_dim, sections=told["rope"]["mrope_section"]),
    )
    if kind == "qwen3_vl":
        with pytest.raises(CheckpointError, match="without its vision tower, which was expected beside it"):
            read_header(path)
    else:
        assert not any(name.startswith("visual.") for name in read_header(path).shapes), "it can do without pictures"
    deep = told["vision"].get("deepstack_visual_indexes", [])

    def facts(writer: Any) -> None:
        writer.add_clip_projector_type(projector)
        writer.add_vision_head_count(2)
        writer.add_vision_block_count(2)
        if kind == "qwen2_5_vl":
            writer.add_vision_n_wa_pattern(2)

    tower = write(folder(tmp_path) / "tiny-mmproj-F16.gguf", "clip", split_tower(seen, kind, deep), facts)
    write(folder(tmp_path) / "other-mmproj.gguf", "clip", {"mm.2.weight": torch.zeros(64, 8).numpy()}, facts)
    assert picture_file(path) == tower
    found = []
    for name in ("tiny-Q8_0.gguf", f"{kind}.safetensors"):
        with bench.models.use(text_encoder_loader(bench, name, kind)) as encoder:
            found.append(encoder.encode(PROMPT, pictures=pictures())[0])
    assert torch.allclose(*found, atol=1e-5)
    before = text_encoder_loader(bench, "tiny-Q8_0.gguf", kind).source.digest
    changed = tower.read_bytes()
    tower.unlink()
    tower.write_bytes(changed[:-1] + bytes([changed[-1] ^ 1]))
    assert text_encoder_loader(bench, "tiny-Q8_0.gguf", kind).source.digest != before


# --- what is refused ------------------------------------------------------------------------------------------------


def test_an_architecture_that_is_not_known_is_refused_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "x.gguf", "falcon", {"token_embd.weight": torch.zeros(4, 4).numpy()})
    with pytest.raises(CheckpointError, match=r"x\.gguf: a language model of the architecture 'falcon'.*gemma3"):
        read_header(path)


def test_rows_cannot_be_put_in_order_without_the_number_of_heads(tmp_path: Path) -> None:
    tensors = {"token_embd.weight": torch.zeros(4, 4).numpy(), "blk.0.attn_q.weight": torch.zeros(4, 4).numpy()}
    path = write(tmp_path / "x.gguf", "llama", tensors)
    with pytest.raises(CheckpointError, match=r"llama\.attention\.head_count is None, where the number of heads"):
        read_header(path)


def test_the_names_are_those_of_the_package() -> None:
    import gguf

    from engine.models import gguf_names

    for architecture in (*gguf_names.LANGUAGE, "t5encoder"):
        arch = next(arch for arch, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture)
        names = gguf.get_tensor_name_map(arch, 2)
        theirs = [gguf.TENSOR_NAMES[kind].format(bid=1) + ".weight" for kind in gguf.MODEL_TENSORS[arch]]
        left = {"rope_freqs", "attn_rot_embd", "ffn_gate_inp", "exps", "output"}
        wanted = [name for name in theirs if not any(part in name.split(".")[-2] for part in left - {"output"})]
        for name in wanted:
            if name == "output.weight":
                continue
            assert names.get_name(gguf_names.renamed(name, architecture), (".weight",)) == name
