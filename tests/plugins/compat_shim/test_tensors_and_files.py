"""Tensors and files of weights, as packs work on them with `comfy.utils`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from engine.plugins.compat.host import Host


@pytest.mark.parametrize("mask", [(6, 8), (1, 6, 8), (3, 6, 8), (3, 1, 6, 8)])
def test_a_mask_of_any_shape_is_made_to_fit_a_batch_of_latents(host: Host, mask: tuple[int, ...]) -> None:
    from comfy.utils import reshape_mask

    fitted = reshape_mask(torch.ones(mask), (2, 4, 12, 16))
    assert fitted.shape == (2, 4, 12, 16)
    assert fitted.min() == 1
    assert reshape_mask(torch.ones(mask), (2, 4, 5, 12, 16)).shape[2:] == (5, 12, 16)


def test_a_list_is_spread_over_a_batch(host: Host) -> None:
    from comfy.utils import resize_list_to_batch_size

    assert resize_list_to_batch_size(["a", "b", "c"], 5) == ["a", "a", "b", "c", "c"]
    assert resize_list_to_batch_size(["a", "b"], 3) == ["a", "b", "b"]
    assert resize_list_to_batch_size(list("abcd"), 3) == ["a", "c", "d"]
    assert resize_list_to_batch_size(["a", "b", "c"], 1) == ["a"]
    assert resize_list_to_batch_size(["a"], 3) == ["a", "a", "a"]


def test_the_header_of_a_file_is_read_without_its_weights(host: Host, tmp_path: Path) -> None:
    from comfy.utils import convert_sd_to, load_torch_file, safetensors_header, save_torch_file

    file = tmp_path / "w.safetensors"
    save_torch_file(convert_sd_to({"w": torch.ones(2, 3)}, torch.float16), file, {"made": "here"})
    header = safetensors_header(file)
    assert header is not None
    assert json.loads(header)["w"]["shape"] == [2, 3]
    assert safetensors_header(file, max_size=4) is None
    file.write_bytes(file.read_bytes()[:20])
    assert safetensors_header(file) is None
    file.write_bytes(b"no weights")
    with pytest.raises(ValueError, match=r"w\.safetensors is no whole .safetensors file"):
        load_torch_file(file)
