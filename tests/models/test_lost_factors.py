"""Eight-bit floats whose factors were lost are told by their values; rounded weights, of whatever spread, are left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.models.packed import lost_factors as module
from engine.models.packed.lost_factors import lost_factors
from nodes.loaders import checkpoint_loader, denoiser_loader, text_encoder_loader
from tests.families import save

E4M3, E5M2 = torch.float8_e4m3fn, torch.float8_e5m2
NORMAL, HEAVY = torch.distributions.Normal(0.0, 1.0), torch.distributions.StudentT(3.0)


def weights(spread: float, kind: Any = NORMAL, count: int = 12) -> dict[str, torch.Tensor]:
    torch.manual_seed(5)
    return {f"blocks.{i}.weight": kind.sample((64, 256)) * spread for i in range(count)}


def scaled(found: dict[str, torch.Tensor], dtype: torch.dtype, precision: torch.dtype = torch.float32) -> Any:
    """As quantisers do it: {weight: divided}, {scale: factor}, one factor for each weight."""
    most = torch.finfo(dtype).max
    factors = {name: (value.abs().max() / most).to(precision) for name, value in found.items()}
    divided = {name: (value / factors[name].float()).clamp(-most, most).to(dtype) for name, value in found.items()}
    return divided, {name.replace("weight", "scale_weight"): factor for name, factor in factors.items()}


def file(folder: Path, tensors: dict[str, torch.Tensor]) -> Path:
    save(folder / "small.safetensors", tensors)
    return folder / "small.safetensors"


@pytest.mark.parametrize("dtype", [E4M3, E5M2])
@pytest.mark.parametrize("spread", [0.005, 0.02, 1.0])
@pytest.mark.parametrize("kind", [NORMAL, HEAVY])
def test_divided_weights_are_told_from_rounded_ones(tmp_path, dtype, spread, kind):
    found = weights(spread, kind)
    divided, factors = scaled(found, dtype)
    assert lost_factors(file(tmp_path, {name: value.to(dtype) for name, value in found.items()})) == ""
    assert lost_factors(file(tmp_path, divided | factors)) == ""
    note = lost_factors(file(tmp_path, divided))
    assert note.startswith("small.safetensors: its weights in eight-bit floats have no factors (scale_weight")


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_factors_that_were_rounded_make_no_difference(tmp_path, precision):
    divided, _ = scaled(weights(0.02), E4M3, precision)
    assert lost_factors(file(tmp_path, divided))


def test_a_factor_for_each_row_leaves_the_same_trace(tmp_path):
    rows = {name: value / (value.abs().amax(dim=1, keepdim=True) / 448) for name, value in weights(0.02).items()}
    assert lost_factors(file(tmp_path, {name: value.to(E4M3) for name, value in rows.items()}))


def test_some_that_reach_the_end_and_few_are_no_sign(tmp_path):
    divided, _ = scaled(weights(0.02), E4M3)
    rounded = {name: value.to(E4M3) for name, value in weights(0.02).items()}
    half = {name: divided[name] if i % 4 else rounded[name] for i, name in enumerate(rounded)}
    assert lost_factors(file(tmp_path, half)) == ""
    assert lost_factors(file(tmp_path, dict(list(divided.items())[:2]))) == ""


def test_other_files_are_not_read_beyond_their_header(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "read_bytes", lambda *args: pytest.fail("read"))
    divided, factors = scaled(weights(0.02), E4M3)
    assert lost_factors(file(tmp_path, divided | factors)) == ""
    assert lost_factors(file(tmp_path, weights(0.02))) == ""
    assert lost_factors(tmp_path) == ""
    assert lost_factors(tmp_path / "a.gguf") == ""


def test_only_some_matrices_are_read(tmp_path, monkeypatch):
    read: list[str] = []
    before = module.read_bytes
    monkeypatch.setattr(module, "read_bytes", lambda path, names: read.extend(names) or before(path, names))
    assert "in each of the 8 matrices that" in lost_factors(file(tmp_path, scaled(weights(0.02, count=80), E4M3)[0]))
    assert len(read) == len(set(read)) == 8


def test_loaders_warn_and_load(everyone):
    """Of networks, text encoders and checkpoints."""
    from safetensors.torch import load_file

    parts, _ = everyone["z_image"]
    models = Path(parts.bench.paths.base) / "models"
    whole, _ = everyone["sd1"]
    given = (
        (parts, models / "diffusion_models" / "z_image.safetensors", denoiser_loader),
        (parts, models / "text_encoders" / "qwen_3_4b.safetensors", text_encoder_loader),
        (whole, Path(whole.bench.paths.base) / "models" / "checkpoints" / "tiny.safetensors", checkpoint_loader),
    )
    for member, path, load in given:
        found = load_file(path)
        matrices = {name: value for name, value in found.items() if value.ndim == 2 and value.is_floating_point()}
        lost = path.with_name("lost.safetensors")
        save(lost, found | scaled(matrices, E4M3)[0])
        member.bench.warned.clear()
        load(member.bench, path.name)
        assert member.bench.warned == []
        load(member.bench, lost.name)
        lost.unlink()
        assert [note.partition(":")[0] for note in member.bench.warned] == ["lost.safetensors"]
