"""Several pictures to go by, encoded in one node."""

from __future__ import annotations

import torch

from nodes.reference_latents import reference_multi_latent
from nodes.vae import vae_encode

KEEP, RESIZE = {"resolution": "keep resolution"}, {"resolution": "resize", "megapixels": 0.01}


def vae_of(bench):
    from nodes.loaders import checkpoint_loader

    return checkpoint_loader(bench, "tiny.safetensors").VAE


def test_pictures_are_appended_in_their_order_to_both_conditionings(bench) -> None:
    vae = vae_of(bench)
    wide, tall = torch.rand(1, 64, 96, 3), torch.rand(1, 96, 64, 3)
    came = [[torch.zeros(1, 2, 3), {"reference_latents": [torch.ones(1, 4, 1, 1)], "area": 1}]]
    other = [[torch.ones(1, 2, 3), {}]]
    images = {"image10": tall, "image2": wide}
    positive, negative, empty = reference_multi_latent(bench, came, KEEP, images, other, vae)
    wanted = [vae_encode(bench, one, vae)["samples"] for one in (wide, tall)]
    found = positive[0][1]["reference_latents"]
    assert len(found) == 3
    assert all(torch.equal(one, two) for one, two in zip(found[1:], wanted, strict=True))
    assert all(torch.equal(one, two) for one, two in zip(negative[0][1]["reference_latents"], wanted, strict=True))
    assert positive[0][1]["area"] == 1
    assert len(came[0][1]["reference_latents"]) == 1
    assert empty["samples"].shape == wanted[0].shape
    assert not empty["samples"].any()
    assert (
        reference_multi_latent(bench, came, KEEP, images, None, vae).negative[0][1]["reference_latents"][0] is found[0]
    )


def test_pictures_are_scaled_in_proportion_to_an_area(bench) -> None:
    vae = vae_of(bench)
    step = vae.latent.downscale
    [[_, told]] = reference_multi_latent(
        bench, [[torch.zeros(1, 1, 1), {}]], RESIZE, {"image0": torch.rand(1, 50, 200, 3)}, None, vae
    )[0]
    height, width = (side * step for side in told["reference_latents"][0].shape[-2:])
    assert abs(width / height - 4) < 1
    assert abs(width * height / (0.01 * 1024 * 1024) - 1) < 0.2


def test_without_pictures_or_a_vae_there_is_a_square_empty_latent(bench) -> None:
    came = [[torch.zeros(1, 1, 1), {}]]
    positive, negative, empty = reference_multi_latent(bench, came, KEEP, {}, None, None)
    assert positive is came
    assert negative is came
    assert empty["samples"].shape == (1, 128, 64, 64)
    other = [[torch.zeros(1, 1, 1), {}]]
    found = reference_multi_latent(
        bench, came, {"resolution": "resize", "megapixels": 4.0}, {"image0": torch.rand(1, 8, 8, 3)}, other
    )
    assert found.negative is other
    assert found.empty_latent["samples"].shape == (1, 128, 128, 128)
