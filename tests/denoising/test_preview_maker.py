"""Previews of a tiny real model, with and without a tiny decoder installed."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import engine
from engine.denoising.previews import PreviewMaker, latent_to_rgb, preview
from engine.models.manager import ModelManager
from engine.models.tiny_decoder import TinyDecoder
from engine.paths import Paths
from engine.sampling.samplers.steps import StepInfo
from nodes.loaders import checkpoint_loader


@pytest.fixture
def step():
    latent = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    return StepInfo(step=0, total=4, x=latent, denoised=latent, sigma=1.0)


@pytest.fixture
def model(bench):
    return checkpoint_loader(bench, "tiny.safetensors").MODEL


@pytest.fixture
def with_decoder(bench, model, tmp_path):
    """The context of a program that has a tiny decoder, and the decoder."""
    folder = tmp_path / "models" / "vae_approx"
    folder.mkdir(parents=True)
    decoder = TinyDecoder(4, 8)
    state = {name.removeprefix("layers."): tensor for name, tensor in decoder.state_dict().items()}
    save_file(state, folder / "taesd_decoder.safetensors")
    bench.paths, bench.models = Paths(tmp_path), ModelManager("cpu")
    return bench, decoder


@pytest.mark.parametrize("method", ["auto", "taesd"])
def test_an_installed_decoder_is_used(with_decoder, model, step, method):
    bench, decoder = with_decoder
    bench.preview_method = method
    pixels = PreviewMaker(bench, model)(step)
    assert np.array_equal(pixels, preview(step, model.latent, decoder.decode))
    assert not np.array_equal(pixels, preview(step, model.latent))


def test_colours_are_used_when_asked_for_or_when_there_is_no_decoder(with_decoder, bench, model, step, tmp_path):
    colours = preview(step, model.latent)
    bench.preview_method = "latent2rgb"
    assert np.array_equal(PreviewMaker(bench, model)(step), colours)
    bench.paths, bench.preview_method = Paths(tmp_path / "elsewhere"), "auto"
    assert np.array_equal(PreviewMaker(bench, model)(step), colours)


def test_a_broken_decoder_is_named_once_and_colours_are_used(with_decoder, model, step, caplog):
    bench, _ = with_decoder
    bench.preview_method = "auto"
    bench.paths.find("vae_approx", "taesd_decoder.safetensors").write_bytes(b"not tensors")
    make = PreviewMaker(bench, model)
    with caplog.at_level(logging.WARNING, "safelight.previews"):
        shown = [make(step) for _ in range(3)]
    assert all(np.array_equal(pixels, preview(step, model.latent)) for pixels in shown)
    assert [record.getMessage().count("taesd_decoder") for record in caplog.records] == [1]


def test_a_decoder_is_loaded_once_and_freed(with_decoder):
    bench, _ = with_decoder
    file = bench.paths.find("vae_approx", "taesd_decoder.safetensors")
    first = bench.models.tiny_decoder(file)
    assert bench.models.tiny_decoder(file) is first
    bench.models.free()
    assert bench.models.tiny_decoder(file) is not first


def test_the_bundled_model_s_colours_are_near_those_of_its_pictures():
    checkpoint = Path(engine.__file__).parent.parent / "models" / "checkpoints" / "emoji-64.safetensors"
    manager = ModelManager("cpu")
    handle = manager.checkpoint(checkpoint).vae
    pictures = torch.ones(4, 64, 64, 3)
    for picture, colour in zip(
        pictures, ((1, 0.1, 0.1), (0.1, 0.6, 0.2), (0.2, 0.3, 0.9), (0.95, 0.8, 0.2)), strict=True
    ):
        picture[16:48, 16:48] = torch.tensor(colour)  # as the pictures it was trained on: a thing on white
    with manager.use(handle) as vae:
        latents = vae.encode(pictures)
    small = torch.nn.functional.adaptive_avg_pool2d(pictures.movedim(-1, 1), (8, 8)).movedim(1, -1)
    seen = torch.stack([torch.from_numpy(latent_to_rgb(latent, handle.latent)) for latent in latents]) / 255
    assert (seen - small).abs().mean() < 0.1
