"""A tiny decoder, real but random and narrow, in the layouts that people install; diffusers says what it should give."""

from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderTiny
from safetensors.torch import save_file

from engine.models.errors import CheckpointError
from engine.models.tiny_decoder import find_tiny_decoder, load_tiny_decoder
from engine.paths import Paths


@pytest.fixture(scope="module")
def tiny():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return AutoencoderTiny(
            latent_channels=16, encoder_block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4
        ).eval()


def own_layout(tiny, prefix=""):
    """The names of the published files: numbers one higher, since the first step has no weights."""
    renamed = {}
    for name, tensor in tiny.decoder.layers.state_dict().items():
        number, _, rest = name.partition(".")
        renamed[f"{prefix}{int(number) + 1}.{rest}"] = tensor.contiguous()
    return renamed


@pytest.fixture(params=["diffusers", "own", "own.pth", "prefixed", "double"])
def file(request, tiny, tmp_path):
    path = tmp_path / "tiny.safetensors"
    if request.param == "diffusers":
        tiny.save_pretrained(tmp_path)
        return tmp_path / "diffusion_pytorch_model.safetensors"
    if request.param == "own.pth":
        path = tmp_path / "tiny.pth"
        torch.save(own_layout(tiny), path)
    elif request.param == "own":
        save_file(own_layout(tiny), path)
    elif request.param == "prefixed":
        save_file(own_layout(tiny, "taesd_decoder.") | {"taesd_encoder.0.weight": torch.zeros(8, 3, 3, 3)}, path)
    else:
        save_file({name: tensor.double() for name, tensor in own_layout(tiny).items()}, path)
    return path


def test_it_decodes_as_diffusers_does_from_every_layout(file, tiny):
    latents = torch.randn(2, 16, 5, 7, generator=torch.Generator().manual_seed(1)) * 3
    with torch.no_grad():
        expected = tiny.decoder(latents) / 2 + 0.5
    decoded = load_tiny_decoder(file).decode(latents)
    assert decoded.shape == (2, 3, 40, 56)
    assert (decoded - expected).abs().max() <= 1e-5


def test_a_file_of_something_else_is_refused_by_name(tiny, tmp_path):
    weights = own_layout(tiny)
    del weights["19.bias"]
    save_file(weights, tmp_path / "short.safetensors")
    with pytest.raises(CheckpointError, match=r"short\.safetensors.*19\.bias"):
        load_tiny_decoder(tmp_path / "short.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match=r"other\.safetensors: no tiny decoder"):
        load_tiny_decoder(tmp_path / "other.safetensors")


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    class Malicious:
        def __reduce__(self):
            return (open, (str(tmp_path / "made"), "w"))

    torch.save({"1.weight": Malicious()}, tmp_path / "bad.pth")
    with pytest.raises(CheckpointError):
        load_tiny_decoder(tmp_path / "bad.pth")
    assert not (tmp_path / "made").exists()


def test_it_is_found_by_the_names_that_people_give_it(tmp_path):
    folder = tmp_path / "models" / "vae_approx"
    (folder / "taesd3").mkdir(parents=True)
    for name in (
        "taesd_decoder.pth",
        "taesd_decoder.safetensors",
        "taef1.safetensors",
        "taesd_encoder.safetensors",
        "taesd3/model.safetensors",
    ):
        (folder / name).touch()
    paths = Paths(tmp_path)
    found = {name: find_tiny_decoder(paths, name) for name in ("taesd", "taesdxl", "taesd3", "taef1")}
    assert found == {
        "taesd": folder / "taesd_decoder.safetensors",
        "taesdxl": None,
        "taesd3": folder / "taesd3/model.safetensors",
        "taef1": folder / "taef1.safetensors",
    }
