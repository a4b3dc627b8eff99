"""Stable Cascade's stage C: its encoder gives torchvision's numbers, its decoder those of plain layers, through our nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.models.autoencoders import kind_in, stage_c
from engine.models.errors import ModelError
from nodes.loaders import vae_loader
from nodes.stable_cascade import encode_for_stage_c, super_resolution_of_stable_cascade
from nodes.vae import vae_decode, vae_encode
from tests.families import save
from tests.tiny_pixel import bench_of

SMALL = [[1, 8, 1, 0], [2, 16, 4, 0], [2, 24, 4, 1]]
"""Layers, width, expansion and squeezing of three stages, of strides 1, 2 and 2."""

GOLDEN = (-0.782434, -0.781190, -0.310272, 0.537268, -2.151089)
"""Of torchvision 0.29.1's network with these weights: the first number, and the mean of each channel; it is no dependency here."""


def filled(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Numbers that any torch makes alike, in the order of the names; variances are positive."""
    found = {}
    for number, (name, shape) in enumerate(sorted(shapes.items())):
        count = int(torch.tensor(shape).prod())
        waves = torch.cos(torch.arange(count, dtype=torch.float64) * 0.7 + number).reshape(shape)
        found[name] = (1.0 + 0.5 * waves if name.endswith("running_var") else 0.4 * waves).float()
    return found


def encoder_shapes() -> dict[str, tuple[int, ...]]:
    from engine.models.stage_c_coder import StageCCoder

    module = StageCCoder(first=8, stages=SMALL, last=32, decoder=[], latent_channels=4)
    return {name.removeprefix("encoder."): tuple(value.shape) for name, value in module.state_dict().items()}


DECODER = {
    **{f"blocks.{i}.weight": shape for i, shape in ((0, (16, 4, 1, 1)), (3, (16, 16, 3, 3)), (6, (16, 8, 2, 2)))},
    **{f"blocks.{i}.weight": shape for i, shape in ((9, (8, 8, 3, 3)), (12, (3, 8, 1, 1)))},
    **{f"blocks.{i}.bias": (n,) for i, n in ((0, 16), (3, 16), (6, 8), (9, 8), (12, 3))},
    **{
        f"blocks.{i}.{part}": (n,)
        for i, n in ((2, 16), (5, 16), (8, 8), (11, 8))
        for part in ("weight", "bias", "running_mean", "running_var")
    },
}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    encoder, decoder = filled(encoder_shapes()), filled(DECODER)
    both = {f"encoder.{n}": v for n, v in encoder.items()} | {f"previewer.{n}": v for n, v in decoder.items()}
    for name, tensors in (("effnet_encoder", encoder), ("previewer", decoder), ("both", both)):
        counted = {"mapper.1.num_batches_tracked": torch.tensor(7)} if name == "effnet_encoder" else {}
        save(tmp_path / "models" / "vae" / f"{name}.safetensors", tensors | counted)
    return tmp_path


def picture() -> torch.Tensor:
    rows, columns = torch.linspace(0, 1, 96)[:, None], torch.linspace(0, 1, 128)[None, :]
    return torch.stack([rows.expand(96, 128), columns.expand(96, 128), (rows * columns)], dim=-1)[None]


def test_the_encoder_gives_torchvisions_numbers(base: Path) -> None:
    bench = bench_of(base)
    for name in ("effnet_encoder.safetensors", "both.safetensors"):
        vae = vae_loader(bench, name)
        assert (vae.kind, vae.latent.channels, vae.latent.downscale) == ("stage_c", 4, 32)
        encoded = vae_encode(bench, picture(), vae)["samples"]
        got = torch.cat([encoded[0, 0, 0, :1], encoded.mean(dim=(0, 2, 3))])
        assert torch.allclose(got, torch.tensor(GOLDEN), atol=2e-5), got


def test_the_decoder_gives_the_numbers_of_its_layers(base: Path) -> None:
    from torch.nn import functional

    bench, weights = bench_of(base), filled(DECODER)
    latent = torch.randn(1, 4, 3, 4, generator=torch.Generator().manual_seed(1))

    def normed(x: torch.Tensor, place: int) -> torch.Tensor:
        told = [weights[f"blocks.{place}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return functional.batch_norm(functional.gelu(x), *told)

    def at(place: int) -> list[torch.Tensor]:
        return [weights[f"blocks.{place}.{part}"] for part in ("weight", "bias")]

    x = normed(functional.conv2d(latent, *at(0)), 2)
    x = normed(functional.conv2d(x, *at(3), padding=1), 5)
    x = normed(functional.conv_transpose2d(x, *at(6), stride=2), 8)
    x = functional.conv2d(normed(functional.conv2d(x, *at(9), padding=1), 11), *at(12))
    for name in ("previewer.safetensors", "both.safetensors"):
        shown = vae_decode(bench, {"samples": latent}, vae_loader(bench, name))
        assert torch.allclose(shown, x.clamp(0, 1).movedim(1, -1), atol=1e-5)


def test_the_node_resizes_by_the_compression_and_a_half_that_is_not_there_is_told(base: Path) -> None:
    bench = bench_of(base)
    found = encode_for_stage_c(bench, picture(), vae_loader(bench, "both.safetensors"), 24)
    assert [tuple(one["samples"].shape) for one in found] == [(1, 4, 16, 20), (1, 4, 24, 32)], (
        "four times the full-size encoder's sides, which has two more strides"
    )
    with pytest.raises(ModelError, match=r"previewer\.safetensors: has no encoder\. Load effnet_encoder"):
        encode_for_stage_c(bench, picture(), vae_loader(bench, "previewer.safetensors"))


def test_the_full_size_encoder_is_read_off_its_shapes() -> None:
    from engine.models.stage_c_coder import StageCCoder

    stages = [[2, 24, 1, 0], [4, 48, 4, 0], [4, 64, 4, 0], [6, 128, 4, 1], [9, 160, 6, 1], [15, 256, 6, 1]]
    told: dict[str, Any] = {"first": 24, "stages": stages, "last": 1280, "decoder": [], "latent_channels": 16}
    with torch.device("meta"):
        shapes = {name: tuple(value.shape) for name, value in StageCCoder(**told).state_dict().items()}
    assert (kind_in(shapes), len(shapes)) == ("stage_c", 673)
    assert stage_c.config(shapes, {}) == told


def test_what_a_control_network_of_super_resolution_sees_is_the_encoders_with_channels_last(base: Path) -> None:
    bench = bench_of(base)
    vae = vae_loader(bench, "effnet_encoder.safetensors")
    pictures = torch.cat([picture(), 1 - picture()])
    transparent = torch.cat([pictures, torch.zeros_like(pictures[..., :1])], dim=-1)
    seen, stage_c, stage_b = super_resolution_of_stable_cascade(bench, transparent, vae)
    assert torch.equal(seen.movedim(-1, 1), vae_encode(bench, pictures, vae)["samples"])
    assert stage_c["samples"].shape == (2, 16, 6, 8)
    assert stage_b["samples"].shape == (2, 4, 48, 64)
    assert not stage_c["samples"].any()
