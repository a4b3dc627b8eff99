"""The stand-ins of `benchmarks/stand_ins.py`: files under the names of workflows, and a run that is made smaller as it should be."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.models.checkpoints import load_tensors, read_header

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SOME = {
    "sd1": ("checkpoints", "v1-5-pruned-emaonly.ckpt"),
    "sd2": ("checkpoints", "512-inpainting-ema.safetensors"),
    "flux": ("diffusion_models", "flux1-krea-dev_fp8_scaled.safetensors"),
    "z_image": ("diffusion_models", "z_image_turbo_int8_convrot.safetensors"),
    "stable_cascade": ("checkpoints", "stable_cascade_stage_c.safetensors"),
}


@pytest.fixture(scope="module")
def modules() -> Iterator[SimpleNamespace]:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import stand_in_files
        import stand_in_parts
        import stand_in_runs
        import stand_in_table

        yield SimpleNamespace(
            files=stand_in_files, parts=stand_in_parts.PARTS, runs=stand_in_runs, families=stand_in_table.FAMILIES
        )
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture
def shelf(modules: SimpleNamespace, tmp_path: Path) -> Any:
    return modules.files.Shelf(tmp_path / "families", modules.families, modules.parts)


def test_a_name_has_one_family(modules: SimpleNamespace) -> None:
    for folder, name in SOME.values():
        found = [one.family for one in modules.families if one.network(folder, name)]
        assert [known for known, file in SOME.items() if file == (folder, name)] == found
    assert not any(one.network("diffusion_models", "of_nobody.safetensors") for one in modules.families)


@pytest.mark.parametrize("family", SOME)
def test_a_network_is_read_as_its_family_under_its_name(family: str, shelf: Any, modules: Any, tmp_path: Path) -> None:
    from engine.models.manager import ModelManager

    files, unknown = shelf.find([SOME[family]])
    base = modules.files.room([], files, tmp_path)
    folder, name = SOME[family]
    model = ModelManager().checkpoint(base.folder / "models" / folder / name).model
    assert not unknown
    assert model is not None
    assert model.family.startswith(family)


def test_what_stands_beside_a_network_is_its_familys_own_and_packed_as_it_is_called(shelf: Any) -> None:
    asked = [
        SOME["z_image"],
        ("vae", "ae.safetensors"),
        ("text_encoders", "qwen_3_4b.safetensors"),
        ("loras", "pixel_art_style_z_image_turbo.safetensors"),
        ("controlnet", "of_nobody.safetensors"),
    ]
    files, unknown = shelf.find(asked)
    assert unknown == asked[-1:]
    assert any(name.endswith("comfy_quant") for name in load_tensors(files[asked[0]]))
    assert (files[asked[1]].name, files[asked[2]].name) == ("ae.safetensors", "qwen_3_4b.safetensors")
    assert all(name.startswith("diffusion_model.") for name in load_tensors(files[asked[3]]))


def test_a_name_that_means_two_things_goes_into_two_base_directories(shelf: Any, modules: Any, tmp_path: Path) -> None:
    first = shelf.find([SOME["z_image"], ("text_encoders", "qwen_3_4b.safetensors")])[0]
    other = shelf.find(
        [("diffusion_models", "flux-2-klein-4b.safetensors"), ("text_encoders", "qwen_3_4b.safetensors")]
    )
    bases: list[Any] = []
    rooms = [modules.files.room(bases, files, tmp_path) for files in (first, other[0], first)]
    assert rooms[0] is rooms[2] is not rooms[1]
    name = Path("models") / "text_encoders" / "qwen_3_4b.safetensors"
    assert len({repr(read_header(base.folder / name).shapes) for base in bases}) == 2


def test_a_run_is_made_smaller_and_keeps_the_share_of_its_parts(modules: Any) -> None:
    from engine.graph.schema import Catalogue, InputSpec, NodeSpec

    least = NodeSpec(name="Large", inputs=(InputSpec(name="width", type="INT", ge=256),))
    prompt = {
        "1": {"class_type": "PrimitiveInt", "inputs": {"value": 1024}},
        "2": {"class_type": "Empty", "inputs": {"width": ["1", 0], "height": 2048, "batch_size": 4}},
        "3": {"class_type": "Sampler", "inputs": {"steps": 20, "start_at_step": 10, "end_at_step": 10000, "cfg": 8.0}},
        "4": {"class_type": "Scheduler", "inputs": {"steps": ["1", 0], "scale_megapixels": 4.0}},
        "5": {"class_type": "Large", "inputs": {"width": 1024}},
        "6": {"class_type": "Writer", "inputs": {"max_length": 4096}},
    }
    small = modules.runs.reduced(prompt, Catalogue([least]))
    assert small["2"]["inputs"] == {"width": 128, "height": 256, "batch_size": 4}
    assert small["3"]["inputs"] == {"steps": 2, "start_at_step": 1, "end_at_step": 10000, "cfg": 8.0}
    assert small["4"]["inputs"] == {"steps": 2, "scale_megapixels": 0.1}
    assert (small["5"]["inputs"], small["6"]["inputs"]) == ({"width": 256}, {"max_length": 8})
    assert prompt["3"]["inputs"]["steps"] == 20


def test_files_are_asked_for_with_their_folders_and_embeddings_in_texts(modules: Any, builtin_catalogue: Any) -> None:
    prompt = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.ckpt"}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a embedding:SDA768.pt b", "clip": ["1", 1]}},
        "3": {"class_type": "Nobodys", "inputs": {"name": "b.safetensors"}},
        "4": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
    assert modules.runs.asked_by(prompt, builtin_catalogue) == {("checkpoints", "a.ckpt"), ("embeddings", "SDA768.pt")}
    assert modules.runs.unknown_types(prompt, builtin_catalogue) == ["Nobodys"]
    assert modules.runs.makes_pictures(prompt, builtin_catalogue)
    del prompt["4"]
    assert not modules.runs.makes_pictures(prompt, builtin_catalogue)
