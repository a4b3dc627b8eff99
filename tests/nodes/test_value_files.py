"""Latents and conditionings come back from files bit for bit, those of the field too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.media.embedded import read_embedded
from engine.media.errors import MediaError
from engine.models.errors import CheckpointError, ModelError
from engine.models.latent_spaces import MARK
from engine.paths import Paths
from nodes.value_files import conditioning_loader, load_latent, save_conditioning, save_latent
from tests.conftest import Bench


@pytest.fixture
def desk(tmp_path: Path) -> Bench:
    (tmp_path / "models" / "embeddings").mkdir(parents=True)
    return Bench(
        None, Paths(tmp_path), prompt={"1": {"class_type": "SaveLatent", "inputs": {}}}, workflow={"nodes": []}
    )


def moved(bench: Bench, name: str, folder: str) -> str:
    source = bench.paths.directory("output") / name
    target = bench.paths.folders(folder)[0] / source.name
    target.parent.mkdir(exist_ok=True)
    source.rename(target)
    return target.name


@pytest.mark.parametrize("shape", [(2, 4, 5, 7), (1, 16, 3, 4, 6), (1, 64, 9)])
def test_a_latent_comes_back_bit_for_bit(desk: Bench, shape: tuple[int, ...]) -> None:
    latent = {"samples": torch.randn(shape), "noise_mask": torch.ones(1, 1, 8, 8), MARK: {"of": "x", "title": "t"}}
    saved = save_latent(desk, latent, "l/a")
    assert saved.values == (latent,)
    assert saved.ui == {"latents": [{"filename": "a_00001_.latent", "subfolder": "l", "type": "output"}]}
    path = desk.paths.directory("output") / "l" / "a_00001_.latent"
    assert {name: list(value.shape) for name, value in load_file(path).items()} == {
        "latent_tensor": list(shape),
        "latent_format_version_0": [0],
    }
    found = read_embedded(path.read_bytes(), "it")
    assert (found.prompt, found.workflow) == (desk.prompt, desk.workflow)
    again = load_latent(desk, moved(desk, "l/a_00001_.latent", "input"))
    assert again.keys() == {"samples", MARK}
    assert torch.equal(again["samples"], latent["samples"])
    assert again[MARK] == latent[MARK]
    assert desk.paths.listing("input", "latent") == ("a_00001_.latent",)


def test_a_slice_and_half_precision_are_saved_as_they_are(desk: Bench) -> None:
    whole = torch.randn(4, 4, 6, 6).half()
    save_latent(desk, {"samples": whole[1:3, :, ::2].transpose(2, 3)}, "s")
    again = load_latent(desk, moved(desk, "s_00001_.latent", "input"))["samples"]
    assert again.dtype == torch.float32
    assert torch.equal(again, whole[1:3, :, ::2].transpose(2, 3).float())


def test_files_of_the_first_format_are_scaled(desk: Bench) -> None:
    samples = torch.randn(1, 4, 2, 2)
    save_file({"latent_tensor": samples}, desk.paths.directory("input") / "old.latent")
    assert torch.equal(load_latent(desk, "old.latent")["samples"], samples / 0.18215)


def test_what_is_no_latent_is_told(desk: Bench) -> None:
    folder = desk.paths.directory("input")
    save_file({"weights": torch.ones(1)}, folder / "other.latent")
    save_file({"latent_tensor": torch.ones(4)}, folder / "flat.latent")
    (folder / "broken.latent").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    for name, told in (
        ("other", "expected a tensor latent_tensor, got weights"),
        ("flat", r"shape \[4\]"),
        ("broken", "broken.latent"),
    ):
        with pytest.raises(CheckpointError, match=told):
            load_latent(desk, f"{name}.latent")
    with pytest.raises(MediaError, match="leads out of"):
        save_latent(desk, {"samples": torch.ones(1, 4, 2, 2)}, "../a")


def test_a_conditioning_comes_back_bit_for_bit(desk: Bench) -> None:
    options: dict[str, Any] = {
        "pooled_output": torch.randn(1, 12),
        "attention_mask": torch.tensor([[1, 1, 0]]),
        "reference_latents": [torch.randn(1, 4, 2, 2), torch.randn(1, 4, 3, 3)],
        "guidance": 3.5,
        "width": 1024,
        "text": "ein Bild",
        "masked": True,
        "text_encoders": {"kinds": ["clip"], "of": "0123"},
        "nothing": None,
    }
    conditioning = [[torch.randn(1, 3, 8).bfloat16(), options]]
    assert save_conditioning(desk, conditioning).values == (conditioning,)
    [[tensor, found]] = conditioning_loader(desk, moved(desk, "conditioning/ComfyUI_00001_.safetensors", "embeddings"))
    assert torch.equal(tensor, conditioning[0][0])
    assert found.keys() == options.keys() - {"nothing"}
    for name, value in found.items():
        if isinstance(value, list):
            assert all(torch.equal(one, other) for one, other in zip(value, options[name], strict=True))
        elif isinstance(value, torch.Tensor):
            assert torch.equal(value, options[name])
            assert value.dtype == options[name].dtype
        else:
            assert value == options[name]
            assert type(value) is type(options[name])


def test_what_cannot_be_kept_is_told(desk: Bench) -> None:
    entry = [torch.ones(1, 2, 3), {}]
    with pytest.raises(ModelError, match="a single conditioning, got 2"):
        save_conditioning(desk, [entry, entry])
    with pytest.raises(ModelError, match=r"option 'control' .object. cannot be saved"):
        save_conditioning(desk, [[entry[0], {"control": object()}]])
    assert not list(desk.paths.directory("output").rglob("*.*"))
    save_file({"emb_params": torch.ones(2, 8)}, desk.paths.folders("embeddings")[0] / "word.safetensors")
    with pytest.raises(CheckpointError, match="no conditioning: expected a tensor conditioning, got emb_params"):
        conditioning_loader(desk, "word.safetensors")


def test_latents_in_the_input_folder_may_be_named(desk: Bench, builtin_catalogue: Any) -> None:
    """And pictures may not: a choice of files is of their kind, on the command line too."""
    from engine.cli.graph_source import Graph, check_graph

    folder = desk.paths.directory("input")
    (folder / "a.png").write_bytes(b"")
    save_file({"latent_tensor": torch.ones(1, 4, 2, 2)}, folder / "a.latent")
    for name, sound in (("a.latent", True), ("a.png", False)):
        loader = {"class_type": "LoadLatent", "inputs": {"latent": name}}
        saver = {"class_type": "SaveLatent", "inputs": {"samples": ["1", 0], "filename_prefix": "x"}}
        graph = Graph("it", {"1": loader, "2": saver}, None, [], [], None)
        assert (check_graph(graph, desk.paths, builtin_catalogue, None).problems == []) is sound
