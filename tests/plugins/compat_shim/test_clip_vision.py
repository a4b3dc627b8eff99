"""Image encoders: the engine's, as nodes and packs use them, against transformers' own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.models.errors import CheckpointError
from engine.models.vision import preprocess
from engine.models.vision_facts import vision_config
from engine.plugins.compat.absent import CompatError
from engine.plugins.compat.values import from_pack, to_pack


@pytest.fixture(scope="module")
def tiny_vision(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A file in the field's naming, and the module it was written from."""
    from safetensors.torch import save_file
    from transformers.models.clip.configuration_clip import CLIPVisionConfig
    from transformers.models.clip.modeling_clip import CLIPVisionModelWithProjection

    sizes = {"hidden_size": 32, "intermediate_size": 64, "projection_dim": 16, "num_hidden_layers": 3}
    with torch.random.fork_rng():
        torch.manual_seed(3)
        module = CLIPVisionModelWithProjection(
            CLIPVisionConfig(**sizes, num_attention_heads=4, image_size=28, patch_size=14, hidden_act="gelu")
        ).eval()
    path = tmp_path_factory.mktemp("vision") / "tiny_vision.safetensors"
    tensors = {name: value.clone().contiguous() for name, value in module.state_dict().items()}
    tensors["vision_model.embeddings.position_ids"] = torch.arange(5)[None]
    save_file(tensors, path, {"safelight.config": json.dumps({"vision": {"heads": 4, "act": "gelu"}})})
    return path, module


def test_a_picture_is_encoded_as_transformers_does(node: Any, tiny_vision: tuple[Path, Any]) -> None:
    import comfy.clip_vision

    path, module = tiny_vision
    pictures = torch.rand(2, 40, 56, 3)
    model = comfy.clip_vision.load(str(path))
    seen = model.encode_image(pictures)
    with torch.no_grad():
        wanted = module(pixel_values=comfy.clip_vision.clip_preprocess(pictures, 28), output_hidden_states=True)
    assert torch.allclose(seen.image_embeds, wanted.image_embeds, atol=1e-5)
    assert torch.allclose(seen["last_hidden_state"], wanted.last_hidden_state, atol=1e-5)
    assert torch.allclose(seen.penultimate_hidden_states, wanted.hidden_states[-2], atol=1e-5)
    pixels = comfy.clip_vision.clip_preprocess(pictures, model.image_size)
    last, first, embeds = model.model(pixel_values=pixels, intermediate_output=0)
    assert torch.equal(last, seen.last_hidden_state)
    assert torch.allclose(first, wanted.hidden_states[1], atol=1e-5)
    assert torch.equal(embeds, seen.image_embeds)
    assert seen.last_hidden_state.shape == (2, 5, 32)
    assert not torch.allclose(model.encode_image(pictures, crop=False).image_embeds, seen.image_embeds)


def test_an_image_encoder_travels_as_a_handle(node: Any, tiny_vision: tuple[Path, Any]) -> None:
    import comfy.clip_vision
    import comfy.utils

    model = comfy.clip_vision.load(str(tiny_vision[0]))
    handle = from_pack(model)
    assert handle.identity() == from_pack(to_pack(handle)).identity()
    again = comfy.clip_vision.load_clipvision_from_sd(comfy.utils.load_torch_file(str(tiny_vision[0])))
    assert again.handle == handle
    assert len(model.get_sd()) > 10
    with pytest.raises(CompatError, match="give the path of a file"):
        comfy.clip_vision.load_clipvision_from_sd({})


def test_pixels_are_the_middle_of_the_picture_rounded_to_bytes_and_normalised() -> None:
    picture = torch.zeros(1, 8, 16, 4)
    picture[:, :, 4:12] = 0.5
    found = preprocess(picture, 8, (0.0,) * 3, (1.0,) * 3)
    assert torch.equal(found, torch.full((1, 3, 8, 8), 128 / 255))
    assert preprocess(picture, 4, crop=False).shape == (1, 3, 4, 4)


@pytest.mark.parametrize(
    ("width", "patch", "places", "heads", "act"), [(1024, 14, 257, 16, "quick_gelu"), (1664, 14, 257, 16, "gelu")]
)
def test_the_sizes_of_known_encoders_are_read_off_their_tensors(
    width: int, patch: int, places: int, heads: int, act: str
) -> None:
    shapes = {
        "vision_model.embeddings.patch_embedding.weight": (width, 3, patch, patch),
        "vision_model.embeddings.position_embedding.weight": (places, width),
        "vision_model.encoder.layers.0.mlp.fc1.weight": (4 * width, width),
        "visual_projection.weight": (768, width),
    }
    config = vision_config(shapes, {})
    assert (config["image_size"], config["num_attention_heads"], config["hidden_act"]) == (224, heads, act)


def test_a_file_that_holds_no_image_encoder_is_told_so(node: Any, tiny_sd: Any) -> None:
    import comfy.clip_vision

    with pytest.raises(CheckpointError, match=r"tiny_vae.safetensors: not an image encoder.*got first_stage_model"):
        comfy.clip_vision.load(str(tiny_sd.file("vae", "tiny_vae.safetensors")))


def test_a_checkpoint_without_an_image_encoder_gives_none_for_it(node: Any, tiny_sd: Any) -> None:
    import comfy.sd

    path = str(tiny_sd.file("checkpoints", "tiny.safetensors"))
    assert comfy.sd.load_checkpoint_guess_config(path, output_clipvision=True)[3] is None


def test_our_nodes_load_and_encode_as_packs_do(node: Any, tiny_vision: tuple[Path, Any], tiny_sd: Any) -> None:
    import shutil

    from engine.cache.digests import digest
    from engine.paths import Paths
    from nodes.clip_vision import clip_vision_encode, clip_vision_loader

    target = tiny_sd.file("clip_vision", "tiny_vision.safetensors")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(tiny_vision[0], target)
    node.paths = Paths(tiny_sd.base)
    encoder = clip_vision_loader(node, "tiny_vision.safetensors")
    pictures = torch.rand(1, 28, 28, 3)
    seen = clip_vision_encode(node, encoder, pictures)
    assert torch.equal(seen.image_embeds, to_pack(encoder).encode_image(pictures).image_embeds)
    assert seen["image_embeds"] is seen.image_embeds
    assert digest(seen) is not None
