"""At most one family fits a file, over every way in which every family's network is laid out; no other file is a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.models import autoencoders, sd_keys
from engine.models.detect import detect, network_part, vae_part
from engine.models.families import families, family_named
from engine.models.packed import read_header
from engine.models.shapes import Shapes
from engine.models.weights import parameter_shapes
from tests import tiny_pixel
from tests.models.test_stage_c_coder import DECODER, encoder_shapes

TOLD_BY_WIDTH = {"sd1", "sd2", "sdxl", "sdxl_refiner"}
"""The same names, told apart by widths, which are not real in tiny files."""

Header = tuple[str, str, Shapes]
"""The family, where the header is from, and its network's tensors."""


def shapes(state: Mapping[str, Any]) -> Shapes:
    return {name: tuple(value.shape) for name, value in state.items()}


def both(family: str, module: Any, original: Mapping[str, Any]) -> Iterator[Header]:
    yield family, "tiny, library's names", shapes(module.state_dict())
    yield family, "tiny, original names", shapes(original)


def tiny_pixels() -> Iterator[Header]:
    """Of networks that have no whole workflow among the tests' families."""
    yield "ddpm", "tiny", shapes(tiny_pixel.ddpm_unet().state_dict())
    old = {name.replace("to_q", "query"): value for name, value in tiny_pixel.ddpm_unet().state_dict().items()}
    yield "ddpm", "tiny, names of 2022", shapes(old)
    transformer = tiny_pixel.dit_transformer()
    yield from both("dit", transformer, tiny_pixel.dit_to_original(transformer.state_dict(), transformer.config))
    lotus = {"class_embed_type": "projection", "projection_class_embeddings_input_dim": 4}
    for family, told in (("sd2_unclip", tiny_pixel.UNCLIP), ("sd_x4", tiny_pixel.UPSCALER), ("lotus", lotus)):
        unet = tiny_pixel.classed_unet(**told | {"cross_attention_dim": 1024})
        original = sd_keys.unet_to_original(unet.state_dict(), unet.config)
        yield from both(family, unet, bare(original))
    for second, family in ((False, "stable_cascade_c"), (True, "stable_cascade_b")):
        stage = tiny_pixel.cascade_stage(second=second)
        yield from both(family, stage, tiny_pixel.cascade_to_original(stage.state_dict(), second=second))
    for second in (False, True):
        yield "deepfloyd_if", f"tiny, stage {1 + second}", shapes(tiny_pixel.if_unet(second=second).state_dict())


def bare(tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(sd_keys.UNET_PREFIX): value for name, value in tensors.items()}


def files_of(base: Path) -> list[Path]:
    return [*base.glob("models/checkpoints/*"), *base.glob("models/diffusion_models/*")]


def tiny_workflows(everyone: Mapping[str, Any]) -> Iterator[Header]:
    """Of the tests' families: as their files are laid out, and under the library's names."""
    for name, (parts, _) in everyone.items():
        family = parts.model.family
        for path in files_of(parts.bench.paths.base):
            yield family, f"{name}, {path.name}", network_part(read_header(path).shapes)[1]
        if any(layout.name == "diffusers" for layout in family_named(family).layouts):
            yield family, f"{name}, library's names", parameter_shapes(parts.model)


@pytest.fixture(scope="module")
def headers(everyone) -> list[Header]:
    return [*tiny_pixels(), *tiny_workflows(everyone)]


def fitting(found: Shapes) -> list[str]:
    return [family.name for family in families() if family.fits(found)]


def test_one_family_fits_each_header(headers):
    for family, source, found in headers:
        fits = fitting(found)
        assert len(fits) == 1, (family, source, fits)
        assert fits[0] == family or {fits[0], family} <= TOLD_BY_WIDTH, (family, source, fits)


def test_every_layout_of_every_page_is_among_them(headers):
    seen = {
        (family.name, layout.name)
        for _, _, found in headers
        for family in families()
        for layout in family.layouts
        if layout.fits(found)
    }
    left = {(family.name, layout.name) for family in families() for layout in family.layouts} - seen
    assert {name for name, _ in left} <= TOLD_BY_WIDTH | {"flux2_klein_9b"}, left


def test_what_is_no_network_fits_no_family(everyone):
    """Text encoders and autoencoders of each family, in files of their own, and what this one's network is not."""
    vaes = {
        "stage A": shapes(tiny_pixel.paella().state_dict()),
        "stage C, encoder": encoder_shapes(),
        "stage C, both": {f"encoder.{name}": shape for name, shape in encoder_shapes().items()}
        | {f"previewer.{name}": shape for name, shape in DECODER.items()},
    }
    for name, (parts, _) in everyone.items():
        models = Path(parts.bench.paths.base) / "models"
        for path in models.glob("text_encoders/*.safetensors"):
            found = read_header(path).shapes
            assert not fitting(found), path
            assert not [kind for kind in autoencoders.kinds() if autoencoders.kind_named(kind).is_there(found)], path
        for path in [*models.glob("vae/*.safetensors"), *models.glob("checkpoints/*")]:
            found = vae_part(read_header(path).shapes)[2]
            assert found or path.parent.name == "checkpoints", path  # of which some have none
            vaes |= {f"{name} {path.name}": found} if found else {}
    for source, found in vaes.items():
        kinds = [kind for kind in autoencoders.kinds() if autoencoders.kind_named(kind).is_there(found)]
        assert len(kinds) == 1, (source, kinds)
        assert not fitting(found), source
        assert detect(found).network is None
