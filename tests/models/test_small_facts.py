"""Bounds of model files and of what is asked of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engine.models.checkpoints import read_header, spread, tensor_bytes
from engine.models.errors import CheckpointError
from engine.models.handles import ClipHandle, ControlNetHandle, Source
from engine.models.network import ControlNetwork
from engine.models.networks.unet_sizes import _original_ups


def clip() -> ClipHandle:
    return ClipHandle(source=Source("a", "b"), family="sd1")


def test_a_text_encoder_stops_at_its_last_layer_or_up_to_the_24th_before() -> None:
    assert [clip().with_last_layer(layer).stop_at for layer in (-1, -24)] == [-1, -24]
    for wrong in (0, -25):
        with pytest.raises(ValueError, match="between -24 and -1"):
            clip().with_last_layer(wrong)


def saved(path: Path) -> Path:
    save_file({"a": torch.tensor([1.0, 3.0]), "b": torch.zeros(3, 2, dtype=torch.float16)}, path)
    return path


@pytest.mark.parametrize("cut", [1, 4, 12])
def test_a_file_that_lacks_a_byte_is_refused_and_says_how_many(tmp_path: Path, cut: int) -> None:
    path = saved(tmp_path / "a.safetensors")
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(CheckpointError, match=rf"truncated.*\({cut} are missing\)"):
        read_header(path)


def test_a_header_tells_bytes_by_dtype_and_a_tensors_spread(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors")
    header = read_header(path)
    assert (header.shapes, tensor_bytes(header, ["a"]), tensor_bytes(header, ["a", "b"])) == (
        {"a": (2,), "b": (3, 2)},
        8,
        20,
    )
    assert spread(path, "a") == pytest.approx(1.0)


@pytest.mark.parametrize(("block", "has"), [(3, True), (2, False)])
def test_the_first_block_of_an_up_level_comes_after_those_of_the_levels_below(block: int, has: bool) -> None:
    shapes = {f"output_blocks.{block}.1.transformer_blocks.0.norm1.weight": (8,)}
    config = {"layers_per_block": [1, 2], "block_out_channels": [8, 16]}
    assert _original_ups(shapes, config)[1].attends is has


def test_a_control_picture_is_fitted_anew_for_another_size_and_only_then() -> None:
    handle = ControlNetHandle(
        source=Source("a", "b"), family="sd1", config={"conditioning_embedding_out_channels": [16, 32, 96, 256]}
    )
    network = ControlNetwork(torch.nn.Identity(), handle, torch.device("cpu"), torch.float32)
    hint = torch.rand(1, 3, 16, 16)
    first = network._fit_hint(hint, (2, 4, 4))
    assert (first.shape, network._fit_hint(hint, (2, 4, 4)) is first) == ((2, 3, 32, 32), True)
    assert network._fit_hint(hint, (1, 2, 4)).shape == (1, 3, 16, 32)
