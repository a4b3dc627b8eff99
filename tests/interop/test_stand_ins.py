"""The stand-ins of `benchmarks/stand_ins.py`: every file of the table is written, and a run is made smaller as it should be."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def modules() -> Any:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import stand_in_table
        import stand_ins

        yield stand_in_table, stand_ins
    finally:
        sys.path.remove(str(BENCHMARKS))


def families() -> list[str]:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import stand_in_table

        return [one.family for one in stand_in_table.FAMILIES]
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.mark.slow
@pytest.mark.parametrize("family", families())
def test_a_family_is_written_under_all_of_its_names(modules: Any, tmp_path: Path, family: str) -> None:
    from engine.models.manager import ModelManager

    (stand_in,) = (one for one in modules[0].FAMILIES if one.family == family)
    stand_in.place(tmp_path)
    manager = ModelManager()
    for source, names in stand_in.networks.items():
        for name in names:
            path = tmp_path / "models" / source.split("/")[0] / name
            assert manager.checkpoint(path).model is not None
    for source, names in stand_in.parts.items():
        assert all((tmp_path / "models" / source.split("/")[0] / name).is_file() for name in names)
    assert all((tmp_path / "models" / "loras" / name).is_file() for name in stand_in.loras)


def test_no_network_is_of_two_families(modules: Any) -> None:
    seen = [name for one in modules[0].FAMILIES for source, names in one.networks.items() for name in names]
    twice = {name for name in seen if seen.count(name) > 1}
    # A file and a checkpoint of the same name hold the same network.
    assert twice <= {"flux1-dev-fp8.safetensors"}


def test_a_workflow_is_of_the_family_whose_network_it_names(modules: Any) -> None:
    def family(*names: str) -> list[str]:
        return [one.family for one in modules[0].families_for(set(names))]

    assert family("ae.safetensors", "flux1-dev.safetensors", "clip_l.safetensors") == ["flux"]
    assert family("ae.safetensors", "z_image_bf16.safetensors") == ["z_image"]
    assert family("ae.safetensors", "of_nobody.safetensors") == []


def test_a_run_is_made_smaller_and_keeps_the_share_of_its_parts(modules: Any) -> None:
    prompt = {
        "1": {"class_type": "PrimitiveInt", "inputs": {"value": 1024}},
        "2": {"class_type": "Empty", "inputs": {"width": ["1", 0], "height": 2048, "batch_size": 4}},
        "3": {"class_type": "Sampler", "inputs": {"steps": 20, "start_at_step": 10, "end_at_step": 10000, "cfg": 8.0}},
        "4": {"class_type": "Scheduler", "inputs": {"steps": ["1", 0], "scale_megapixels": 4.0}},
    }
    small = modules[1].reduced(prompt)
    assert small["2"]["inputs"] == {"width": 128, "height": 256, "batch_size": 4}
    assert small["3"]["inputs"] == {"steps": 2, "start_at_step": 1, "end_at_step": 10000, "cfg": 8.0}
    assert small["4"]["inputs"] == {"steps": 2, "scale_megapixels": 0.1}
    assert prompt["3"]["inputs"]["steps"] == 20
