"""FLUX.1 in full size, by names and shapes alone, in each layout; and as a diffusers folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.models import weights
from engine.models.detect import detect
from engine.models.errors import CheckpointError
from engine.models.families import families
from engine.models.manager import ModelManager
from engine.models.networks import flux_sizes
from tests.families import flux_transformer, flux_vae, text_tower
from tests.models.test_detect import shapes


def transformer(**told: Any) -> Any:
    from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel

    with torch.device("meta"):
        return FluxTransformer2DModel(**told)


def original_shapes(module: Any) -> dict[str, tuple[int, ...]]:
    """FLUX.1's own names, from the library's shapes: fused rows are as many as their parts together."""
    ours = shapes(module.state_dict())
    found = {}
    for path, theirs in flux_sizes.paths(module.config).items():
        for kind in ("weight", "bias"):
            if f"{path}.{kind}" in ours:
                found[f"{theirs}.{'scale' if '_norm' in theirs else kind}"] = ours[f"{path}.{kind}"]
    for path, parts in flux_sizes.fused(module.config).items():
        rows = sum(ours[f"{part}.weight"][0] for part in parts)
        found |= {f"{path}.weight": (rows, *ours[f"{next(iter(parts))}.weight"][1:]), f"{path}.bias": (rows,)}
    return found


@pytest.mark.parametrize("guidance", [True, False])
def test_a_full_size_network_is_read_off_its_names_and_shapes(guidance: bool) -> None:
    module = transformer(guidance_embeds=guidance)
    original = original_shapes(module)
    assert len(original) == (780 if guidance else 776)
    for named in (
        original,
        shapes(module.state_dict()),
        {f"model.diffusion_model.{n}": s for n, s in original.items()},
    ):
        found = detect(named)
        assert (found.family, found.network_prefix) == (
            "flux",
            "model.diffusion_model." if "img_in.bias" not in named and "x_embedder.bias" not in named else "",
        )
        assert found.network is not None
        again = transformer(**{k: tuple(v) if isinstance(v, list) else v for k, v in found.network.items()})
        assert shapes(again.state_dict()) == shapes(module.state_dict())
        told = {name: value for name, value in module.config.items() if not name.startswith("_")}
        assert {name: again.config[name] for name in told} == told | {"out_channels": 64}
        assert (found.latent.channels, found.latent.scale, found.latent.shift) == (16, 0.3611, 0.1159)
    with torch.device("meta"):
        tensors = {name: torch.empty(shape) for name, shape in original.items()}
    assert shapes(flux_sizes.renamed(tensors, module.config)) == shapes(module.state_dict())
    assert [family.name for family in families() if family.fits(original)] == ["flux"]


@pytest.mark.parametrize(("channels", "beside"), [(384, 80), (128, 16)])
def test_a_network_that_takes_a_picture_beside_the_latent_is_known_by_its_first_layer(
    channels: int, beside: int
) -> None:
    module = transformer(in_channels=channels, out_channels=64)
    for named in (original_shapes(module), shapes(module.state_dict())):
        found = detect(named)
        assert found.network is not None
        assert (found.family, found.network["in_channels"], found.latent.channels) == ("flux", channels, 16)
        assert found.network["in_channels"] // 4 - found.latent.channels == beside


def test_a_network_that_takes_something_else_beside_the_latent_is_refused() -> None:
    named = original_shapes(transformer(in_channels=192, out_channels=64))
    prefixed = {f"model.diffusion_model.{name}": shape for name, shape in named.items()}
    with pytest.raises(CheckpointError, match="does not know"):
        detect(prefixed)


def test_a_folder_of_diffusers_gives_what_a_file_gives(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    parts = {
        "transformer": flux_transformer(guidance=True),
        "vae": flux_vae(),
        "text_encoder": text_tower(300, 32, 3, "quick_gelu"),
    }
    (tmp_path / "model_index.json").write_text("{}")
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "scheduler" / "scheduler_config.json").write_text(
        json.dumps({"shift": 3.0, "use_dynamic_shifting": True})
    )
    for name, part in parts.items():
        (tmp_path / name).mkdir()
        config = part.config.to_dict() if hasattr(part.config, "to_dict") else dict(part.config)
        (tmp_path / name / "config.json").write_text(json.dumps(config, default=str))
        file = "model" if name == "text_encoder" else "diffusion_pytorch_model"
        save_file(part.state_dict(), tmp_path / name / f"{file}.safetensors")
    model, clip, decoder = ModelManager().checkpoint(tmp_path)
    assert model is not None and clip is not None and decoder is not None  # noqa: PT018
    assert (model.family, model.parameterization.prediction) == ("flux", "flow")
    assert model.config["axes_dims_rope"] == [2, 6, 8]
    assert (decoder.latent.scale, decoder.latent.shift) == (0.3611, 0.1159)
    assert shapes(weights.empty_module(model).state_dict()) == shapes(parts["transformer"].state_dict())
