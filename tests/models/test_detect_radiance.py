"""Chroma Radiance in full size, by names and shapes alone, and what its network computes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from engine.models.detect import detect
from engine.models.families import families
from engine.models.networks import radiance_sizes
from tests.models.test_detect import shapes
from tests.tiny_radiance import FULL, SIZES, to_original, transformer


@pytest.mark.parametrize("kind", [{}, {"predicts_pictures": True}, {"coarse": True, "predicts_pictures": True}])
def test_a_full_size_network_is_read_off_its_names_and_shapes(kind: dict[str, Any]) -> None:
    with torch.device("meta"):
        module = transformer(**FULL, **kind)
    original = to_original(module, FULL)
    named = shapes(original)
    assert named["nerf_blocks.3.param_generator.weight"] == (3 * 64 * 64 * 4, 3072)
    for given in (named, {f"model.diffusion_model.{name}": shape for name, shape in named.items()}):
        found = detect(given)
        assert found.family == "chroma_radiance"
        assert (
            found.network
            == {**FULL, "axes_dims_rope": [16, 56, 56], "coarse": False, "predicts_pictures": False} | kind
        )
        assert (found.latent.channels, found.latent.downscale) == (3, 1)
    assert shapes(radiance_sizes.renamed(original, found.network)) == shapes(module.state_dict())
    assert [one.name for one in families() if one.fits(named)] == ["chroma_radiance"]
    assert not [one.name for one in families() if one.fits({**named, "__sequential__": (0,)})], (
        "which is not known here"
    )


def test_patches_go_through_the_blocks_of_the_librarys_chroma() -> None:
    """Of a picture that is one patch the library's network, without its first and last layer, gives the same."""
    from diffusers.models.transformers.transformer_chroma import ChromaTransformer2DModel

    torch.manual_seed(1)
    ours = transformer()
    told = {name: SIZES[name] for name in SIZES if not name.startswith(("pixel", "frequencies"))}
    theirs = ChromaTransformer2DModel(in_channels=32, **told).eval()
    theirs.load_state_dict(ours.state_dict(), strict=False)
    theirs.x_embedder, theirs.norm_out, theirs.proj_out = torch.nn.Identity(), _First(), torch.nn.Identity()
    pictures, text, time = torch.randn(2, 3, 32, 48), torch.randn(2, 5, 24), torch.tensor([0.3, 0.8])
    tokens = ours.img_in_patch(pictures).flatten(2).mT
    places = torch.tensor([[0.0, row, column] for row in range(2) for column in range(3)])
    expected = theirs(tokens, text, time, places, torch.zeros(5, 3), return_dict=False)[0]
    assert torch.allclose(ours._patches(pictures, text, time), expected, atol=1e-5)


class _First(torch.nn.Module):
    def forward(self, hidden: Any, temb: Any) -> Any:
        return hidden


def test_each_patch_has_a_network_of_its_own_on_its_pixels() -> None:
    """Pixel by pixel, in plain loops."""
    torch.manual_seed(2)
    module = transformer()
    pixels, patches = torch.randn(2, 256, 3), torch.randn(2, 32)
    got = module._painted(pixels, patches)
    for number, place in ((0, 0), (1, 37), (1, 255)):
        row, column = divmod(place, 16)
        waves = [
            torch.cos(torch.tensor(torch.pi * i * column / 15))
            * torch.cos(torch.tensor(torch.pi * j * row / 15))
            / (1 + i * j)
            for i in range(4)
            for j in range(4)
        ]
        x = module.nerf_image_embedder.embedder(torch.cat([pixels[number, place], torch.stack(waves)]))
        for block in module.nerf_blocks:
            parts = block.param_generator(patches[number]).chunk(3)
            sizes = ((8, 32), (8, 32), (32, 8))
            gate, value, out = (
                functional.normalize(one.reshape(size), dim=0) for one, size in zip(parts, sizes, strict=True)
            )
            normed = block.norm(x)
            x = x + (functional.silu(normed @ gate) * (normed @ value)) @ out
        assert torch.allclose(got[number, place], module.nerf_final_layer_conv.norm(x), atol=1e-5)


@pytest.mark.parametrize("coarse", [False, True])
def test_patches_lie_where_they_were_and_tiles_change_nothing(coarse: bool) -> None:
    torch.manual_seed(3)
    module = transformer(coarse=coarse)
    picture, text, time = torch.randn(1, 3, 64, 96), torch.randn(1, 5, 24), torch.tensor([0.5])
    whole = module(picture, text, time)
    assert whole.shape == picture.shape
    assert torch.allclose(module(picture, text, time, 5), whole, atol=1e-6)
    changed = picture.clone()
    changed[..., 40, 70] += 1.0  # a pixel that coarse patches do not show to the blocks is seen by its own network
    changed[..., 41, 71] += 1.0 if coarse else 0.0
    difference = (module(changed, text, time) - whole).abs().amax(dim=(0, 1))
    assert difference[39:42, 69:72].max() > 1e-4
