"""Block-wise means against weights that are interpolated by hand, in the names of the original layouts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from engine.authoring.decorator import definition_of
from engine.graph.canvas import redrawn
from engine.graph.formats import load
from engine.graph.validate import check
from engine.models.errors import ModelError
from engine.models.merging import Share, block_shares
from nodes import model_merging_blocks as blocks
from nodes.loaders import checkpoint_loader, denoiser_loader
from nodes.model_saving import model_save
from tests import every_family
from tests.conftest import Bench
from tests.conftest import _save as save
from tests.nodes.test_model_saving import metadata_of

RATIO = re.compile(r"\d+")


def ratios_of(merge: Any) -> dict[str, float]:
    """A ratio of its own for each block of a node."""
    spec = definition_of(merge).spec  # type: ignore[union-attr]
    names = [one.name for one in spec.inputs][2:]
    return {name: round((7 * number % 19) / 20, 2) for number, name in enumerate(names)}


def by_hand(name: str, ratios: dict[str, float]) -> float:
    fitting = [block for block in ratios if name.startswith(block)]
    return ratios[max(fitting, key=len)] if fitting else next(iter(ratios.values()))


MERGES = {
    "sd1": blocks.model_merge_sd1,
    "sdxl": blocks.model_merge_sdxl,
    "sd3": blocks.model_merge_sd3_2b,
    "flux": blocks.model_merge_flux1,
    "auraflow": blocks.model_merge_auraflow,
    "qwen_image": blocks.model_merge_qwen_image,
    "krea2": blocks.model_merge_krea2,
    "anima": blocks.model_merge_cosmos_predict2_2b,
}


def pair(tmp_path: Path, name: str) -> tuple[Bench, Any, Any]:
    """A family's tiny model, and one like it with other weights."""
    parts = every_family.loaded(every_family.written(tmp_path, name), name)
    source, generator = Path(parts.model.source.path), torch.Generator().manual_seed(3)
    other = {name: value + torch.randn(value.shape, generator=generator) for name, value in load_file(source).items()}
    save(source.with_name("other.safetensors"), other, metadata_of(source))
    if source.parent.name == "checkpoints":
        return parts.bench, parts.model, checkpoint_loader(parts.bench, "other.safetensors").MODEL
    return parts.bench, parts.model, denoiser_loader(parts.bench, "other.safetensors")


@pytest.mark.parametrize("name", MERGES)
def test_every_block_has_its_share(tmp_path: Path, name: str) -> None:
    bench, first, second = pair(tmp_path, name)
    ratios = ratios_of(MERGES[name])
    merged = MERGES[name](bench, first, second, **ratios)
    assert bench.warned == []
    model_save(bench, merged, "merged")
    [path] = bench.paths.directory("output").glob("merged_*")
    one, two = load_file(first.source.path), load_file(second.source.path)
    found, used = load_file(path), set()
    for bare, value in found.items():
        original = f"{first.prefix}{bare}"
        ratio = by_hand(bare.removeprefix("net."), ratios)
        used.add(ratio)
        assert torch.allclose(value, ratio * one[original] + (1 - ratio) * two[original], atol=1e-5), bare
    assert len(used) > 5
    assert merged.identity() != MERGES[name](bench, first, second, **{**ratios, next(iter(ratios)): 0.99}).identity()


def test_the_longest_beginning_counts() -> None:
    assert block_shares({"a.": 1.0, "b.1": 0.5, "b.": 0.25, "c.": 0.5}) == [
        Share(1.0, 0.0, within=("a.",)),
        Share(0.5, 0.5, within=("b.1", "c.")),
        Share(0.25, 0.75, within=("b.",), without=("b.1",)),
    ]
    assert block_shares({"a.": 0.5, "b.": 0.5})[0] == Share(0.5, 0.5, without=("a.", "b."))


def test_all_of_the_first_is_the_first(tmp_path: Path) -> None:
    bench, first, second = pair(tmp_path, "sd1")
    ratios = dict.fromkeys(ratios_of(blocks.model_merge_sd1), 1.0)
    assert blocks.model_merge_sd1(bench, first, second, **ratios) == first


def test_unlike_models_are_told(tmp_path: Path) -> None:
    bench, first, _ = pair(tmp_path, "sd1")
    _, other, _ = pair(tmp_path / "second", "flux")
    ratios = ratios_of(blocks.model_merge_sd1)
    with pytest.raises(ModelError, match=r"no weight of the same name and size \(the first has .*, the second .*\)"):
        blocks.model_merge_sd1(bench, first, other, **ratios)
    tensors = load_file(first.source.path)
    name = "model.diffusion_model.input_blocks.0.0.weight"
    tensors[name] = tensors[name].repeat(1, 2, 1, 1)
    target = Path(first.source.path).with_name("wider.safetensors")
    save(target, tensors, metadata_of(Path(first.source.path)))
    blocks.model_merge_sd1(bench, checkpoint_loader(bench, target.name).MODEL, first, **ratios)
    assert "conv_in.weight [32, 8, 3, 3] against [32, 4, 3, 3]" in bench.warned[0]


def test_declared_inputs_are_the_fields(builtin_catalogue: Any) -> None:
    spec = builtin_catalogue.spec("ModelMergeSDXL")
    assert [one.name for one in spec.inputs][:5] == ["model1", "model2", "time_embed.", "label_emb.", "input_blocks.0"]
    assert [len(ratios_of(merge)) for merge in MERGES.values()] == [30, 24, 30, 63, 43, 66, 38, 33]
    assert {(one.default, one.ge, one.le, one.step) for one in spec.inputs[2:]} == {(1.0, 0.0, 1.0, 0.01)}


def test_a_saved_workflow_loads(builtin_catalogue: Any) -> None:
    """Names with dots are neither groups nor widgets of others, in the prompt form and in the editor's."""
    ratios = ratios_of(blocks.model_merge_sdxl)
    loader = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}}
    merge = {"class_type": "ModelMergeSDXL", "inputs": {"model1": ["1", 0], "model2": ["1", 0], **ratios}}
    saver = {"class_type": "ModelSave", "inputs": {"model": ["2", 0], "filename_prefix": "x"}}
    prompt = {"1": loader, "2": merge, "3": saver}
    drawn = redrawn(None, prompt, builtin_catalogue)
    for form in (prompt, drawn):
        loaded = load(json.loads(json.dumps(form)), builtin_catalogue)
        checked = check(loaded.prompt, builtin_catalogue, choices=lambda files: ["a.safetensors"])
        assert [str(one) for one in loaded.problems + checked.problems] == []
        assert loaded.prompt["2"]["inputs"] == merge["inputs"]
    [drawn_merge] = [node for node in drawn["nodes"] if node["type"] == "ModelMergeSDXL"]
    assert drawn_merge["widgets_values"] == list(ratios.values())
