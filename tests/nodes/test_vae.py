"""Encoding and decoding, and the masks of inpainting."""

from __future__ import annotations

import pytest
import torch

from engine.models.errors import ModelError
from nodes import vae as v
from nodes.loaders import vae_loader


@pytest.fixture
def tiny_vae(bench):
    return vae_loader(bench, "tiny_vae.safetensors")


def test_a_picture_becomes_a_latent_an_eighth_its_size_and_back(bench, tiny_vae):
    picture = torch.rand(2, 32, 48, 3)
    latent = v.vae_encode(bench, picture, tiny_vae)
    assert latent["samples"].shape == (2, 4, 4, 6)
    decoded = v.vae_decode(bench, latent, tiny_vae)
    assert decoded.shape == (2, 32, 48, 3)
    assert 0.0 <= float(decoded.min()) <= float(decoded.max()) <= 1.0


def test_encoding_is_deterministic_and_leaves_alpha_out(bench, tiny_vae):
    picture = torch.rand(1, 32, 32, 4)
    first = v.vae_encode(bench, picture, tiny_vae)["samples"]
    assert torch.equal(first, v.vae_encode(bench, picture[..., :3], tiny_vae)["samples"])


def test_the_encoder_and_decoder_are_those_of_the_module_in_the_file(bench, tiny_vae, tiny_sd):
    module, picture = tiny_sd.modules["vae"], torch.rand(1, 32, 32, 3)
    latent = module.encode(picture.movedim(-1, 1) * 2 - 1).latent_dist.mode()
    ours = v.vae_encode(bench, picture, tiny_vae)
    assert torch.allclose(ours["samples"], latent, atol=1e-5)
    decoded = (module.decode(latent).sample / 2 + 0.5).clamp(0, 1).movedim(1, -1)
    assert torch.allclose(v.vae_decode(bench, ours, tiny_vae), decoded, atol=1e-5)


def test_a_latent_of_another_model_is_refused_with_both_channel_counts(bench, tiny_vae):
    with pytest.raises(ValueError, match=r"4 channels.*\(1, 16, 4, 4\)"):
        v.vae_decode(bench, {"samples": torch.zeros(1, 16, 4, 4)}, tiny_vae)


def test_the_tiled_nodes_give_the_mean_of_square_wide_and_tall_tiles(bench, tiny_vae):
    picture = torch.rand(1, 64, 64, 3)
    latent = v.vae_encode(bench, picture, tiny_vae)
    with bench.models.use(tiny_vae) as live:
        encoded, decoded = live.encode_tiled(picture, 64, 16), live.decode_tiled(latent["samples"], 64, 16)
    assert torch.equal(v.vae_encode_tiled(bench, picture, tiny_vae, 64, 16)["samples"], encoded)
    assert torch.equal(v.vae_decode_tiled(bench, latent, tiny_vae, 64, 16), decoded)
    assert not torch.allclose(encoded, latent["samples"], atol=1e-4)


def test_a_picture_that_went_wrong_is_told_of(bench, tiny_vae):
    latent = torch.randn(2, 4, 4, 4)
    v.vae_decode(bench, {"samples": latent}, tiny_vae)
    assert bench.warned == []
    latent[1] = float("nan")
    v.vae_decode(bench, {"samples": latent}, tiny_vae)
    v.vae_decode_tiled(bench, {"samples": latent}, tiny_vae, tile_size=64)
    assert bench.warned == ["The picture 2 of 2 holds NaN or infinity, and shows as black."] * 2


def test_square_tiles_only_are_a_named_choice(bench, tiny_vae):
    picture = torch.rand(1, 64, 64, 3)
    latent = v.vae_encode(bench, picture, tiny_vae)
    encoded = v.vae_encode_tiled(bench, picture, tiny_vae, 64, 16, tiling="square only")["samples"]
    decoded = v.vae_decode_tiled(bench, latent, tiny_vae, 64, 16, tiling="square only")
    assert torch.equal(encoded, latent["samples"])  # one tile holds the whole
    assert torch.equal(decoded, v.vae_decode(bench, latent, tiny_vae))


@pytest.mark.parametrize("node", ["VAEDecodeTiled", "VAEEncodeTiled"])
def test_the_choice_of_tiles_may_be_left_out(builtin_catalogue, node):
    inputs = builtin_catalogue.spec(node).inputs
    assert [one.name for one in inputs if not one.required] == ["tiling"]
    assert inputs[-1].default == inputs[-1].choices[0] == "mean of three"


def test_decoding_shares_at_most_a_quarter_of_a_tile(bench, tiny_vae):
    latent = {"samples": torch.randn(1, 4, 20, 13)}
    tiled = v.vae_decode_tiled(bench, latent, tiny_vae, tile_size=64, overlap=4096)
    assert tiled.shape == (1, 160, 104, 3)
    assert torch.equal(tiled, v.vae_decode_tiled(bench, latent, tiny_vae, tile_size=64, overlap=16))


def test_progress_counts_the_tiles_of_all_shapes(bench, tiny_vae):
    v.vae_encode_tiled(bench, torch.rand(2, 64, 64, 3), tiny_vae, 64, 0)
    assert bench.told == [(step, 10.0) for step in range(1, 11)]  # of each picture: 1 square, 2 wide, 2 tall


def test_inpainting_greys_out_the_mask_and_grows_the_noise_mask(bench, tiny_vae):
    picture, mask = torch.rand(1, 32, 32, 3), torch.zeros(1, 32, 32)
    mask[:, 8:16, 8:16] = 1.0
    latent = v.vae_encode_for_inpaint(bench, picture, tiny_vae, mask, grow_mask_by=5)
    grey = picture.clone()
    grey[:, 8:16, 8:16] = 0.5
    assert torch.allclose(latent["samples"], v.vae_encode(bench, grey, tiny_vae)["samples"], atol=1e-6)
    expected = torch.zeros(1, 1, 32, 32)
    expected[..., 6:18, 6:18] = 1.0
    assert torch.equal(latent["noise_mask"], expected)


def test_the_noise_mask_grows_by_six_two_before_and_three_after(bench, tiny_vae):
    mask = torch.zeros(1, 32, 32)
    mask[:, 10, 20] = 1.0
    grown = v.vae_encode_for_inpaint(bench, torch.rand(1, 32, 32, 3), tiny_vae, mask, 6)["noise_mask"]
    assert grown[0, 0].nonzero().amin(0).tolist() == [8, 18]
    assert grown[0, 0].nonzero().amax(0).tolist() == [13, 23]
    assert grown.sum() == 36


def test_a_mask_is_scaled_bilinearly_and_then_rounded(bench, tiny_vae):
    mask = torch.tensor([0.0, 0.5, 0.51, 1.0]).repeat_interleave(8).view(1, 1, 32).expand(1, 16, 32)
    latent = v.vae_encode_for_inpaint(bench, torch.ones(1, 16, 32, 3), tiny_vae, mask, 0)
    assert latent["noise_mask"][0, 0, 0, ::8].tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("grow", [0, 1, 6, 64])
def test_the_noise_mask_has_the_pictures_size_however_far_it_grows(bench, tiny_vae, grow):
    mask = torch.zeros(1, 16, 16)
    mask[:, 4:6, 4:6] = 1.0
    latent = v.vae_encode_for_inpaint(bench, torch.rand(1, 32, 40, 3), tiny_vae, mask, grow)
    assert latent["noise_mask"].shape == (1, 1, 32, 40)
    assert float(latent["noise_mask"].sum()) >= 4 * 5


def test_sizes_off_the_grid_are_cropped_about_the_centre_with_the_mask(bench, tiny_vae):
    latent = v.vae_encode_for_inpaint(bench, torch.rand(1, 35, 44, 3), tiny_vae, torch.ones(1, 35, 44), 0)
    assert latent["samples"].shape == (1, 4, 4, 5)
    assert latent["noise_mask"].shape == (1, 1, 32, 40)


def test_an_inpainting_model_is_told_the_mask_and_the_masked_picture(bench, tiny_vae):
    picture, mask, given = torch.rand(1, 32, 32, 3), torch.ones(1, 32, 32), [[torch.zeros(1, 77, 32), {}]]
    positive, negative, latent = v.inpaint_model_conditioning(bench, given, given, tiny_vae, picture, mask)
    grey = v.vae_encode(bench, torch.full_like(picture, 0.5), tiny_vae)["samples"]
    for conditioning in (positive, negative):
        assert torch.allclose(conditioning[0][1]["concat_latent_image"], grey, atol=1e-6)
        assert torch.equal(conditioning[0][1]["concat_mask"], mask[:, None])
    assert torch.allclose(latent["samples"], v.vae_encode(bench, picture, tiny_vae)["samples"], atol=1e-6)
    assert torch.equal(latent["noise_mask"], mask[:, None])
    assert "noise_mask" not in v.inpaint_model_conditioning(bench, given, given, tiny_vae, picture, mask, False).latent
    assert given[0][1] == {}


def test_no_node_writes_into_picture_or_mask(bench, tiny_vae):
    picture, mask = torch.rand(1, 32, 32, 3), torch.rand(1, 32, 32)
    kept, kept_mask = picture.clone(), mask.clone()
    v.vae_encode_for_inpaint(bench, picture, tiny_vae, mask)
    v.inpaint_model_conditioning(bench, [], [], tiny_vae, picture, mask)
    assert torch.equal(picture, kept)
    assert torch.equal(mask, kept_mask)


def test_a_picture_to_go_by_is_cut_about_its_centre_and_shown_to_both(bench, tiny_vae):
    picture = torch.rand(1, 37, 50, 3)
    told = [[[torch.zeros(1, 2, 8), {"strength": 0.5}]] for _ in range(2)]
    positive, negative, latent = v.instruct_pix_to_pix_conditioning(bench, *told, tiny_vae, picture)
    seen = v.vae_encode(bench, picture[:, 2:34, 1:49], tiny_vae)["samples"]
    for conditioning in (positive, negative):
        assert torch.equal(conditioning[0][1]["concat_latent_image"], seen)
        assert conditioning[0][1]["strength"] == 0.5
    assert latent["samples"].shape == seen.shape
    assert not latent["samples"].any()
    assert "concat_latent_image" not in told[0][0][1]


@pytest.mark.parametrize(
    "encode",
    [
        lambda bench, vae, picture: v.vae_encode(bench, picture, vae),
        lambda bench, vae, picture: v.vae_encode_for_inpaint(bench, picture, vae, torch.ones(1, 3, 5)),
        lambda bench, vae, picture: v.inpaint_model_conditioning(bench, [], [], vae, picture, torch.ones(1, 3, 5)),
        lambda bench, vae, picture: v.instruct_pix_to_pix_conditioning(bench, [], [], vae, picture),
    ],
    ids=["encode", "for inpaint", "inpaint model", "pix2pix"],
)
def test_a_picture_below_a_latent_pixel_is_refused_by_the_size_that_it_has(bench, tiny_vae, encode):
    with pytest.raises(ModelError, match=r"at least 8 pixels a side, got \[1, 3, 5, 3\]\. .*enlarge"):
        encode(bench, tiny_vae, torch.rand(1, 3, 5, 3))
